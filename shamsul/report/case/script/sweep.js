// Histograms of a map's levels in and out of a mask, and the measures of any threshold.
//
// This is shamsul.evaluate.histogram in the same arithmetic of 32-bit floats, operation by
// operation, so that a segmentation made here is the one that the tables were made of.

import { lines, nearest } from "./geometry.js";

/**
 * @typedef {import("./content.js").Frame} Frame
 * @typedef {{inside: Float64Array, outside: Float64Array, low: number, high: number, hit: number,
 *   mass: number, point: [number, number] | null}} Laid
 *   Pixels by level in and out of the mask; lowest and highest value; share of the most relevant
 *   pixels and of the relevance in the mask; x and y of the first of these pixels, from 0 to 1,
 *   where they are few.
 */

export const LEVELS = 1024;
const ROUNDING = Math.fround(1e-6);
/** Share of the pixels up to which equal maxima are one point, as those of one coarse cell are. */
const TIED = 0.002;
const { fround } = Math;

/**
 * Return the relevance of a signed map, at least 0 throughout.
 * @param {Float32Array} map
 * @param {"positive" | "absolute" | "minmax"} sign
 * @returns {Float32Array}
 */
export function evidence(map, sign) {
  if (sign === "positive") return map.map((value) => Math.max(value, 0));
  if (sign === "absolute") return map.map(Math.abs);
  const least = extremes(map)[0];
  return map.map((value) => value - least);
}

/**
 * Return the least and the greatest of some numbers.
 * @param {Float32Array} values
 * @returns {[number, number]}
 */
