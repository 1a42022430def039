// Outlines along the edges of pixels.

import { columnsIn } from "./sweep.js";

/**
 * Return the edges of a mask, in its pixels.
 * @param {number[]} runs Run lengths down the columns, background first.
 * @param {number} height
 * @param {number} width
 * @returns {Path2D}
 */
export function outlineOfRuns(runs, height, width) {
  const path = new Path2D();
  const masked = columnsIn(runs);
  /** @type {number[]} */
  let before = [];
  for (let x = 0; x <= width; x++) {
    /** @type {number[]} */
    const here = [];
    if (x < width) masked(height, (start, end) => here.push(start, end));
    for (const y of here) {
      path.moveTo(x, y);
      path.lineTo(x + 1, y);
    }
    // Between two columns the mask has an edge where one of them is in it: borders of both cancel.
    const borders = [...before, ...here].sort((a, b) => a - b);
    for (let i = 0; i < borders.length; i += 2) {
      if (borders[i] === borders[i + 1]) continue;
      path.moveTo(x, borders[i]);
      path.lineTo(x, borders[i + 1]);
    }
    before = here;
  }
  return path;
}

/**
 * Return the edges of the pixels above a level, in pixels.
 * @param {Uint16Array} levels Row by row.
 * @param {number} cut
 * @param {number} height
 * @param {number} width
 * @returns {Path2D}
 */
export function outlineAbove(levels, cut, height, width) {
  const path = new Path2D();
  edges(levels, cut, height, width, width, 1, (y, start, end) => {
    path.moveTo(start, y);
    path.lineTo(end, y);
  });
  edges(levels, cut, width, height, 1, width, (x, start, end) => {
    path.moveTo(x, start);
    path.lineTo(x, end);
  });
  return path;
}

/**
 * Find the runs along which each line of pixels differs from the one before it.
 * @param {Uint16Array} levels
 * @param {number} cut
 * @param {number} count Number of lines.
 * @param {number} length Pixels of each line.
 * @param {number} step From a line to the next.
 * @param {number} along From a pixel of a line to the next.
 * @param {(line: number, start: number, end: number) => void} add
 */
function edges(levels, cut, count, length, step, along, add) {
  for (let line = 0; line <= count; line++) {
    let start = -1;
    for (let i = 0; i <= length; i++) {
      const place = line * step + i * along;
      const before = line > 0 && i < length && levels[place - step] > cut;
      const here = line < count && i < length && levels[place] > cut;
      if (before !== here) {
        if (start < 0) start = i;
      } else if (start >= 0) {
        add(line, start, i);
        start = -1;
      }
    }
  }
}
