// Pictures of maps and radiographs.

/**
 * @typedef {"sequential" | "diverging"} Scale
 * @typedef {{low: number, high: number, scale: Scale}} Range
 *   Values of the first and the last colour; under `diverging` zero has the middle one.
 */

/**
 * Return the place of a value in a range, from 0 to 1.
 * @param {number} value
 * @param {Range} range
 */
export function shareOf(value, { low, high }) {
  return high > low ? Math.min(Math.max((value - low) / (high - low), 0), 1) : 0;
}

/**
 * Paint a map: colour by value, and the more opaque the further from no relevance.
 * @param {Float32Array} values Row by row.
 * @param {number} height
 * @param {number} width
 * @param {Range} range
 * @param {Uint8Array} table
 * @returns {HTMLCanvasElement}
 */
export function paint(values, height, width, range, table) {
  return drawn(height, width, (data) => {
    values.forEach((value, pixel) => {
      const share = shareOf(value, range);
      const strength = range.scale === "diverging" ? Math.abs(2 * share - 1) : share;
      const colour = 3 * Math.round(share * 255);
      data.set(table.subarray(colour, colour + 3), 4 * pixel);
      data[4 * pixel + 3] = 255 * Math.min(1, 1.25 * strength);
    });
  });
}

/**
 * Paint grey values through a window: what is at or below its lower end is black.
 * @param {Uint8Array} grey
 * @param {number} height
 * @param {number} width
 * @param {number} level Middle of the window, 0 to 255.
 * @param {number} window Width of the window, at least 1.
 * @returns {HTMLCanvasElement}
 */
export function paintGrey(grey, height, width, level, window) {
  const shown = Uint8ClampedArray.from(
    { length: 256 },
    (_, value) => ((value - level) / window + 0.5) * 255,
  );
  return drawn(height, width, (data) => {
    grey.forEach((value, pixel) => {
      data.fill(shown[value], 4 * pixel, 4 * pixel + 3);
      data[4 * pixel + 3] = 255;
    });
  });
}

/**
 * Draw a scale from its first to its last colour.
 * @param {HTMLCanvasElement} canvas
 * @param {Uint8Array} table
 */
export function paintScale(canvas, table) {
  const bar = drawn(1, 256, (data) => {
    for (let i = 0; i < 256; i++) {
      data.set(table.subarray(3 * i, 3 * i + 3), 4 * i);
      data[4 * i + 3] = 255;
    }
  });
  canvas.width = 256;
  canvas.height = 1;
  context(canvas).drawImage(bar, 0, 0);
}

/**
 * Return a canvas whose pixels a function has set.
 * @param {number} height
 * @param {number} width
 * @param {(data: Uint8ClampedArray) => void} set
 */
function drawn(height, width, set) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const pixels = new ImageData(width, height);
  set(pixels.data);
  context(canvas).putImageData(pixels, 0, 0);
  return canvas;
}

/**
 * Return the context in which a canvas is drawn.
 * @param {HTMLCanvasElement} canvas
 */
export function context(canvas) {
  return /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
}
