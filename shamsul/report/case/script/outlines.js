// Outlines along the edges of pixels.

/**
 * @typedef {{pixels: Uint8Array, height: number, width: number, down: number, across: number}} Grid
 *   Pixels, 1 inside, and the steps from one to the next below it and beside it.
 */

/**
 * Return a mask's pixels that are stored column by column.
 * @param {Uint8Array} pixels
 * @param {number} height
 * @param {number} width
 * @returns {Grid}
 */
export function byColumns(pixels, height, width) {
  return { pixels, height, width, down: 1, across: height };
}

/**
 * Return a mask's pixels that are stored row by row.
 * @param {Uint8Array} pixels
 * @param {number} height
 * @param {number} width
 * @returns {Grid}
 */
export function byRows(pixels, height, width) {
  return { pixels, height, width, down: width, across: 1 };
}

/**
 * Return the edges between pixels inside and outside, in pixels of the grid.
 * @param {Grid} grid
 * @returns {Path2D}
 */
export function outline({ pixels, height, width, down, across }) {
  const path = new Path2D();
  edges(pixels, height, width, down, across, (y, start, end) => {
    path.moveTo(start, y);
    path.lineTo(end, y);
  });
  edges(pixels, width, height, across, down, (x, start, end) => {
    path.moveTo(x, start);
    path.lineTo(x, end);
  });
  return path;
}

/**
 * Find the runs along which each line of pixels differs from the one before it.
 * @param {Uint8Array} pixels
 * @param {number} count Number of lines.
 * @param {number} length Pixels of each line.
 * @param {number} step From a line to the next.
 * @param {number} along From a pixel of a line to the next.
 * @param {(line: number, start: number, end: number) => void} add
 */
function edges(pixels, count, length, step, along, add) {
  for (let line = 0; line <= count; line++) {
    let start = -1;
    for (let i = 0; i <= length; i++) {
      const before = line > 0 && i < length ? pixels[(line - 1) * step + i * along] : 0;
      const here = line < count && i < length ? pixels[line * step + i * along] : 0;
      if (before !== here) {
        if (start < 0) start = i;
      } else if (start >= 0) {
        add(line, start, i);
        start = -1;
      }
    }
  }
}
