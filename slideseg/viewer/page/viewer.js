/* The page of `slideseg view`: layers of tiles in OpenSeadragon, and a panel that says what they are.
 *
 * Places are in pixels of the class map inside this file ("x", "y" of `world`), and in pixels of the slide's level 0
 * (times `scale`) wherever people see them: in the address, under the mouse and in the table.
 */
"use strict";

const NAMES = { image: "Slide", classes: "Classes", objects: "Objects" };
const OPACITY = { image: 1, classes: 0.45, objects: 1 };
const AROUND = 9; // the view's shorter side, in sides of an object that is looked for
const byId = (id) => document.getElementById(id);

/** Make an element with properties and children. */
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

const number = (value, digits = 5) =>
  Number.isInteger(value) ? value.toLocaleString("en") : Number(value.toPrecision(digits)).toLocaleString("en", { maximumFractionDigits: 6 });

// --- what is shown: kept in the address, so that a link leads to the same view ---------------------------------------

/** What the address says behind its "#". */
function readAddress() {
  const words = new URLSearchParams(location.hash.slice(1));
  const numeral = (name) => (words.has(name) && isFinite(words.get(name)) ? Number(words.get(name)) : null);
  const opacity = (name) => Math.min(1, Math.max(0, numeral(name) ?? OPACITY[name]));
  return {
    x: numeral("x"), y: numeral("y"), zoom: numeral("zoom"),
    plane: numeral("plane") ?? 0,
    object: numeral("object"),
    opacity: { image: opacity("image"), classes: opacity("classes"), objects: opacity("objects") },
    style: words.get("style") === "fill" ? "fill" : "outline",
    hidden: new Set((words.get("hidden") ?? "").split(",").filter(Boolean).map(Number)),
    panel: words.get("panel") !== "off",
  };
}

let facts, viewer, state, marked;
let pending = 0; // questions that the server has not answered
const items = {}; // layer -> OpenSeadragon's TiledImage

function writeAddress() {
  const center = worldCenter();
  const words = new URLSearchParams({
    x: Math.round(center.x * facts.scale.x), y: Math.round(center.y * facts.scale.y), zoom: Number(zoom().toPrecision(4)),
  });
  if (facts.planes > 1) words.set("plane", state.plane);
  if (state.object !== null) words.set("object", state.object);
  for (const name of Object.keys(items)) if (state.opacity[name] !== OPACITY[name]) words.set(name, state.opacity[name]);
  if (state.style !== "outline") words.set("style", state.style);
  if (state.hidden.size) words.set("hidden", [...state.hidden].join(","));
  if (!state.panel) words.set("panel", "off");
  history.replaceState(null, "", `#${words}`);
}

// --- the server --------------------------------------------------------------------------------------------------------

function tell(message) {
  byId("failure").textContent = message.replace(/^error: /, "").trim();
  byId("failure").hidden = false;
}

/** Return what the server answers as an object; null, and a message on the page, where it can't. */
async function ask(path) {
  pending++;
  try {
    const response = await fetch(path);
    if (response.ok) return await response.json();
    tell(await response.text());
  } catch {
    tell("the server does not answer any more (start slideseg view again)");
  } finally {
    pending--;
  }
  return null;
}

/** A tile that could not be read: nobody must take it for background. */
function hatched() {
  const canvas = make("canvas", { width: facts.tile, height: facts.tile });
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#ffd9d9";
  pen.fillRect(0, 0, facts.tile, facts.tile);
  pen.strokeStyle = "#d00000";
  pen.lineWidth = 12;
  for (let start = -facts.tile; start < facts.tile; start += 64) {
    pen.beginPath();
    pen.moveTo(start, 0);
    pen.lineTo(start + facts.tile, facts.tile);
    pen.stroke();
  }
  return pen;
}

