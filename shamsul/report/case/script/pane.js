// A pane: the radiograph, one method's map over it, outlines, a scale bar and its measures.

import { context, paint, paintScale } from "./colours.js";
import { drawCurve, threshold } from "./curve.js";
import { drawing, element, written } from "./dom.js";
import { cutOf } from "./measures.js";
import { outlineAbove } from "./outlines.js";
import { levelOf, LEVELS } from "./sweep.js";

/**
 * @typedef {import("./main.js").App} App
 * @typedef {import("./measures.js").Measured} Measured
 * @typedef {{values: Float32Array, levels: Uint16Array, picture: HTMLCanvasElement,
 *   range: import("./colours.js").Range, measured: Measured}} Shown
 */

export class Pane {
  /**
   * @param {App} app
   * @param {import("./content.js").Method | null} method None shows the radiograph alone.
   */
  constructor(app, method) {
    this.app = app;
    this.method = method;
    /** @type {Shown | null} */
    this.shown = null;
    this.asked = 0;
    /** @type {[number, Path2D] | null} */
    this.cut = null;
    this.canvas = element("canvas", { tabindex: "0", role: "img" });
    this.bar = element("canvas", { class: "bar", role: "img" });
    this.ends = element("div", { class: "ends" });
    this.curve = drawing("svg", { class: "curve", role: "img" });
    this.told = element("p", { class: "told" });
    this.best = element("p", { class: "best" });
    const title = element("h2", {}, method ? method.title : "Radiograph");
    const sort = method ? (method.signed ? `${method.group}, signed` : method.group) : "";
    this.element = element(
      "figure",
      { class: "pane", "data-method": method ? method.name : "" },
      element("figcaption", {}, title, element("span", { class: "sort" }, sort)),
      element("div", { class: "frame" }, this.canvas),
    );
    if (method) this.element.append(this.bar, this.ends, this.told, this.curve, this.best);
    else this.element.append(this.told);
    this.curve.addEventListener("pointerdown", (event) => this.choose(event));
    this.curve.addEventListener("pointermove", (event) => {
      if (/** @type {PointerEvent} */ (event).buttons) this.choose(event);
    });
  }

  /**
   * Take the threshold from a place on the curve.
   * @param {Event} event
   */
  choose(event) {
    const { left, width } = this.curve.getBoundingClientRect();
    const share = (/** @type {PointerEvent} */ (event).clientX - left) / width;
    const chosen = Math.round(Math.min(Math.max(share, 0), 1) * 200) / 200;
    this.app.store.set({ rule: "fixed", threshold: chosen });
  }

  /** Read and lay out what the state asks for, then draw it. */
  async update() {
    const asked = ++this.asked;
    const found = this.method ? await this.read(this.method) : null;
    if (asked !== this.asked) return;
    this.shown = found;
    this.cut = null;
    this.draw();
  }

  /**
   * Read what is to be drawn of a method.
   * @param {import("./content.js").Method} method
   * @returns {Promise<Shown | null>}
   */
  async read(method) {
    const { measures, store, picture, colours } = this.app;
    const state = { ...store.state };
    const asked = measures.measured(method.name, state);
    if (!asked) return null;
    const measured = await asked;
    const size = /** @type {[number, number]} */ ([picture.height, picture.width]);
    const values = await measures.spread(method.name, state.class, size, !method.signed);
    const relevance = await measures.spread(method.name, state.class, size, true);
    const range = await this.app.range(method, state);
    const { low, high } = measured.laid;
    const levels = new Uint16Array(relevance.length);
    const scale = high > low ? (LEVELS - 1) / (high - low) : 0;
    for (let pixel = 0; pixel < levels.length; pixel++) {
      levels[pixel] = Math.min(Math.max((relevance[pixel] - low) * scale, 0), LEVELS - 1);
    }
    const painted = paint(values, ...size, range, colours[range.scale]);
    return { values, levels, picture: painted, range, measured };
  }

