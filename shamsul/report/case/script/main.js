// The page of a case: what is read, what is shown, and what changes when.

import { bytesOf, runLengths } from "./content.js";
import { context, paintGrey } from "./colours.js";
import { fillControls, fillMethods, show } from "./controls.js";
import { byId, element } from "./dom.js";
import { listen } from "./keys.js";
import { Measures } from "./measures.js";
import { navigable } from "./navigation.js";
import { outlineOfRuns } from "./outlines.js";
import { Pane } from "./pane.js";
import { START, Store, addressOf, stateOf } from "./state.js";
import { evidence, extremes, usual } from "./sweep.js";
import { fillMeasures, fillRecorded } from "./table.js";

/**
 * @typedef {import("./content.js").Case} Case
 * @typedef {import("./content.js").Mask} Mask
 * @typedef {import("./content.js").Method} Method
 * @typedef {import("./state.js").State} State
 * @typedef {keyof State} Key
 */

/** Longest side of the grid on which maps are painted. */
const GRID = 512;
/** Methods up to which one that is added later is shown at once. */
const FEW = 5;
/** Colours and dashes of the readers' outlines, which differ to every eye (Okabe and Ito). */
const READERS = [
  { colour: "#3ddc97", dash: [] },
  { colour: "#56b4e9", dash: [7, 4] },
  { colour: "#f0e442", dash: [2, 4] },
  { colour: "#e69f00", dash: [10, 3, 2, 3] },
  { colour: "#d98cc0", dash: [4, 3] },
];

export class App {
  /**
   * @param {Case} content
   * @param {{values: Uint8Array, height: number, width: number}} grey
   */
  constructor(content, grey) {
    this.content = content;
    this.grey = grey;
    this.measures = new Measures(content);
    const share = Math.min(1, GRID / Math.max(grey.height, grey.width));
    this.picture = {
      height: Math.max(Math.round(grey.height * share), 1),
      width: Math.max(Math.round(grey.width * share), 1),
    };
    this.colours = {
      sequential: bytesOf(content.colours.sequential),
      diverging: bytesOf(content.colours.diverging),
    };
    const all = Object.values(content.masks).flat();
    this.readers = [...new Set(all.map(({ reader }) => reader))];
    const { methods, class: name } = content.first;
    /** @type {State} */
    this.first = { ...START, class: name, methods, method: methods[0] ?? "" };
    if (narrower(560)) this.first.layout = "single";
    this.known = {
      classes: content.classes.map((each) => each.name),
      methods: content.methods.map((each) => each.name),
      readers: this.readers,
    };
    this.store = new Store(stateOf(location.hash, this.first, this.known));
    this.base = this.windowed();
    /** @type {Map<Mask, Path2D>} */
    this.paths = new Map();
    /** @type {Map<string, Pane>} */
    this.panes = new Map();
  }

  /** Return the radiograph through the window. */
  windowed() {
    const { values, height, width } = this.grey;
    const { level, window } = this.store.state;
    return paintGrey(values, height, width, level, window);
  }

  /**
   * Return the outline of a mask.
   * @param {Mask} mask
   */
  path(mask) {
    let path = this.paths.get(mask);
    if (!path) {
      path = outlineOfRuns(runLengths(mask.counts), mask.height, mask.width);
      this.paths.set(mask, path);
    }
    return path;
  }

  /**
   * Return the colour and dashes of a reader's outlines.
   * @param {string} name
   */
  reader(name) {
    return READERS[Math.max(this.readers.indexOf(name), 0) % READERS.length];
  }

  /**
   * Return a reader's name beside a sample of the outline.
   * @param {string} name
   */
  legend(name) {
    const sample = element("span", { class: "swatch", "aria-hidden": "true" });
    sample.style.borderTopColor = this.reader(name).colour;
    sample.style.borderTopStyle = this.reader(name).dash.length ? "dashed" : "solid";
    return element("span", { class: "legend" }, sample, name);
  }

  /**
   * Return if a method's maps are segmentations.
   * @param {Method | null} method
   */
  segments(method) {
    const layers = method ? Object.values(this.content.maps[method.name] ?? {}) : [];
    return layers.length > 0 && layers.every((layer) => "segmentation" in layer);
  }

  /** Return the methods that are shown, in their order. */
  chosen() {
    const { methods, method, layout } = this.store.state;
    const single = layout === "single" && methods.length > 0;
    const shown = single ? [methods.includes(method) ? method : methods[0]] : methods;
    return this.content.methods.filter(({ name }) => shown.includes(name));
  }

