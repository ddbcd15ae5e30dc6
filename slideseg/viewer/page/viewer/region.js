/* A region of interest: a rectangle or a polygon, and the objects whose centre lies in it, counted by the server. */

import { ask, byId, chip, make, number } from "../common.js";
import { app, on } from "./app.js";
import { drawShape } from "./drawing.js";
import { bring } from "./panel.js";
import { classOf } from "./point.js";
import { filterWords, writeAddress } from "./state.js";

const rectangle = ([one, other]) => [one, { x: other.x, y: one.y }, other, { x: one.x, y: other.y }];

export const RECTANGLE = {
  name: "rectangle", most: 2,
  hint: "Region: drag a rectangle, or click on two corners. Esc puts it away.",
  shape: (points) => ({ points: points.length === 2 ? rectangle(points) : points, closed: points.length === 2 }),
  finish: (points) => setRegion(rectangle(points)),
};

export const POLYGON = {
  name: "polygon", most: null,
  hint: "Region: click on corners; a double click, the first corner or Enter closes it.",
  shape: (points) => ({ points, closed: false }),
  finish: (points) => setRegion(points),
};

/** Return a region without what lies outside the slide. */
function clipped(points) {
  const { facts, perGround } = app.main;
  const [width, height] = [facts.columns / perGround.x, facts.rows / perGround.y];
  const sides = [
    [(p) => p.x >= 0, (a, b) => meet(a, b, "x", 0)], [(p) => p.x <= width, (a, b) => meet(a, b, "x", width)],
    [(p) => p.y >= 0, (a, b) => meet(a, b, "y", 0)], [(p) => p.y <= height, (a, b) => meet(a, b, "y", height)],
  ];
  return sides.reduce((left, [isIn, cut]) => left.flatMap((point, index) => {
    const last = left.at(index - 1);
    const crossing = isIn(point) === isIn(last) ? [] : [cut(last, point)];
    return isIn(point) ? [...crossing, point] : crossing;
  }), points);
}

/** Return where a line between two points meets a side of the slide. */
function meet(one, other, axis, at) {
  const share = (at - one[axis]) / (other[axis] - one[axis]);
  return { x: one.x + share * (other.x - one.x), y: one.y + share * (other.y - one.y), [axis]: at };
}

export function setRegion(points) {
  const inside = points && clipped(points);
  app.state.region = inside?.length >= 3 ? inside : null;
  drawShape("region", app.state.region && { points: app.state.region, closed: true });
  byId("region-section").hidden = app.state.region === null;
  byId("region").replaceChildren();
  writeAddress();
  if (app.state.region) void count();
}

const areaTold = ({ area_mm2: mm2, area_px: px }) =>
  mm2 === null ? `${number(px, 4)} px²` : mm2 < 0.01 ? `${number(1e6 * mm2, 4)} µm²` : `${number(mm2, 4)} mm²`;

function line(one) {
  const known = one.class === null ? null : classOf(app.main, one.class);
  const median = one.median_um2 ?? one.median_px;
  const name = make("td", { className: "name" }, ...(known ? [chip(known.color), known.name] : ["all"]));
  const told = [one.count.toLocaleString("en"), one.per_mm2 === null ? "–" : number(one.per_mm2, 4), median === undefined || median === null ? "–" : number(median, 4)];
  return make("tr", {}, name, ...told.map((text) => make("td", { textContent: text })));
}

async function count() {
  const words = filterWords();
  const isFiltered = words.has("by");
  words.set("points", app.state.region.flatMap(({ x, y }) => [x, y]).join(","));
  words.set("plane", app.main.plane());
  if (!app.main.facts.layers.objects) {
    byId("region").replaceChildren(make("p", { className: "faint", textContent: "The result has no objects to count." }));
    return;
  }
  const told = await ask(`${app.main.base}region?${words}`);
  if (told === null) return;
  const heads = ["", "objects", "per mm²", told.area_mm2 === null ? "median px²" : "median µm²"];
  const rows = told.found.length === 2 ? told.found.slice(1) : told.found;
  byId("region").replaceChildren(
    make("p", { textContent: areaTold(told) }),
    make("table", { className: "numbers" }, make("tr", {}, ...heads.map((head) => make("th", { textContent: head }))), ...rows.map(line)),
    make("p", { className: "faint", textContent: `Objects whose centre lies in the region${isFiltered ? ", of those that are shown" : ""}.` }),
  );
  bring("region-section");
}

export function startRegion() {
  byId("region-drop").addEventListener("click", () => setRegion(null));
  for (const name of ["look", "edit", "plane"]) on(name, () => { if (app.state.region) void count(); });
  if (app.state.region) setRegion(app.state.region);
}
