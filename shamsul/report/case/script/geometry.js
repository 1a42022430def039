// The way from a radiograph's pixels to a map's cells, as shamsul.geometry has it.

/** @typedef {import("./content.js").Frame} Frame */

/**
 * @typedef {{low: Int32Array, high: Int32Array, weight: Float32Array, seen: Uint8Array}} Line
 *   Two neighbouring cells for each pixel along an axis, the second one's weight, and 0 where the
 *   frame does not reach.
 */

/**
 * Return the frame of the same radiograph in another resolution.
 * @param {Frame} frame
 * @param {number} height
 * @param {number} width
 * @returns {Frame}
 */
export function at([h, w, rows, columns, down, across, top, left], height, width) {
  return [height, width, rows, columns, (down * h) / height, (across * w) / width, top, left];
}

/**
 * Return the lines that sample cells (h, w) down and across the radiograph.
 * @param {Frame} frame
 * @param {[number, number]} cells
 * @returns {[Line, Line]}
 */
export function lines([h, w, rows, columns, down, across, top, left], cells) {
  return [along(h, down, top, rows, cells[0]), along(w, across, left, columns, cells[1])];
}

/**
 * Sample `cells` that cover the `size` of a frame's axis at each of `length` pixels.
 * @param {number} length
 * @param {number} scale
 * @param {number} offset
 * @param {number} size
 * @param {number} cells
 * @returns {Line}
 */
function along(length, scale, offset, size, cells) {
  const line = {
    low: new Int32Array(length),
    high: new Int32Array(length),
    weight: new Float32Array(length),
    seen: new Uint8Array(length),
  };
  const share = cells / size;
  for (let i = 0; i < length; i++) {
    const model = (i + 0.5) * scale + offset;
    const cell = Math.min(Math.max(model * share - 0.5, 0), cells - 1);
    const low = Math.floor(cell);
    line.low[i] = low;
    line.high[i] = Math.min(low + 1, cells - 1);
    line.weight[i] = cell - low;
    line.seen[i] = Number(model >= 0 && model <= size);
  }
  return line;
}

/**
 * Return the cell that each pixel's centre lies in, or -1 where the frame does not reach.
 * @param {number} length
 * @param {number} scale
 * @param {number} offset
 * @param {number} size
 * @param {number} cells
 * @returns {Int32Array}
 */
export function nearest(length, scale, offset, size, cells) {
  return Int32Array.from({ length }, (_, i) => {
    const model = (i + 0.5) * scale + offset;
    if (model < 0 || model > size) return -1;
    return Math.min(Math.floor(model * (cells / size) + 1e-6), cells - 1);
  });
}

/**
 * Bring a map to the pixels of a frame's radiograph by bilinear interpolation, row by row.
 * @param {Float32Array} map
 * @param {[number, number]} cells
 * @param {Frame} frame
 * @param {number} outside Value where the frame does not reach.
 * @returns {Float32Array}
 */
export function toOriginal(map, cells, frame, outside) {
  const [down, across] = lines(frame, cells);
  const [height, width] = frame;
  const found = new Float32Array(height * width).fill(outside);
  for (let y = 0; y < height; y++) {
    if (!down.seen[y]) continue;
    const upper = down.low[y] * cells[1];
    const lower = down.high[y] * cells[1];
    const v = down.weight[y];
    for (let x = 0; x < width; x++) {
      if (!across.seen[x]) continue;
      const l = across.low[x];
      const r = across.high[x];
      const u = across.weight[x];
      const above = map[upper + l] * (1 - u) + map[upper + r] * u;
      const below = map[lower + l] * (1 - u) + map[lower + r] * u;
      found[y * width + x] = above * (1 - v) + below * v;
    }
  }
  return found;
}
