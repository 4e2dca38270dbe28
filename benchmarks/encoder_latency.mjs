// Times graphs in onnxruntime-web (WebAssembly, one thread) in Node: 12 tokens, one text, in turns (A B A B).
//
//     node benchmarks/encoder_latency.mjs '{"name": "model.onnx", ...}' SECONDS
//
// Prints {"name": [milliseconds, ...], ...}.

import { readFileSync } from "node:fs";
import * as ort from "onnxruntime-web/wasm";

const TOKENS = 12;
const CALLS = 5;
const WARM_UP = 3;
const FEWEST_TURNS = 5;

const [graphs, seconds] = process.argv.slice(2);
ort.env.wasm.numThreads = 1;
const ids = Int32Array.from({ length: TOKENS }, (_, place) => 100 + 7 * place);
const feeds = {
  input_ids: new ort.Tensor("int32", ids, [1, TOKENS]),
  attention_mask: new ort.Tensor("int32", new Int32Array(TOKENS).fill(1), [1, TOKENS]),
};
/** @type {Record<string, ort.InferenceSession>} */
const sessions = {};
/** @type {Record<string, Record<string, ort.Tensor>>} */
const inputs = {}; // the reference has a mask, graphs of today have none
for (const [name, path] of Object.entries(JSON.parse(graphs))) {
  sessions[name] = await ort.InferenceSession.create(new Uint8Array(readFileSync(path)));
  const wanted = Object.entries(feeds).filter(([input]) => sessions[name].inputNames.includes(input));
  inputs[name] = Object.fromEntries(wanted);
}
/** @type {Record<string, number[]>} */
const times = Object.fromEntries(Object.keys(sessions).map((name) => [name, []]));
const end = performance.now() + 1000 * Number(seconds);
for (let turn = 0; turn < FEWEST_TURNS || performance.now() < end; turn += 1) {
  for (const [name, session] of Object.entries(sessions)) {
    for (let call = 0; call < WARM_UP + CALLS; call += 1) {
      const started = performance.now();
      await session.run(inputs[name], ["embedding"]);
      if (call >= WARM_UP) times[name].push(performance.now() - started);
    }
  }
}
process.stdout.write(JSON.stringify(times));
process.exit(0);
