/** The dashboard's charts: lines over time, and a legend with the latest values. */
import { h } from "./dom.js";
import { CHARTS, short } from "./numbers.js";

const MOST_POINTS = 900;
const HEIGHT = 152;
const LEAST_SECONDS = 60;

function clock(seconds) {
  return new Date(1000 * seconds).toLocaleTimeString("en", { hourCycle: "h23" });
}

class Chart {
  constructor({ title, lines, most }) {
    this.lines = lines;
    this.most = most;
    this.data = [[], ...lines.map(() => [])];
    this.values = lines.map(() => h("b", {}, "-"));
    this.plot = h("div", { className: "plot", role: "img", "aria-label": title });
    this.title = title;
    this.element = h("section", { className: "card", "aria-label": title }, h("h2", {}, title), this.plot,
      h("ul", { className: "legend" }, lines.map(([name], at) => h("li", {}, `${name} `, this.values[at]))));
  }

  /** Draw anew: the first time, and in other colours. */
  build() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const series = this.lines.map((line, at) => ({ stroke: colour(`--c${at}`), width: 1.6, points: { show: false }, spanGaps: true }));
    this.drawn?.destroy();
    this.drawn = new globalThis.uPlot({
      width: this.plot.clientWidth || 300,
      height: HEIGHT,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false } },
      scales: { x: { range: (self, first, last) => [Math.min(first, last - LEAST_SECONDS), last] }, y: { range: (self, low, high) => [0, this.most ?? Math.max(1, (high ?? 0) * 1.1)] } },
      axes: [{ ...axis, size: 26, space: 90, values: (self, ticks) => ticks.map(clock) }, { ...axis, size: 48, values: (self, ticks) => ticks.map(short) }],
      series: [{}, ...series],
      hooks: { setCursor: [({ cursor }) => this.label(cursor.idx)] },
    }, this.data, this.plot);
  }

  add(before, now) {
    this.data[0].push(now.at);
    this.lines.forEach(([, line], at) => this.data[at + 1].push(line(before, now)));
    if (this.data[0].length > MOST_POINTS) for (const values of this.data) values.shift();
    this.drawn.setData(this.data);
    this.label(this.drawn.cursor.idx);
    const said = this.lines.map(([name], at) => `${name} ${short(this.data[at + 1].at(-1))}`);
    this.plot.setAttribute("aria-label", `${this.title}: ${said.join(", ")}`);
  }

  /** Show the values of one moment: that below the pointer, or the last one. */
  label(index) {
    const at = index ?? this.data[0].length - 1;
    this.values.forEach((element, line) => { element.textContent = short(this.data[line + 1][at]); });
  }

  resize() {
    this.drawn?.setSize({ width: this.plot.clientWidth, height: HEIGHT });
  }
}

/** Fills `element` with charts. Returns a function that adds the numbers of a moment. */
export function drawCharts(element) {
  const charts = CHARTS.map((each) => new Chart(each));
  element.replaceChildren(...charts.map((chart) => chart.element));
  for (const chart of charts) chart.build();
  new ResizeObserver(() => charts.forEach((chart) => chart.resize())).observe(element);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach((chart) => chart.build()));
  return (before, now) => charts.forEach((chart) => chart.add(before, now));
}