async function loadTile(job) {
  const stop = new AbortController();
  job.userData.stop = stop;
  try {
    const response = await fetch(job.src, { signal: stop.signal });
    if (response.ok) {
      job.finish(await response.blob(), null, "rasterBlob");
    } else {
      tell(await response.text());
      job.finish(hatched(), null, "context2d");
    }
  } catch (error) {
    if (error.name !== "AbortError") tell("the server does not answer any more (start slideseg view again)");
    job.fail(String(error), null);
  }
}

// --- layers ------------------------------------------------------------------------------------------------------------

function wishes(name) {
  if (name === "objects") return `?style=${state.style}`;
  if (name === "classes" && state.hidden.size) return `?hidden=${[...state.hidden].sort((a, b) => a - b).join(",")}`;
  return "";
}

function tileSource(name) {
  const layer = facts.layers[name];
  const [plane, query] = [state.plane, wishes(name)];
  const source = new OpenSeadragon.TileSource({
    width: layer.columns, height: layer.rows, tileSize: facts.tile, minLevel: 0, maxLevel: layer.levels - 1,
    getTileUrl: (level, x, y) => `tiles/${name}/${plane}/${layer.levels - 1 - level}/${y}/${x}${query}`,
  });
  const exists = source.tileExists.bind(source);
  source.tileExists = (level, x, y) =>
    exists(level, x, y) && (name !== "image" || layer.levels - 1 - level <= facts.image_coarsest);
  source.hasTransparency = () => name !== "image";
  source.downloadTileStart = (job) => void loadTile(job);
  source.downloadTileAbort = (job) => job.userData.stop?.abort();
  return source;
}

/** Show a layer, in place of what was shown of it. */
function showLayer(name) {
  pending++;
  return new Promise((done) => {
    viewer.addTiledImage({
      // the lowest layer comes first, here as with the server
      tileSource: tileSource(name), index: Object.keys(facts.layers).indexOf(name), replace: items[name] !== undefined,
      // all layers show the same ground, whatever the size of their pixels
      x: 0, y: 0, width: 1, opacity: state.opacity[name],
      success: ({ item }) => { items[name] = item; done(); },
      error: ({ message }) => { tell(message); done(); },
    });
  }).finally(() => { pending--; });
}

function setOpacity(name, value) {
  state.opacity[name] = value;
  items[name]?.setOpacity(value);
  writeAddress();
}

// --- places --------------------------------------------------------------------------------------------------------------

const zoom = () => (viewer.viewport.getZoom(true) * viewer.viewport.getContainerSize().x) / facts.columns;
const worldOf = (point) => ({ x: point.x * facts.columns, y: point.y * facts.columns });
const worldCenter = () => worldOf(viewer.viewport.getCenter(true));
const viewportPoint = (x, y) => new OpenSeadragon.Point(x / facts.columns, y / facts.columns);

function lookAt(x, y, scale, immediately) {
  if (scale) viewer.viewport.zoomTo((scale * facts.columns) / viewer.viewport.getContainerSize().x, null, immediately);
  viewer.viewport.panTo(viewportPoint(x, y), immediately);
}

function mark(x, y, width, height) {
  if (marked) viewer.removeOverlay(marked);
  marked = make("div", { className: "mark" });
  const corner = viewportPoint(x, y);
  viewer.addOverlay({ element: marked, location: new OpenSeadragon.Rect(corner.x, corner.y, width / facts.columns, height / facts.columns) });
}

/** Draw the longest round length along x that fits, as in "200 µm". */
function drawScale() {
  const unit = facts.mpp === null ? 1 : facts.mpp.x;
  const most = (180 * unit) / zoom();
  const power = 10 ** Math.floor(Math.log10(most));
  const length = [5, 2, 1].find((step) => step * power <= most) * power;
  const [name, factor] = facts.mpp === null ? ["px", 1] : length >= 1000 ? ["mm", 1e-3] : length < 1 ? ["nm", 1e3] : ["µm", 1];
  byId("scale-text").textContent = `${number(length * factor, 3)} ${name}`;
  byId("scale-bar").style.width = `${(length / unit) * zoom()}px`;
  // People want to see pixels where they are larger than the screen's.
  const pixel = zoom() / Math.max(1, facts.layers.image ? facts.layers.image.columns / facts.columns : 1);
  const smooth = pixel < 1.5;
  if (viewer.slidesegSmooth !== smooth) {
    viewer.slidesegSmooth = smooth;
    viewer.drawer.setImageSmoothingEnabled(smooth);
  }
}

