/* Links to what is shown. */

import { byId } from "../common.js";
import { writeAddress } from "./state.js";

let timer = null;

/** Say something for a moment. */
export function say(text) {
  byId("said").textContent = text;
  byId("said").hidden = false;
  clearTimeout(timer);
  timer = setTimeout(() => { byId("said").hidden = true; }, 4000);
}

export async function copyLink() {
  writeAddress();
  try {
    await navigator.clipboard.writeText(location.href);
    say("Link copied. It works as long as this server runs, for those who can reach it.");
  } catch {
    window.prompt("Copy this link; it works as long as this server runs:", location.href); // pages from other machines may not copy
  }
}
