/** Headless Chromium as it is found on the machine, with flags that hold in containers. */
import { accessSync, constants } from "node:fs";
import { chromium } from "playwright-core";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

const FLAGS = [
  "--no-sandbox",
  "--autoplay-policy=no-user-gesture-required",
  "--mute-audio",
  "--disable-gpu",
  "--disable-dev-shm-usage",
  "--disable-background-timer-throttling",
  "--disable-renderer-backgrounding",
];

/** Path of the browser, from BANYAN_CHROMIUM or the usual places; null when there is none. */
export function findBrowser(environment = process.env) {
  const wanted = environment.BANYAN_CHROMIUM;
  for (const path of wanted ? [wanted] : PLACES) {
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // The next place.
    }
  }
  return null;
}

export function launch(executablePath) {
  return chromium.launch({ executablePath, headless: true, args: FLAGS });
}