  /**
   * Return the values that the first and the last colour stand for.
   * @param {Method} method
   * @param {State} state
   * @returns {Promise<import("./colours.js").Range>}
   */
  async range(method, state) {
    const of = async (/** @type {Method} */ each, /** @type {string} */ name) => {
      const opened = await this.measures.opened(each.name, name);
      if (!opened?.values) return [0, 1];
      const { sign } = this.content;
      const values = each.signed ? opened.values : evidence(opened.values, sign);
      return state.range === "most" ? usual(values) : extremes(values);
    };
    const alike = this.chosen().filter(
      (each) => each.signed === method.signed && !this.segments(each),
    );
    const names = Object.keys(this.content.maps[method.name] ?? {});
    const found = await Promise.all(
      state.range === "method"
        ? names.map((name) => of(method, name))
        : state.range === "shown"
          ? alike.map((each) => of(each, state.class))
          : [of(method, state.class)],
    );
    const low = Math.min(...found.map(([value]) => value));
    const high = Math.max(...found.map(([, value]) => value));
    if (!method.signed) return { low, high, scale: "sequential" };
    const most = Math.max(-low, high);
    return { low: -most, high: most, scale: "diverging" };
  }

  /** Show the panes of the chosen methods, in their order. */
  arrange() {
    const wanted = [null, ...this.chosen()];
    const shown = wanted.map((method) => {
      const key = method?.name ?? "";
      let pane = this.panes.get(key);
      if (!pane) {
        pane = new Pane(this, method);
        navigable(pane.canvas, this.store);
        this.panes.set(key, pane);
      }
      return pane;
    });
    byId("panes").replaceChildren(...shown.map((pane) => pane.element));
    this.visible = shown;
  }

  /**
   * Bring the page to the state.
   * @param {Set<Key>} changed
   */
  update(changed) {
    const has = (/** @type {Key[]} */ ...keys) => keys.some((key) => changed.has(key));
    if (has("level", "window")) this.base = this.windowed();
    const arranged = has("methods", "layout", "method");
    if (arranged) this.arrange();
    const reads = arranged || has("class", "range", "reader");
    for (const pane of this.visible ?? []) {
      if (reads) void pane.update();
      else pane.draw();
    }
    void fillMeasures(this);
    if (has("class", "reader")) fillRecorded(this);
    this.say();
  }

  /**
   * Add a method whose maps were made while the page is open, and show it while few are.
   * @param {Method} method
   * @param {Record<string, import("./content.js").Layer>} maps By class.
   */
  add(method, maps) {
    if (this.content.maps[method.name]) return;
    this.content.methods.push(method);
    this.content.maps[method.name] = maps;
    this.known.methods.push(method.name);
    fillMethods(this);
    show(this);
    const { methods } = this.store.state;
    if (methods.length < FEW) this.store.set({ methods: [...methods, method.name] });
  }

  /** Write the state into the address, a little later, and the link to this view. */
  say() {
    const address = addressOf(this.store.state, this.first);
    byId("link").setAttribute("href", address);
    clearTimeout(this.later);
    // A page within another has no address of its own.
    if (location.protocol === "about:") return;
    this.later = setTimeout(() => history.replaceState(null, "", address), 150);
  }

  start() {
    fillControls(this);
    listen(this);
    this.store.subscribe((changed) => this.update(changed));
    addEventListener("hashchange", () =>
      this.store.set(stateOf(location.hash, this.first, this.known)),
    );
    // A page that holds this one, as that of `shamsul serve`, sends maps as they are made.
    addEventListener("message", ({ source, data }) => {
      if (source !== parent || parent === window || data?.shamsul !== "method") return;
      this.add(data.method, data.maps);
    });
    const redraw = () => this.visible?.forEach((pane) => pane.draw());
    new ResizeObserver(redraw).observe(byId("panes"));
    this.update(new Set(/** @type {Key[]} */ (Object.keys(this.first))));
  }
}

/**
 * Return the grey values of a picture.
 * @param {string} png
 */
async function greyOf(png) {
  const picture = new Image();
  picture.src = png;
  await picture.decode();
  const canvas = element("canvas");
  [canvas.width, canvas.height] = [picture.width, picture.height];
  context(canvas).drawImage(picture, 0, 0);
  const { data } = context(canvas).getImageData(0, 0, canvas.width, canvas.height);
  const values = Uint8Array.from({ length: data.length / 4 }, (_, pixel) => data[4 * pixel]);
  return { values, height: canvas.height, width: canvas.width };
}

/**
 * Return if the page is no wider than a number of pixels.
 * @param {number} pixels
 */
function narrower(pixels) {
  return matchMedia(`(max-width: ${pixels}px)`).matches;
}

/** Let the button change between light and dark. */
function listenToTheme() {
  const root = document.documentElement;
  byId("theme").addEventListener("click", () => {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const now = root.dataset.theme ?? (dark ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
  });
}

export async function main() {
  listenToTheme();
  if (narrower(820)) {
    document.querySelectorAll("aside details.later").forEach((part) => part.removeAttribute("open"));
  }
  const content = /** @type {Case} */ (JSON.parse(byId("content").textContent ?? ""));
  new App(content, await greyOf(content.image.png)).start();
  document.documentElement.dataset.ready = "true";
}

if (typeof document !== "undefined") void main();