export function extremes(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

/**
 * Return the values between which all but the extreme hundredth at either end lies, and zero.
 * @param {Float32Array} values
 * @returns {[number, number]}
 */
export function usual(values) {
  const sorted = values.toSorted();
  const cut = Math.floor(sorted.length / 100);
  const [low, high] = [sorted[cut], sorted[sorted.length - 1 - cut]];
  return high > low ? [Math.min(low, 0), high] : extremes(values);
}

/**
 * Lay a map over a mask on the mask's own pixels.
 * @param {Float32Array} map Relevance, at least 0.
 * @param {[number, number]} cells
 * @param {Frame} frame Frame of the radiograph in the mask's resolution.
 * @param {number[]} runs Run lengths of the mask down its columns, background first.
 * @returns {Laid}
 */
export function sweep(map, cells, frame, runs) {
  const [height, width] = frame;
  const [down, across] = lines(frame, cells);
  const columns = interpolated(map, cells, down);
  const value = new Float32Array(height);
  /** @param {number} x */
  const lowOf = (x) => (across.seen[x] ? across.low[x] : cells[1]);
  /** @param {number} x */
  const fill = (x) => {
    const a = columns[lowOf(x)];
    const b = across.seen[x] ? columns[across.high[x]] : a;
    const u = across.seen[x] ? across.weight[x] : 0;
    const t = fround(1 - u);
    for (let y = 0; y < height; y++) value[y] = fround(fround(a[y] * t) + fround(b[y] * u));
  };
  let low = Infinity;
  let high = -Infinity;
  for (let x = 0; x < width; x++) {
    // Between two of the map's columns the ends suffice.
    const between = x > 0 && x < width - 1 && lowOf(x - 1) === lowOf(x);
    if (between && lowOf(x) === lowOf(x + 1)) continue;
    fill(x);
    const [least, greatest] = extremes(value);
    low = Math.min(low, least);
    high = Math.max(high, greatest);
  }
  const inside = new Float64Array(LEVELS);
  const outside = new Float64Array(LEVELS);
  const span = fround(high - low);
  const masked = columnsIn(runs);
  if (span <= fround(ROUNDING * high)) {
    const area = runs.reduce((sum, length, number) => sum + (number % 2 ? length : 0), 0);
    inside[0] = area;
    outside[0] = height * width - area;
    return { inside, outside, low, high, hit: area / (height * width), mass: 0, point: null };
  }
  const top = fround(high - fround(ROUNDING * high));
  const levels = new Uint16Array(height);
  let [tops, topsInside, mass, total] = [0, 0, 0, 0];
  /** @type {[number, number] | null} */
  let point = null;
  for (let x = 0; x < width; x++) {
    fill(x);
    for (let y = 0; y < height; y++) {
      const scaled = fround(fround(fround(value[y] - low) / span) * (LEVELS - 1));
      levels[y] = scaled < LEVELS - 1 ? scaled : LEVELS - 1;
      outside[levels[y]]++;
      total += value[y];
      if (value[y] < top) continue;
      point ??= [(x + 0.5) / width, (y + 0.5) / height];
      tops++;
    }
    masked(height, (start, end) => {
      for (let y = start; y < end; y++) {
        inside[levels[y]]++;
        mass += value[y];
        if (value[y] >= top) topsInside++;
      }
    });
  }
  for (let level = 0; level < LEVELS; level++) outside[level] -= inside[level];
  const share = Math.min(mass / total, 1);
  const alone = tops <= Math.max(TIED * height * width, 1);
  const hit = topsInside / tops;
  return { inside, outside, low, high, hit, mass: share, point: alone ? point : null };
}

/**
 * Return the map's columns, each interpolated down the radiograph, and one of the lowest value,
 * which stands for what the frame did not see.
 * @param {Float32Array} map
 * @param {[number, number]} cells
 * @param {import("./geometry.js").Line} down
 * @returns {Float32Array[]}
 */
function interpolated(map, [, columns], down) {
  const least = extremes(map)[0];
  const one = (/** @type {number} */ column) => {
    /** @param {number} row */
    const cell = (row) => (column < columns ? map[row * columns + column] : least);
    return Float32Array.from(down.low, (low, y) => {
      if (!down.seen[y]) return least;
      const v = down.weight[y];
      return fround(fround(cell(low) * fround(1 - v)) + fround(cell(down.high[y]) * v));
    });
  };
  return Array.from({ length: columns + 1 }, (_, column) => one(column));
}

/**
 * Return a function that tells, of one column after the other, which of its pixels are in a mask.
 * @param {number[]} runs
 * @returns {(height: number, tell: (start: number, end: number) => void) => void}
 */
export function columnsIn(runs) {
  let run = 0;
  let left = runs[0];
  return (height, tell) => {
    let y = 0;
    while (y < height) {
      while (left === 0) left = runs[++run];
      const end = Math.min(y + left, height);
      if (run % 2) tell(y, end);
      left -= end - y;
      y = end;
    }
  };
}

/**
 * Lay a segmentation, made elsewhere, over a mask: its pixels have the highest level.
 * @param {Uint8Array} pixels Column by column.
 * @param {[number, number]} cells
 * @param {Frame} frame
 * @param {number[]} runs
 * @returns {Laid}
 */
export function laySegmentation(pixels, cells, frame, runs) {
  const [height, width, rows, columns, scaleY, scaleX, top, left] = frame;
  const down = nearest(height, scaleY, top, rows, cells[0]);
  const across = nearest(width, scaleX, left, columns, cells[1]);
  const inside = new Float64Array(LEVELS);
  const outside = new Float64Array(LEVELS);
  const masked = columnsIn(runs);
  for (const column of across) {
    /** @param {number} y */
    const levelAt = (y) => {
      const seen = down[y] >= 0 && column >= 0;
      return seen && pixels[column * cells[0] + down[y]] ? LEVELS - 1 : 0;
    };
    for (let y = 0; y < height; y++) outside[levelAt(y)]++;
    masked(height, (start, end) => {
      for (let y = start; y < end; y++) inside[levelAt(y)]++;
    });
  }
  for (const level of [0, LEVELS - 1]) outside[level] -= inside[level];
  const marked = inside[LEVELS - 1] + outside[LEVELS - 1];
  const share = marked ? inside[LEVELS - 1] / marked : 0;
  const hit = marked ? share : inside[0] / (height * width);
  return { inside, outside, low: 0, high: marked ? 1 : 0, hit, mass: share, point: null };
}

/**
 * Return the level that a threshold on the scaled map falls on.
 * @param {number} threshold From 0 to 1.
 */
export function levelOf(threshold) {
  return Math.floor(threshold * (LEVELS - 1));
}

/**
 * Return Otsu's threshold, the level that best parts the pixels; the lowest of several.
 *
 * Whole numbers stay whole up to the last division, so that equal splits are exactly equal.
 * @param {Laid} laid
 */
export function otsu({ inside, outside }) {
  const count = inside.map((pixels, level) => pixels + outside[level]);
  const below = running(count);
  const moment = running(count.map((pixels, level) => pixels * level));
  const all = below[LEVELS - 1];
  const whole = BigInt(moment[LEVELS - 1]);
  let best = -1;
  let most = 0;
  for (let level = 0; level < LEVELS; level++) {
    const size = below[level] * (all - below[level]);
    if (size <= 0) continue;
    const difference = whole * BigInt(below[level]) - BigInt(all) * BigInt(moment[level]);
    const between = Number(difference) ** 2 / size;
    if (between > most) [best, most] = [level, between];
  }
  return best >= 0 ? best : Math.min(count.indexOf(Math.max(...count)), LEVELS - 2);
}

/**
 * Return the sums of the first one, two, three and more numbers.
 * @param {Float64Array} values
 */
function running(values) {
  let sum = 0;
  return values.map((value) => (sum += value));
}

/**
 * @typedef {{iou: number, dice: number, precision: number, recall: number, area: number}} Overlap
 *   Measures of a segmentation; the first four are NaN where there is no mask.
 */

/**
 * Return the measures at every level; foreground is what lies above it.
 * @param {Laid} laid
 * @returns {Overlap[]}
 */
export function overlaps({ inside, outside }) {
  const sum = (/** @type {Float64Array} */ values) => values.reduce((a, b) => a + b, 0);
  const mask = sum(inside);
  const pixels = mask + sum(outside);
  /** @type {Overlap[]} */
  const found = new Array(LEVELS);
  let [hits, alarms] = [0, 0];
  for (let level = LEVELS - 1; level >= 0; level--) {
    const iou = mask ? hits / (alarms + mask) : NaN;
    const precision = mask ? hits / Math.max(hits + alarms, 1) : NaN;
    const recall = mask ? hits / mask : NaN;
    const area = (hits + alarms) / pixels;
    found[level] = { iou, dice: (2 * iou) / (1 + iou), precision, recall, area };
    hits += inside[level];
    alarms += outside[level];
  }
  return found;
}
