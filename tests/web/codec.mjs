// Reads {tokenizer, config, cases: [{text, outputs}]} and writes [{encoded, result}].
import { text as read } from "node:stream/consumers";
import { Codec } from "sqz-nlu";

const { tokenizer, config, cases } = JSON.parse(await read(process.stdin));
const codec = new Codec(tokenizer, config);
const answers = cases.map(({ text, outputs }) => {
  const encoded = codec.encode(text);
  return { encoded, result: codec.decode(text, encoded, outputs ?? {}) };
});
process.stdout.write(JSON.stringify(answers));
