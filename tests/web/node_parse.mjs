// Reads {bundle, texts} and writes what onnxruntime-web makes of the texts in Node.
import { text as read } from "node:stream/consumers";
import { Interpreter } from "sqz-nlu";

const { bundle, texts } = JSON.parse(await read(process.stdin));
const nlu = await Interpreter.load(bundle);
const results = [];
for (const text of texts) results.push(await nlu.parse(text));
await nlu.release();
process.stdout.write(JSON.stringify(results));
