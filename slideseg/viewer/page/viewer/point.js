/* What lies at a point: a class, an object and its row. */

import { ask, byId, chip, make, number } from "../common.js";
import { app, panes, tellOthers } from "./app.js";
import { writeAddress } from "./state.js";
import { bring, setPlane } from "./panel.js";

const AROUND = 9; // the view's shorter side, in sides of an object that is looked for

export function classOf(pane, id) {
  return pane.facts.classes.find((some) => some.id === id) ?? { name: `class ${id}`, color: "#000000" };
}

function classLine(pane, id, text) {
  const one = classOf(pane, id);
  const of = app.other ? pane.facts.name : "";
  const words = make("span", { textContent: [text, one.name, of].filter(Boolean).join(" · ") });
  return make("div", { className: "picked" }, chip(one.color), words);
}

/** Return a measure's name and the unit that stands behind it in a table. */
export function measureOf(column) {
  const [, stem, unit] = /^(.*?)(?:_(px|um|um2))?$/.exec(column);
  return { stem, unit: { px: stem === "area" ? "px²" : "px", um: "µm", um2: "µm²" }[unit] ?? "" };
}

/** Return a table of a row: a line a measure, lengths in pixels and microns side by side. */
function rowTable(pane, row) {
  const table = make("table", { id: "row" });
  const lines = new Map();
  for (const [name, value] of Object.entries(row)) {
    if (value === null || ["id", "class", "class_name", "edited"].includes(name) || (name === "plane" && pane.facts.planes === 1)) continue;
    const { stem, unit } = measureOf(name);
    lines.set(stem, [...(lines.get(stem) ?? []), typeof value === "number" ? `${number(value)} ${unit}`.trim() : String(value)]);
  }
  for (const [stem, values] of lines) {
    const cells = values.map((value) => make("td", { textContent: value, colSpan: values.length === 1 ? 2 : 1 }));
    table.append(make("tr", {}, make("th", { textContent: stem.replaceAll("_", " ") }), ...cells));
  }
  return table;
}

function fill(...children) {
  byId("object-hint").hidden = true;
  byId("object").replaceChildren(...children);
  bring("object");
}

/** Note which object of the page's result was picked; of two results only one has something marked. */
function pick(pane, id) {
  app.state.object = id;
  for (const one of panes()) if (one !== pane) one.unmark();
}

function showRow(pane, row) {
  pick(pane, pane === app.main ? row.id : null);
  const line = classLine(pane, row.class, `Object ${row.id.toLocaleString("en")}`);
  if (row.edited) line.append(make("small", { className: "edited", textContent: row.edited.removed ? "removed" : `was ${row.edited.was}` }));
  fill(line, rowTable(pane, row));
  const pixel = pane.facts.scale;
  const [width, height] = [(row.bbox_x1_px - row.bbox_x0_px) / pixel.x, (row.bbox_y1_px - row.bbox_y0_px) / pixel.y];
  pane.mark(row.bbox_x0_px / pixel.x - 1, row.bbox_y0_px / pixel.y - 1, width + 2, height + 2);
  tellOthers("pick", { pane, row });
  writeAddress();
}

/** Forget what was picked. */
export function pickNothing() {
  app.state.object = null;
  byId("object-hint").hidden = false;
  byId("object").replaceChildren();
  for (const pane of panes()) pane.unmark();
  tellOthers("pick", { pane: app.main, row: null });
  writeAddress();
}

/** Show what lies at a pixel of a pane's class map. */
export async function showPoint(pane, { x, y }) {
  const found = await ask(`${pane.base}at/${pane.plane()}/${y}/${x}`);
  if (found === null) return;
  if (found.row !== null) {
    showRow(pane, found.row);
    return;
  }
  pick(pane, null);
  fill(classLine(pane, found.class, found.object ? `Object ${found.object.toLocaleString("en")}` : ""));
  pane.mark(x, y, 1, 1);
  tellOthers("pick", { pane, row: null });
  writeAddress();
}

/** Show an object of the page's result by its number, and go there if wanted: so close that it fills a part of the view,
 * unless a scale is named. */
export async function showObject(id, go, scale = null) {
  const pane = app.main;
  const row = await ask(`${pane.base}objects/${id}`);
  if (row === null) return;
  if (row.plane !== app.state.plane) setPlane(row.plane);
  showRow(pane, row);
  if (!go) return;
  const pixel = pane.facts.scale;
  const side = Math.max((row.bbox_y1_px - row.bbox_y0_px) / pixel.y, (row.bbox_x1_px - row.bbox_x0_px) / pixel.x, 4);
  const size = pane.size();
  const place = { x: row.centroid_x_px, y: row.centroid_y_px };
  pane.lookAt(place, scale ?? Math.min(size.x, size.y) / (AROUND * side), true);
}

export function startFinding() {
  byId("find").hidden = !app.main.facts.layers.objects;
  byId("find").addEventListener("submit", (event) => {
    event.preventDefault();
    const id = byId("find-number").value.replace(/[^0-9]/g, "");
    if (id) showObject(id, true);
  });
}
