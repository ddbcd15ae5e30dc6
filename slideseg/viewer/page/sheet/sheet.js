/* The sheet of many results: names at once, numbers and pictures as they come into view. */

import { ask, busy, byId, chip, failure, isQuiet, make, number } from "../common.js";

const AT_ONCE = 2; // cards that are asked for at a time
const AHEAD = "600px"; // below what is seen

let cards = []; // one a result: its number, name, element, what is known of it
const waiting = []; // cards that are to be read
let reading = 0;

// --- one card

function objectsTold(known) {
  if (known.objects === null || known.objects === undefined) return "no objects looked for";
  const density = known.per_mm2 !== null ? `${number(known.per_mm2, 4)} per mm²` : known.per_mpx !== null ? `${number(known.per_mpx, 4)} per Mpx` : "";
  const line = make("div", {}, make("b", { textContent: known.objects.toLocaleString("en") }), ` ${known.objects === 1 ? "object" : "objects"}`);
  if (density) line.append(` · ${density}`);
  return line;
}

function classLine(one) {
  const told = one.role === "objects" && one.objects !== null ? one.objects.toLocaleString("en") : one.share === null ? "" : `${number(100 * one.share, 3)} %`;
  return make("div", { className: "of-class" }, chip(one.color), one.name, make("small", { textContent: told, title: one.role === "objects" ? "objects" : "share of the tissue" }));
}

function sizeTold(known) {
  if (known.tissue_mm2) return `${number(known.tissue_mm2, 3)} mm²${known.tissue_known ? " of tissue" : ""}`;
  return known.pixels ? `${number(known.pixels / 1e6, 3)} Mpx` : "";
}

function fillCard(card) {
  const { known } = card;
  const told = [];
  if (known.status !== "complete") {
    told.push(make("span", { className: `status ${known.status}`, textContent: known.status }));
    card.picture.replaceChildren(make("div", { className: "why", textContent: known.error }));
  } else {
    told.push(objectsTold(known), ...known.classes.filter((one) => one.role !== "outer").map(classLine));
    told.push(make("div", { textContent: [sizeTold(known), known.model].filter(Boolean).join(" · ") }));
    if (known.warnings) told.push(make("div", { className: "warned", textContent: known.warnings, title: known.warnings }));
  }
  card.told.replaceChildren(...told);
}

/** Say why there is no picture, unless the numbers say it already. */
async function tellLack(card) {
  if (card.known && card.known.status !== "complete") return;
  const why = await fetch(`r/${card.number}/thumbnail`).then((response) => (response.ok ? "" : response.text())).catch(() => "");
  if (!card.known || card.known.status === "complete") {
    card.picture.replaceChildren(make("div", { className: "why", textContent: why.replace(/^error: /, "") || "no picture" }));
  }
}

function makeCard({ name, place }, index) {
  const image = make("img", { loading: "lazy", decoding: "async", alt: `${name}, with outlines`, src: `r/${index}/thumbnail` });
  const card = { number: index, name, known: null };
  image.addEventListener("error", () => void tellLack(card));
  card.picture = make("div", { className: "picture" }, image);
  card.told = make("div", { className: "told", textContent: "…" });
  card.choose = make("input", { type: "checkbox", className: "choose", title: "Compare this one with another", ariaLabel: `Compare ${name}` });
  card.choose.addEventListener("change", tellChosen);
  const link = make("a", { href: `r/${index}/`, title: place }, card.picture, make("h2", { textContent: name }), card.told);
  card.element = make("article", { className: "card" }, link, card.choose);
  card.element.card = card;
  return card;
}

// --- reading, a few at a time: those that are seen first

function readNext() {
  while (reading < AT_ONCE && waiting.length) void read(waiting.shift());
}

async function read(card) {
  if (card.known) return;
  reading++;
  card.known = await ask(`r/${card.number}/card`) ?? { status: "unreadable", error: failure(), classes: [] };
  reading--;
  fillCard(card);
  const rest = waiting.length + reading;
  if (!rest && isSortedByNumbers()) arrange();
  tellProgress();
  readNext();
}

