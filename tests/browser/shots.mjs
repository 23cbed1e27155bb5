/**
 * Screenshots of a page in every dress: desktop and phone, light and dark.
 * `node shots.mjs --page URL --out DIR [--name campus] [--settle 4]`
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { findBrowser, launch } from "./browser.mjs";

export const DRESSES = [
  { name: "desktop-light", viewport: { width: 1440, height: 900 }, colorScheme: "light" },
  { name: "desktop-dark", viewport: { width: 1440, height: 900 }, colorScheme: "dark" },
  { name: "phone-light", viewport: { width: 390, height: 844 }, colorScheme: "light", deviceScaleFactor: 2, isMobile: true, hasTouch: true },
  { name: "phone-dark", viewport: { width: 390, height: 844 }, colorScheme: "dark", deviceScaleFactor: 2, isMobile: true, hasTouch: true },
];

const { values } = parseArgs({
  options: {
    page: { type: "string" },
    out: { type: "string" },
    name: { type: "string", default: "page" },
    settle: { type: "string", default: "4" },
    only: { type: "string" },
  },
});
if (!values.page || !values.out) {
  console.error("usage: node shots.mjs --page URL --out DIR [--name NAME] [--settle SECONDS] [--only DRESS]");
  process.exit(64);
}
const executable = findBrowser();
if (!executable) {
  console.error("no chromium found; install it or set BANYAN_CHROMIUM");
  process.exit(1);
}
await mkdir(values.out, { recursive: true });
const browser = await launch(executable);
try {
  for (const { name, ...dress } of DRESSES) {
    if (values.only && values.only !== name) continue;
    const context = await browser.newContext(dress);
    const page = await context.newPage();
    page.on("pageerror", (error) => console.error(`${name}: ${error.message}`));
    page.on("console", (message) => message.type() === "error" && console.error(`${name}: ${message.text()}`));
    page.on("requestfailed", (request) => console.error(`${name}: ${request.url()} ${request.failure()?.errorText}`));
    await page.goto(values.page);
    await page.waitForSelector("main");
    await page.waitForTimeout(Number(values.settle) * 1000);
    const path = join(values.out, `${values.name}-${name}.png`);
    await page.screenshot({ path, fullPage: true });
    console.log(path, JSON.stringify(await page.evaluate(() => {
      const s = window.__banyan?.stats();
      return { wide: document.documentElement.scrollWidth, s };
    })));
    await context.close();
  }
} finally {
  await browser.close();
}
