/* What keys do, and the list of them. */

import { byId, make } from "../common.js";
import { app } from "./app.js";
import { blink } from "./compare.js";
import { savePicture } from "./picture.js";
import { pickNothing } from "./point.js";
import { setPlane, toggleLayer, togglePanel, toggleStyle } from "./panel.js";
import { POLYGON, RECTANGLE, setRegion } from "./region.js";
import { RULER, dropLengths } from "./ruler.js";
import { copyLink } from "./share.js";
import { writeAddress } from "./state.js";
import { toggleTable } from "./table.js";
import { closeShape, dropTool, takeTool } from "./tools.js";

const STEP = 0.15; // of the view

function pan(x, y, share) {
  const { viewport } = app.main.viewer;
  const size = viewport.getBounds();
  viewport.panBy(new OpenSeadragon.Point(x * share * size.width, y * share * size.height));
  viewport.applyConstraints();
}

function zoomBy(factor) {
  app.main.viewer.viewport.zoomBy(factor);
  app.main.viewer.viewport.applyConstraints();
}

function movePlane(by) {
  const plane = app.state.plane + by;
  if (plane < 0 || plane >= app.main.facts.planes) return;
  setPlane(plane);
  writeAddress();
}

/** Put away one thing after the other: the list, what is being drawn, what was measured, the object, the region, the table. */
function escape() {
  if (byId("help").open) byId("help").close();
  else if (dropTool() || dropLengths()) return;
  else if (app.state.object !== null) pickNothing();
  else if (app.state.region) setRegion(null);
  else if (app.state.table) toggleTable(false);
}

const toggleHelp = () => (byId("help").open ? byId("help").close() : byId("help").showModal());

/** Keys, what they are called, what they do in words, and what they do. */
const KEYS = [
  [["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"], "← → ↑ ↓", "move; with Shift by a whole view", (event) => {
    const [x, y] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    pan(x, y, event.shiftKey ? 1 : STEP);
  }],
  [["+", "="], "+", "zoom in", () => zoomBy(1.5)],
  [["-", "_"], "-", "zoom out", () => zoomBy(1 / 1.5)],
  [["0"], "0", "whole slide", () => app.main.viewer.viewport.goHome()],
  [["1"], "1", "one pixel of the class map is one of the screen", () => app.main.lookAt(app.main.center(), 1)],
  [["o"], "o", "objects on and off", () => toggleLayer("objects")],
  [["c"], "c", "classes on and off", () => toggleLayer("classes")],
  [["i"], "i", "slide on and off", () => toggleLayer("image")],
  [["f"], "f", "objects filled or outlined", toggleStyle],
  [["[", "]"], "[ ]", "plane below and above", (event) => movePlane(event.key === "]" ? 1 : -1)],
  [["r"], "r", "ruler", () => takeTool(RULER)],
  [["m"], "m", "region: rectangle", () => takeTool(RECTANGLE)],
  [["g"], "g", "region: polygon", () => takeTool(POLYGON)],
  [["Enter"], "Enter", "close the polygon", closeShape],
  [["t"], "t", "table of objects; ↑ ↓ in it go to the one above and below", () => toggleTable()],
  [["b"], "b", "blink between two results", blink],
  [["s"], "s", "save a picture", savePicture],
  [["l"], "l", "copy a link to this view", copyLink],
  [["p"], "p", "panel on and off", togglePanel],
  [["Escape"], "Esc", "put away: tool, lengths, object, region, table", escape],
  [["?"], "?", "this list", toggleHelp],
];

const isTyping = (target) => target.matches("input:not([type=checkbox], [type=radio], [type=range]), select, textarea");
const isSliding = (event) => event.target.matches("input[type=range], input[type=radio]") && event.key.startsWith("Arrow");

export function startKeys(more = []) {
  const all = [...KEYS.slice(0, -2), ...more, ...KEYS.slice(-2)];
  byId("keys").replaceChildren(...all.map(([, name, text]) => make("tr", {}, make("th", { textContent: name }), make("td", { textContent: text }))));
  byId("help-button").addEventListener("click", toggleHelp);
  byId("help-close").addEventListener("click", toggleHelp);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || isSliding(event)) return;
    const isButton = event.target.matches("button, a, summary") && ["Enter", " "].includes(event.key);
    const found = all.find(([keys]) => keys.includes(event.key) || (event.key.length === 1 && keys.includes(event.key.toLowerCase())));
    if (!found || isButton || (byId("help").open && !["?", "Escape"].includes(event.key))) return;
    event.preventDefault();
    found[3](event);
  });
}
