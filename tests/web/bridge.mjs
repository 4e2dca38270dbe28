// Runs an exported sqz-nlu.js as a phone's engine does: nothing but ECMAScript around it, strings in and out.
// Reads {folder, cases: [{text, outputs}]} and writes [{inputs, result}].
import { readFileSync } from "node:fs";
import { text as read } from "node:stream/consumers";
import vm from "node:vm";

const { folder, cases } = JSON.parse(await read(process.stdin));
const file = (/** @type {string} */ name) => readFileSync(`${folder}/${name}`, "utf-8");
const engine = vm.createContext({});
const call = (/** @type {string} */ name, /** @type {string[]} */ ...values) =>
  JSON.parse(vm.runInContext(`sqzNlu.${name}(${values.map((value) => JSON.stringify(value)).join()})`, engine));
vm.runInContext(file("sqz-nlu.js"), engine);
call("load", file("tokenizer.json"), file("config.json"));
const names = JSON.stringify(["input_ids", "attention_mask"]);
const answers = cases.map(({ text, outputs }) => ({
  inputs: call("encode", text, names),
  result: outputs && call("decode", text, JSON.stringify(outputs)),
}));
process.stdout.write(JSON.stringify(answers));
