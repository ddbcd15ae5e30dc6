/* Corrections: the class of an object, or that it is none. The server keeps them in a list beside the result. */

import { ask, byId, make } from "../common.js";
import { app, on, tellOthers } from "./app.js";
import { showEverywhere } from "./panel.js";
import { showObject } from "./point.js";

let told = null; // what the server says of the list
const undone = []; // changes that would take back those that were made, the last one at the end

/** Send a change, and show things as they are then. */
async function send(change, keep = true) {
  const answer = await ask("edits", {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(change),
  });
  if (answer === null) return;
  told = answer;
  if (keep) undone.push(answer.before);
  app.state.edits = answer.revision;
  showEverywhere("objects");
  tellOthers("edit");
  tellNumber();
  await showObject(change.id, false);
}

async function undo() {
  const change = undone.pop();
  if (change) await send(change, false);
}

function tellNumber() {
  const { number, problem } = told;
  const text = problem ?? (number ? `${number.toLocaleString("en")} ${number === 1 ? "object" : "objects"} edited.` : "");
  byId("edits").hidden = !text && !told.editable;
  byId("edits-told").textContent = text;
  byId("undo").hidden = !undone.length;
}

function classChooser(row) {
  const chooser = make("select", { id: "edit-class", ariaLabel: "Class" });
  chooser.append(...told.classes.map((name) => make("option", { value: name, textContent: name, selected: name === row.class_name })));
  chooser.addEventListener("change", () => void send({ id: row.id, class: chooser.value }));
  return chooser;
}

/** Show what can be changed of the object that was picked. */
function offer({ pane, row }) {
  if (!told.editable || pane !== app.main || row === null) return;
  const line = make("div", { className: "line", id: "edit" });
  if (row.edited) {
    const back = make("button", { textContent: row.edited.removed ? "Restore" : `Back to ${row.edited.was}`, id: "edit-back" });
    back.addEventListener("click", () => void send({ id: row.id, original: true }));
    line.append(back);
  }
  if (!row.edited?.removed) {
    if (told.classes.length > 1) line.prepend(classChooser(row));
    const remove = make("button", { textContent: "Remove", title: "This is no object (x)", id: "edit-remove" });
    remove.addEventListener("click", () => void send({ id: row.id, removed: true }));
    line.append(remove);
  }
  byId("object").querySelector(".picked").after(line);
}

const ifEditable = (deed) => () => { if (told?.editable) deed(); };

/** What keys do with edits; see keys.js. */
export const EDIT_KEYS = [
  [["x", "Delete"], "x", "with --edit: remove the object, or restore it", ifEditable(() => (byId("edit-remove") ?? byId("edit-back"))?.click())],
  [["u"], "u", "with --edit: undo", ifEditable(() => void undo())],
];

/** Ask what was edited before tiles are asked for: those of before an edit are old. */
export async function startEdits() {
  if (!app.main.facts.number) return;
  told = await ask("edits");
  if (told === null) return;
  app.state.edits = told.revision;
  tellNumber();
  byId("undo").addEventListener("click", () => void undo());
  on("pick", offer);
}
