// The time of one message in JavaScript: the bundle on onnxruntime-web (WebAssembly, one thread) in Node, one text at a
// time, the texts of common.py in turn.
//
//     node benchmarks/web_latency.mjs BUNDLE [OUT.json]

import { readFileSync, statSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { Interpreter } from "sqz-nlu";

const TEXTS = [
  "could you please turn on the lights in the kitchen",
  "play some relaxing jazz music in the living room please",
  "set a timer for twenty five minutes for the pasta",
  "add two bottles of oat milk to the shopping list",
  "what is the weather going to be in oslo tomorrow",
];
const WARM_UP = 50;
const MESSAGES = 500;

const [bundle, out = "benchmarks/results/web.json"] = process.argv.slice(2);
if (!bundle) {
  console.error("Which bundle? node benchmarks/web_latency.mjs BUNDLE [OUT.json]");
  process.exit(2);
}

const started = performance.now();
const nlu = await Interpreter.load(bundle);
const loaded = performance.now() - started;
const times = [];
for (let turn = 0; turn < WARM_UP + MESSAGES; turn += 1) {
  const text = TEXTS[turn % TEXTS.length];
  const start = performance.now();
  await nlu.parse(text);
  if (turn >= WARM_UP) times.push(performance.now() - start);
}
times.sort((a, b) => a - b);

const at = (/** @type {number} */ share) => Number(times[Math.floor(share * times.length)].toFixed(3));
const result = {
  machine: {
    processor: `${cpus().length} x ${cpus()[0].model}`,
    node: process.version,
    "onnxruntime-web": JSON.parse(readFileSync("node_modules/onnxruntime-web/package.json", "utf-8")).version,
    "sqz-nlu": JSON.parse(readFileSync("sqz_nlu/web/package.json", "utf-8")).version,
  },
  messages: MESSAGES,
  threads: 1,
  texts: TEXTS,
  model_bytes: statSync(`${bundle}/model.onnx`).size,
  load_ms: Math.round(loaded),
  median_ms: at(0.5),
  p95_ms: at(0.95),
};
writeFileSync(out, `${JSON.stringify(result, null, 1)}\n`);
console.log(`median ${result.median_ms} ms, 95 % within ${result.p95_ms} ms, loaded in ${result.load_ms} ms`);
console.log(out);
