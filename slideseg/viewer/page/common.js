/* What both pages share: elements, numbers, questions to the server. */

export const byId = (id) => document.getElementById(id);

/** Make an element with properties and children. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** Return a small square of a class's colour. */
export function chip(color) {
  const square = make("span", { className: "chip" });
  square.style.background = color;
  return square;
}

export const number = (value, digits = 5) =>
  Number.isInteger(value) ? value.toLocaleString("en") : Number(value.toPrecision(digits)).toLocaleString("en", { maximumFractionDigits: 6 });

let pending = 0; // questions that the server has not answered, and other work that is not done

/** Tell whether all that was asked for is there. */
export const isQuiet = () => pending === 0;

/** Return what some work returns; until then the page is not quiet. */
export async function busy(work) {
  pending++;
  try {
    return await work();
  } finally {
    pending--;
  }
}

export function tell(message) {
  byId("failure").textContent = message.replace(/^error: /, "").trim();
  byId("failure").hidden = false;
}

export const failure = () => (byId("failure").hidden ? null : byId("failure").textContent);

export const GONE = "the server does not answer any more (start slideseg view again)";

/** Return what the server answers as an object; null, and a message on the page, where it can't. */
export function ask(path, options = {}) {
  return busy(async () => {
    try {
      const response = await fetch(path, options);
      if (response.ok) return await response.json();
      tell(await response.text());
    } catch (error) {
      if (error.name !== "AbortError") tell(GONE);
    }
    return null;
  });
}
