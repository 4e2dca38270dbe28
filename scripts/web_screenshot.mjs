// Photographs an exported page: node scripts/web_screenshot.mjs ADDRESS FILE.png [light|dark] [desk|phone] [TEXT]
import { openPage } from "../tests/web/chromium.mjs";

const [address, file, colorScheme = "light", device = "", text = ""] = process.argv.slice(2);
const viewport = device === "phone" ? { width: 390, height: 1180 } : { width: 1060, height: 860 };
const { browser, page } = await openPage(address, { viewport, colorScheme });
await page.focus("#text");
await page.keyboard.type(text);
await page.waitForTimeout(900); // bars glide
await page.screenshot({ path: file });
await browser.close();
