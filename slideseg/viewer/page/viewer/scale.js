/* The scale bar, and the place under the mouse. */

import { byId, number } from "../common.js";
import { app, on } from "./app.js";

/** Return the name and the factor of the unit for a length in microns, or in pixels where their size is not known. */
export function unitOf(length, known) {
  if (!known) return ["px", 1];
  return length >= 1000 ? ["mm", 1e-3] : length < 1 ? ["nm", 1e3] : ["µm", 1];
}

/** Return the longest round length along x that fits into so many pixels of the screen: its text and its pixels. */
export function roundLength(pane, pixels) {
  const known = pane.facts.mpp !== null;
  const unit = known ? pane.facts.mpp.x : 1;
  const most = (pixels * unit) / pane.zoom();
  const power = 10 ** Math.floor(Math.log10(most));
  const length = [5, 2, 1].find((step) => step * power <= most) * power;
  const [name, factor] = unitOf(length, known);
  return { text: `${number(length * factor, 3)} ${name}`, pixels: (length / unit) * pane.zoom() };
}

function drawScale() {
  const { text, pixels } = roundLength(app.main, 180);
  byId("scale-text").textContent = text;
  byId("scale-bar").style.width = `${pixels}px`;
}

function tellPlace(pane, position) {
  const place = pane.groundAt(position);
  const { facts } = pane;
  const world = { x: place.x * pane.perGround.x, y: place.y * pane.perGround.y };
  const microns = facts.mpp === null ? "" : ` · ${number(world.x * facts.mpp.x, 6)}, ${number(world.y * facts.mpp.y, 6)} µm`;
  byId("place").textContent = pane.worldAt(place)
    ? `x ${Math.floor(place.x).toLocaleString("en")}, y ${Math.floor(place.y).toLocaleString("en")} px${microns}`
    : "";
}

export function followMouse(pane) {
  new OpenSeadragon.MouseTracker({ element: pane.viewer.container, moveHandler: (event) => tellPlace(pane, event.position) });
}

export const startScale = () => on("move", (pane) => { if (pane === app.main) drawScale(); });
