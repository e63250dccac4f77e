// The live page: asks /v1/stat each second and shows what figures.mjs makes of it.

import {History, VISIBLE, lagsOf, latenciesBetween, pointOf, processesOf, ratesBetween} from "./figures.mjs";
import {Plot} from "./plot.mjs";
import * as words from "./words.mjs";

const EVERY_MS = 1000;
const PLOT_SECONDS = 180;
const LATENCY_SECONDS = 60;
/** Over so long a rate is taken: one second alone jumps. */
const RATE_SECONDS = 3;

const find = (id) => document.getElementById(id);
const history = new History(LATENCY_SECONDS);
const points = [];  // what the plots show, oldest first

const plots = {
  rates: new Plot(find("rates-plot"), {
    title: "Events a second in the last three minutes",
    series: [{label: "received", colour: "--first"}, {label: "applied", colour: "--second"}],
    word: words.rate, seconds: PLOT_SECONDS}),
  lag: new Plot(find("lag-plot"), {
    title: "Age of the oldest that waits, in the last three minutes",
    series: [{label: "rings", colour: "--first"}, {label: "logs", colour: "--second"},
      {label: "journal", colour: "--third"}, {label: "Redis", colour: "--fourth"}],
    word: (us) => us === 0 ? "0" : words.age(us), seconds: PLOT_SECONDS}),
  latency: new Plot(find("latency-plot"), {
    title: `Latency, ${VISIBLE}, in the last three minutes`,
    series: [{label: `${VISIBLE} p50`, colour: "--first"}, {label: "p99", colour: "--second"}],
    word: (ns) => ns === 0 ? "0" : words.duration(ns), seconds: PLOT_SECONDS}),
};

/** Makes `parent` hold one element a row, and tells `fill` to bring each up to date: what stays is
 *  not made anew, so a reader's place in it stays too. */
function rows(parent, list, make, fill) {
  while (parent.children.length > list.length) parent.lastElementChild.remove();
  while (parent.children.length < list.length) parent.append(make());
  list.forEach((entry, at) => fill(parent.children[at], entry));
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function tiles(parent, list) {
  rows(parent, list, () => {
    const tile = document.createElement("div");
    tile.append(document.createElement("dt"), document.createElement("dd"));
    return tile;
  }, (tile, {name, text, isBad}) => {
    put(tile.children[0], name);
    put(tile.children[1], text);
    tile.classList.toggle("bad", isBad === true);
  });
}

/** Each row is {isBad, cells}: texts, or a fraction as a bar; the first is the row's header. */
function table(id, list) {
  rows(find(id).tBodies[0], list, () => document.createElement("tr"), (row, {isBad, cells}) => {
    row.classList.toggle("bad", isBad === true);
    const isHead = (cell) => cell === cells[0];
    while (row.children.length < cells.length) {
      const cell = document.createElement(row.children.length === 0 ? "th" : "td");
      if (row.children.length === 0) cell.scope = "row";
      row.append(cell);
    }
    cells.forEach((cell, at) => {
      if (typeof cell === "string" || isHead(cell)) return put(row.children[at], cell);
      return bar(row.children[at], cell.fill);
    });
  });
}

function bar(cell, fill) {
  if (cell.firstElementChild === null) {
    const meter = document.createElement("meter");
    meter.max = 1;
    meter.high = 0.5;
    meter.optimum = 0;
    cell.append(meter, document.createElement("span"));
  }
  cell.firstElementChild.value = fill;
  cell.firstElementChild.setAttribute("aria-label", words.percent(fill));
  put(cell.lastElementChild, words.percent(fill));
}

function showRates(stat) {
  const rates = ratesBetween(history.before(RATE_SECONDS), stat);
  const names = {received: "received", accepted: "accepted", applied: "applied",
    duplicate: "duplicates", rejected: "rejected"};
  tiles(find("rates"), Object.entries(names).map(([key, name]) => ({
    name, text: rates === null ? "–" : words.rate(rates[key]),
    isBad: key === "rejected" && rates !== null && rates.rejected > 0})));
}

function showLags(stat) {
  table("lag", lagsOf(stat).map(({name, count, age_us, fill, trouble}) => ({
    isBad: trouble !== "" || (fill ?? 0) > 0.5,
    cells: [name, words.count(count), words.age(age_us),
      fill === null ? (trouble || "–") : {fill}]})));
}

function showLatencies(stat) {
  table("latency", latenciesBetween(history.before(LATENCY_SECONDS), stat).map((row) => ({
    cells: [row.stage, words.duration(row.p50_ns), words.duration(row.p99_ns),
      words.duration(row.p999_ns)]})));
}

function showProcesses(stat) {
  table("processes", processesOf(stat).map(({name, state, isBad, age_us, up_s, starts, pid}) => ({
    isBad,
    cells: [name, state, `${words.age(Math.max(1, age_us))} ago`, words.age(up_s * 1e6),
      String(starts), String(pid)]})));
}

function showTotals(stat) {
  const {totals} = stat;
  tiles(find("totals"), ["received", "applied", "duplicate", "unmatched", "alias", "abandoned",
    "rejected", "dead"].map((name) => ({name, text: words.count(totals[name]),
      isBad: name === "dead" && totals.dead > 0})));
  rows(find("notes"), stat.start.notes, () => document.createElement("li"), put);
}

function showPlots(stat) {
  if (history.all.length === 1) points.length = 0;  // another incarnation
  points.push(pointOf(history.before(RATE_SECONDS), stat));
  while (points[0].up_s < stat.up_s - PLOT_SECONDS) points.shift();
  const ago = points.map((point) => point.up_s - stat.up_s);
  const lines = (...names) => names.map((name) => points.map((point) => point[name]));
  plots.rates.show([ago, ...lines("received", "applied")]);
  plots.lag.show([ago, ...lines("ring_us", "log_us", "journal_us", "redis_us")]);
  plots.latency.show([ago, ...lines("p50_ns", "p99_ns")]);
}

function show(stat) {
  history.add(stat);
  document.title = `${stat.name} – Deja`;
  put(find("name"), stat.name);
  put(find("summary"), `${stat.state}, up ${words.age(stat.up_s * 1e6)}; `
    + `${words.count(stat.profiles)} of ${words.count(stat.profiles_max)} profiles`);
  document.documentElement.classList.toggle("not-serving", stat.state !== "serving");
  showRates(stat);
  showLags(stat);
  showLatencies(stat);
  showProcesses(stat);
  showTotals(stat);
  showPlots(stat);
}

async function ask() {
  const answer = await fetch("v1/stat", {cache: "no-store", signal: AbortSignal.timeout(5000)});
  if (answer.status === 401) throw new Error("a read key is needed: load the page again");
  if (!answer.ok) throw new Error((await answer.json()).error.message);
  return answer.json();
}

let lastAnswer = Date.now();
async function poll() {
  try {
    show(await ask());
    lastAnswer = Date.now();
    find("trouble").hidden = true;
  } catch (error) {
    find("trouble").hidden = false;
    put(find("trouble"), `No news for ${Math.round((Date.now() - lastAnswer) / 1000)} s: ${error.message}`);
  }
  setTimeout(poll, EVERY_MS);
}
poll();
