// The charts, drawn by uPlot: one look for all of them. Knows columns of numbers; nothing of what they mean.

import { make } from "./dom.js";

const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';
const sync = window.uPlot.sync("history");
const charts = [];

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Points that have no neighbour to draw a line to. */
function alone(plot, index) {
  const values = plot.data[index];
  const at = values.map((_, i) => i);
  return at.filter((i) => values[i] != null && values[i - 1] == null && values[i + 1] == null);
}

function series(line) {
  const stroke = () => color(line.color);
  const common = { label: line.title, stroke, width: 1.6, spanGaps: false };
  if (line.kind === "bars") {
    return { ...common, width: 0, fill: stroke, points: { show: false }, paths: window.uPlot.paths.bars({ size: [0.7, 28], align: 1 }) };
  }
  if (line.kind === "dashed") return { ...common, width: 1, dash: [4, 4], points: { show: false } };
  const points = line.kind === "points" ? { size: 7, fill: stroke } : { size: 5, fill: stroke, filter: alone };
  const fill = line.kind === "area" ? () => color("--blue-soft") : undefined;
  return { ...common, fill, points: { show: true, ...points } };
}

/** A chart in a figure: a title, what each line is with its value under the pointer, the plot, and a word when empty. */
export class Chart {
  constructor(figure, options) {
    this.options = options;
    this.values = options.lines.map(() => make("output"));
    const keys = options.lines.map((line, i) => {
      const mark = make("i", { class: line.kind === "dashed" ? "dashed" : line.color.slice(2), "aria-hidden": "true" });
      return make("span", { class: "key" }, line.title ? [mark, line.title] : null, this.values[i]);
    });
    this.empty = make("p", { class: "empty" }, make("span", {}, options.empty));
    this.place = make("div", { class: "plot", role: "img" }, this.empty);
    this.when = make("span", { class: "quiet" });
    figure.replaceChildren(make("figcaption", {}, make("b", {}, options.title, this.when), keys), this.place);
    this.data = [[], ...options.lines.map(() => [])];
    this.span = null;
    this.draw();
    new ResizeObserver(() => this.plot.setSize(this.size())).observe(this.place);
    charts.push(this);
  }

  /** Shows columns: x, then one for each line; `span` is what x shows from and to. */
  show(data, span, summary) {
    this.data = data;
    this.span = span;
    this.place.setAttribute("aria-label", `${this.options.title}. ${summary}`);
    this.empty.hidden = data.slice(1).some((values) => values.some((value) => value != null && value !== 0));
    this.plot.setData(data);
    this.tell(null);
  }

  size() {
    return { width: Math.max(this.place.clientWidth, 120), height: this.place.clientHeight || 170 };
  }

  /** The values at a place, or where there is no pointer the last. */
  tell(index) {
    const when = index == null || !this.options.when ? "" : ` ${this.options.when(this.data[0][index])}`;
    if (this.when.textContent !== when) this.when.textContent = when;
    this.options.lines.forEach((line, i) => {
      const values = this.data[i + 1];
      const value = index == null ? (line.atRest ? values.findLast((v) => v != null) : undefined) : values[index];
      const text = value == null ? "" : line.format(value);
      if (this.values[i].textContent !== text) this.values[i].textContent = text;
    });
  }

  draw() {
    const { options } = this;
    const axis = { font: FONT, stroke: () => color("--quiet"), ticks: { show: false } };
    const grid = { stroke: () => color("--grid"), width: 1 };
    this.plot?.destroy();
    this.plot = new window.uPlot(
      {
        ...this.size(),
        padding: [10, 20, 0, 0],
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 }, sync: options.time ? { key: sync.key } : undefined },
        scales: {
          x: { time: options.time, range: (_, low, high) => this.span ?? [low ?? 0, high ?? 1] },
          y: { range: (_, low, high) => options.range(high ?? 0) },
        },
        axes: [
          { ...axis, grid: { show: false }, size: 28, gap: 9, space: 64, ...options.x },
          { ...axis, grid, size: 62, gap: 6, space: 30, incrs: options.steps, values: (_, ticks) => ticks.map(options.tick) },
        ],
        series: [{}, ...options.lines.map(series)],
        hooks: { setCursor: [(plot) => this.tell(plot.cursor.idx)] },
      },
      this.data,
      this.place,
    );
  }
}

/** Steps of axes for bytes: powers of two, so that ticks are whole numbers of their unit. */
export const BINARY_STEPS = Array.from({ length: 56 }, (_, i) => 2 ** i);

// Colours are read when something is drawn.
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach((chart) => chart.draw()));
