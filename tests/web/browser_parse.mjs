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
  process.stdout.write(JSON.stringify({ results: JSON.parse(results), shown, cleared, outside, errors }));
} finally {
  await browser.close();
}
