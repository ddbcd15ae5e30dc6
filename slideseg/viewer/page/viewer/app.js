/* What all parts of the page share: the two panes, what is shown, and what happened. */

export const app = {
  main: null, // Pane: the result of this page
  other: null, // Pane: the result that it is compared with
  state: null, // see state.js
};

const happened = new EventTarget();

/** Call a function whenever something of that name happens: "move", "pick", "look", "plane". */
export const on = (name, call) => happened.addEventListener(name, (event) => call(event.detail));

export const tellOthers = (name, detail = null) => happened.dispatchEvent(new CustomEvent(name, { detail }));

/** The panes that there are. */
export const panes = () => [app.main, app.other].filter(Boolean);
