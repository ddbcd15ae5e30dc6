/* The panel: layers, classes, planes, and what is known of the run. */

import { ask, byId, chip, make, number } from "../common.js";
import { app, panes, tellOthers } from "./app.js";
import { OPACITY, writeAddress } from "./state.js";

const NAMES = { image: "Slide", classes: "Classes", objects: "Objects" };

export const showEverywhere = (name) => panes().forEach((pane) => pane.showLayer(name));

function setOpacity(name, value) {
  app.state.opacity[name] = value;
  for (const pane of panes()) pane.items[name]?.setOpacity(value);
  writeAddress();
}

function layerControl(name) {
  const { state } = app;
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

/** Switch a layer off, or on again. */
export function toggleLayer(name) {
  byId(`show-${name}`)?.click();
}

export function togglePanel() {
  app.state.panel = !app.state.panel;
  tellPanel();
  writeAddress();
}

/** Bring a section of the panel into view where the panel is a small sheet. */
export function bring(id) {
  if (matchMedia("(max-width: 700px)").matches) byId(id).scrollIntoView({ block: "start" });
}

function tellPanel() {
  document.body.classList.toggle("bare", !app.state.panel);
  byId("panel-button").ariaExpanded = String(app.state.panel);
}

export function toggleStyle() {
  document.querySelector(".styles input:not(:checked)")?.click();
}

function legend() {
  const { hidden } = app.state;
  const list = make("ul", { className: "legend" });
  for (const one of app.main.facts.classes.filter((some) => some.id > 0)) {
    const box = make("input", { type: "checkbox", checked: !hidden.has(one.id) });
    box.addEventListener("change", () => {
      if (box.checked) hidden.delete(one.id);
      else hidden.add(one.id);
      showEverywhere("classes");
      writeAddress();
    });
    list.append(make("li", {}, make("label", {}, box, chip(one.color), one.name, make("small", { id: `sums-${one.id}` }))));
  }
  return list;
}

function styleSwitch() {
  const line = make("div", { className: "styles" });
  for (const style of ["outline", "fill"]) {
    const button = make("input", { type: "radio", name: "style", checked: app.state.style === style });
    button.addEventListener("change", () => {
      app.state.style = style;
      showEverywhere("objects");
      writeAddress();
    });
    line.append(make("label", {}, button, { outline: "outlines", fill: "filled" }[style]));
  }
  return line;
}

const factLine = (name, value) => make("tr", {}, make("th", { textContent: name }), make("td", { textContent: value }));

export async function showWarnings() {
  byId("warnings").replaceChildren(...((await ask("warnings")) ?? []).map((textContent) => make("p", { textContent })));
}

export async function showSums() {
  const { classes } = app.main.facts;
  for (const one of (await ask("sums")) ?? []) {
    const place = byId(`sums-${one.id}`);
    if (!place) continue;
    place.textContent = `${one.count.toLocaleString("en")} · ${number(100 * one.area_fraction, 3)} %`;
    place.title = "objects · share of the tissue, or of all where none was looked for";
    if (one.per_mm2 === null) continue;
    byId("facts").append(factLine(one.count === 1 ? "density" : classes[one.id].name, `${number(one.per_mm2, 4)} per mm²`));
  }
}

function tellPlane() {
  byId("plane").value = app.state.plane;
  byId("plane-text").textContent = `${app.state.plane} of 0 to ${app.main.facts.planes - 1}`;
}

export function setPlane(plane) {
  app.state.plane = plane;
  tellPlane();
  for (const pane of panes()) pane.showAll();
  tellOthers("plane");
}

function notice(facts) {
  if (!facts.layers.image) return `The result carries no image, and the slide can't be shown: ${facts.notice}`;
  if (facts.notice) return `The slide's details can't be shown: ${facts.notice}`;
  return facts.image_coarsest < facts.layers.image.levels - 1 ? "Zoom in to see the slide: its file has no smaller copy." : "";
}

export function buildPanel() {
  const { facts } = app.main;
  document.title = `${facts.title} · slideseg`;
  byId("title").textContent = facts.title;
  tellPanel();
  byId("panel-button").addEventListener("click", togglePanel);
  byId("notice").textContent = notice(facts);
  byId("notice").hidden = !byId("notice").textContent;
  for (const name of Object.keys(facts.layers).reverse()) {
    const control = layerControl(name);
    if (name === "classes") control.append(legend());
    if (name === "objects") control.append(styleSwitch());
    byId("layers").append(control);
  }
  byId("neuroglancer").hidden = !facts.is_local;
  for (const [name, value] of facts.facts) byId("facts").append(factLine(name, value));
  if (facts.planes === 1) return;
  byId("plane-section").hidden = false;
  byId("plane-name").textContent = facts.plane_axis;
  byId("plane").max = facts.planes - 1;
  tellPlane();
  byId("plane").addEventListener("change", (event) => { setPlane(Number(event.target.value)); writeAddress(); });
}