  /** Draw the pane as the state is. */
  draw() {
    const { store, picture, base } = this.app;
    const { state } = store;
    const { clientWidth } = this.canvas;
    if (!clientWidth) return;
    const ratio = window.devicePixelRatio || 1;
    const shape = picture.height / picture.width;
    this.canvas.width = Math.round(clientWidth * ratio);
    this.canvas.height = Math.round(clientWidth * shape * ratio);
    const drawn = context(this.canvas);
    const wide = this.canvas.width * state.zoom;
    const high = this.canvas.height * state.zoom;
    const left = this.canvas.width / 2 - state.x * wide;
    const top = this.canvas.height / 2 - state.y * high;
    drawn.fillRect(0, 0, this.canvas.width, this.canvas.height);
    drawn.imageSmoothingQuality = "high";
    drawn.drawImage(base, left, top, wide, high);
    if (this.shown && state.map && !this.app.segments(this.method)) {
      drawn.globalAlpha = state.opacity;
      drawn.drawImage(this.shown.picture, left, top, wide, high);
      drawn.globalAlpha = 1;
    }
    /** @param {number} height @param {number} width */
    const placed = (height, width) => new DOMMatrix([wide / width, 0, 0, high / height, left, top]);
    if (state.outlines) this.drawMasks(drawn, placed, ratio);
    if (this.shown) {
      const cut = cutOf(this.shown.measured, state);
      if (state.cut) {
        const path = placedPath(this.segmentation(cut), placed(picture.height, picture.width));
        stroke(drawn, path, "#ffffff", 1.2 * ratio, []);
      }
      if (state.point) this.drawPoint(drawn, left, top, wide, high, ratio);
      this.tell(this.shown, cut);
    } else {
      this.tellNothing();
    }
  }

  /**
   * Return the outline of the map cut at a level.
   * @param {number} cut
   */
  segmentation(cut) {
    if (this.cut?.[0] !== cut) {
      const { levels } = /** @type {Shown} */ (this.shown);
      const { height, width } = this.app.picture;
      this.cut = [cut, outlineAbove(levels, cut, height, width)];
    }
    return this.cut[1];
  }

  /**
   * Draw the outlines of all readers, the chosen one's last.
   * @param {CanvasRenderingContext2D} drawn
   * @param {(height: number, width: number) => DOMMatrix} placed
   * @param {number} ratio
   */
  drawMasks(drawn, placed, ratio) {
    const { measures, store } = this.app;
    const chosen = measures.mask(store.state);
    const others = measures.alike(chosen, store.state.class).filter((mask) => mask !== chosen);
    for (const mask of chosen ? [...others, chosen] : others) {
      const { colour, dash } = this.app.reader(mask.reader);
      const path = placedPath(this.app.path(mask), placed(mask.height, mask.width));
      const dashes = dash.map((length) => length * ratio);
      stroke(drawn, path, colour, (mask === chosen ? 2.2 : 1.5) * ratio, dashes);
    }
  }

