/* What is shown: kept in the address, so that a link leads to the same view. */

import { app } from "./app.js";

export const OPACITY = { image: 1, classes: 0.45, objects: 1 };

/** What the address says behind its "#". */
export function readAddress() {
  const words = new URLSearchParams(location.hash.slice(1));
  const numeral = (name) => (words.get(name) && isFinite(words.get(name)) ? Number(words.get(name)) : null);
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

export function writeAddress() {
  const { main, state } = app;
  const center = main.center();
  const words = new URLSearchParams({ x: Math.round(center.x), y: Math.round(center.y), zoom: Number(main.zoom().toPrecision(4)) });
  if (main.facts.planes > 1) words.set("plane", state.plane);
  if (state.object !== null) words.set("object", state.object);
  for (const name of Object.keys(main.items)) if (state.opacity[name] !== OPACITY[name]) words.set(name, state.opacity[name]);
  if (state.style !== "outline") words.set("style", state.style);
  if (state.hidden.size) words.set("hidden", [...state.hidden].join(","));
  if (!state.panel) words.set("panel", "off");
  history.replaceState(null, "", `#${words}`);
}
