/* What is drawn over the panes: lengths, regions, and what is being drawn just now. Shapes are lists of places on the ground. */

import { make } from "../common.js";
import { on, panes } from "./app.js";

const FONT = '600 13px system-ui, "DejaVu Sans", sans-serif';
const shapes = new Map(); // name -> { points, closed, text, at }

/** Draw a shape under a name, or none: { points, closed, text }, where the text stands beside the last point. */
export function drawShape(name, shape) {
  if (shape) shapes.set(name, shape);
  else shapes.delete(name);
  panes().forEach(redraw);
}

function canvasOf(pane) {
  pane.canvas ??= pane.viewer.canvas.appendChild(make("canvas", { className: "drawing" }));
  const { x, y } = pane.size();
  const ratio = window.devicePixelRatio;
  if (pane.canvas.width !== Math.round(x * ratio) || pane.canvas.height !== Math.round(y * ratio)) {
    Object.assign(pane.canvas, { width: Math.round(x * ratio), height: Math.round(y * ratio) });
  }
  return pane.canvas;
}

function redraw(pane) {
  const canvas = canvasOf(pane);
  const pen = canvas.getContext("2d");
  const ratio = window.devicePixelRatio;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  for (const shape of shapes.values()) drawOne(pen, shape, shape.points.map((place) => pane.pixelOf(place)));
}

function drawOne(pen, shape, corners) {
  if (!corners.length) return;
  const path = new Path2D();
  corners.forEach(({ x, y }, index) => (index ? path.lineTo(x, y) : path.moveTo(x, y)));
  if (shape.closed) path.closePath();
  if (shape.closed) {
    pen.fillStyle = "rgb(110 168 254 / 6%)";
    pen.fill(path);
  }
  for (const [color, width] of [["#000", 4], ["#fff", 2]]) {
    pen.strokeStyle = color;
    pen.lineWidth = width;
    pen.lineJoin = "round";
    pen.stroke(path);
  }
  if (!shape.closed) for (const { x, y } of corners) dot(pen, x, y);
  if (shape.text) label(pen, shape.text, corners.at(-1));
}

function dot(pen, x, y) {
  pen.beginPath();
  pen.arc(x, y, 4, 0, 2 * Math.PI);
  pen.fillStyle = "#fff";
  pen.fill();
  pen.lineWidth = 1.5;
  pen.strokeStyle = "#000";
  pen.stroke();
}

function label(pen, text, { x, y }) {
  pen.font = FONT;
  const width = pen.measureText(text).width;
  pen.fillStyle = "rgb(30 33 40 / 90%)";
  pen.beginPath();
  pen.roundRect(x + 10, y - 26, width + 14, 22, 5);
  pen.fill();
  pen.fillStyle = "#fff";
  pen.textBaseline = "middle";
  pen.fillText(text, x + 17, y - 15);
}

export const startDrawing = () => on("move", redraw);
