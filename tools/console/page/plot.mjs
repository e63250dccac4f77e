// A small plot over the last minutes, in the page's colours. uPlot draws it; what it shows is also
// said as its label, for those who do not see it.

import uPlot from "./vendor/uPlot.esm.js";

const HEIGHT = 130;

const colourOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const ago = (seconds) => seconds === 0 ? "now" : `${seconds / 60} min ago`;

export class Plot {
  #figure;
  #title;
  #series;
  #word;
  #seconds;
  #holder;
  #caption;
  #plot = null;
  #data;

  /** `series`: [{label, colour: a CSS variable's name}]; `word`: a value as text; `seconds` of the
   *  past that the axis shows. */
  constructor(figure, {title, series, word, seconds}) {
    this.#figure = figure;
    this.#title = title;
    this.#series = series;
    this.#word = word;
    this.#seconds = seconds;
    this.#data = [[], ...series.map(() => [])];
    this.#holder = document.createElement("div");
    this.#holder.setAttribute("role", "img");
    this.#caption = document.createElement("figcaption");
    for (const {label, colour} of series) {
      const mark = document.createElement("span");
      mark.className = "mark";
      mark.style.backgroundColor = `var(${colour})`;
      const text = document.createElement("span");
      text.append(mark, label);
      this.#caption.append(text);
    }
    figure.append(this.#holder, this.#caption);
    new ResizeObserver(() => this.#resize()).observe(figure);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
    this.#draw();
  }

  /** `data`: seconds (0 is now, the past negative), then each series' values, null where there is
   *  none. */
  show(data) {
    this.#data = data;
    this.#plot.setData(data);
    const now = this.#series.map(({label}, at) => `${label} ${this.#word(data[at + 1].at(-1) ?? 0)}`);
    this.#holder.setAttribute("aria-label", `${this.#title}; now ${now.join(", ")}`);
  }

  // A scale without a value above 0 has no unit that means anything.
  #tickWord(tick) {
    const isEmpty = !this.#data.slice(1).some((values) => values.some((value) => value > 0));
    return tick > 0 && isEmpty ? "" : this.#word(tick);
  }

  #resize() {
    const width = this.#figure.clientWidth;
    if (width > 0 && width !== this.#plot.width) this.#plot.setSize({width, height: HEIGHT});
  }

  // Anew where the colours change: uPlot has them from its start.
  #draw() {
    this.#plot?.destroy();
    const axis = {stroke: colourOf("--soft"), grid: {stroke: colourOf("--line"), width: 1},
      ticks: {show: false}, font: "11px system-ui, sans-serif"};
    this.#plot = new uPlot({
      width: Math.max(1, this.#figure.clientWidth),
      height: HEIGHT,
      padding: [8, 12, 0, 0],
      legend: {show: false},
      cursor: {show: false},
      scales: {
        x: {time: false, range: [-this.#seconds, 0]},
        y: {range: (_, least, most) => [0, most > 0 ? most * 1.1 : 1]},
      },
      axes: [
        {...axis, size: 24, space: 70, incrs: [60], values: (_, ticks) => ticks.map((t) => ago(-t))},
        {...axis, size: 58, space: 32, values: (_, ticks) => ticks.map((tick) => this.#tickWord(tick))},
      ],
      series: [{}, ...this.#series.map(({label, colour}) => ({label, stroke: colourOf(colour),
        width: 1.5, points: {show: false}}))],
    }, this.#data, this.#holder);
  }
}
