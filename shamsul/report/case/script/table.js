// The table of measures: of the segmentations shown now, and those that the run recorded.

import { threshold } from "./curve.js";
import { byId, element, written } from "./dom.js";
import { cutOf } from "./measures.js";

/** @typedef {import("./main.js").App} App */

const LIVE = ["Method", "Threshold", "IoU", "Dice", "Precision", "Recall", "Marked", "Hit", "Mass"];

/**
 * Write the measures of the methods that are shown, under the present thresholds.
 * @param {App} app
 */
export async function fillMeasures(app) {
  const state = { ...app.store.state };
  const mask = app.measures.mask(state);
  const rows = await Promise.all(
    app.chosen().map(async (method) => {
      const measured = await app.measures.measured(method.name, state);
      if (!measured) return [method.title, ...LIVE.slice(1).map(() => "–")];
      const cut = cutOf(measured, state);
      const { iou, dice, precision, recall, area } = measured.curve[cut];
      const { hit, mass } = measured.laid;
      const free = mask ? [hit, mass] : [null, null];
      const level = app.segments(method) ? "–" : threshold(cut);
      const overlap = [iou, dice, precision, recall].map((value) => written(value, 3));
      return [method.title, level, ...overlap, ...[area, ...free].map((value) => written(value, 3))];
    }),
  );
  const against = mask ? `against ${mask.reader}` : "with no outline of this class";
  const caption = `${state.class}: the segmentations above, ${against}`;
  byId("measures").replaceChildren(table(caption, LIVE, rows));
}

/**
 * Write what the run recorded of the class.
 * @param {App} app
 */
export function fillRecorded(app) {
  const { content, store } = app;
  const kind = app.measures.mask(store.state)?.kind;
  const own = content.measures.filter(
    (row) => row.class === store.state.class && row.kind === kind,
  );
  const columns = [...new Set(own.map(({ metric, rule }) => JSON.stringify([metric, rule])))];
  const heads = columns.map((column) => {
    const [metric, rule] = JSON.parse(column);
    const title = content.titles[metric] ?? metric;
    return rule === "none" ? title : `${title} (${rule})`;
  });
  const rows = content.methods
    .filter(({ name }) => own.some(({ method }) => method === name))
    .map(({ name, title }) => [
      title,
      ...columns.map((column) => {
        const [metric, rule] = JSON.parse(column);
        const found = own.find(
          (row) => row.method === name && row.metric === metric && row.rule === rule,
        );
        return written(found?.value, 3);
      }),
    ]);
  byId("recorded-part").hidden = !content.measures.length;
  if (!rows.length) {
    byId("recorded").replaceChildren(`The run recorded nothing of ${store.state.class} here.`);
    return;
  }
  const caption = `${store.state.class}: as the run's tables have it, against the first reader`;
  byId("recorded").replaceChildren(table(caption, ["Method", ...heads], rows));
}

/**
 * Make a table whose first column names its rows.
 * @param {string} caption
 * @param {string[]} heads
 * @param {string[][]} rows
 */
function table(caption, heads, rows) {
  const head = heads.map((text) => element("th", { scope: "col" }, text));
  const body = rows.map(([name, ...cells]) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, name),
      ...cells.map((text) => element("td", {}, text)),
    ),
  );
  return element(
    "table",
    {},
    element("caption", {}, caption),
    element("thead", {}, element("tr", {}, ...head)),
    element("tbody", {}, ...body),
  );
}
