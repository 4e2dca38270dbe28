/** Names of what a model can answer, as in a bundle's config.json. */
export interface Labels {
  intents: string[];
  entities: string[];
  roles: string[];
  groups: string[];
  roles_of: Record<string, (string | null)[]>;
  groups_of: Record<string, (string | null)[]>;
  bilou: boolean;
  touching: string[];
}

/** The part of config.json that says how outputs are read. */
export interface Decoding {
  labels: Labels;
  max_tokens: number;
  temperature: number;
  ranking_length: number;
  renormalize_confidences: boolean;
  split_by_comma: Record<string, boolean>;
  split_default: boolean;
  synonyms: Record<string, string>;
  extractor: string;
  /** Lookup tables and regular expressions with their weights. */
  patterns?: any;
}

/** An intent; no name when the text has no words or the model no intents. */
export interface Intent {
  name: string | null;
  /** In [0, 1]. */
  confidence: number;
}

export interface Entity {
  entity: string;
  /** First character, in UTF-16 code units: `text.slice(start, end)`. */
  start: number;
  /** One past the last character. */
  end: number;
  /** Of the type, in [0, 1]: the smallest over the entity's words. */
  confidence_entity: number;
  role?: string;
  confidence_role?: number;
  group?: string;
  confidence_group?: number;
  /** The text, or its canonical form where synonyms are applied. */
  value: string;
  extractor: string;
  processors?: string[];
}

/** The JSON of Rasa's /model/parse, with places in UTF-16 code units. */
export interface ParseResult {
  text: string;
  intent: Intent;
  entities: Entity[];
  /** Where the words lie that entities are made of. */
  text_tokens: [number, number][];
  intent_ranking: Intent[];
}

/** A text as the network sees it. */
export interface EncodedText {
  /** Token ids with the special tokens. */
  ids: number[];
  /** Where each word lies in the text, in UTF-16 code units. */
  words: [number, number][];
  /** Index in `ids` of the first token of each word. */
  firstTokens: number[];
}

export interface Options {
  /** The module of ONNX Runtime; onnxruntime-web on WebAssembly unless given. onnxruntime-node works, too. */
  ort?: any;
}

/** A bundle that is missing, damaged or not allowed. The message says what to do. */
export class BundleError extends Error {}

/** Intents and entities of texts, from a bundle. */
export class Interpreter {
  /** Loads a bundle from its address or, in Node, from a folder. Throws BundleError. */
  static load(url: string | URL, options?: Options): Promise<Interpreter>;
  /** Loads a bundle that is in memory: the files by name. Throws BundleError. */
  static fromFiles(files: Record<string, Uint8Array>, options?: Options): Promise<Interpreter>;
  /** The bundle's manifest.json. */
  readonly manifest: any;
  /** What the model can answer. */
  readonly labels: Labels;
  /** Finds the intent and the entities of a text. */
  parse(text: string): Promise<ParseResult>;
  /** Frees the memory of the graph. */
  release(): Promise<void>;
}

/** All but the graph: for another runtime than onnxruntime-web. Throws BundleError. */
export class Codec {
  constructor(tokenizer: object, config: object);
  /** Names of the graph's outputs that `decode` needs. */
  readonly outputs: string[];
  encode(text: string): EncodedText;
  /** Values [1, tokens], int32, of the graph's input of this name. */
  input(name: string, encoded: EncodedText): number[];
  decode(
    text: string,
    encoded: EncodedText,
    outputs: Record<string, { data: ArrayLike<number>; dims: readonly number[] }>,
  ): ParseResult;
}
