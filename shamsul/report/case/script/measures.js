// Maps of a case, decoded, laid over masks and measured when they are first asked for.

import { pixelsOf, runLengths, valuesOf } from "./content.js";
import { at, toOriginal } from "./geometry.js";
import { evidence, extremes, laySegmentation, levelOf, otsu, overlaps, sweep } from "./sweep.js";

/**
 * @typedef {import("./content.js").Case} Case
 * @typedef {import("./content.js").Mask} Mask
 * @typedef {import("./state.js").State} State
 * @typedef {{cells: [number, number], frame: import("./content.js").Frame,
 *   values: Float32Array | null, pixels: Uint8Array | null}} Opened
 *   A map's values, or the pixels of a segmentation column by column.
 * @typedef {{laid: import("./sweep.js").Laid, curve: import("./sweep.js").Overlap[],
 *   otsu: number, tuned: number | null}} Measured
 */

export class Measures {
  /** @param {Case} content */
  constructor(content) {
    this.content = content;
    /** @type {Map<string, Promise<unknown>>} */
    this.known = new Map();
  }

  /**
   * Return what a function makes, which is kept.
   * @template T
   * @param {string[]} key
   * @param {() => Promise<T>} make
   * @returns {Promise<T>}
   */
  once(key, make) {
    const name = JSON.stringify(key);
    if (!this.known.has(name)) this.known.set(name, make());
    return /** @type {Promise<T>} */ (this.known.get(name));
  }

  /**
   * Return a map's values, None where the method has none of the class.
   * @param {string} method
   * @param {string} name Class.
   * @returns {Promise<Opened> | null}
   */
  opened(method, name) {
    const layer = this.content.maps[method]?.[name];
    if (!layer) return null;
    return this.once(["opened", method, name], async () => {
      if ("segmentation" in layer) {
        const { height, width } = layer.segmentation;
        const pixels = pixelsOf(layer.segmentation);
        return { cells: [height, width], frame: layer.frame, values: null, pixels };
      }
      return { cells: layer.shape, frame: layer.frame, values: await valuesOf(layer), pixels: null };
    });
  }

  /**
   * Return the masks of a class.
   * @param {string} name
   */
  masks(name) {
    return this.content.masks[name] ?? [];
  }

  /**
   * Return the mask that segmentations are compared with: the chosen reader's, or the first.
   * @param {State} state
   * @returns {Mask | undefined}
   */
  mask(state) {
    const masks = this.masks(state.class);
    return masks.find((mask) => mask.reader === state.reader) ?? masks[0];
  }

  /**
   * Return the masks of the same kind as the chosen one, which are drawn together.
   * @param {Mask | undefined} chosen
   * @param {string} name Class.
   */
  alike(chosen, name) {
    return this.masks(name).filter((mask) => mask.kind === chosen?.kind);
  }

  /**
   * Return the measures of a method at all thresholds, None where it has no map.
   * @param {string} method
   * @param {State} state
   * @returns {Promise<Measured> | null}
   */
  measured(method, state) {
    const opened = this.opened(method, state.class);
    if (!opened) return null;
    const mask = this.mask(state);
    const { height, width } = mask ?? this.content.image;
    return this.once(["measured", method, state.class, mask?.reader ?? ""], async () => {
      const { cells, frame, values, pixels } = await opened;
      await pause();
      const own = at(frame, height, width);
      const runs = mask ? runLengths(mask.counts) : [height * width];
      const laid = values
        ? sweep(evidence(values, this.content.sign), cells, own, runs)
        : laySegmentation(/** @type {Uint8Array} */ (pixels), cells, own, runs);
      const tuned = this.content.tuned[method]?.[state.class] ?? null;
      return { laid, curve: overlaps(laid), otsu: otsu(laid), tuned };
    });
  }

  /**
   * Return the values of a map on a picture of the radiograph, or of its relevance alone.
   * @param {string} method
   * @param {string} name Class.
   * @param {[number, number]} picture Height and width.
   * @param {boolean} relevance
   * @returns {Promise<Float32Array>}
   */
  spread(method, name, picture, relevance) {
    return this.once(["spread", method, name, String(picture), String(relevance)], async () => {
      const { cells, frame, values, pixels } = await /** @type {Promise<Opened>} */ (
        this.opened(method, name)
      );
      const own = at(frame, ...picture);
      if (values) {
        const shown = relevance ? evidence(values, this.content.sign) : values;
        return toOriginal(shown, cells, own, relevance ? extremes(shown)[0] : 0);
      }
      const [h, w] = cells;
      const found = /** @type {Uint8Array} */ (pixels);
      return Float32Array.from({ length: picture[0] * picture[1] }, (_, pixel) => {
        const y = Math.floor(((Math.floor(pixel / picture[1]) + 0.5) / picture[0]) * h);
        const x = Math.floor((((pixel % picture[1]) + 0.5) / picture[1]) * w);
        return found[x * h + y];
      });
    });
  }
}

/** Let the browser do what waits, such as scrolling, before the next map is measured. */
function pause() {
  return new Promise((resolve) => setTimeout(resolve));
}

/**
 * Return the level at which a map is cut, by the rule of the state; Otsu's where none is tuned.
 * @param {Measured} measured
 * @param {State} state
 */
export function cutOf(measured, state) {
  if (state.rule === "fixed") return levelOf(state.threshold);
  return state.rule === "tuned" && measured.tuned !== null ? measured.tuned : measured.otsu;
}
