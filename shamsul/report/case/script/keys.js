// Keys of the page.

import { step, stepClass } from "./controls.js";
import { byId } from "./dom.js";
import { STEP, zoom } from "./navigation.js";

/** @typedef {import("./main.js").App} App */

/**
 * Let keys change the state, except where something is being written or chosen.
 * @param {App} app
 */
export function listen(app) {
  const { store } = app;
  const help = /** @type {HTMLDialogElement} */ (byId("help"));
  const turn = (/** @type {"map" | "cut" | "outlines" | "point"} */ key) =>
    store.set({ [key]: !store.state[key] });
  const cut = (/** @type {number} */ by) => {
    const chosen = Math.min(Math.max(store.state.threshold + by, 0), 1);
    store.set({ rule: "fixed", threshold: Math.round(chosen * 200) / 200 });
  };
  /** @type {Record<string, () => void>} */
  const actions = {
    m: () => turn("map"),
    s: () => turn("cut"),
    o: () => turn("outlines"),
    p: () => turn("point"),
    "[": () => cut(-0.005),
    "]": () => cut(0.005),
    "{": () => cut(-0.05),
    "}": () => cut(0.05),
    ",": () => stepClass(app, -1),
    ".": () => stepClass(app, 1),
    ArrowLeft: () => step(app, -1),
    ArrowRight: () => step(app, 1),
    v: () => store.set({ layout: store.state.layout === "grid" ? "single" : "grid" }),
    "+": () => zoom(store, STEP),
    "=": () => zoom(store, STEP),
    "-": () => zoom(store, 1 / STEP),
    0: () => store.set({ zoom: 1, x: 0.5, y: 0.5 }),
    "?": () => help.showModal(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    const at = /** @type {Element} */ (event.target);
    // Arrows move radios and sliders, and letters choose in lists.
    const taken = at.matches("select, input[type=radio], input[type=range], [contenteditable]");
    const action = actions[event.key];
    if (!action || (taken && !"[]{}?".includes(event.key))) return;
    event.preventDefault();
    action();
  });
  byId("show-help").addEventListener("click", () => help.showModal());
}
