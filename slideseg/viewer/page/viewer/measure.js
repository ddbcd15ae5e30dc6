/* Measures of the objects: a histogram whose range says which are shown, and colours by a measure or by class. */

import { ask, byId, make, number } from "../common.js";
import { app, on, tellOthers } from "./app.js";
import { showEverywhere } from "./panel.js";
import { measureOf } from "./point.js";
import { filterWords, writeAddress } from "./state.js";

const PLACES = /^(centroid|bbox)_/;
let colors = []; // of small to large values
let measures = [];
let known = null; // the histogram that is shown
let grip = null; // where a drag over it began

export function wordsOf(column) {
  const { stem, unit } = measureOf(column);
  return `${stem.replaceAll("_", " ")}${unit ? `, ${unit}` : ""}`;
}

/** Return the measures worth to be offered: those in microns where they are known, and no places. */
export function offered() {
  const isKnown = app.main.facts.mpp !== null;
  return measures.filter((name) => !PLACES.test(name) && !(isKnown ? /_px$/ : /_um2?$/).test(name));
}

const numeral = (field) => (field.value === "" || !isFinite(field.value) ? null : Number(field.value));

// --- which are shown

function setRange(low, high) {
  Object.assign(app.state, { low, high });
  byId("low").value = low === null ? "" : Number(low.toPrecision(5));
  byId("high").value = high === null ? "" : Number(high.toPrecision(5));
  drawHistogram();
  changed();
}

function changed() {
  showEverywhere("objects");
  writeAddress();
  tellOthers("look");
  void tellShown();
}

async function tellShown() {
  const words = filterWords();
  byId("all").hidden = !words.has("by");
  words.set("count", 0);
  const told = await ask(`rows?${words}`);
  const all = app.main.facts.number;
  if (told) byId("shown").textContent = `${(told.total - told.removed).toLocaleString("en")} of ${all.toLocaleString("en")} shown`;
}

async function chooseMeasure(name) {
  app.state.by = name;
  const told = await ask(`histogram/${encodeURIComponent(name)}`);
  if (told === null || app.state.by !== name) return;
  known = told;
  drawHistogram();
}

function placeOf(value) {
  const [first, last] = [known.edges[0], known.edges.at(-1)];
  return (value - first) / (last - first);
}

function drawHistogram() {
  const canvas = byId("histogram");
  const ratio = window.devicePixelRatio;
  Object.assign(canvas, { width: canvas.clientWidth * ratio, height: canvas.clientHeight * ratio });
  if (!known) return;
  const pen = canvas.getContext("2d");
  const [width, height] = [canvas.width, canvas.height];
  const step = width / known.counts.length;
  const tallest = Math.max(...known.counts, 1);
  const { low, high } = app.state;
  known.counts.forEach((count, index) => {
    const middle = (known.edges[index] + known.edges[index + 1]) / 2;
    const isIn = (low === null || middle >= low) && (high === null || middle <= high);
    pen.fillStyle = isIn ? "#6ea8fe" : "#4a5060";
    const bar = count ? Math.max(ratio, (count / tallest) * height) : 0;
    pen.fillRect(index * step, height - bar, Math.max(1, step - ratio), bar);
  });
  pen.fillStyle = "#fff";
  for (const limit of [low, high]) {
    if (limit !== null) pen.fillRect(Math.min(1, Math.max(0, placeOf(limit))) * width - ratio, 0, 2 * ratio, height);
  }
  byId("least").textContent = number(known.edges[0], 3);
  byId("most").textContent = number(known.edges.at(-1), 3);
}

/** Let a range be dragged over the histogram; a click alone takes it back. */
function startRange() {
  const canvas = byId("histogram");
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    return Number((known.edges[0] + share * (known.edges.at(-1) - known.edges[0])).toPrecision(4));
  };
  // the first and the last bar hold what lies beyond, so a range that ends in them is open there
  const open = (low, high) => [low <= known.edges[1] ? null : low, high >= known.edges.at(-2) ? null : high];
  canvas.addEventListener("pointerdown", (event) => {
    if (!known) return;
    canvas.setPointerCapture(event.pointerId);
    grip = at(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (grip === null) return;
    const [low, high] = open(...[grip, at(event)].sort((a, b) => a - b));
    Object.assign(app.state, { low, high });
    drawHistogram();
  });
  canvas.addEventListener("pointerup", (event) => {
    if (grip === null) return;
    const [low, high] = [grip, at(event)].sort((a, b) => a - b);
    grip = null;
    setRange(...(low === high ? [null, null] : open(low, high)));
  });
  for (const id of ["low", "high"]) byId(id).addEventListener("change", () => setRange(numeral(byId("low")), numeral(byId("high"))));
  byId("all").addEventListener("click", () => setRange(null, null));
  new ResizeObserver(drawHistogram).observe(canvas);
}

// --- colours

async function chooseColor(name) {
  const { state } = app;
  state.color = name || null;
  state.span = null;
  const isMeasure = name && name !== "class";
  if (isMeasure) {
    const told = await ask(`histogram/${encodeURIComponent(name)}`);
    if (told === null || state.color !== name) return;
    state.span = told.span;
  }
  tellColor();
}

/** Return what the colours stand for: null unless they do for a measure. */
export function rampTold() {
  const { color, span } = app.state;
  return color && span ? { colors, title: wordsOf(color), low: number(span[0], 3), high: number(span[1], 3) } : null;
}

function tellColor() {
  const told = rampTold();
  byId("ramp").hidden = told === null;
  if (told === null) return;
  byId("ramp-colors").style.background = `linear-gradient(to right, ${told.colors.join(", ")})`;
  byId("ramp-low").textContent = `≤ ${told.low}`;
  byId("ramp-high").textContent = `≥ ${told.high}`;
}

const option = (value, text) => make("option", { value, textContent: text });

/** Build the section; return once tiles can be asked for in the right colours. */
export async function startMeasures() {
  const { state, main } = app;
  const told = await main.askMeasures();
  if (told === null) return;
  ({ colors, measures } = told);
  if (!offered().length) return;
  byId("measure-section").hidden = false;
  const names = offered();
  const chosen = measures.includes(state.by) ? state.by : (names.find((name) => name.startsWith("area")) ?? names[0]);
  if (chosen !== state.by) Object.assign(state, { low: null, high: null });
  const others = [...new Set([chosen, state.color, ...names])].filter((name) => measures.includes(name));
  const options = measures.filter((name) => others.includes(name));
  byId("color-by").replaceChildren(option("", "their number"), option("class", "class"), ...options.map((name) => option(name, wordsOf(name))));
  byId("filter-by").replaceChildren(...options.map((name) => option(name, wordsOf(name))));
  if (![...byId("color-by").options].some((one) => one.value === state.color)) state.color = null;
  byId("color-by").value = state.color ?? "";
  byId("filter-by").value = chosen;
  byId("color-by").addEventListener("change", async () => { await chooseColor(byId("color-by").value); changed(); });
  byId("filter-by").addEventListener("change", async () => {
    Object.assign(state, { low: null, high: null });
    await chooseMeasure(byId("filter-by").value);
    setRange(null, null);
  });
  startRange();
  await Promise.all([chooseMeasure(chosen), chooseColor(state.color)]);
  byId("low").value = state.low ?? "";
  byId("high").value = state.high ?? "";
  void tellShown();
  on("edit", tellShown);
}
