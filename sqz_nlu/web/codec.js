// Text to what the graph takes, and what the graph gives to intents and entities: all but the graph itself. Plain
// ECMAScript, so that it also runs where there is no browser: in QuickJS and in JavaScriptCore on a phone.

import { decodeEntities, own, rankIntents } from "./decode.js";
import { BundleError } from "./errors.js";
import { Patterns } from "./patterns.js";
import { Tokenizer } from "./tokenizer.js";

/** @typedef {import("./index.d.ts").EncodedText} EncodedText */
/** @typedef {import("./index.d.ts").ParseResult} ParseResult */
/** @typedef {{ data: ArrayLike<number>, dims: readonly number[] }} Output one output of the graph for one text */

const FIELDS = [
  "labels",
  "max_tokens",
  "temperature",
  "ranking_length",
  "renormalize_confidences",
  "split_by_comma",
  "split_default",
  "synonyms",
  "extractor",
];

/** The inputs a graph may have: values for one text, [1, tokens]. @type {Record<string, (encoded: EncodedText) => number[]>} */
const INPUTS = {
  input_ids: ({ ids }) => ids,
  attention_mask: ({ ids }) => ids.map(() => 1),
};

export class Codec {
  /**
   * @param {any} tokenizer the parsed tokenizer.json
   * @param {any} config the parsed config.json
   */
  constructor(tokenizer, config) {
    /** @type {import("./index.d.ts").Decoding} */
    this.decoding = config.decoding;
    const unknown = Object.keys(this.decoding).filter((name) => ![...FIELDS, "patterns"].includes(name));
    const missing = FIELDS.filter((name) => !(name in this.decoding));
    if (unknown.length || missing.length) {
      throw new BundleError(
        `config.json of the bundle cannot be used (${[...unknown, ...missing].join(", ")} unknown or missing). ` +
          "Use the JavaScript files of the sqz-nlu version that wrote the bundle.",
      );
    }
    const { intents, entities } = this.decoding.labels;
    this.outputs = [...(intents.length ? ["intent_logits"] : []), ...(entities.length ? ["word_logits"] : [])];
    if (!this.outputs.length) {
      throw new BundleError("The bundle holds an encoder without intents and entities. Load one that was trained.");
    }
    this.patterns = this.decoding.patterns && new Patterns(this.decoding.patterns);
    this.tokenizer = new Tokenizer(tokenizer, this.decoding.max_tokens);
  }

  /** @param {string} text @returns {EncodedText} */
  encode(text) {
    if (typeof text !== "string") throw new TypeError(`Expected text as a string, got ${typeof text}.`);
    return this.tokenizer.encode(text);
  }

  /** Values of a graph's input. @param {string} name @param {EncodedText} encoded */
  input(name, encoded) {
    const values = own(INPUTS, name);
    if (!values) {
      throw new BundleError(`model.onnx has an input ${name} that these JavaScript files do not know. Update them.`);
    }
    return values(encoded);
  }

  /**
   * Reads the graph's outputs.
   * @param {string} text
   * @param {EncodedText} encoded
   * @param {Record<string, Output>} outputs by name; not needed where the text has no words
   * @returns {ParseResult}
   */
  decode(text, encoded, outputs) {
    const { words, firstTokens } = encoded;
    const intentLogits = words.length && outputs.intent_logits ? Array.from(outputs.intent_logits.data) : undefined;
    const wordLogits = words.length && outputs.word_logits ? rowsOf(outputs.word_logits, firstTokens) : undefined;
    this.patterns?.add(this.patterns.find(text, words), intentLogits, wordLogits);
    const ranking = intentLogits ? rankIntents(intentLogits, this.decoding) : [];
    return {
      text,
      intent: ranking[0] ?? { name: null, confidence: 0 },
      entities: wordLogits ? this.#entities(text, words, wordLogits) : [],
      text_tokens: words,
      intent_ranking: ranking,
    };
  }

  /** @param {string} text @param {[number, number][]} words @param {number[][]} logits */
  #entities(text, words, logits) {
    return decodeEntities(logits, words, text, this.decoding).map((entity) => {
      const value = own(this.decoding.synonyms, entity.value.toLowerCase());
      return value === undefined ? entity : { ...entity, value, processors: ["EntitySynonymMapper"] };
    });
  }
}

/** The rows of a matrix [1, tokens, classes] that belong to these tokens. @param {Output} output @param {number[]} tokens */
function rowsOf({ data, dims }, tokens) {
  const values = Array.from(data);
  const width = dims[dims.length - 1];
  return tokens.map((token) => values.slice(token * width, (token + 1) * width));
}