function tellPlace(position) {
  const { x, y } = worldOf(viewer.viewport.pointFromPixel(position));
  const inside = x >= 0 && y >= 0 && x < facts.columns && y < facts.rows;
  const microns = facts.mpp === null ? "" : ` · ${number(x * facts.mpp.x, 6)}, ${number(y * facts.mpp.y, 6)} µm`;
  byId("place").textContent = inside
    ? `x ${Math.floor(x * facts.scale.x).toLocaleString("en")}, y ${Math.floor(y * facts.scale.y).toLocaleString("en")} px${microns}`
    : "";
}

// --- what lies at a point ------------------------------------------------------------------------------------------------

function classLine(id, text) {
  const one = facts.classes.find((some) => some.id === id) ?? { name: `class ${id}`, color: "#000000" };
  const chip = make("span", { className: "chip" });
  chip.style.background = one.color;
  return make("div", { className: "picked" }, chip, text ? `${text} · ${one.name}` : one.name);
}

/** Return a table of a row: a line a measure, lengths in pixels and microns side by side. */
function rowTable(row) {
  const table = make("table", { id: "row" });
  const lines = new Map();
  for (const [name, value] of Object.entries(row)) {
    if (value === null || ["id", "class", "class_name"].includes(name) || (name === "plane" && facts.planes === 1)) continue;
    const [, stem, unit] = /^(.*?)(?:_(px|um|um2))?$/.exec(name);
    const shown = { px: stem === "area" ? "px²" : "px", um: "µm", um2: "µm²" }[unit] ?? "";
    lines.set(stem, [...(lines.get(stem) ?? []), typeof value === "number" ? `${number(value)} ${shown}`.trim() : String(value)]);
  }
  for (const [stem, values] of lines) {
    const cells = values.map((value) => make("td", { textContent: value, colSpan: values.length === 1 ? 2 : 1 }));
    table.append(make("tr", {}, make("th", { textContent: stem.replaceAll("_", " ") }), ...cells));
  }
  return table;
}

function showRow(row) {
  state.object = row.id;
  byId("object-hint").hidden = true;
  byId("object").replaceChildren(classLine(row.class, `Object ${row.id.toLocaleString("en")}`), rowTable(row));
  const pixel = facts.scale;
  const [width, height] = [(row.bbox_x1_px - row.bbox_x0_px) / pixel.x, (row.bbox_y1_px - row.bbox_y0_px) / pixel.y];
  mark(row.bbox_x0_px / pixel.x - 1, row.bbox_y0_px / pixel.y - 1, width + 2, height + 2);
  writeAddress();
}

async function showPoint(x, y) {
  const found = await ask(`at/${state.plane}/${y}/${x}`);
  if (found === null) return;
  if (found.row !== null) {
    showRow(found.row);
    return;
  }
  state.object = null;
  byId("object-hint").hidden = true;
  byId("object").replaceChildren(classLine(found.class, found.object ? `Object ${found.object.toLocaleString("en")}` : ""));
  mark(x, y, 1, 1);
  writeAddress();
}

/** Show an object by its number, and go there if wanted: so close that it fills a part of the view, unless a scale is named. */
async function showObject(id, go, scale = null) {
  const row = await ask(`objects/${id}`);
  if (row === null) return;
  if (row.plane !== state.plane) setPlane(row.plane);
  showRow(row);
  if (!go) return;
  const pixel = facts.scale;
  const side = Math.max((row.bbox_y1_px - row.bbox_y0_px) / pixel.y, (row.bbox_x1_px - row.bbox_x0_px) / pixel.x, 4);
  const size = viewer.viewport.getContainerSize();
  lookAt(row.centroid_x_px / pixel.x, row.centroid_y_px / pixel.y, scale ?? Math.min(size.x, size.y) / (AROUND * side), true);
}

