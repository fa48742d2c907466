// The history: its samples put together to as many as can be told apart, four charts, and a table.

import { BINARY_STEPS, Chart } from "./charts.js";
import { byId, fill, head, make, none, setText } from "./dom.js";
import { bytes, count, day, duration, moment, percent, ratio } from "./format.js";

/** Seconds of a point of a line, of a bar, and of a row in the table. */
const STEPS = {
  hour: { point: 30, bar: 120, row: 300, words: "last hour" },
  day: { point: 900, bar: 3600, row: 3600, words: "last 24 hours" },
  week: { point: 7200, bar: 21600, row: 86400, words: "last 7 days" },
};

const LAST = ["stored_objects", "stored_bytes", "disk_bytes"];

/** The samples in steps of `step` seconds; steps without any are left out. Days begin where the reader is. */
export function steps(history, step) {
  const { samples } = history;
  const names = Object.keys(samples).filter((name) => name !== "at");
  const offset = step >= 3600 ? new Date(history.to * 1000).getTimezoneOffset() * 60 : 0;
  const found = [];
  samples.at.forEach((at, i) => {
    const start = Math.floor((at - offset) / step) * step + offset;
    let last = found.at(-1);
    if (last?.at !== start) {
      last = { at: start, ...Object.fromEntries(names.map((name) => [name, 0])) };
      found.push(last);
    }
    for (const name of names) {
      const value = samples[name][i];
      if (LAST.includes(name)) last[name] = value;
      else if (name === "in_flight") last[name] = Math.max(last[name], value);
      else last[name] += value;
    }
  });
  return found;
}

/** Columns for a chart, with a hole wherever the server did not run. */
function columns(points, step, ...values) {
  const data = [[], ...values.map(() => [])];
  points.forEach((point, i) => {
    if (i > 0 && point.at - points[i - 1].at > step) {
      data[0].push(points[i - 1].at + step);
      values.forEach((_, n) => data[n + 1].push(null));
    }
    data[0].push(point.at);
    values.forEach((value, n) => data[n + 1].push(value(point)));
  });
  return data;
}

const rate = (value) => `${bytes(value)}/s`;
/** A scale from 0 that leaves room above, and has one where there is nothing. */
const fromZero = (least) => (high) => [0, Math.max(high * 1.08, least)];

/** Steps of an axis for seconds, as clocks have them. */
const DURATION_STEPS = [
  ...[0.001, 0.01, 0.1].flatMap((unit) => [unit, 2 * unit, 5 * unit]), 1, 2, 5, 10, 20, 30,
  ...[1, 2, 5, 10, 20, 30].map((minutes) => minutes * 60), ...[1, 2, 4, 8, 12].map((hours) => hours * 3600),
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500].map((days) => days * 86400),
];

let charts;

function makeCharts() {
  // 24 hours, days by name.
  const x = {
    values: (plot, ticks) => {
      const days = plot.scales.x.max - plot.scales.x.min > 2 * 86400;
      return ticks.map((at) => (days ? day(at) : moment(at)));
    },
  };
  // Of which range what is shown is, its length says.
  const when = (at) => moment(at, charts.ratio.span[1] - charts.ratio.span[0] > 4000);
  charts = {
    ratio: new Chart(byId("chart-ratio"), {
      title: "Hit ratio", time: true, x, when, empty: "No requests in this time",
      lines: [{ title: "hits of GETs", color: "--blue", format: percent }],
      range: () => [0, 1.02], steps: [0.25, 0.5], tick: (value) => `${value * 100}\u00a0%`,
    }),
    saved: new Chart(byId("chart-saved"), {
      title: "Time saved", time: true, x, when, empty: "No time saved in this time",
      lines: [{ title: "by hits", color: "--blue", kind: "bars", format: duration }],
      range: fromZero(1), steps: DURATION_STEPS, tick: duration,
    }),
    traffic: new Chart(byId("chart-traffic"), {
      title: "Throughput", time: true, x, when, empty: "Nothing went down or up",
      lines: [
        { title: "down", color: "--blue", format: rate },
        { title: "up", color: "--orange", format: rate },
      ],
      range: fromZero(1024), steps: BINARY_STEPS, tick: rate,
    }),
    fill: new Chart(byId("chart-fill"), {
      title: "Disk", time: true, x, when, empty: "",
      lines: [
        { title: "used", color: "--blue", kind: "area", format: bytes, atRest: true },
        { title: "capacity", color: "--quiet", kind: "dashed", format: bytes, atRest: true },
      ],
      range: fromZero(1 << 20), steps: BINARY_STEPS, tick: bytes,
    }),
  };
}

/** Shows a history; `capacity` is the cache's, in bytes. */
export function showHistory(history, capacity) {
  if (!charts) makeCharts();
  const { point: step, bar, row, words } = STEPS[history.range];
  const span = [history.from, history.to];
  const points = steps(history, step);
  const of = (values) => columns(points, step, ...values);
  const { totals } = history;
  const all = percent(ratio(totals.hits, totals.misses));
  setText("range-title", words.charAt(0).toUpperCase() + words.slice(1));
  charts.ratio.show(of([(p) => ratio(p.hits, p.misses)]), span, `${all} over the ${words}.`);
  charts.saved.show(columns(steps(history, bar), bar, (p) => p.time_saved_ms / 1000), span, `${duration(totals.time_saved_ms / 1000)} over the ${words}.`);
  charts.traffic.show(
    of([(p) => p.sent_bytes / Math.max(p.seconds, 1), (p) => p.received_bytes / Math.max(p.seconds, 1)]),
    span,
    `${bytes(totals.sent_bytes)} down and ${bytes(totals.received_bytes)} up over the ${words}.`,
  );
  // The capacity is a line all the way.
  const [at, used] = of([(p) => p.disk_bytes]);
  const whole = [[span[0], ...at, span[1]], [null, ...used, null]];
  charts.fill.show([...whole, whole[0].map(() => capacity)], span, `${bytes(totals.disk_bytes)} of ${bytes(capacity)} used.`);
  fill(byId("history-table"), { range: history.range, rows: steps(history, row) }, table);
}

function table({ range, rows }) {
  const titles = ["From", "Hit ratio", "Hits", "Misses", "Time saved", "Down", "Up", "Evicted", "Most at once", "Disk"];
  const when = (at) => (range === "week" ? day(at) : moment(at, range === "day"));
  const body = rows.toReversed().map((row) => {
    const cells = [
      percent(ratio(row.hits, row.misses)), count(row.hits), count(row.misses), duration(row.time_saved_ms / 1000),
      bytes(row.sent_bytes), bytes(row.received_bytes), count(row.evictions), count(row.in_flight), bytes(row.disk_bytes),
    ];
    return make("tr", {}, make("th", { scope: "row" }, when(row.at)), cells.map((cell) => make("td", {}, cell)));
  });
  if (body.length === 0) body.push(none(titles.length, "Nothing is known of this time yet."));
  return [...head("History", titles), make("tbody", {}, body)];
}
