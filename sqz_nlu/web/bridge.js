// The codec behind three functions that take and give strings: for JavaScript engines inside of phone apps.

import { Codec } from "./codec.js";

/** @type {Codec} */
let codec;

/** @param {string} tokenizer the text of tokenizer.json @param {string} config the text of config.json */
export function load(tokenizer, config) {
  codec = new Codec(JSON.parse(tokenizer), JSON.parse(config));
  return JSON.stringify({ outputs: codec.outputs });
}

/**
 * The graph's inputs, int32 [1, tokens], as a JSON object by name; null where the text has no words and the graph
 * need not run.
 * @param {string} text
 * @param {string} names of the graph's inputs, as a JSON list
 */
export function encode(text, names) {
  const encoded = codec.encode(text);
  /** @type {string[]} */
  const inputs = encoded.words.length ? JSON.parse(names) : [];
  return JSON.stringify(
    inputs.length ? Object.fromEntries(inputs.map((name) => [name, codec.input(name, encoded)])) : null,
  );
}

/**
 * The answer as JSON, places in UTF-16 code units.
 * @param {string} text
 * @param {string} outputs of the graph, as a JSON object by name: {"data": [numbers], "dims": [numbers]}
 */
export function decode(text, outputs) {
  return JSON.stringify(codec.decode(text, codec.encode(text), JSON.parse(outputs)));
}
