// Controls beside the panes: class, methods, threshold, display.

import { byId, element, written } from "./dom.js";
import { STEP, zoom } from "./navigation.js";
import { START } from "./state.js";

/**
 * @typedef {import("./main.js").App} App
 * @typedef {import("./state.js").State} State
 */

/**
 * Fill the controls and let them change the state.
 * @param {App} app
 */
export function fillControls(app) {
  fillClasses(app);
  fillMethods(app);
  fillReaders(app);
  bind(app);
  const { store } = app;
  const act = (/** @type {string} */ id, /** @type {() => void} */ run) =>
    byId(id).addEventListener("click", run);
  act("zoom-in", () => zoom(store, STEP));
  act("zoom-out", () => zoom(store, 1 / STEP));
  act("zoom-all", () => store.set({ zoom: 1, x: 0.5, y: 0.5 }));
  act("previous", () => step(app, -1));
  act("next", () => step(app, 1));
  act("no-window", () => store.set({ level: START.level, window: START.window }));
  act("all-methods", () => store.set({ methods: app.content.methods.map(({ name }) => name) }));
  act("no-methods", () => store.set({ methods: [] }));
  act("first-methods", () => store.set({ methods: app.first.methods }));
  store.subscribe(() => show(app));
  show(app);
}

/**
 * Show the next or the previous of the chosen methods by itself.
 * @param {App} app
 * @param {number} by
 */
export function step(app, by) {
  const { methods, method } = app.store.state;
  if (!methods.length) return;
  const place = methods.indexOf(method) + by;
  app.store.set({ method: methods[(place + methods.length) % methods.length], layout: "single" });
}

/**
 * Choose the next or the previous class.
 * @param {App} app
 * @param {number} by
 */
export function stepClass(app, by) {
  const names = app.content.classes.map(({ name }) => name);
  const place = names.indexOf(app.store.state.class) + by;
  app.store.set({ class: names[(place + names.length) % names.length] });
}

/** @param {App} app */
function fillClasses(app) {
  const rows = app.content.classes.map(({ name, probability, label }) => {
    const radio = element("input", { type: "radio", name: "class", value: name });
    const chance = element("span", { class: "chance" }, written(probability));
    const bar = element("span", { class: "meter", "aria-hidden": "true" }, element("span"));
    const fill = /** @type {HTMLElement} */ (bar.firstChild);
    fill.style.width = `${100 * (probability ?? 0)}%`;
    const marks = [];
    if (label === 1) marks.push(element("abbr", { title: "labelled positive" }, "+"));
    const bare = app.content.methods.every((method) => !app.content.maps[method.name]?.[name]);
    if (app.measures.masks(name).length) marks.push(element("abbr", { title: "outlined" }, "○"));
    const labelled = element("span", { class: "name" }, name, " ", ...marks);
    return element("label", { class: bare ? "class bare" : "class" }, radio, labelled, chance, bar);
  });
  byId("classes").append(...rows);
}

/**
 * Show the methods that there are, by their costs.
 * @param {App} app
 */
export function fillMethods(app) {
  /** @type {Map<string, HTMLElement>} */
  const groups = new Map();
  for (const { name, title, group } of app.content.methods) {
    if (!groups.has(group)) {
      groups.set(group, element("fieldset", {}, element("legend", {}, group)));
    }
    const box = element("input", { type: "checkbox", name: "methods", value: name });
    groups.get(group)?.append(element("label", { class: "check" }, box, ` ${title}`));
  }
  byId("methods").replaceChildren(...groups.values());
}

/** @param {App} app */
function fillReaders(app) {
  const select = byId("reader");
  select.append(...app.readers.map((name) => element("option", { value: name }, name)));
  byId("readers").hidden = app.readers.length === 0;
}

/**
 * Let each input with a name change the setting of that name.
 * @param {App} app
 */
function bind({ store, content }) {
  byId("controls").addEventListener("input", (event) => {
    const input = /** @type {HTMLInputElement} */ (event.target);
    const { name, type, value } = input;
    if (name === "methods") {
      const boxes = document.querySelectorAll('input[name="methods"]:checked');
      const chosen = Array.from(boxes, (box) => /** @type {HTMLInputElement} */ (box).value);
      const methods = content.methods.map((each) => each.name);
      store.set({ methods: methods.filter((each) => chosen.includes(each)) });
    } else if (type === "checkbox") store.set({ [name]: input.checked });
    else if (type === "range") {
      store.set({ [name]: Number(value) });
      if (name === "threshold") store.set({ rule: "fixed" });
    } else store.set({ [name]: value });
  });
}

/**
 * Show the state in the controls.
 * @param {App} app
 */
export function show(app) {
  const { state } = app.store;
  for (const input of byId("controls").querySelectorAll("input, select")) {
    const field = /** @type {HTMLInputElement} */ (input);
    const value = state[/** @type {keyof State} */ (field.name)];
    if (field.name === "methods") field.checked = state.methods.includes(field.value);
    else if (field.type === "checkbox") field.checked = Boolean(value);
    else if (field.type === "radio") field.checked = field.value === value;
    else field.value = String(value);
  }
  const mask = app.measures.mask(state);
  /** @type {HTMLSelectElement} */ (byId("reader")).value = mask?.reader ?? "";
  byId("threshold-value").textContent = written(state.threshold, 3);
  byId("opacity-value").textContent = `${Math.round(100 * state.opacity)} %`;
  byId("level-value").textContent = String(state.level);
  byId("window-value").textContent = String(state.window);
  byId("zoom-value").textContent = `${state.zoom.toFixed(1)}×`;
  const single = state.layout === "single";
  for (const id of ["previous", "next"]) byId(id).hidden = !single;
  byId("panes").classList.toggle("single", single);
}
