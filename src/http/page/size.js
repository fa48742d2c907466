// Is it big enough: the predicted hit ratio by capacity, as a plot and a table, and what evictions say.

import { Chart } from "./charts.js";
import { byId, fill, head, make, none, setText } from "./dom.js";
import { bytes, duration, percent } from "./format.js";

const FRACTIONS = { 0.25: "¼", 0.5: "½" };
const times = (factor) => `${FRACTIONS[factor] ?? factor}×`;

let chart;

/** Shows the curve of a summary. */
export function showSize(summary) {
  chart ??= new Chart(byId("chart-curve"), {
    title: "Predicted hit ratio by capacity",
    time: false,
    empty: "Known once there were enough requests",
    lines: [{ title: "", color: "--blue", kind: "points", format: percent }],
    range: () => [0, 1.02],
    steps: [0.25, 0.5],
    tick: (value) => `${value * 100}\u00a0%`,
    // Factors are powers of two: each as far from the next.
    x: { values: (_, ticks) => ticks.map((log) => times(2 ** log)), incrs: [1], space: 20 },
  });
  const curve = summary.curve ?? [];
  const now = curve.find((point) => point.factor === 1);
  chart.show(
    [curve.map((point) => Math.log2(point.factor)), curve.map((point) => point.predicted_hit_ratio)],
    [-2.3, 3.3],
    now ? `${percent(now.predicted_hit_ratio)} at the capacity of today; the table has the rest.` : "Not known yet.",
  );
  fill(byId("curve-table"), curve, table);
  setText("size-text", [age(summary), neverRead(summary)].filter(Boolean).join(" "));
}

function table(curve) {
  const now = curve.find((point) => point.factor === 1)?.predicted_hit_ratio;
  const rows = curve.map((point) => {
    const more = (point.predicted_hit_ratio - now) * 100;
    const difference = point.factor === 1 ? "today" : `${more < 0 ? "−" : "+"}${Math.abs(more).toFixed(1)} points`;
    return make(
      "tr",
      { class: point.factor === 1 ? "here" : null },
      make("th", { scope: "row" }, bytes(point.capacity_bytes), make("span", { class: "quiet" }, ` ${times(point.factor)}`)),
      make("td", {}, percent(point.predicted_hit_ratio)),
      make("td", {}, difference),
    );
  });
  if (rows.length === 0) rows.push(none(3, "Learned from requests: use the cache for a while, and this says what another size would bring."));
  return [...head("Predicted hit ratio by capacity", ["Capacity", "Hit ratio", "Difference"]), make("tbody", {}, rows)];
}

function age(summary) {
  const age = summary.last_evicted_age_seconds;
  return age ? `What was evicted last had not been used for ${duration(age)}.` : "Nothing was evicted since the start.";
}

function neverRead(summary) {
  const share = summary.never_read_share;
  return share == null ? "" : `${percent(share)} of the bytes stored were evicted without ever having been read.`;
}
