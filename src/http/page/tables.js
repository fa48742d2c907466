// The tables of builds, namespaces and clients, and the facts about the bucket.

import { byId, fill, head, make, none } from "./dom.js";
import { ago, bytes, count, duration, percent, ratio } from "./format.js";

/** Builds whose details are shown, by number: they stay open when the table is made anew. */
const opened = new Set();
let sessionsShown;

/** Shows recent builds, as `/-/api/sessions` lists them. */
export function showSessions(list) {
  sessionsShown = list;
  // Told apart by minute: seconds would make the table anew each time.
  const data = { sessions: list.sessions, minute: Math.floor(list.now_ms / 60000), opened: [...opened] };
  fill(byId("sessions-table"), data, () => sessionRows(list));
}

const SESSION_COLUMNS = [
  "Build", ["Took", "wide"], ["Requests", "wide"], "Hit ratio", ["Down", "wide"], ["Up", "wide"], ["In the cache", "wide"], "Saved",
];

function sessionRows({ sessions, now_ms }) {
  const rows = sessions.flatMap((session) => {
    const isOpen = opened.has(session.id);
    const toggle = make("button", { type: "button", class: "open", "aria-expanded": String(isOpen), "data-key": session.id }, make("span", {}, session.label));
    toggle.addEventListener("click", () => {
      if (!opened.delete(session.id)) opened.add(session.id);
      showSessions(sessionsShown);
    });
    const who = `${session.principal} · ${session.is_running ? "running" : `${ago(session.last_seen_ms, now_ms)}`}`;
    const row = make(
      "tr",
      {},
      make("th", { scope: "row", class: "name" }, toggle, make("span", { class: "small under" }, who)),
      make("td", { class: "wide" }, duration((session.last_seen_ms - session.first_seen_ms) / 1000)),
      make("td", { class: "wide" }, count(session.requests)),
      make("td", {}, percent(session.hit_ratio)),
      make("td", { class: "wide" }, bytes(session.sent_bytes)),
      make("td", { class: "wide" }, bytes(session.stored_bytes)),
      make("td", { class: "wide" }, duration(session.cache_seconds)),
      make("td", {}, duration(session.time_saved_seconds)),
    );
    return isOpen ? [row, details(session)] : [row];
  });
  if (rows.length === 0) rows.push(none(SESSION_COLUMNS.length, "No build has named itself yet."));
  return [...head("Recent builds", SESSION_COLUMNS), make("tbody", {}, rows)];
}

function list(title, items, name, value) {
  const lines = items.map((item) => make("li", {}, make("code", {}, name(item)), make("span", {}, value(item))));
  return make("div", {}, make("h3", {}, title), lines.length ? make("ol", {}, lines) : make("p", { class: "quiet" }, "None known"));
}

function details(session) {
  const facts = [
    ["Hits", count(session.hits)], ["Misses", count(session.misses)], ["Stored", count(session.stored)],
    ["Down", bytes(session.sent_bytes)], ["Up", bytes(session.stored_bytes)], ["Time in the cache", duration(session.cache_seconds)],
  ];
  return make(
    "tr",
    { class: "more" },
    make(
      "td",
      { colspan: SESSION_COLUMNS.length },
      make(
        "div",
        { class: "details" },
        list("Slowest misses", (session.slowest_misses ?? []).filter((miss) => miss.cost_ms > 0), (miss) => miss.name, (miss) => duration(miss.cost_ms / 1000)),
        list("Largest misses", session.largest_misses ?? [], (miss) => miss.name, (miss) => bytes(miss.bytes)),
        make("div", {}, make("h3", {}, "All of it"), make("ul", {}, facts.map(([name, value]) => make("li", {}, make("span", {}, name), make("span", {}, value))))),
        list("Clients", session.clients ?? [], (client) => client.client, (client) => count(client.requests)),
      ),
    ),
  );
}

/** A share as a bar; the number beside it says the same. */
function share(part, whole) {
  const bar = make("span");
  bar.style.width = `${Math.min(100, whole > 0 ? (part / whole) * 100 : 0)}%`;
  return make("span", { class: "share", "aria-hidden": "true" }, bar);
}

/** Shows the namespaces of a summary. */
export function showNamespaces(namespaces) {
  fill(byId("namespaces-table"), namespaces, () => {
    const columns = ["Namespace", ["Objects", "wide"], "Disk", ["Quota", "wide"], "Hit ratio", "Saved"];
    const rows = namespaces.map((space) =>
      make(
        "tr",
        {},
        make("th", { scope: "row", class: "name" }, space.name),
        make("td", { class: "wide" }, count(space.objects)),
        make("td", {}, share(space.disk_bytes, space.quota_bytes), bytes(space.disk_bytes)),
        make("td", { class: "wide" }, space.quota_bytes ? bytes(space.quota_bytes) : "–"),
        make("td", {}, percent(ratio(space.hits, space.misses))),
        make("td", {}, duration(space.time_saved_seconds)),
      ),
    );
    if (rows.length === 0) rows.push(none(columns.length, "None."));
    return [...head("Namespaces", columns), make("tbody", {}, rows)];
  });
}

/** Shows the clients of a summary. */
export function showClients(clients) {
  fill(byId("clients-table"), clients, () => {
    const rows = clients.map((client) =>
      make("tr", {}, make("th", { scope: "row", class: "name" }, client.client), make("td", {}, count(client.requests))),
    );
    if (rows.length === 0) rows.push(none(2, "No requests yet."));
    return [...head("Clients", ["Client", "Requests"]), make("tbody", {}, rows)];
  });
}

/** Shows what is known of the bucket; nothing where there is none. */
export function showBucket(bucket) {
  byId("bucket").hidden = bucket == null;
  fill(byId("bucket-facts"), bucket, () => {
    const state = bucket?.is_up ? "asked as usual" : `failing${bucket?.failing_for_seconds == null ? "" : ` for ${duration(bucket.failing_for_seconds)}`}`;
    const facts = bucket == null ? [] : [
      ["Where", bucket.url],
      ["State", state],
      ["Waits to be written", `${count(bucket.queue_objects)} objects, ${bytes(bucket.queue_bytes)}`],
      ["Last failure", bucket.last_error],
    ];
    return facts.filter(([, value]) => value != null).map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)));
  });
}
