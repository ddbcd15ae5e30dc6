/* The page of a result: layers of tiles in OpenSeadragon, and a panel that says what they are. */

import { busy, byId, failure, isQuiet } from "../common.js";
import { app, panes } from "./app.js";
import { Pane } from "./pane.js";
import { buildPanel, showSums } from "./panel.js";
import { showObject, showPoint, startFinding } from "./point.js";
import { followMouse, startScale } from "./scale.js";
import { readAddress, writeAddress } from "./state.js";

/** Whether this page is one of many that a sheet leads to. */
const hasSheet = () => /\/r\/\d+\/$/.test(location.pathname);

function startClicks(pane) {
  pane.viewer.addHandler("canvas-click", (event) => {
    const world = event.quick && pane.worldAt(pane.groundAt(event.position));
    if (world) showPoint(pane, world);
  });
  pane.viewer.addHandler("animation-finish", writeAddress);
  followMouse(pane);
}

function startButtons() {
  const { viewport } = app.main.viewer;
  byId("zoom-in").addEventListener("click", () => viewport.zoomBy(2).applyConstraints());
  byId("zoom-out").addEventListener("click", () => viewport.zoomBy(0.5).applyConstraints());
  byId("zoom-one").addEventListener("click", () => app.main.lookAt(app.main.center(), 1));
  byId("home").addEventListener("click", () => viewport.goHome());
}

/** Go where the address leads. */
async function goThere() {
  const { main, state } = app;
  const { x, y, zoom, object } = state;
  main.viewer.viewport.goHome(true);
  if (x !== null && y !== null) main.lookAt({ x, y }, zoom, true);
  else if (zoom !== null) main.lookAt(main.center(), zoom, true);
  if (object !== null) await showObject(object, x === null, zoom);
}

async function start() {
  byId("back").hidden = !hasSheet();
  app.state = readAddress();
  app.main = await Pane.of(byId("slide"), "");
  if (app.main === null) return;
  const { main, state } = app;
  state.plane = Math.min(Math.max(0, Math.round(state.plane)), main.facts.planes - 1);
  buildPanel();
  main.build({ navigator: true });
  startScale();
  startFinding();
  startClicks(main);
  startButtons();
  await busy(async () => {
    await main.showAll();
    await goThere();
  });
  showSums();
}

/** What other programs may ask: whether all that is shown is there, where a pixel lies on the screen. */
window.slideseg = {
  settled: () => isQuiet() && (app.main?.viewer ? panes().every((pane) => pane.isSettled()) : failure() !== null),
  failure,
  address: () => { writeAddress(); return location.hash; },
  onScreen: (x, y) => {
    const place = app.main.viewer.viewport.pixelFromPoint(app.main.point(x, y));
    const corner = app.main.viewer.container.getBoundingClientRect();
    return [place.x + corner.left, place.y + corner.top];
  },
};

start();