// --- the panel -----------------------------------------------------------------------------------------------------------

function layerControl(name) {
  const value = make("output");
  const slider = make("input", { type: "range", min: 0, max: 100, value: Math.round(100 * state.opacity[name]), ariaLabel: `Opacity of ${NAMES[name]}` });
  const box = make("input", { type: "checkbox", checked: state.opacity[name] > 0, id: `show-${name}` });
  const tellValue = () => { value.textContent = `${slider.value} %`; };
  slider.addEventListener("input", () => {
    box.checked = slider.value > 0;
    setOpacity(name, slider.value / 100);
    tellValue();
  });
  box.addEventListener("change", () => {
    if (box.checked && slider.value === "0") slider.value = 100 * OPACITY[name];
    setOpacity(name, box.checked ? slider.value / 100 : 0);
    tellValue();
  });
  tellValue();
  const head = make("div", { className: "layer-head" }, box, make("label", { textContent: NAMES[name], htmlFor: box.id }), slider, value);
  return make("div", { className: "layer" }, head);
}

function legend() {
  const list = make("ul", { className: "legend" });
  for (const one of facts.classes.filter((some) => some.id > 0)) {
    const box = make("input", { type: "checkbox", checked: !state.hidden.has(one.id) });
    const chip = make("span", { className: "chip" });
    chip.style.background = one.color;
    box.addEventListener("change", () => {
      if (box.checked) state.hidden.delete(one.id);
      else state.hidden.add(one.id);
      showLayer("classes");
      writeAddress();
    });
    list.append(make("li", {}, make("label", {}, box, chip, one.name, make("small", { id: `sums-${one.id}` }))));
  }
  return list;
}

function styleSwitch() {
  const line = make("div", { className: "styles" });
  for (const style of ["outline", "fill"]) {
    const button = make("input", { type: "radio", name: "style", checked: state.style === style });
    button.addEventListener("change", () => {
      state.style = style;
      showLayer("objects");
      writeAddress();
    });
    line.append(make("label", {}, button, { outline: "outlines", fill: "filled" }[style]));
  }
  return line;
}

async function showSums() {
  for (const one of (await ask("sums")) ?? []) {
    const place = byId(`sums-${one.id}`);
    if (!place) continue;
    place.textContent = `${one.count.toLocaleString("en")} · ${number(100 * one.area_fraction, 3)} %`;
    place.title = "objects · share of the segmented area";
    if (one.per_mm2 !== null) {
      const text = `${number(one.per_mm2, 4)} per mm²`;
      byId("facts").append(make("tr", {}, make("th", { textContent: one.count === 1 ? "density" : facts.classes[one.id].name }), make("td", { textContent: text })));
    }
  }
}

function setPlane(plane) {
  state.plane = plane;
  byId("plane").value = plane;
  byId("plane-text").textContent = `${plane} of 0 to ${facts.planes - 1}`;
  Object.keys(facts.layers).forEach(showLayer);
}

function buildPanel() {
  document.title = `${facts.title} · slideseg`;
  byId("title").textContent = facts.title;
  document.body.classList.toggle("bare", !state.panel);
  const notices = [];
  if (!facts.layers.image) notices.push(`The result carries no image, and the slide can't be shown: ${facts.notice}`);
  else if (facts.notice) notices.push(`The slide's details can't be shown: ${facts.notice}`);
  else if (facts.image_coarsest < facts.layers.image.levels - 1) notices.push("Zoom in to see the slide: its file has no smaller copy.");
  byId("notice").textContent = notices.join(" ");
  byId("notice").hidden = !byId("notice").textContent;
  for (const name of Object.keys(facts.layers).reverse()) {
    const control = layerControl(name);
    if (name === "classes") control.append(legend());
    if (name === "objects") control.append(styleSwitch());
    byId("layers").append(control);
  }
  byId("find").hidden = !facts.layers.objects;
  for (const [name, value] of facts.facts) byId("facts").append(make("tr", {}, make("th", { textContent: name }), make("td", { textContent: value })));
  if (facts.planes > 1) {
    byId("plane-section").hidden = false;
    byId("plane-name").textContent = facts.plane_axis;
    byId("plane").max = facts.planes - 1;
    byId("plane").value = state.plane;
    byId("plane-text").textContent = `${state.plane} of 0 to ${facts.planes - 1}`;
    byId("plane").addEventListener("change", (event) => { setPlane(Number(event.target.value)); writeAddress(); });
  }
}

