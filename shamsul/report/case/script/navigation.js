// Zoom and pan, together in all panes, by pointer, wheel and keys.

/** @typedef {import("./state.js").Store} Store */

export const STEP = 1.25;
const MOST = 16;
/** @type {Map<string, [number, number]>} */
const MOVES = new Map([
  ["ArrowLeft", [-1, 0]],
  ["ArrowRight", [1, 0]],
  ["ArrowUp", [0, -1]],
  ["ArrowDown", [0, 1]],
]);

/**
 * Zoom about a point of the canvas, which stays where it is.
 * @param {Store} store
 * @param {number} factor
 * @param {number} u Place on the canvas, 0 to 1.
 * @param {number} v
 */
export function zoom(store, factor, u = 0.5, v = 0.5) {
  const { zoom: before, x, y } = store.state;
  const after = Math.min(Math.max(before * factor, 1), MOST);
  const moved = 1 / before - 1 / after;
  place(store, after, x + (u - 0.5) * moved, y + (v - 0.5) * moved);
}

/**
 * Move the shown part by shares of the canvas.
 * @param {Store} store
 * @param {number} du
 * @param {number} dv
 */
export function pan(store, du, dv) {
  const { zoom: scale, x, y } = store.state;
  place(store, scale, x + du / scale, y + dv / scale);
}

/**
 * Show a part that does not reach beyond the radiograph.
 * @param {Store} store
 * @param {number} scale
 * @param {number} x
 * @param {number} y
 */
function place(store, scale, x, y) {
  const half = 0.5 / scale;
  const within = (/** @type {number} */ value) => Math.min(Math.max(value, half), 1 - half);
  store.set({ zoom: scale, x: within(x), y: within(y) });
}

/**
 * Let a canvas be zoomed and moved.
 * @param {HTMLCanvasElement} canvas
 * @param {Store} store
 */
export function navigable(canvas, store) {
  /** @type {Map<number, PointerEvent>} */
  const held = new Map();
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    held.set(event.pointerId, event);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, (event) => held.delete(/** @type {PointerEvent} */ (event).pointerId));
  }
  canvas.addEventListener("pointermove", (event) => {
    const before = held.get(event.pointerId);
    if (!before) return;
    const { width, height, left, top } = canvas.getBoundingClientRect();
    if (held.size === 2) {
      const [other] = [...held.values()].filter((each) => each.pointerId !== event.pointerId);
      const apart = (/** @type {PointerEvent} */ e) =>
        Math.hypot(e.clientX - other.clientX, e.clientY - other.clientY);
      const u = ((event.clientX + other.clientX) / 2 - left) / width;
      const v = ((event.clientY + other.clientY) / 2 - top) / height;
      zoom(store, apart(event) / Math.max(apart(before), 1), u, v);
    } else {
      const [dx, dy] = [before.clientX - event.clientX, before.clientY - event.clientY];
      pan(store, dx / width, dy / height);
    }
    held.set(event.pointerId, event);
  });
  canvas.addEventListener(
    "wheel",
    (event) => {
      // Without a key the wheel scrolls the page, unless the radiograph is enlarged already.
      if (!event.ctrlKey && !event.metaKey && store.state.zoom === 1) return;
      event.preventDefault();
      const { width, height, left, top } = canvas.getBoundingClientRect();
      const factor = Math.exp(-event.deltaY / 300);
      zoom(store, factor, (event.clientX - left) / width, (event.clientY - top) / height);
    },
    { passive: false },
  );
  canvas.addEventListener("dblclick", (event) => {
    const { width, height, left, top } = canvas.getBoundingClientRect();
    zoom(store, 2, (event.clientX - left) / width, (event.clientY - top) / height);
  });
  canvas.addEventListener("keydown", (event) => {
    const move = MOVES.get(event.key);
    if (!move || store.state.zoom === 1) return;
    event.preventDefault();
    event.stopPropagation();
    pan(store, move[0] / 10, move[1] / 10);
  });
}