  /**
   * Mark the most relevant pixel: a ring with a cross, filled where it lies in the mask.
   * @param {CanvasRenderingContext2D} drawn
   * @param {number} left @param {number} top @param {number} wide @param {number} high
   * @param {number} ratio
   */
  drawPoint(drawn, left, top, wide, high, ratio) {
    const { laid } = /** @type {Shown} */ (this.shown).measured;
    if (!laid.point) return;
    const [x, y] = [left + laid.point[0] * wide, top + laid.point[1] * high];
    const path = new Path2D();
    path.arc(x, y, 6 * ratio, 0, 2 * Math.PI);
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      path.moveTo(x + 3 * dx * ratio, y + 3 * dy * ratio);
      path.lineTo(x + 10 * dx * ratio, y + 10 * dy * ratio);
    }
    stroke(drawn, path, "#ffffff", 1.6 * ratio, []);
    if (!this.app.measures.mask(this.app.store.state) || laid.hit < 0.5) return;
    drawn.beginPath();
    drawn.arc(x, y, 3 * ratio, 0, 2 * Math.PI);
    drawn.fillStyle = "#ffffff";
    drawn.fill();
    drawn.fillStyle = "#000000";
  }

  /**
   * Write the scale, the measures and the description of the pane.
   * @param {Shown} shown
   * @param {number} cut
   */
  tell({ range, measured }, cut) {
    const { store, measures, colours } = this.app;
    const segments = this.app.segments(this.method);
    const mask = measures.mask(store.state);
    const found = measured.curve[cut];
    const title = this.method?.title ?? "";
    this.bar.hidden = this.ends.hidden = this.curve.toggleAttribute("hidden", segments);
    paintScale(this.bar, colours[range.scale]);
    const ends = range.scale === "diverging" ? [range.low, 0, range.high] : [range.low, range.high];
    const texts = ends.map(short);
    if (store.state.range === "most") texts[texts.length - 1] = `≥ ${texts[texts.length - 1]}`;
    this.bar.setAttribute("aria-label", `Colours from ${texts[0]} to ${texts[texts.length - 1]}`);
    this.ends.replaceChildren(...texts.map((text) => element("span", {}, text)));
    const where = segments ? "" : `at ${threshold(cut)}${this.ruleName(measured, cut)}`;
    const said = mask ? `IoU ${written(found.iou, 3)}` : `${written(100 * found.area, 1)} % marked`;
    const more = mask && !segments ? ` · ${hitOf(measured.laid.hit)}` : "";
    this.told.replaceChildren(element("strong", {}, said), ` ${where}${more}`);
    if (!segments) this.best.textContent = drawCurve(this.curve, measured, cut, Boolean(mask));
    this.best.hidden = segments || !mask;
    const named = `${title}, ${store.state.class}: ${said} ${where}${more}`;
    this.canvas.setAttribute("aria-label", named);
  }

  /**
   * Return the name of the rule that chose a threshold.
   * @param {Measured} measured
   * @param {number} cut
   */
  ruleName(measured, cut) {
    const { rule, threshold: chosen } = this.app.store.state;
    if (rule === "fixed" && cut === levelOf(chosen)) return "";
    if (rule === "tuned" && measured.tuned !== null) return ", tuned";
    return rule === "tuned" ? ", Otsu (none is tuned)" : ", Otsu";
  }

  /** Say that there is no map, or what the radiograph shows. */
  tellNothing() {
    const { store, measures, content } = this.app;
    const masks = measures.alike(measures.mask(store.state), store.state.class);
    const name = store.state.class;
    if (this.method) {
      this.told.replaceChildren(`No map of ${name}`);
      this.bar.hidden = this.ends.hidden = this.best.hidden = true;
      this.curve.toggleAttribute("hidden", true);
      this.canvas.setAttribute("aria-label", `${this.method.title}: no map of ${name}`);
      return;
    }
    const found = content.classes.find((each) => each.name === name);
    const told = element("strong", {}, `${name} ${written(found?.probability, 2)}`);
    const outlined = masks.map((mask) => this.app.legend(mask.reader));
    this.told.replaceChildren(told, ...outlined);
    if (!masks.length) this.told.append(" · no outline of this class");
    this.canvas.setAttribute("aria-label", `Radiograph, ${masks.length} outlines of ${name}`);
  }
}

/**
 * Return a path at its place on a canvas.
 * @param {Path2D} path
 * @param {DOMMatrix} matrix
 */
function placedPath(path, matrix) {
  const placed = new Path2D();
  placed.addPath(path, matrix);
  return placed;
}

/**
 * Draw a line with a dark edge, which is seen on any ground.
 * @param {CanvasRenderingContext2D} drawn
 * @param {Path2D} path
 * @param {string} colour
 * @param {number} width
 * @param {number[]} dash
 */
function stroke(drawn, path, colour, width, dash) {
  drawn.lineCap = "round";
  drawn.setLineDash([]);
  drawn.strokeStyle = "rgba(0, 0, 0, 0.65)";
  drawn.lineWidth = width * 2;
  drawn.stroke(path);
  drawn.setLineDash(dash);
  drawn.strokeStyle = colour;
  drawn.lineWidth = width;
  drawn.stroke(path);
  drawn.setLineDash([]);
}

/**
 * Return a hit rate in words; it is a share where several pixels are the most relevant.
 * @param {number} hit
 */
function hitOf(hit) {
  if (hit === 1) return "hit";
  return hit === 0 ? "no hit" : `hit rate ${written(hit)}`;
}

/**
 * Return a number of any size in a few characters.
 * @param {number} value
 */
function short(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size >= 0.01 && size < 1000 ? value.toPrecision(2) : value.toExponential(0);
  return text.replaceAll("-", "−");
}
