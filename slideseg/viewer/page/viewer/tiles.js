/* Where tiles come from, and what stands in place of one that could not be read. */

import { GONE, make, tell } from "../common.js";
import { app } from "./app.js";
import { filterWords } from "./state.js";

/** A tile that could not be read: nobody must take it for background. */
function hatched(side) {
  const pen = make("canvas", { width: side, height: side }).getContext("2d");
  pen.fillStyle = "#ffd9d9";
  pen.fillRect(0, 0, side, side);
  pen.strokeStyle = "#d00000";
  pen.lineWidth = 12;
  for (let start = -side; start < side; start += 64) {
    pen.beginPath();
    pen.moveTo(start, 0);
    pen.lineTo(start + side, side);
    pen.stroke();
  }
  return pen;
}

async function loadTile(job, side) {
  const stop = new AbortController();
  job.userData.stop = stop;
  try {
    const response = await fetch(job.src, { signal: stop.signal });
    if (response.ok) {
      job.finish(await response.blob(), null, "rasterBlob");
    } else {
      tell(await response.text());
      job.finish(hatched(side), null, "context2d");
    }
  } catch (error) {
    if (error.name !== "AbortError") tell(GONE);
    job.fail(String(error), null);
  }
}

/** What is wished for of the objects; a result that lacks a measure shows all of them, in colours that tell them apart. */
function objectWishes(pane) {
  const { color, span, style } = app.state;
  const words = filterWords();
  if (!pane.measures.includes(words.get("by"))) for (const word of ["by", "low", "high"]) words.delete(word);
  words.set("style", style);
  if (color === "class" || pane.measures.includes(color)) words.set("color", color);
  if (words.has("color") && span) {
    words.set("from", span[0]);
    words.set("to", span[1]);
  }
  return words;
}

/** What stands behind the "?" of a tile's address. */
function wishes(pane, name) {
  const { state } = app;
  if (name === "objects") return `?${objectWishes(pane)}`;
  if (name === "classes" && state.hidden.size) return `?hidden=${[...state.hidden].sort((a, b) => a - b).join(",")}`;
  return "";
}

/** Return the source of a pane's layer, as things are now. */
export function tileSource(pane, name) {
  const { facts, base } = pane;
  const layer = facts.layers[name];
  const [plane, query] = [pane.plane(), wishes(pane, name)];
  const source = new OpenSeadragon.TileSource({
    width: layer.columns, height: layer.rows, tileSize: facts.tile, minLevel: 0, maxLevel: layer.levels - 1,
    getTileUrl: (level, x, y) => `${base}tiles/${name}/${plane}/${layer.levels - 1 - level}/${y}/${x}${query}`,
  });
  const exists = source.tileExists.bind(source);
  source.tileExists = (level, x, y) =>
    exists(level, x, y) && (name !== "image" || layer.levels - 1 - level <= facts.image_coarsest);
  source.hasTransparency = () => name !== "image";
  source.downloadTileStart = (job) => void loadTile(job, facts.tile);
  source.downloadTileAbort = (job) => job.userData.stop?.abort();
  return source;
}
