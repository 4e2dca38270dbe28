// Logits to intents and entities. See sqz_nlu/runtime/ranking.py and decode.py, which say why; this says the
// same in JavaScript.

import { classes, tagCount } from "./labels.js";
import { DIGIT } from "./unicode.js";
import { argmax, bestTags, logSoftmax } from "./viterbi.js";

/** @typedef {import("./index.d.ts").Decoding} Decoding */
/** @typedef {import("./index.d.ts").Intent} Intent */
/** @typedef {import("./index.d.ts").Entity} Entity */
/** @typedef {[number, number]} Place where a word lies in the text, in UTF-16 code units */
/** @typedef {{ first: number, last: number, entity: number, confidence: number }} TaggedSpan words, both included */

const LARGEST = 500; // exponent

/** Intents by falling confidence. @param {ArrayLike<number>} logits @param {Decoding} decoding @returns {Intent[]} */
export function rankIntents(logits, decoding) {
  const names = decoding.labels.intents;
  const scores = logSoftmax(Array.from(logits, (logit) => logit / decoding.temperature));
  const ranking = names.map((name, index) => ({ name, confidence: Math.exp(scores[index]) }));
  ranking.sort((a, b) => b.confidence - a.confidence);
  if (decoding.ranking_length > 0) ranking.splice(decoding.ranking_length);
  if (decoding.renormalize_confidences) {
    const total = ranking.reduce((sum, intent) => sum + intent.confidence, 0);
    for (const intent of ranking) intent.confidence /= total;
  }
  return ranking;
}

/**
 * The entities of a text.
 * @param {ArrayLike<number>[]} logits for each word: tags, role classes and group classes, side by side
 * @param {Place[]} words
 * @param {string} text
 * @param {Decoding} decoding
 * @returns {Entity[]}
 */
export function decodeEntities(logits, words, text, decoding) {
  const { labels } = decoding;
  if (!labels.entities.length || !words.length) return [];
  const rows = logits.map((row) => Array.from(row));
  const roleClasses = classes(labels.roles);
  const groupClasses = classes(labels.groups);
  const tags = tagCount(labels);
  const scores = rows.map((row) => logSoftmax(row.slice(0, tags)));
  const spans = labels.bilou ? decodeBilou(scores, labels.entities.length) : decodePlain(scores);
  const keptApart = new Set(labels.touching.map((name) => labels.entities.indexOf(name)));
  return mergeTouching(spans, keptApart).flatMap((whole) => {
    const entity = labels.entities[whole.entity];
    const split = own(decoding.split_by_comma, entity) ?? decoding.split_default;
    return (split ? splitAtCommas(whole, words, text) : [whole]).map((span) => {
      const inside = rows.slice(span.first, span.last + 1);
      const groupLogits = inside.map((row) => row.slice(tags + roleClasses.length));
      const roleLogits = inside.map((row) => row.slice(tags, tags + roleClasses.length));
      const role = classify(roleLogits, roleClasses, own(labels.roles_of, entity));
      const group = classify(groupLogits, groupClasses, own(labels.groups_of, entity));
      const [start, end] = [words[span.first][0], words[span.last][1]];
      return {
        entity,
        start,
        end,
        confidence_entity: span.confidence,
        ...(role && { role: role.name, confidence_role: role.confidence }),
        ...(group && { group: group.name, confidence_group: group.confidence }),
        value: text.slice(start, end),
        extractor: decoding.extractor,
      };
    });
  });
}

/** @param {number[][]} scores @param {number} entities @returns {TaggedSpan[]} */
export function decodeBilou(scores, entities) {
  /** @type {TaggedSpan[]} */
  const spans = [];
  let first = 0;
  bestTags(scores, entities).forEach(({ kind, entity }, word) => {
    if (kind === "B" || kind === "U") first = word;
    if (kind !== "L" && kind !== "U") return;
    const confidence = spanProbability(scores.slice(first, word + 1), entity, entities);
    spans.push({ first, last: word, entity, confidence });
  });
  return spans;
}

/** Of one entity, among all valid taggings of its words. @param {number[][]} rows @param {number} entity @param {number} entities */
function spanProbability(rows, entity, entities) {
  const end = rows.length - 1;
  let outside = 1;
  let inside = new Array(entities).fill(0);
  rows.forEach((row, place) => {
    const prefix = end === 0 ? 3 : place === 0 ? 0 : place === end ? 2 : 1;
    const own = row[1 + entities * prefix + entity];
    /** @param {number} tag */
    const weight = (tag) => Math.exp(Math.min(row[tag] - own, LARGEST));
    let closed = outside * weight(0);
    const within = inside.map((before, type) => {
      const tag = 1 + type;
      closed += before * weight(tag + 2 * entities) + outside * weight(tag + 3 * entities);
      return outside * weight(tag) + before * weight(tag + entities);
    });
    [outside, inside] = [closed, within];
  });
  return Number.isFinite(outside) ? 1 / outside : 0;
}

/** @param {number[][]} scores @returns {TaggedSpan[]} */
export function decodePlain(scores) {
  const words = scores.flatMap((row, word) => {
    const tag = argmax(row);
    return tag ? [{ first: word, last: word, entity: tag - 1, confidence: Math.exp(row[tag]) }] : [];
  });
  return mergeTouching(words, new Set());
}

/** Joins neighbours of one type, except of types in keptApart. @param {TaggedSpan[]} spans @param {Set<number>} keptApart */
function mergeTouching(spans, keptApart) {
  /** @type {TaggedSpan[]} */
  const merged = [];
  for (const span of spans) {
    const before = merged.at(-1);
    if (before?.entity === span.entity && before.last + 1 === span.first && !keptApart.has(span.entity)) {
      before.last = span.last;
      before.confidence = Math.min(before.confidence, span.confidence);
    } else {
      merged.push({ ...span });
    }
  }
  return merged;
}

/** Cuts a span at its commas, except inside numbers such as 1,000. @param {TaggedSpan} span @param {Place[]} words @param {string} text */
function splitAtCommas(span, words, text) {
  const pieces = [];
  let first = span.first;
  for (let word = span.first; word <= span.last; word += 1) {
    const [start, end] = words[word];
    const insideNumber = isDigit(Array.from(text.slice(0, start)).at(-1)) && isDigit(text.slice(end));
    if (text.slice(start, end) !== "," || insideNumber) continue;
    pieces.push({ ...span, first, last: word - 1 });
    first = word + 1;
  }
  pieces.push({ ...span, first });
  return pieces.filter((piece) => piece.first <= piece.last);
}

/** Whether a text begins with a digit. @param {string | undefined} text */
function isDigit(text) {
  return Boolean(text) && DIGIT.of(text?.codePointAt(0) ?? 0) !== 0;
}

/**
 * The role or group of a span among those its type was seen with; undefined when that is "none".
 * @param {number[][]} logits @param {(string | null)[]} names @param {(string | null)[] | undefined} seen
 */
function classify(logits, names, seen) {
  const allowed = names.flatMap((name, index) => (seen?.includes(name) ? [index] : []));
  if (!seen || !allowed.length || (seen.length === 1 && seen[0] === null)) return undefined;
  const rows = logits.map(logSoftmax);
  const means = allowed.map((index) => rows.reduce((sum, row) => sum + row[index], 0) / rows.length);
  const scores = logSoftmax(means);
  const best = argmax(scores);
  const name = names[allowed[best]];
  return name === null ? undefined : { name, confidence: Math.exp(scores[best]) };
}

/** A value of an object that came from JSON. @template T @param {Record<string, T>} object @param {string} key @returns {T | undefined} */
export function own(object, key) {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}
