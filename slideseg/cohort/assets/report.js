// Sorts the table by a column; without it the page has all the same.
"use strict";
const body = document.querySelector("tbody");
for (const head of document.querySelectorAll("thead th[data-key]")) {
  const button = document.createElement("button");
  button.append(...head.childNodes);
  button.title = "Sort";
  head.append(button);
  button.addEventListener("click", () => {
    const down = head.dataset.key === "number";
    const turned = head.getAttribute("aria-sort") === (down ? "descending" : "ascending");
    for (const other of document.querySelectorAll("thead th")) other.removeAttribute("aria-sort");
    const order = down !== turned ? -1 : 1;
    head.setAttribute("aria-sort", order < 0 ? "descending" : "ascending");
    const number = [...head.parentNode.children].indexOf(head);
    const keyed = [...body.rows].map((row) => [row.cells[number]?.dataset.v, row]);
    const known = keyed.filter(([key]) => key !== undefined);
    known.sort(([a], [b]) => order * (down ? a - b : a.localeCompare(b, undefined, { numeric: true })));
    body.append(...known.map(([, row]) => row), ...keyed.filter(([key]) => key === undefined).map(([, row]) => row));
  });
}
