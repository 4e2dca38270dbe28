// Reads {url, texts, typed} and writes what the exported page makes of the texts, and what it shows for the typed one.
import { text as read } from "node:stream/consumers";
import { openPage } from "./chromium.mjs";

const { url, texts, typed } = JSON.parse(await read(process.stdin));
const { browser, page, outside, errors } = await openPage(url);
try {
  const results = await page.evaluate(async (texts) => {
    const { Interpreter } = await import("sqz-nlu");
    const nlu = await Interpreter.load("bundle");
    const results = [];
    for (const text of texts) results.push(await nlu.parse(text));
    return JSON.stringify(results); // as a string: halves of surrogate pairs survive
  }, texts);
  await page.click("h1");
  await page.keyboard.press("/");
  await page.keyboard.type(typed);
  await page.waitForFunction((typed) => document.querySelector("#json")?.textContent?.includes(JSON.stringify(typed)), typed);
  const shown = await page.evaluate(() => ({
    intent: document.querySelector("#intents li .name span")?.textContent,
    marks: Array.from(document.querySelectorAll("#paint mark"), (mark) => mark.textContent),
    cards: Array.from(document.querySelectorAll("#entities .value"), (value) => value.textContent),
    milliseconds: Number(document.querySelector("#time")?.textContent),
  }));
  await page.keyboard.press("Escape");
  const cleared = await page.inputValue("#text");
  const before = [...errors];
  await page.evaluate(async () => {
    const { Interpreter } = await import("sqz-nlu");
    const { parse } = Interpreter.prototype;
    Interpreter.prototype.parse = async function () {
      Interpreter.prototype.parse = parse;
      throw new Error("out of luck");
    };
  });
  const state = () => page.evaluate(() => [document.querySelector("#state")?.textContent, document.querySelector("#no-entities")?.textContent]);
  await page.keyboard.type("x");
  await page.waitForFunction(() => /** @type {any} */ (document.querySelector("#state"))?.dataset.failed !== undefined);
  const failed = await state();
  await page.keyboard.type("y");
  await page.waitForFunction(() => document.querySelector("#json")?.textContent?.includes('"xy"'));
  const after = await state();
  process.stdout.write(JSON.stringify({ results: JSON.parse(results), shown, cleared, outside, errors: before, failed, after }));
} finally {
  await browser.close();
}
