// How numbers are written. Knows nothing of where they come from.

/** Between a number and its unit no line ends. */
const NB = "\u00a0";
const whole = new Intl.NumberFormat("en");

/** A count, as in 12,345. */
export function count(number) {
  return number == null ? "–" : whole.format(Math.round(number));
}

function short(number) {
  return number >= 100 || Number.isInteger(number) ? String(Math.round(number)) : number.toFixed(number >= 10 ? 1 : 2);
}

/** Bytes in binary units, as in 3.20 GiB. */
export function bytes(number) {
  if (number == null) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  // 1023.6 would be written as 1024.
  while (number >= 1023.5 && unit < units.length - 1) {
    number /= 1024;
    unit += 1;
  }
  return `${short(number)}${NB}${units[unit]}`;
}

/** A share of 1, as in 93.1 %. Only all is 100 %, and only nothing 0 %. */
export function percent(ratio) {
  if (ratio == null || Number.isNaN(ratio)) return "–";
  if (ratio > 0 && ratio < 0.001) return `<${NB}0.1${NB}%`;
  if (ratio < 1 && ratio > 0.999) return `>${NB}99.9${NB}%`;
  return `${ratio === 0 || ratio === 1 ? ratio * 100 : (ratio * 100).toFixed(1)}${NB}%`;
}

/** Seconds in the two largest units that say something, as in 3 h 12 min. */
export function duration(seconds) {
  if (seconds == null) return "–";
  if (seconds === 0) return `0${NB}s`;
  if (seconds < 0.001) return `${short(seconds * 1e6)}${NB}µs`;
  if (seconds < 1) return `${short(seconds * 1e3)}${NB}ms`;
  if (seconds < 60) return `${seconds >= 10 ? Math.round(seconds) : Number(seconds.toFixed(1))}${NB}s`;
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const largest = units.findIndex(([, size]) => seconds >= size);
  const [[first, size], [second, part]] = [units[largest], units[largest + 1]];
  const parts = Math.round(seconds / part);
  const perFirst = size / part;
  const rest = parts % perFirst;
  return `${Math.floor(parts / perFirst)}${NB}${first}${rest ? `${NB}${rest}${NB}${second}` : ""}`;
}

/** How long ago, in milliseconds since 1970, as in 3 min ago. */
export function ago(atMs, nowMs) {
  const seconds = Math.max(0, nowMs - atMs) / 1000;
  if (seconds < 60) return "just now";
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit} ago`;
  }
  return "";
}

/** A moment, as in 14:05, or Mon 14:05 where days matter. */
export function moment(at, withDay) {
  const date = new Date(at * 1000);
  const time = date.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  return withDay ? `${date.toLocaleDateString("en", { weekday: "short" })} ${time}` : time;
}

/** A day, as in Sat 21. */
export function day(at) {
  const date = new Date(at * 1000);
  return `${date.toLocaleDateString("en", { weekday: "short" })} ${date.getDate()}`;
}

/** Hits of all GETs; null where there were none. */
export function ratio(hits, misses) {
  return hits + misses > 0 ? hits / (hits + misses) : null;
}
