// The label space of a model: what its logits stand for. See sqz_nlu/runtime/labels.py.

/** @typedef {import("./index.d.ts").Labels} Labels */

/** How many tags a word can have: "O", and for each type one tag or the four of BILOU. @param {Labels} labels */
export function tagCount(labels) {
  return labels.entities.length ? 1 + labels.entities.length * (labels.bilou ? 4 : 1) : 0;
}

/** Classes of the role or group logits, "none" first; empty when there are none. @param {string[]} names */
export function classes(names) {
  return names.length ? [null, ...names] : [];
}
