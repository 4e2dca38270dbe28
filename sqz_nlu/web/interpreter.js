import { fetchBundle, verifyBundle } from "./bundle.js";
import { Codec } from "./codec.js";
import { BundleError } from "./errors.js";

/** @typedef {import("./index.d.ts").ParseResult} ParseResult */
/** @typedef {import("./index.d.ts").Options} Options */

/** Intents and entities of texts, from a bundle. */
export class Interpreter {
  #codec;
  #ort;
  #session;

  /** @param {any} manifest @param {Codec} codec @param {any} ort @param {any} session */
  constructor(manifest, codec, ort, session) {
    this.manifest = manifest;
    this.#codec = codec;
    this.#ort = ort;
    this.#session = session;
  }

  /**
   * Loads a bundle from its address or, in Node, from a folder.
   * @param {string | URL} url
   * @param {Options} [options]
   */
  static async load(url, options = {}) {
    return Interpreter.fromFiles(await fetchBundle(await folderUrl(url)), options);
  }

  /**
   * Loads a bundle that is in memory.
   * @param {Record<string, Uint8Array<ArrayBuffer>>} files by name
   * @param {Options} [options]
   */
  static async fromFiles(files, options = {}) {
    const { manifest, config, tokenizer, model } = await verifyBundle(files);
    const codec = new Codec(tokenizer, config);
    const ort = options.ort ?? (await onnxRuntime());
    try {
      return new Interpreter(manifest, codec, ort, await ort.InferenceSession.create(model));
    } catch (error) {
      throw new BundleError(`ONNX Runtime cannot run model.onnx (${error}). Update onnxruntime-web.`);
    }
  }

  /** What the model can answer. */
  get labels() {
    return this.#codec.decoding.labels;
  }

  /** Finds the intent and the entities of a text; places are UTF-16 code units. @param {string} text @returns {Promise<ParseResult>} */
  async parse(text) {
    const encoded = this.#codec.encode(text);
    const outputs = encoded.words.length ? await this.#session.run(this.#feeds(encoded), this.#codec.outputs) : {};
    return this.#codec.decode(text, encoded, outputs);
  }

  /** Frees the memory of the graph. */
  async release() {
    await this.#session.release();
  }

  /** @param {import("./index.d.ts").EncodedText} encoded */
  #feeds(encoded) {
    const shape = [1, encoded.ids.length];
    /** @param {string} name */
    const tensor = (name) => new this.#ort.Tensor("int32", Int32Array.from(this.#codec.input(name, encoded)), shape);
    return Object.fromEntries(this.#session.inputNames.map((/** @type {string} */ name) => [name, tensor(name)]));
  }
}

/** ONNX Runtime on WebAssembly, with one thread: fastest for short texts, and pages need no special headers. */
async function onnxRuntime() {
  const ort = await import("onnxruntime-web/wasm");
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  return ort;
}

/** @param {string | URL} url @returns {Promise<URL>} */
async function folderUrl(url) {
  const address = String(url).replace(/\/?$/, "/");
  const base = globalThis.document?.baseURI ?? globalThis.location?.href; // workers have no document
  if (base) return new URL(address, base);
  if (/^[a-z][a-z+.-]+:\/\//i.test(address)) return new URL(address);
  const { pathToFileURL } = await import("node:url");
  return pathToFileURL(address);
}
