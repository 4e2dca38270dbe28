// BERT's normalizer as the tokenizers library computes it, with the place in the text of every character.

import { BundleError } from "./errors.js";
import { COMBINING, DROPPED, MARK } from "./unicode.js";

// Ranges of the library (its sixth begins at U+2B920).
const CJK = [
  [0x4e00, 0x9fff],
  [0x3400, 0x4dbf],
  [0x20000, 0x2a6df],
  [0x2a700, 0x2b73f],
  [0x2b740, 0x2b81f],
  [0x2b920, 0x2ceaf],
  [0xf900, 0xfaff],
  [0x2f800, 0x2fa1f],
];
const SPACE = 0x20;
const ASCII = 0x80;
const white = /\p{White_Space}/u;

/** Whether Unicode calls a code point white space. @param {number} point */
export function isWhite(point) {
  return point < ASCII ? point === SPACE || (point >= 9 && point <= 13) : white.test(String.fromCodePoint(point));
}

/**
 * Characters on their way through the normalizer.
 * @typedef {{ points: number[], origins: number[] }} Characters code points, and the index in the text of each
 */

export class BertNormalizer {
  /** @param {any} definition the "normalizer" of tokenizer.json */
  constructor(definition) {
    if (definition?.type !== "BertNormalizer") {
      throw new BundleError(
        `tokenizer.json has the normalizer ${definition?.type}; expected BertNormalizer. Train with a BERT tokenizer.`,
      );
    }
    this.clean = Boolean(definition.clean_text);
    this.chinese = Boolean(definition.handle_chinese_chars);
    this.lowercase = Boolean(definition.lowercase);
    this.strip = Boolean(definition.strip_accents ?? definition.lowercase);
  }

  /** @param {Characters} characters @returns {Characters} */
  normalize(characters) {
    if (this.clean) characters = cleaned(characters);
    if (this.chinese) characters = spacedChinese(characters);
    if (this.strip) characters = stripped(characters);
    if (this.lowercase) characters = lowered(characters);
    return characters;
  }
}

/** @param {Characters} characters @returns {Characters} */
function cleaned({ points, origins }) {
  const kept = points.map((point) => !DROPPED.of(point));
  return {
    points: points.filter((_, index) => kept[index]).map((point) => (isWhite(point) ? SPACE : point)),
    origins: origins.filter((_, index) => kept[index]),
  };
}

/** @param {Characters} characters @returns {Characters} */
function spacedChinese(characters) {
  return expanded(characters, (point) => {
    const chinese = CJK.some(([first, last]) => point >= first && point <= last);
    return chinese ? [SPACE, point, SPACE] : undefined;
  });
}

/** @param {Characters} characters @returns {Characters} */
function lowered(characters) {
  return expanded(characters, (point) => pointsOf(String.fromCodePoint(point).toLowerCase()));
}

/** Decomposes, sorts marks as Unicode wants them, and drops the accents. @param {Characters} characters @returns {Characters} */
function stripped(characters) {
  if (characters.points.every((point) => point < ASCII)) return characters;
  const decomposed = expanded(characters, (point) =>
    point < ASCII ? undefined : pointsOf(String.fromCodePoint(point).normalize("NFD")),
  );
  sortMarks(decomposed);
  const { points, origins } = decomposed;
  const kept = points.map((point) => !MARK.of(point));
  return { points: points.filter((_, i) => kept[i]), origins: origins.filter((_, i) => kept[i]) };
}

/** Puts every run of combining marks into canonical order. @param {Characters} characters */
function sortMarks({ points, origins }) {
  for (let first = 0; first < points.length; first += 1) {
    let end = first;
    while (end < points.length && COMBINING.of(points[end])) end += 1;
    if (end - first > 1) sortRun(points, origins, first, end);
    first = end;
  }
}

/**
 * Sorts one run. As in the library, the places do not move with the marks: each mark that stood in the text takes
 * the next place, one that came out of a decomposition shares the place before it.
 * @param {number[]} points @param {number[]} origins @param {number} first @param {number} end
 */
function sortRun(points, origins, first, end) {
  const run = range(first, end).map((index) => ({
    point: points[index],
    shares: index > 0 && origins[index] === origins[index - 1],
  }));
  const places = range(first, end)
    .filter((_, offset) => !run[offset].shares)
    .map((index) => origins[index]);
  let place = first ? origins[first - 1] : origins[first];
  run.sort((a, b) => COMBINING.of(a.point) - COMBINING.of(b.point));
  run.forEach(({ point, shares }, offset) => {
    if (!shares) place = /** @type {number} */ (places.shift());
    points[first + offset] = point;
    origins[first + offset] = place;
  });
}

/**
 * Puts several characters in the place of one.
 * @param {Characters} characters
 * @param {(point: number) => number[] | undefined} replace undefined keeps the character
 * @returns {Characters}
 */
function expanded({ points, origins }, replace) {
  /** @type {Characters} */
  const out = { points: [], origins: [] };
  points.forEach((point, index) => {
    for (const part of replace(point) ?? [point]) {
      out.points.push(part);
      out.origins.push(origins[index]);
    }
  });
  return out;
}

/** @param {string} text */
function pointsOf(text) {
  return Array.from(text, (character) => /** @type {number} */ (character.codePointAt(0)));
}

/** The numbers from first to end, which is not included. @param {number} first @param {number} end */
export function range(first, end) {
  return Array.from({ length: end - first }, (_, index) => first + index);
}
