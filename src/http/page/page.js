// The page: asks the server every few seconds while somebody looks, and hands what it says to the parts that show it.

import { showConnect } from "./connect.js";
import { byId, fill, make, setData, setText } from "./dom.js";
import { bytes, count, duration, moment, percent, ratio } from "./format.js";
import { showHistory } from "./history.js";
import { showSize } from "./size.js";
import { showBucket, showClients, showNamespaces, showSessions } from "./tables.js";

/** Milliseconds between two questions; a history in long steps is asked for less often. */
const PAUSE = 5000;
const HISTORY_PAUSE = { hour: 5000, day: 30000, week: 60000 };

const state = { range: "hour", history: null, historyAt: 0, asking: false, timer: 0, lastAnswer: null };

async function ask(path) {
  const answer = await fetch(`api/${path}`, { cache: "no-store", headers: { Accept: "application/json" } });
  if (answer.status === 401 || answer.status === 403) {
    throw new Error("The server wants a token with the right admin: load this page again and log in with any name and the token as the password.");
  }
  if (!answer.ok) throw new Error(`The server answered ${answer.status}: ${(await answer.text()).slice(0, 200)}`);
  return answer.json();
}

async function look() {
  if (state.asking) return;
  state.asking = true;
  clearTimeout(state.timer);
  const range = state.range;
  try {
    const isDue = state.history?.range !== range || Date.now() - state.historyAt >= HISTORY_PAUSE[range] - 500;
    const [summary, sessions, history] = await Promise.all([
      ask("summary"),
      ask("sessions?limit=12"),
      isDue ? ask(`history?range=${range}`) : state.history,
    ]);
    if (isDue) Object.assign(state, { history, historyAt: Date.now() });
    state.lastAnswer = Date.now() / 1000;
    byId("offline").hidden = true;
    show(summary, sessions, history);
  } catch (error) {
    const since = state.lastAnswer ? ` What is shown is from ${moment(state.lastAnswer)}.` : "";
    const text = error instanceof TypeError ? "The server does not answer; this page keeps asking." : error.message;
    setText("offline", text + since);
    byId("offline").hidden = false;
    setState("bad", "No answer");
    console.debug(error);
  } finally {
    state.asking = false;
  }
  // Another range may have been asked for meanwhile.
  if (range !== state.range) await look();
  else plan();
}

function plan() {
  clearTimeout(state.timer);
  if (!document.hidden) state.timer = setTimeout(look, PAUSE);
}

function setState(level, text) {
  byId("state").dataset.level = level;
  setText("state-text", text);
}

function show(summary, sessions, history) {
  setText("version", summary.version);
  document.title = summary.hit_ratio == null ? "larder" : `${percent(summary.hit_ratio)} – larder`;
  showHealth(summary);
  showTiles(summary, history);
  showHistory(history, summary.capacity_bytes);
  showSize(summary);
  showSessions(sessions);
  showNamespaces(summary.namespaces ?? []);
  showClients(summary.clients ?? []);
  showBucket(summary.bucket);
  showConnect(summary.namespaces ?? []);
  document.body.dataset.shown = String(Number(document.body.dataset.shown ?? 0) + 1);
}

const LEVELS = ["bad", "warn", "ok"];
const WORDS = { ok: "OK", warn: "Warning", bad: "Problem" };

function showHealth(summary) {
  const all = (summary.health ?? []).filter((entry) => LEVELS.includes(entry.level));
  const worst = LEVELS.find((level) => all.some((entry) => entry.level === level)) ?? "ok";
  setState(worst, summary.ready ? { ok: "Ready", warn: "Ready, with warnings", bad: "Has a problem" }[worst] : "Loading its index");
  const entries = worst === "ok" && all.length === 0 ? [{ level: "ok", text: "Everything is in order." }] : all;
  entries.sort((a, b) => LEVELS.indexOf(a.level) - LEVELS.indexOf(b.level));
  fill(byId("health"), entries, () =>
    entries.map((entry) => make("li", { "data-level": entry.level }, make("b", {}, WORDS[entry.level]), make("span", {}, entry.text))));
  const live = [`${count(summary.requests_in_flight)} in flight`, `${count(summary.connections)} connection${summary.connections === 1 ? "" : "s"}`, `up ${duration(Math.floor(summary.uptime_seconds))}`];
  setText("live", live.join(" · "));
}

function showTiles(summary, history) {
  const { totals } = history;
  const hitRatio = ratio(totals.hits, totals.misses);
  setData("hit-ratio", hitRatio, percent(hitRatio));
  setText("hit-ratio-sub", `${percent(summary.hit_ratio)} since the start`);
  setData("time-saved", totals.time_saved_ms / 1000, duration(totals.time_saved_ms / 1000));
  setText("time-saved-sub", `${duration(summary.time_saved_seconds)} since the start`);
  setData("hit-bytes", totals.hit_bytes, bytes(totals.hit_bytes));
  setText("hit-bytes-sub", `in ${count(totals.hits)} hits, ${count(totals.misses)} misses`);
  setData("fill", summary.disk_bytes, bytes(summary.disk_bytes));
  setText("fill-sub", `${percent(summary.disk_bytes / summary.capacity_bytes)} of ${bytes(summary.capacity_bytes)}, ${count(summary.stored_objects)} objects`);
  byId("fill-bar").style.width = `${Math.min(100, (summary.disk_bytes / summary.capacity_bytes) * 100)}%`;
  const latency = totals.gets > 0 ? totals.get_micros / totals.gets / 1e6 : null;
  setData("latency", latency, duration(latency));
  setText("latency-sub", `to its last byte; at most ${count(totals.in_flight)} at once`);
  setData("evicted", totals.evictions, count(totals.evictions));
  const age = summary.last_evicted_age_seconds;
  setText("evicted-sub", age ? `the last unused for ${duration(age)}` : "none since the start");
}

byId("range").addEventListener("change", (event) => {
  state.range = event.target.value;
  look();
});
document.addEventListener("visibilitychange", () => {
  clearTimeout(state.timer);
  if (!document.hidden) look();
});
look();