// --- all together ----------------------------------------------------------------------------------------------------------

function buildViewer() {
  viewer = OpenSeadragon({
    element: byId("slide"), drawer: "canvas", showNavigationControl: false, showNavigator: true, navigatorAutoFade: false, navigatorOpacity: 1, preserveViewport: true, navigatorPosition: "BOTTOM_RIGHT",
    navigatorSizeRatio: 0.16, maxZoomPixelRatio: 40, minZoomImageRatio: 0.6, visibilityRatio: 0.2, animationTime: 0.5,
    imageLoaderLimit: 6, maxImageCacheCount: 400, timeout: 180000, preserveImageSizeOnResize: true,
    subPixelRoundingForTransparency: OpenSeadragon.SUBPIXEL_ROUNDING_OCCURRENCES.ALWAYS,
    gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
  });
  viewer.addHandler("canvas-click", (event) => {
    if (!event.quick) return;
    const { x, y } = worldOf(viewer.viewport.pointFromPixel(event.position));
    if (x >= 0 && y >= 0 && x < facts.columns && y < facts.rows) showPoint(Math.floor(x), Math.floor(y));
  });
  new OpenSeadragon.MouseTracker({ element: viewer.container, moveHandler: (event) => tellPlace(event.position) });
  viewer.addHandler("update-viewport", drawScale);
  viewer.addHandler("animation-finish", writeAddress);
  byId("zoom-in").addEventListener("click", () => viewer.viewport.zoomBy(2).applyConstraints());
  byId("zoom-out").addEventListener("click", () => viewer.viewport.zoomBy(0.5).applyConstraints());
  byId("zoom-one").addEventListener("click", () => { const center = worldCenter(); lookAt(center.x, center.y, 1); });
  byId("home").addEventListener("click", () => viewer.viewport.goHome());
  byId("find").addEventListener("submit", (event) => {
    event.preventDefault();
    const id = byId("find-number").value.replace(/[^0-9]/g, "");
    if (id) showObject(id, true);
  });
}

async function start() {
  state = readAddress();
  facts = await ask("facts");
  if (facts === null) return;
  state.plane = Math.min(Math.max(0, Math.round(state.plane)), facts.planes - 1);
  buildPanel();
  buildViewer();
  pending++;
  await Promise.all(Object.keys(facts.layers).map(showLayer));
  viewer.viewport.goHome(true);
  const pixel = facts.scale;
  if (state.x !== null && state.y !== null) lookAt(state.x / pixel.x, state.y / pixel.y, state.zoom, true);
  else if (state.zoom !== null) lookAt(facts.columns / 2, facts.rows / 2, state.zoom, true);
  if (state.object !== null) await showObject(state.object, state.x === null, state.zoom);
  pending--;
  showSums();
}

/** What other programs may ask: whether all that is shown is there, where a pixel lies on the screen. */
window.slideseg = {
  settled: () => {
    const shown = Object.keys(items).filter((name) => state.opacity[name] > 0);
    const there = facts && pending === 0 && Object.keys(items).length === Object.keys(facts.layers).length;
    return Boolean(there && shown.every((name) => items[name].getFullyLoaded()) && !viewer.world.needsDraw());
  },
  failure: () => (byId("failure").hidden ? null : byId("failure").textContent),
  onScreen: (x, y) => {
    const place = viewer.viewport.pixelFromPoint(viewportPoint(x, y));
    const corner = viewer.container.getBoundingClientRect();
    return [place.x + corner.left, place.y + corner.top];
  },
};

start();
