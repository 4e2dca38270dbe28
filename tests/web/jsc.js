// Runs an exported sqz-nlu.js in JavaScriptCore, the engine of iOS; Debian has it in libjavascriptcoregtk-4.0-bin.
//     jsc MODEL/sqz-nlu.js tests/web/jsc.js -- MODEL REQUEST.json      (see bridge.mjs)
const [folder, request] = arguments;
const names = JSON.stringify(["input_ids", "attention_mask"]);
sqzNlu.load(readFile(`${folder}/tokenizer.json`), readFile(`${folder}/config.json`));
const answers = JSON.parse(readFile(request)).cases.map(({ text, outputs }) => ({
  inputs: JSON.parse(sqzNlu.encode(text, names)),
  result: outputs && JSON.parse(sqzNlu.decode(text, JSON.stringify(outputs))),
}));
print(JSON.stringify(answers));
