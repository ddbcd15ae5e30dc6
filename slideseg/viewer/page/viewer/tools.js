/* Tools that take places from the slide: while one is taken, clicks and drags are its own. */

import { byId } from "../common.js";
import { drawShape } from "./drawing.js";

const NEAR = 12; // pixels of the screen within which a corner is hit

let tool = null; // { name, most, shape(points), finish(points) }; most: points that it takes, null for any number
let points = []; // set so far
let dragged = false;

/** Take a tool, or put it away if it is the one that is taken already. */
export function takeTool(wanted) {
  const next = wanted && tool?.name !== wanted.name ? wanted : null;
  tool = next;
  points = [];
  drawShape("tool", null);
  for (const button of document.querySelectorAll("[data-tool]")) button.ariaPressed = String(button.dataset.tool === tool?.name);
  byId("stage").classList.toggle("drawing-now", tool !== null);
  byId("hint").textContent = tool?.hint ?? "";
}

export const hasTool = () => tool !== null;

function preview(end) {
  drawShape("tool", points.length ? tool.shape(end ? [...points, end] : points) : null);
}

function finish() {
  const [done, found] = [tool, points];
  points = [];
  drawShape("tool", null);
  done.finish(found);
  if (!done.stays) takeTool(null);
}

/** End a shape of any number of points, as far as it has three. */
export function closeShape() {
  if (tool?.most === null && points.length >= 3) finish();
}

const isNear = (pane, one, other) => {
  const [a, b] = [pane.pixelOf(one), pane.pixelOf(other)];
  return Math.hypot(a.x - b.x, a.y - b.y) < NEAR;
};

function clicked(pane, place) {
  if (tool.most === null && points.length >= 3 && isNear(pane, place, points[0])) {
    finish();
    return;
  }
  if (tool.most === null && points.length && isNear(pane, place, points.at(-1))) return; // the second of a double click
  points.push(place);
  if (points.length === tool.most) finish();
  else preview();
}

/** Let the tool that is taken have the clicks and drags of a pane. */
export function startTools(pane) {
  const { viewer } = pane;
  const at = (event) => pane.groundAt(event.position);
  viewer.addHandler("canvas-press", (event) => {
    dragged = false;
    if (tool?.most === 2 && !points.length) pane.pressed = at(event);
  });
  viewer.addHandler("canvas-drag", (event) => {
    if (tool?.most !== 2) return;
    event.preventDefaultAction = true;
    dragged = true;
    if (!points.length) points = [pane.pressed ?? at(event)];
    preview(at(event));
  });
  viewer.addHandler("canvas-drag-end", (event) => {
    event.preventDefaultAction = dragged; // else the slide would go on by itself, as after a flick
  });
  viewer.addHandler("canvas-release", (event) => {
    if (tool?.most !== 2 || !dragged) return;
    points.push(at(event));
    finish();
  });
  viewer.addHandler("canvas-click", (event) => {
    if (!tool) return;
    event.preventDefaultAction = true;
    if (event.quick && !dragged) clicked(pane, at(event));
  });
  viewer.addHandler("canvas-double-click", (event) => {
    if (!tool) return;
    event.preventDefaultAction = true;
    closeShape();
  });
  new OpenSeadragon.MouseTracker({ element: viewer.container, moveHandler: (event) => { if (tool && points.length) preview(at(event)); } });
}

/** Put away what is being drawn; return whether there was something. */
export function dropTool() {
  const had = tool !== null;
  if (had) takeTool(null);
  return had;
}
