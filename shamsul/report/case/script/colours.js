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
  const colours = new Uint32Array(256);
  const bytes = new Uint8ClampedArray(colours.buffer);
  for (let i = 0; i < 256; i++) {
    const strength = range.scale === "diverging" ? Math.abs((2 * i) / 255 - 1) : i / 255;
    bytes.set(table.subarray(3 * i, 3 * i + 3), 4 * i);
    bytes[4 * i + 3] = 255 * Math.min(1, 1.25 * strength);
  }
  return drawn(height, width, (pixels) => {
    for (let pixel = 0; pixel < values.length; pixel++) {
      pixels[pixel] = colours[Math.round(shareOf(values[pixel], range) * 255)];
    }
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
  const shown = new Uint32Array(256);
  const bytes = new Uint8ClampedArray(shown.buffer);
  for (let value = 0; value < 256; value++) {
    bytes.fill(((value - level) / window + 0.5) * 255, 4 * value, 4 * value + 3);
    bytes[4 * value + 3] = 255;
  }
  return drawn(height, width, (pixels) => {
    for (let pixel = 0; pixel < grey.length; pixel++) pixels[pixel] = shown[grey[pixel]];
  });
}

/**
 * Draw a scale from its first to its last colour.
 * @param {HTMLCanvasElement} canvas
 * @param {Uint8Array} table
 */
export function paintScale(canvas, table) {
  const bar = drawn(1, 256, (pixels) => {
    const bytes = new Uint8ClampedArray(pixels.buffer);
    for (let i = 0; i < 256; i++) {
      bytes.set(table.subarray(3 * i, 3 * i + 3), 4 * i);
      bytes[4 * i + 3] = 255;
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
 * @param {(pixels: Uint32Array) => void} set Sets pixels, four bytes each.
 */
function drawn(height, width, set) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const pixels = new ImageData(width, height);
  set(new Uint32Array(pixels.data.buffer));
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
