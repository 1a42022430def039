// A small drawing of a measure at every threshold, on which a threshold is chosen.

import { drawing, written } from "./dom.js";
import { LEVELS } from "./sweep.js";

const [WIDTH, HEIGHT] = [200, 44];

/** @typedef {import("./measures.js").Measured} Measured */

/**
 * Draw the IoU at every threshold, or the marked area where there is no mask.
 * @param {Element} svg
 * @param {Measured} measured
 * @param {number} cut Level of the present threshold.
 * @param {boolean} judged True where there is a mask.
 * @returns {string} Words on the highest IoU.
 */
export function drawCurve(svg, measured, cut, judged) {
  const { curve, otsu, tuned } = measured;
  const value = (/** @type {number} */ level) => (judged ? curve[level].iou : curve[level].area);
  const x = (/** @type {number} */ level) => (level / (LEVELS - 1)) * WIDTH;
  let best = 0;
  for (let level = 1; level < LEVELS; level++) if (value(level) > value(best)) best = level;
  const most = value(best) || 1;
  const y = (/** @type {number} */ level) => HEIGHT - 2 - (value(level) / most) * (HEIGHT - 8);
  let path = "";
  for (let level = 0; level < LEVELS; level += 3) {
    path += `${level ? "L" : "M"}${x(level).toFixed(1)} ${y(level).toFixed(1)}`;
  }
  const parts = [
    drawing("path", { d: `${path}L${WIDTH} ${HEIGHT}L0 ${HEIGHT}Z`, class: "area" }),
    drawing("path", { d: path, class: "line" }),
    mark(x(otsu), "otsu"),
  ];
  if (tuned !== null) parts.push(mark(x(tuned), "tuned"));
  parts.push(drawing("line", { x1: x(cut), x2: x(cut), y1: 0, y2: HEIGHT, class: "cut" }));
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  const name = judged ? "IoU" : "Marked area";
  const told = `${name} at every threshold, at most ${written(most, 3)}; Otsu's is ${threshold(otsu)}`;
  svg.setAttribute("aria-label", tuned === null ? told : `${told}, tuned ${threshold(tuned)}`);
  svg.replaceChildren(...parts);
  return judged ? `highest ${written(most, 3)} at ${threshold(best)}` : "";
}

/**
 * Return a level as the threshold of the scaled map, from 0 to 1.
 * @param {number} level
 */
export function threshold(level) {
  return written(level / (LEVELS - 1));
}

/**
 * Make the mark of a threshold.
 * @param {number} x
 * @param {string} name
 */
function mark(x, name) {
  return drawing("line", { x1: x, x2: x, y1: 0, y2: HEIGHT, class: `mark ${name}` });
}
