// The most likely valid BILOU tagging of a sentence. See sqz_nlu/runtime/bilou.py.

/** @typedef {{ kind: string, entity: number }} Tag */

const OUTSIDE = { kind: "O", entity: 0 };

/** Index of the first largest value. @param {ArrayLike<number>} values */
export function argmax(values) {
  let best = 0;
  for (let index = 1; index < values.length; index += 1) if (values[index] > values[best]) best = index;
  return best;
}

/** Log-probabilities. @param {ArrayLike<number>} logits */
export function logSoftmax(logits) {
  const values = Array.from(logits);
  const largest = Math.max(...values);
  const total = Math.log(values.reduce((sum, value) => sum + Math.exp(value - largest), 0));
  return values.map((value) => value - largest - total);
}

/** @param {number[][]} scores log-probabilities [words][1 + 4 * entities] @param {number} entities @returns {Tag[]} */
export function bestTags(scores, entities) {
  return greedy(scores, entities) ?? viterbi(scores, entities);
}

/** The likeliest tag of each word; undefined if they break BILOU's grammar. @param {number[][]} scores @param {number} entities */
function greedy(scores, entities) {
  /** @type {Tag[]} */
  const path = [];
  let inside = -1;
  for (const row of scores) {
    const tag = argmax(row);
    const kind = tag ? "BILU"[Math.floor((tag - 1) / entities)] : "O";
    const entity = tag ? (tag - 1) % entities : 0;
    const continues = kind === "I" || kind === "L";
    if (continues !== inside >= 0 || (continues && entity !== inside)) return undefined;
    inside = kind === "B" || kind === "I" ? entity : -1;
    path.push({ kind, entity });
  }
  return inside < 0 ? path : undefined;
}

/**
 * All a step needs from the past is one score for "outside" and one for "inside x" of each type.
 * @param {number[][]} scores @param {number} entities
 */
function viterbi(scores, entities) {
  let fromOutside = 0;
  let fromInside = Array(entities).fill(-Infinity);
  /** @type {Tag[]} */
  const closes = [];
  /** @type {boolean[][]} */
  const continues = [];
  for (const row of scores) {
    const block = (/** @type {number} */ k) => row.slice(1 + entities * k, 1 + entities * (k + 1));
    const [begin, inner, last, unit] = [0, 1, 2, 3].map(block);
    const stay = fromOutside + row[0];
    const units = unit.map((score) => fromOutside + score);
    const lasts = last.map((score, entity) => fromInside[entity] + score);
    const [bestUnit, bestLast] = [argmax(units), argmax(lasts)];
    const best = Math.max(stay, units[bestUnit], lasts[bestLast]);
    if (best === stay) closes.push(OUTSIDE);
    else if (best === units[bestUnit]) closes.push({ kind: "U", entity: bestUnit });
    else closes.push({ kind: "L", entity: bestLast });
    const opened = begin.map((score) => fromOutside + score);
    const continued = inner.map((score, entity) => fromInside[entity] + score);
    continues.push(continued.map((score, entity) => score > opened[entity]));
    fromOutside = best;
    fromInside = continued.map((score, entity) => Math.max(score, opened[entity]));
  }
  return walkBack(closes, continues);
}

/** @param {Tag[]} closes @param {boolean[][]} continues */
function walkBack(closes, continues) {
  /** @type {Tag[]} */
  const path = [];
  let inside = -1;
  for (let word = closes.length - 1; word >= 0; word -= 1) {
    let tag = closes[word];
    if (inside < 0) {
      inside = tag.kind === "L" ? tag.entity : -1;
    } else {
      tag = { kind: continues[word][inside] ? "I" : "B", entity: inside };
      inside = tag.kind === "I" ? inside : -1;
    }
    path.push(tag);
  }
  return path.reverse();
}
