/* The ruler: lengths between two points, in microns where the size of a pixel is known. */

import { number } from "../common.js";
import { app } from "./app.js";
import { drawShape } from "./drawing.js";
import { unitOf } from "./scale.js";

let lengths = []; // pairs of places that were measured

/** Return the distance of two places on the ground in words. */
export function lengthOf([one, other]) {
  const { facts, perGround } = app.main;
  const [x, y] = [(other.x - one.x) * perGround.x, (other.y - one.y) * perGround.y];
  if (facts.mpp === null) return `${number(Math.hypot(other.x - one.x, other.y - one.y), 4)} px`;
  const length = Math.hypot(x * facts.mpp.x, y * facts.mpp.y);
  const [name, factor] = unitOf(length, true);
  return `${number(length * factor, 4)} ${name}`;
}

const shape = (points) => ({ points, closed: false, text: points.length === 2 ? lengthOf(points) : "" });

export const RULER = {
  name: "ruler", most: 2, stays: true, shape,
  hint: "Ruler: drag, or click on two points. Esc puts it away.",
  finish(points) {
    lengths.push(points);
    drawShape(`length ${lengths.length}`, shape(points));
  },
};

/** Remove all lengths; return whether there were some. */
export function dropLengths() {
  lengths.forEach((_, index) => drawShape(`length ${index + 1}`, null));
  const had = lengths.length > 0;
  lengths = [];
  return had;
}
