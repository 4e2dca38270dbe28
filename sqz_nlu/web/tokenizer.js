// Text to token ids and words: the rules of tokenizer.json as the tokenizers library computes them.

import { BundleError } from "./errors.js";
import { BertNormalizer, isWhite, range } from "./normalizer.js";
import { COMBINING, MARK, PUNCTUATION } from "./unicode.js";

const REPLACEMENT = 0xfffd;

/** @typedef {import("./index.d.ts").EncodedText} EncodedText */
/** @typedef {{ id: number, start: number, end: number, word: number }} Token places in code points */

export class Tokenizer {
  /**
   * @param {any} definition the parsed tokenizer.json
   * @param {number} maxTokens longer texts are cut; words that fall off are neither tagged nor reported
   */
  constructor(definition, maxTokens) {
    const { model, pre_tokenizer: splitter } = definition;
    if (model?.type !== "WordPiece" || splitter?.type !== "BertPreTokenizer") {
      throw new BundleError(
        `tokenizer.json has the model ${model?.type} and the pre-tokenizer ${splitter?.type}; ` +
          "expected WordPiece and BertPreTokenizer. Train with a BERT tokenizer.",
      );
    }
    this.normalizer = new BertNormalizer(definition.normalizer);
    /** @type {Map<string, number>} */
    this.vocabulary = new Map(Object.entries(model.vocab));
    this.prefix = model.continuing_subword_prefix;
    this.longestWord = model.max_input_chars_per_word;
    this.unknown = this.vocabulary.get(model.unk_token) ?? missing(model.unk_token);
    this.added = addedTokens(definition.added_tokens);
    const [before, after] = specialTokens(definition.post_processor);
    this.before = before;
    this.after = after;
    this.room = maxTokens - before.length - after.length;
  }

  /** @param {string} text @returns {EncodedText} */
  encode(text) {
    const { points, starts } = decompose(text);
    const tokens = this.#tokens(text, points, starts).slice(0, this.room);
    /** @type {[number, number][]} */
    const words = [];
    /** @type {number[]} */
    const firstTokens = [];
    tokens.forEach((token, index) => {
      if (index && tokens[index - 1].word === token.word) {
        words[words.length - 1][1] = token.end;
      } else {
        words.push([token.start, token.end]);
        firstTokens.push(this.before.length + index);
      }
    });
    return {
      ids: [...this.before, ...tokens.map((token) => token.id), ...this.after],
      words: words.map(([start, end], index) => {
        const limit = index + 1 < words.length ? words[index + 1][0] : points.length;
        return [starts[start], starts[withMarks(points, end, limit)]];
      }),
      firstTokens,
    };
  }

  /** @param {string} text @param {number[]} points @param {number[]} starts @returns {Token[]} */
  #tokens(text, points, starts) {
    /** @type {Token[]} */
    const tokens = [];
    let position = 0;
    let start = 0;
    for (const found of this.added ? text.matchAll(this.added.pattern) : []) {
      if (tokens.length >= this.room) return tokens;
      while (starts[start] < found.index) start += 1;
      const end = start + Array.from(found[0]).length;
      this.#words(points, position, start, tokens);
      tokens.push({ id: this.added?.ids.get(found[0]) ?? this.unknown, start, end, word: tokens.length });
      position = end;
    }
    this.#words(points, position, points.length, tokens);
    return tokens;
  }

  /** Adds the tokens of a part of the text. @param {number[]} text @param {number} first @param {number} end @param {Token[]} tokens */
  #words(text, first, end, tokens) {
    const characters = { points: text.slice(first, end), origins: range(first, end) };
    const { points, origins } = this.normalizer.normalize(characters);
    let start = 0;
    for (let index = 0; index <= points.length && tokens.length < this.room; index += 1) {
      const ends = index === points.length || isWhite(points[index]);
      const alone = !ends && PUNCTUATION.of(points[index]) !== 0;
      if (!ends && !alone) continue;
      if (index > start) this.#pieces(points.slice(start, index), origins.slice(start, index), tokens);
      if (alone) this.#pieces([points[index]], [origins[index]], tokens);
      start = index + 1;
    }
  }

  /** Adds the word pieces of a word. @param {number[]} points @param {number[]} origins @param {Token[]} tokens */
  #pieces(points, origins, tokens) {
    const word = tokens.length;
    const pieces = points.length > this.longestWord ? undefined : this.#longestPieces(points);
    for (const { id, first, end } of pieces ?? [{ id: this.unknown, first: 0, end: points.length }]) {
      tokens.push({ id, start: origins[first], end: origins[end - 1] + 1, word });
    }
  }

  /** The longest known piece again and again; undefined where none fits. @param {number[]} points */
  #longestPieces(points) {
    const characters = points.map((point) => String.fromCodePoint(point));
    const pieces = [];
    for (let first = 0; first < characters.length; ) {
      let end = characters.length;
      let id;
      for (; end > first; end -= 1) {
        const piece = (first ? this.prefix : "") + characters.slice(first, end).join("");
        id = this.vocabulary.get(piece);
        if (id !== undefined) break;
      }
      if (id === undefined) return undefined;
      pieces.push({ id, first, end });
      first = end;
    }
    return pieces;
  }
}

/**
 * The code points of a text, lone surrogates replaced as Python's runtime does, and where in the string each
 * begins, with the string's length at the end.
 * @param {string} text
 */
function decompose(text) {
  const points = [];
  const starts = [];
  let position = 0;
  for (const character of text) {
    const point = /** @type {number} */ (character.codePointAt(0));
    points.push(point >= 0xd800 && point <= 0xdfff ? REPLACEMENT : point);
    starts.push(position);
    position += character.length;
  }
  return { points, starts: [...starts, position] };
}

/**
 * The end of a word with the marks after it, which BERT's normalizer drops; at most the limit.
 * @param {number[]} points @param {number} end @param {number} limit
 */
function withMarks(points, end, limit) {
  while (end < limit && (MARK.of(points[end]) || COMBINING.of(points[end]))) end += 1;
  return end;
}

/** @param {any[]} tokens */
function addedTokens(tokens) {
  const unusual = tokens?.find((t) => t.normalized || t.single_word || t.lstrip || t.rstrip);
  if (unusual) {
    throw new BundleError(
      `tokenizer.json has the added token ${unusual.content} with options; expected plain special tokens.`,
    );
  }
  if (!tokens?.length) return undefined;
  const contents = tokens.map((token) => token.content).sort((a, b) => b.length - a.length);
  const pattern = contents.map((content) => content.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")).join("|");
  return {
    pattern: new RegExp(pattern, "gu"),
    ids: new Map(tokens.map((token) => [String(token.content), Number(token.id)])),
  };
}

/** Ids before and after the tokens of a text. @param {any} processor @returns {[number[], number[]]} */
function specialTokens(processor) {
  if (processor?.type === "BertProcessing") return [[processor.cls[1]], [processor.sep[1]]];
  if (processor?.type !== "TemplateProcessing") {
    throw new BundleError(
      `tokenizer.json has the post-processor ${processor?.type}; expected BertProcessing or TemplateProcessing.`,
    );
  }
  /** @type {any[]} */
  const single = processor.single;
  const text = single.findIndex((part) => part.Sequence);
  /** @param {any[]} parts @returns {number[]} */
  const ids = (parts) => parts.flatMap((part) => processor.special_tokens[part.SpecialToken.id].ids);
  return [ids(single.slice(0, text)), ids(single.slice(text + 1))];
}

/** @param {string} token @returns {never} */
function missing(token) {
  throw new BundleError(`tokenizer.json has no ${token} in its vocabulary. Export the bundle again.`);
}
