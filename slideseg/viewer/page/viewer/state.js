/* What is shown: kept in the address, so that a link leads to the same view. */

import { app } from "./app.js";

export const OPACITY = { image: 1, classes: 0.45, objects: 1 };

const pairs = (numbers) => numbers.flatMap((x, index) => (index % 2 ? [] : [{ x, y: numbers[index + 1] }]));

/** What the address says behind its "#". */
export function readAddress() {
  const words = new URLSearchParams(location.hash.slice(1));
  const numeral = (name) => (words.get(name) && isFinite(words.get(name)) ? Number(words.get(name)) : null);
  const opacity = (name) => Math.min(1, Math.max(0, numeral(name) ?? OPACITY[name]));
  const region = (words.get("region") ?? "").split(",").filter(Boolean).map(Number);
  return {
    x: numeral("x"), y: numeral("y"), zoom: numeral("zoom"),
    plane: numeral("plane") ?? 0,
    object: numeral("object"),
    opacity: { image: opacity("image"), classes: opacity("classes"), objects: opacity("objects") },
    style: words.get("style") === "fill" ? "fill" : "outline",
    hidden: new Set((words.get("hidden") ?? "").split(",").filter(Boolean).map(Number)),
    panel: words.get("panel") !== "off",
    by: words.get("by"), low: numeral("low"), high: numeral("high"), // objects of which measures are shown
    color: words.get("color"), // the measure that they are coloured by, or "class"
    span: null, // the values that the colours go from and to, once they are known
    region: region.length >= 6 && region.length % 2 === 0 && region.every(isFinite) ? pairs(region) : null,
    table: words.get("table") === "on",
    with: numeral("with"), blink: words.get("blink") === "on",
    edits: 0, // how often the list of edits was changed: tiles from before are old
  };
}

const isFiltered = () => app.state.by && (app.state.low !== null || app.state.high !== null);

/** Return which objects are shown, as words behind the "?" of a question. */
export function filterWords() {
  const { by, low, high, edits } = app.state;
  const words = new URLSearchParams();
  if (isFiltered()) {
    words.set("by", by);
    if (low !== null) words.set("low", low);
    if (high !== null) words.set("high", high);
  }
  if (edits) words.set("edits", edits);
  return words;
}

const rounded = (value) => Number(value.toPrecision(6));

function optionalWords(state) {
  return {
    object: state.object,
    style: state.style === "outline" ? null : state.style,
    hidden: state.hidden.size ? [...state.hidden].join(",") : null,
    by: isFiltered() ? state.by : null,
    low: isFiltered() ? state.low : null,
    high: isFiltered() ? state.high : null,
    color: state.color,
    region: state.region?.flatMap(({ x, y }) => [rounded(x), rounded(y)]).join(",") ?? null,
    table: state.table ? "on" : null,
    panel: state.panel ? null : "off",
    with: state.with,
    blink: state.blink ? "on" : null,
  };
}

export function writeAddress() {
  const { main, state } = app;
  const center = main.center();
  const words = new URLSearchParams({ x: Math.round(center.x), y: Math.round(center.y), zoom: Number(main.zoom().toPrecision(4)) });
  if (main.facts.planes > 1) words.set("plane", state.plane);
  for (const name of Object.keys(main.items)) if (state.opacity[name] !== OPACITY[name]) words.set(name, state.opacity[name]);
  for (const [name, value] of Object.entries(optionalWords(state))) if (value !== null) words.set(name, value);
  history.replaceState(null, "", `#${words}`);
}
