/* The table of objects: only the rows that are seen are asked for and built, so a table may have any length. */

import { ask, byId, chip, make, number } from "../common.js";
import { app, on } from "./app.js";
import { offered, wordsOf } from "./measure.js";
import { classOf, showObject } from "./point.js";
import { filterWords, writeAddress } from "./state.js";

const ROW = 26; // pixels of the screen
const PAGE = 100; // rows that are asked for at a time
const KEPT = 40; // pages
const TALLEST = 8e6; // pixels: browsers can't scroll through more
const CLOSE = 12; // pixels of the screen that an object must have at least to be seen without going nearer

const sorted = { by: "id", down: false };
let pages = new Map(); // number -> rows, or the promise of them
let total = 0;
let first = 0; // the first row that is seen; may be a part
let columns = [];
let picked = null; // id
let version = 0; // of the question: answers to earlier ones are dropped

const seen = () => Math.ceil(byId("rows").clientHeight / ROW);
const last = () => Math.max(0, total - byId("rows").clientHeight / ROW);
const isScaled = () => total * ROW > TALLEST;

function words() {
  const asked = filterWords();
  asked.set("sort", sorted.by);
  if (sorted.down) asked.set("down", 1);
  return asked;
}

async function load(page) {
  const asked = words();
  const from = version;
  asked.set("start", page * PAGE);
  asked.set("count", PAGE);
  asked.set("columns", ["class", ...columns].join(","));
  pages.set(page, null);
  const told = await ask(`${app.main.base}rows?${asked}`);
  if (told === null || from !== version) return;
  pages.set(page, told.ids.map((id, index) => ({ id, class: told.columns.class[index], edit: told.edits[id], values: columns.map((name) => told.columns[name][index]) })));
  if (pages.size > KEPT) pages.delete(pages.keys().next().value);
  total = told.total;
  draw();
}

function rowOf(place) {
  const row = pages.get(Math.floor(place / PAGE))?.[place % PAGE];
  const element = make("div", { className: "row" });
  if (!row) return element;
  element.dataset.id = row.id;
  element.classList.toggle("picked", row.id === picked);
  element.classList.toggle("edited", row.edit !== undefined);
  element.classList.toggle("removed", row.edit === null);
  const known = classOf(app.main, row.class);
  element.append(make("span", { textContent: row.id.toLocaleString("en") }), make("span", { className: "name" }, chip(known.color), known.name));
  for (const value of row.values) element.append(make("span", { textContent: value === null ? "–" : number(value, 4) }));
  return element;
}

function draw() {
  if (!app.state.table) return;
  first = Math.min(first, last());
  const start = Math.floor(first);
  const end = Math.min(total, start + seen() + 1);
  for (let page = Math.floor(start / PAGE); page <= Math.floor(Math.max(start, end - 1) / PAGE); page++) {
    if (!pages.has(page)) void load(page);
  }
  byId("rows-all").style.height = `${Math.min(total * ROW, TALLEST)}px`;
  const window = byId("rows-seen");
  window.style.transform = `translateY(${byId("rows").scrollTop - (first - start) * ROW}px)`;
  window.replaceChildren(...Array.from({ length: Math.max(0, end - start) }, (_, index) => rowOf(start + index)));
  byId("rows-told").textContent = `${total.toLocaleString("en")} ${total === 1 ? "object" : "objects"}`;
}

/** Bring a row to the top, and the scroll bar to where it belongs. */
function scrollTo(place) {
  first = Math.min(Math.max(0, place), last());
  const room = byId("rows-all").offsetHeight - byId("rows").clientHeight;
  byId("rows").scrollTop = isScaled() ? (first / last()) * room : first * ROW;
  draw();
}

function scrolled() {
  const rows = byId("rows");
  const room = rows.scrollHeight - rows.clientHeight;
  const place = isScaled() ? (rows.scrollTop / room) * last() : rows.scrollTop / ROW;
  // a pixel of the bar may be many rows: what was set by the wheel or by a click stays
  if (!isScaled() || Math.abs((first / last()) * room - rows.scrollTop) > 1) first = place;
  draw();
}

async function reload() {
  version++;
  pages = new Map();
  if (app.state.table) {
    await load(Math.floor(first / PAGE));
    draw();
  }
}

function head() {
  const cells = ["id", "class", ...columns].map((name) => {
    const mark = sorted.by === name ? (sorted.down ? " ↓" : " ↑") : "";
    const text = name === "id" ? "object" : name === "class" ? "class" : wordsOf(name);
    const button = make("button", { textContent: text + mark, title: `Sort by ${text}` });
    button.addEventListener("click", () => {
      sorted.down = sorted.by === name ? !sorted.down : !["id", "class"].includes(name);
      sorted.by = name;
      first = 0;
      byId("rows").scrollTop = 0;
      head();
      void reload();
    });
    return button;
  });
  byId("rows-head").replaceChildren(...cells);
  byId("drawer").style.setProperty("--columns", cells.length - 2);
}

// --- the slide and the table follow each other

async function go(id) {
  const near = app.main.zoom() * CLOSE > 4 ? app.main.zoom() : null;
  picked = id;
  draw();
  await showObject(id, true, near);
}

async function follow(row) {
  picked = row?.id ?? null;
  if (!app.state.table || picked === null) {
    draw();
    return;
  }
  if (byId("rows-seen").querySelector(`[data-id="${picked}"]`)) {
    draw();
    return;
  }
  const told = await ask(`${app.main.base}rows/${picked}?${words()}`);
  if (told && told.place !== null && picked === row.id) scrollTo(told.place - Math.floor(seen() / 2));
  else draw();
}

async function step(by) {
  const asked = words();
  if (picked === null) return;
  const told = await ask(`${app.main.base}rows/${picked}?${asked}`);
  if (told === null || told.place === null) return;
  asked.set("start", Math.max(0, told.place + by));
  asked.set("count", 1);
  const next = await ask(`${app.main.base}rows?${asked}`);
  if (next?.ids.length) {
    await go(next.ids[0]);
    if (!byId("rows-seen").querySelector(`[data-id="${picked}"]`)) scrollTo(next.start - Math.floor(seen() / 2));
  }
}

export function toggleTable(open = !app.state.table) {
  if (!app.main.facts.number) return;
  app.state.table = open;
  byId("drawer").hidden = !open;
  byId("table-button").ariaPressed = String(open);
  writeAddress();
  if (open) void reload().then(() => follow(app.state.object === null ? null : { id: app.state.object }));
}

export function startTable() {
  byId("table-button").hidden = !app.main.facts.number || !offered().length;
  if (byId("table-button").hidden) return;
  columns = offered();
  head();
  byId("table-button").addEventListener("click", () => toggleTable());
  byId("drawer-close").addEventListener("click", () => toggleTable(false));
  const rows = byId("rows");
  rows.addEventListener("scroll", scrolled);
  rows.addEventListener("wheel", (event) => {
    if (!isScaled() || event.ctrlKey) return;
    event.preventDefault();
    scrollTo(first + event.deltaY / ROW);
  }, { passive: false });
  rows.addEventListener("click", (event) => {
    const id = event.target.closest(".row")?.dataset.id;
    if (id) void go(Number(id));
  });
  rows.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    void step(by);
  });
  new ResizeObserver(draw).observe(rows);
  on("look", () => { first = 0; rows.scrollTop = 0; void reload(); });
  on("edit", () => void reload());
  on("pick", ({ pane, row }) => { if (pane === app.main) void follow(row); });
  if (app.state.table) toggleTable(true);
}