function want(some) {
  const wanted = new Set(some.filter((card) => !card.known));
  const others = waiting.filter((card) => !wanted.has(card));
  waiting.splice(0, waiting.length, ...wanted, ...others);
  readNext();
}

const seen = new IntersectionObserver((entries) => want(entries.filter((one) => one.isIntersecting).map((one) => one.target.card)), { rootMargin: AHEAD });

// --- which are shown, in which order

const isSortedByNumbers = () => byId("sort").value !== "name";

function keyOf(card) {
  const known = card.known ?? {};
  const keys = {
    name: card.name, status: known.status, objects: known.objects, density: known.per_mm2 ?? known.per_mpx,
    median: known.median_um2 ?? known.median_pixels,
  };
  return keys[byId("sort").value] ?? null;
}

/** Compare two keys; what is not known comes last, whichever the direction. */
function compared(one, other, direction) {
  if (one === null || other === null) return (one === null) - (other === null);
  return direction * (typeof one === "string" ? one.localeCompare(other, "en", { numeric: true }) : one - other);
}

const isDown = () => byId("down").textContent === "↓";

function arrange() {
  const words = byId("find").value.toLowerCase().split(/\s+/);
  const shown = cards.filter((card) => words.every((word) => card.name.toLowerCase().includes(word)));
  const sorted = shown.map((card) => [keyOf(card), card]).sort(([one], [other]) => compared(one, other, isDown() ? -1 : 1));
  byId("cards").replaceChildren(...sorted.map(([, card]) => card.element));
  byId("nothing").hidden = shown.length > 0 || cards.length === 0;
  if (isSortedByNumbers()) want(cards);
  tellProgress();
  writeAddress();
}

function tellProgress() {
  const shown = byId("cards").childElementCount;
  const known = cards.filter((card) => card.known).length;
  const told = [shown === cards.length ? "" : `${shown.toLocaleString("en")} shown`];
  if (isSortedByNumbers() && known < cards.length) told.push(`sorted when all are read: ${known.toLocaleString("en")} so far`);
  byId("progress").textContent = told.filter(Boolean).join(" · ");
}

function writeAddress() {
  const words = new URLSearchParams();
  if (byId("sort").value !== "name") words.set("sort", byId("sort").value);
  if (isDown()) words.set("down", 1);
  if (byId("find").value) words.set("find", byId("find").value);
  history.replaceState(null, "", words.size ? `#${words}` : location.pathname);
}

function readAddress() {
  const words = new URLSearchParams(location.hash.slice(1));
  if (words.get("sort")) byId("sort").value = words.get("sort");
  if (byId("sort").selectedIndex < 0) byId("sort").value = "name";
  if (words.get("down") === "1") byId("down").textContent = "↓";
  byId("find").value = words.get("find") ?? "";
}

// --- two to compare

const chosen = () => cards.filter((card) => card.choose.checked);

function tellChosen() {
  byId("compare").disabled = chosen().length !== 2;
}

async function start() {
  readAddress();
  const names = await ask("list");
  if (names === null) return;
  cards = names.map(makeCard);
  byId("title").textContent = cards.length === 1 ? "1 result" : `${cards.length.toLocaleString("en")} results`;
  document.title = `${byId("title").textContent} · slideseg`;
  await busy(async () => {
    arrange();
    for (const card of cards) seen.observe(card.element);
    await new Promise(requestAnimationFrame); // until it is known which are seen
  });
  byId("find").addEventListener("input", arrange);
  byId("sort").addEventListener("change", arrange);
  byId("down").addEventListener("click", () => { byId("down").textContent = isDown() ? "↑" : "↓"; arrange(); });
  byId("compare").addEventListener("click", () => {
    const [one, other] = chosen();
    location.href = `r/${one.number}/#with=${other.number}`;
  });
}

/** What other programs may ask: whether all that is seen is there. */
window.slideseg = {
  settled: () => {
    const seenImages = [...document.querySelectorAll(".card img")].filter((image) => image.getBoundingClientRect().top < innerHeight);
    return cards.length > 0 && isQuiet() && seenImages.every((image) => image.complete && (!image.isConnected || image.naturalWidth > 0));
  },
  failure,
};

start();
