export { Codec } from "./codec.js";
export { BundleError } from "./errors.js";
export { Interpreter } from "./interpreter.js";
