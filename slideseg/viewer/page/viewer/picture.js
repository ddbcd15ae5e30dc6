/* A picture of what is shown, with its scale bar, as a PNG to keep. */

import { make, number } from "../common.js";
import { app, panes } from "./app.js";
import { rampTold } from "./measure.js";
import { roundLength } from "./scale.js";

const FONT = '600 13px system-ui, "DejaVu Sans", sans-serif';

const isSeen = (pane) => !pane.element.classList.contains("behind");

function drawPane(pen, pane, stage) {
  const box = pane.element.getBoundingClientRect();
  const [x, y] = [box.left - stage.left, box.top - stage.top];
  pen.fillStyle = "#2a2d34";
  pen.fillRect(x, y, box.width, box.height);
  pen.drawImage(pane.viewer.drawer.canvas, x, y, box.width, box.height);
  if (pane.canvas) pen.drawImage(pane.canvas, x, y, box.width, box.height);
  if (!pane.marked) return;
  const mark = pane.marked.getBoundingClientRect();
  for (const [color, width] of [["#000", 6], ["#fff", 2]]) {
    pen.strokeStyle = color;
    pen.lineWidth = width;
    pen.strokeRect(mark.left - stage.left, mark.top - stage.top, mark.width, mark.height);
  }
}

function backed(pen, x, y, width, height) {
  pen.fillStyle = "rgb(30 33 40 / 85%)";
  pen.beginPath();
  pen.roundRect(x, y, width, height, 5);
  pen.fill();
  pen.font = FONT;
  pen.fillStyle = pen.strokeStyle = "#fff";
  pen.textAlign = "center";
  pen.textBaseline = "alphabetic";
}

function drawScale(pen, height) {
  const { text, pixels } = roundLength(app.main, 180);
  const width = Math.max(pixels + 20, 60);
  backed(pen, 14, height - 52, width, 38);
  pen.fillText(text, 14 + width / 2, height - 34);
  pen.lineWidth = 2;
  pen.beginPath();
  const [left, right, below] = [14 + (width - pixels) / 2, 14 + (width + pixels) / 2, height - 22];
  pen.moveTo(left, below - 6);
  pen.lineTo(left, below);
  pen.lineTo(right, below);
  pen.lineTo(right, below - 6);
  pen.stroke();
}

function drawRamp(pen, width, height) {
  const told = rampTold();
  if (told === null) return;
  const [x, y, wide] = [width - 214, height - 72, 200];
  backed(pen, x, y, wide, 58);
  pen.fillText(told.title, x + wide / 2, y + 17);
  const ramp = pen.createLinearGradient(x + 10, 0, x + wide - 10, 0);
  told.colors.forEach((color, index) => ramp.addColorStop(index / (told.colors.length - 1), color));
  pen.fillStyle = ramp;
  pen.fillRect(x + 10, y + 24, wide - 20, 10);
  pen.fillStyle = "#fff";
  pen.textAlign = "left";
  pen.fillText(`≤ ${told.low}`, x + 10, y + 50);
  pen.textAlign = "right";
  pen.fillText(`≥ ${told.high}`, x + wide - 10, y + 50);
}

/** Return a canvas of what is shown. */
export function pictureOf() {
  const stage = document.getElementById("stage").getBoundingClientRect();
  const ratio = window.devicePixelRatio;
  const canvas = make("canvas", { width: Math.round(stage.width * ratio), height: Math.round(stage.height * ratio) });
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  for (const pane of panes().filter(isSeen)) drawPane(pen, pane, stage);
  drawScale(pen, stage.height);
  drawRamp(pen, stage.width, stage.height);
  return canvas;
}

export function savePicture() {
  const { x, y } = app.main.center();
  const name = `${app.main.facts.name} at ${number(Math.round(x)).replaceAll(",", "")},${number(Math.round(y)).replaceAll(",", "")}.png`;
  pictureOf().toBlob((blob) => {
    const link = make("a", { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }, "image/png");
}
