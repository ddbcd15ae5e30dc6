/* Two results of the same ground: beside each other, or in one place to blink between. Both views show the same part of it. */

import { byId, make, tell } from "../common.js";
import { app, on } from "./app.js";
import { Pane } from "./pane.js";
import { writeAddress } from "./state.js";

let leading = false; // while one view follows the other
let front = 0; // which of the two is seen while they blink

/** Say what the other pane's pixels are on the ground: by microns where both know them, else by pixels of level 0. */
function link(main, other) {
  const [here, there] = [main.facts.mpp, other.facts.mpp];
  if (here === null || there === null) return;
  other.perGround = { x: (main.perGround.x * here.x) / there.x, y: (main.perGround.y * here.y) / there.y };
}

function follow(from) {
  const to = from === app.main ? app.other : app.main;
  if (leading || !to?.viewer) return;
  leading = true;
  to.lookAt(from.center(), (from.zoom() * from.perGround.x) / to.perGround.x, true);
  to.viewer.viewport.update();
  leading = false;
}

function arrange() {
  const { blink } = app.state;
  byId("stage").classList.toggle("blink", blink);
  byId("stage").classList.toggle("beside", !blink);
  [app.main, app.other].forEach((pane, index) => {
    pane.element.classList.toggle("behind", blink && index !== front);
    pane.viewer.forceResize();
  });
  byId("side").textContent = blink ? "beside each other" : "in one place";
  byId("swap").hidden = !blink;
  follow(app.main);
}

/** Show the other of the two; beside each other they come into one place first. */
export function blink() {
  if (!app.other) return;
  if (app.state.blink) front = 1 - front;
  app.state.blink = true;
  arrange();
  writeAddress();
}

function toggleSides() {
  app.state.blink = !app.state.blink;
  front = 0;
  arrange();
  writeAddress();
}

/** Open the result that this one is compared with, if the address names one; return its pane. */
export async function startCompare(hasSheet) {
  const { state, main } = app;
  if (state.with === null) return null;
  if (!hasSheet) {
    tell("there is only one result here to look at (try slideseg view A.zarr B.zarr --compare)");
    state.with = null;
    return null;
  }
  const element = byId("stage").appendChild(make("div", { className: "pane", id: "slide-2" }));
  const other = await Pane.of(element, `../${state.with}/`);
  if (other === null) {
    element.remove();
    return null;
  }
  for (const pane of [main, other]) pane.element.append(make("div", { className: "pane-name", textContent: pane.facts.name, title: pane.facts.title }));
  byId("stage").classList.add(state.blink ? "blink" : "beside");
  link(main, other);
  await other.askMeasures();
  app.other = other;
  other.build({ navigator: false });
  byId("compare-section").hidden = false;
  byId("compare-told").textContent = `${main.facts.name} and ${other.facts.name}`;
  byId("side").addEventListener("click", toggleSides);
  byId("swap").addEventListener("click", blink);
  byId("compare-end").href = `../${state.with}/`;
  on("move", follow);
  return other;
}

export const arrangePanes = () => { if (app.other) arrange(); };
