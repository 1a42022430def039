// The settings of a view, and their place in the page's address.

/**
 * @typedef {{
 *   class: string, methods: string[], layout: "grid" | "single", method: string,
 *   rule: "otsu" | "tuned" | "fixed", threshold: number, reader: string, opacity: number,
 *   range: "most" | "map" | "method" | "shown", level: number, window: number,
 *   map: boolean, cut: boolean, outlines: boolean, point: boolean,
 *   zoom: number, x: number, y: number,
 * }} State
 * @typedef {(changed: Set<keyof State>) => void} Listener
 */

/** @type {Omit<State, "class" | "methods" | "method">} */
export const START = {
  ...{ layout: "grid", rule: "otsu", threshold: 0.5, reader: "", opacity: 0.65, range: "most" },
  ...{ level: 127, window: 255, map: true, cut: true, outlines: true, point: true },
  ...{ zoom: 1, x: 0.5, y: 0.5 },
};

/**
 * Allowed values of the settings that are words.
 * @type {Map<string, string[]>}
 */
const WORDS = new Map([
  ["layout", ["grid", "single"]],
  ["rule", ["otsu", "tuned", "fixed"]],
  ["range", ["most", "map", "method", "shown"]],
]);
/**
 * Bounds of the settings that are numbers.
 * @type {Map<string, [number, number]>}
 */
const BOUNDS = new Map([
  ["threshold", [0, 1]],
  ["opacity", [0, 1]],
  ["level", [0, 255]],
  ["window", [1, 510]],
  ["zoom", [1, 16]],
  ["x", [0, 1]],
  ["y", [0, 1]],
]);

/** State of a page, which tells its listeners what changed, once for each frame. */
export class Store {
  /** @param {State} state */
  constructor(state) {
    this.state = state;
    /** @type {Listener[]} */
    this.listeners = [];
    /** @type {Set<keyof State>} */
    this.changed = new Set();
  }

  /** @param {Listener} listener */
  subscribe(listener) {
    this.listeners.push(listener);
  }

  /** @param {Partial<State>} changes */
  set(changes) {
    for (const key of /** @type {(keyof State)[]} */ (Object.keys(changes))) {
      if (JSON.stringify(this.state[key]) === JSON.stringify(changes[key])) continue;
      Object.assign(this.state, { [key]: changes[key] });
      if (!this.changed.size) requestAnimationFrame(() => this.tell());
      this.changed.add(key);
    }
  }

  tell() {
    const changed = this.changed;
    this.changed = new Set();
    for (const listener of this.listeners) listener(changed);
  }
}

/**
 * Return the settings as the part of an address behind `#`, without those that are as at first.
 * @param {State} state
 * @param {State} first
 */
export function addressOf(state, first) {
  const found = new URLSearchParams();
  for (const [key, value] of Object.entries(state)) {
    const start = first[/** @type {keyof State} */ (key)];
    if (JSON.stringify(value) === JSON.stringify(start)) continue;
    if (Array.isArray(value)) value.forEach((name) => found.append(key, name));
    else if (typeof value === "number") found.set(key, String(Number(value.toFixed(4))));
    else found.set(key, String(value));
  }
  return `#${found}`;
}

/**
 * Return the settings that an address names; what cannot be is left as at first.
 * @param {string} address Part behind `#`.
 * @param {State} first
 * @param {{classes: string[], methods: string[], readers: string[]}} known
 * @returns {State}
 */
export function stateOf(address, first, known) {
  const given = new URLSearchParams(address.replace(/^#/, ""));
  /** @type {Record<string, unknown>} */
  const found = { ...first };
  for (const [key, value] of given) {
    const bounds = BOUNDS.get(key);
    if (WORDS.get(key)?.includes(value)) {
      found[key] = value;
    } else if (bounds && value !== "" && Number.isFinite(Number(value))) {
      found[key] = Math.min(Math.max(Number(value), bounds[0]), bounds[1]);
    } else if (["map", "cut", "outlines", "point"].includes(key)) {
      found[key] = value === "true";
    }
  }
  const methods = given.getAll("methods").filter((name) => known.methods.includes(name));
  if (methods.length) found.methods = methods;
  for (const [key, names] of Object.entries({
    class: known.classes,
    method: known.methods,
    reader: known.readers,
  })) {
    const value = given.get(key);
    if (value !== null && names.includes(value)) found[key] = value;
  }
  return /** @type {State} */ (found);
}
