// Lookup tables and regular expressions: found in a text, they add to the logits. See sqz_nlu/runtime/patterns.py.

import { compilePython } from "./regex.js";

/** @typedef {{ pattern: number, first: number, last: number }} Match words, both included */
/** @typedef {[number, number]} Place */

const SEARCHED = 4096; // code points of a text that regular expressions see

export class Patterns {
  /** @param {any} data the "patterns" of config.json */
  constructor(data) {
    this.caseSensitive = data.case_sensitive;
    this.bounded = data.word_boundaries;
    this.tagWeights = data.tag_weights;
    this.intentWeights = data.intent_weights;
    this.count = data.tables.length + data.regexes.length;
    this.tables = data.tables.length;
    /** @type {Map<string, number[]>} */
    this.entries = new Map();
    /** @type {Map<string, Set<number>>} */
    const lengths = new Map();
    data.tables.forEach((/** @type {any} */ table, /** @type {number} */ index) => {
      for (const entry of table.entries) {
        const first = entry[0];
        this.entries.set(entry, [...(this.entries.get(entry) ?? []), index]);
        lengths.set(first, (lengths.get(first) ?? new Set()).add(entry.length));
      }
    });
    this.lengths = new Map(Array.from(lengths, ([first, seen]) => [first, [...seen].sort((a, b) => b - a)]));
    this.regexes = data.regexes.map((/** @type {any} */ regex) =>
      compilePython(regex.pattern, regex.name, this.caseSensitive),
    );
  }

  /** The words in which patterns match; of one table the longest wins. @param {string} text @param {Place[]} words @returns {Match[]} */
  find(text, words) {
    return words.length ? [...this.#findEntries(text, words), ...this.#findRegexes(text, words)] : [];
  }

  /**
   * What matches add to logits.
   * @param {Match[]} matches
   * @param {number[] | undefined} intents changed in place
   * @param {number[][] | undefined} words logits of each word, of which the first are tags; changed in place
   */
  add(matches, intents, words) {
    if (intents) for (const pattern of new Set(matches.map((match) => match.pattern))) addTo(intents, this.intentWeights[pattern]);
    if (words) for (const [word, feature] of this.#features(matches)) addTo(words[word], this.tagWeights[feature]);
  }

  /** Distinct pairs of a word and one of its features, which are numbered place by place. @param {Match[]} matches */
  #features(matches) {
    const pairs = new Map();
    for (const { pattern, first, last } of matches) {
      for (let word = first; word <= last; word += 1) {
        const place = first === last ? 3 : word === first ? 0 : word === last ? 2 : 1;
        pairs.set(`${word} ${place * this.count + pattern}`, [word, place * this.count + pattern]);
      }
    }
    return pairs.values();
  }

  /** @param {string} text @param {Place[]} words */
  #findEntries(text, words) {
    /** @type {Match[]} */
    const found = [];
    if (!this.entries.size) return found;
    const { plain, places } = normalised(text, words, this.caseSensitive);
    const starts = places.map(([start]) => start);
    const ends = new Set(places.map(([, end]) => end));
    const reach = Array(this.tables).fill(0);
    for (const start of this.bounded ? starts : plain.split("").map((_, index) => index)) {
      for (const length of this.lengths.get(plain[start]) ?? []) {
        const end = start + length;
        if (end > plain.length || (this.bounded && !ends.has(end))) continue;
        for (const table of this.entries.get(plain.slice(start, end)) ?? []) {
          if (reach[table] > start) continue;
          reach[table] = end;
          found.push({ pattern: table, first: countUpTo(starts, start) - 1, last: countUpTo(starts, end - 1) - 1 });
        }
      }
    }
    return found;
  }

  /** @param {string} text @param {Place[]} words */
  #findRegexes(text, words) {
    /** @type {Match[]} */
    const found = [];
    const seen = Array.from(text.slice(0, words[words.length - 1][1])).slice(0, SEARCHED).join("");
    const [begins, ends] = [words.map(([start]) => start), words.map(([, end]) => end)];
    this.regexes.forEach((/** @type {RegExp} */ regex, /** @type {number} */ index) => {
      for (const match of seen.matchAll(regex)) {
        const end = match.index + match[0].length;
        const first = countUpTo(ends, match.index);
        const last = countUpTo(begins, end - 1) - 1;
        if (match[0] && first <= last) found.push({ pattern: this.tables + index, first, last });
      }
    });
    return found;
  }
}

/** The words of a text, with one space where the text has anything between them. @param {string} text @param {Place[]} words @param {boolean} caseSensitive */
function normalised(text, words, caseSensitive) {
  let plain = "";
  let reach = 0;
  /** @type {Place[]} */
  const places = [];
  for (const [start, end] of words) {
    if (places.length && start > reach) plain += " ";
    const word = caseSensitive ? text.slice(start, end) : text.slice(start, end).toLowerCase();
    places.push([plain.length, plain.length + word.length]);
    plain += word;
    reach = end;
  }
  return { plain, places };
}

/** How many of the sorted numbers are at most this one. @param {number[]} sorted @param {number} number */
function countUpTo(sorted, number) {
  const index = sorted.findIndex((value) => value > number);
  return index < 0 ? sorted.length : index;
}

/** @param {number[]} logits @param {number[]} weights */
function addTo(logits, weights) {
  weights.forEach((weight, index) => (logits[index] += weight));
}
