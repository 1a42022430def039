// Content of a page, as Python writes it (shamsul/report/case/content.py), and its decoding.

/**
 * @typedef {"float32" | "int16"} Precision
 * @typedef {[number, number, number, number, number, number, number, number]} Frame
 *   Height and width of a radiograph, rows and columns of the frame, scales and offsets.
 * @typedef {{height: number, width: number, counts: string}} Runs
 * @typedef {{reader: string, kind: string} & Runs} Mask
 * @typedef {{frame: Frame, shape: [number, number], precision: Precision, scale: number,
 *   values: string}} DenseMap
 * @typedef {{frame: Frame, segmentation: Runs}} Segmentation
 * @typedef {DenseMap | Segmentation} Layer
 * @typedef {{name: string, probability: number | null, label: number | null}} Class
 * @typedef {{name: string, title: string, group: string, signed: boolean}} Method
 * @typedef {{method: string, class: string, metric: string, kind: string, rule: string,
 *   value: number}} Measure
 * @typedef {{
 *   image: {id: string, height: number, width: number, png: string},
 *   classes: Class[], methods: Method[], first: {class: string, methods: string[]},
 *   maps: Record<string, Record<string, Layer>>, masks: Record<string, Mask[]>,
 *   tuned: Record<string, Record<string, number>>, measures: Measure[],
 *   titles: Record<string, string>, sign: "positive" | "absolute" | "minmax",
 *   colours: {sequential: string, diverging: string},
 * }} Case
 */

/**
 * Return the bytes of a text that was compressed by zlib and written in base 64.
 * @param {string} text
 * @returns {Promise<Uint8Array>}
 */
export async function inflate(text) {
  const stream = new Blob([bytesOf(text)]).stream();
  const whole = stream.pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(whole).arrayBuffer());
}

/**
 * Return the bytes of a text in base 64.
 * @param {string} text
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function bytesOf(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/**
 * Return the values of a map, row by row.
 * @param {DenseMap} map
 * @returns {Promise<Float32Array>}
 */
export async function valuesOf(map) {
  const { buffer } = await inflate(map.values);
  if (map.precision === "float32") return new Float32Array(buffer);
  return Float32Array.from(new Int16Array(buffer), (code) => Math.fround(code * map.scale));
}

/**
 * Return the lengths of the runs of a mask down its columns, background first.
 *
 * The text is the compressed form of the COCO API: five bits a character, and from the fourth
 * number on the difference to the last but one.
 * @param {string} counts
 * @returns {number[]}
 */
export function runLengths(counts) {
  /** @type {number[]} */
  const lengths = [];
  let value = 0;
  let bits = 0;
  for (const letter of counts) {
    const code = letter.charCodeAt(0) - 48;
    value |= (code & 31) << bits;
    bits += 5;
    if (code & 32) continue;
    if (code & 16 && bits < 32) value |= -1 << bits;
    lengths.push(lengths.length > 2 ? value + lengths[lengths.length - 2] : value);
    value = bits = 0;
  }
  return lengths;
}

/**
 * Return the pixels of a mask, 1 inside, column by column.
 * @param {Runs} runs
 * @returns {Uint8Array}
 */
export function pixelsOf(runs) {
  const pixels = new Uint8Array(runs.height * runs.width);
  let start = 0;
  runLengths(runs.counts).forEach((length, number) => {
    if (number % 2) pixels.fill(1, start, start + length);
    start += length;
  });
  return pixels;
}
