/* The page of a result: layers of tiles in OpenSeadragon, a panel that says what they are, and tools. */

import { busy, byId, failure, isQuiet } from "../common.js";
import { app, panes } from "./app.js";
import { arrangePanes, startCompare } from "./compare.js";
import { startDrawing } from "./drawing.js";
import { EDIT_KEYS, startEdits } from "./edit.js";
import { startKeys } from "./keys.js";
import { startMeasures } from "./measure.js";
import { Pane } from "./pane.js";
import { buildPanel, showSums, showWarnings } from "./panel.js";
import { pictureOf, savePicture } from "./picture.js";
import { showObject, showPoint, startFinding } from "./point.js";
import { POLYGON, RECTANGLE, startRegion } from "./region.js";
import { RULER } from "./ruler.js";
import { followMouse, startScale } from "./scale.js";
import { copyLink } from "./share.js";
import { readAddress, writeAddress } from "./state.js";
import { startTable } from "./table.js";
import { hasTool, startTools, takeTool } from "./tools.js";

/** Whether this page is one of many that a sheet leads to. */
const hasSheet = () => /\/r\/\d+\/$/.test(location.pathname);

function startClicks(pane) {
  pane.viewer.addHandler("canvas-click", (event) => {
    const world = event.quick && !hasTool() && pane.worldAt(pane.groundAt(event.position));
    if (world) showPoint(pane, world);
  });
  startTools(pane);
  pane.viewer.addHandler("animation-finish", writeAddress);
  followMouse(pane);
}

function startButtons() {
  const { viewport } = app.main.viewer;
  const deeds = {
    "zoom-in": () => viewport.zoomBy(2).applyConstraints(),
    "zoom-out": () => viewport.zoomBy(0.5).applyConstraints(),
    "zoom-one": () => app.main.lookAt(app.main.center(), 1),
    home: () => viewport.goHome(),
    save: savePicture,
    link: () => void copyLink(),
  };
  for (const [id, deed] of Object.entries(deeds)) byId(id).addEventListener("click", deed);
  for (const tool of [RULER, RECTANGLE, POLYGON]) {
    document.querySelector(`[data-tool=${tool.name}]`).addEventListener("click", () => takeTool(tool));
  }
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
  await busy(async () => {
    main.build({ navigator: true });
    startScale();
    startDrawing();
    await Promise.all([startMeasures(), startEdits(), startCompare(hasSheet())]);
    panes().forEach(startClicks);
    await Promise.all(panes().map((pane) => pane.showAll()));
    arrangePanes();
    await goThere();
    startFinding();
    startButtons();
    startTable();
    startRegion();
    startKeys(EDIT_KEYS);
  });
  showSums();
  showWarnings();
}

/** What other programs may ask: whether all that is shown is there, where a pixel lies on the screen. */
window.slideseg = {
  settled: () => isQuiet() && (app.main?.viewer ? panes().every((pane) => pane.isSettled()) : failure() !== null),
  failure,
  address: () => { writeAddress(); return location.hash; },
  picture: () => pictureOf().toDataURL("image/png"),
  onScreen: (x, y, which = 0) => {
    const pane = panes()[which];
    const place = pane.viewer.viewport.pixelFromPoint(pane.point(x, y), true);
    const corner = pane.viewer.container.getBoundingClientRect();
    return [place.x + corner.left, place.y + corner.top];
  },
};

window.addEventListener("hashchange", () => location.reload()); // a link to another view was put into the address
start();
