// A fresh headless Chromium with one page; it counts what leaves for other hosts and what goes wrong.
import { chromium } from "playwright-core";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** @param {string} url @param {object} options of the page: viewport, colorScheme, ... */
export async function openPage(url, options = {}) {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
  const page = await browser.newPage(options);
  const outside = [];
  const errors = [];
  page.on("request", (request) => {
    if (new URL(request.url()).host !== new URL(url).host && !request.url().startsWith("data:")) outside.push(request.url());
  });
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.goto(url);
  await page.waitForFunction(() => /** @type {any} */ (document.querySelector("#state"))?.dataset.ready !== undefined);
  return { browser, page, outside, errors };
}
