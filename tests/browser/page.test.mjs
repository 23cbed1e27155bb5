/**
 * The page's behaviour against the mock campus: no tree is needed, only a built
 * page, FFmpeg and Chromium. What is missing is named and skipped, unless
 * BANYAN_STRICT=1 forbids skipping.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { findBrowser, launch } from "./browser.mjs";
import { Canary } from "./canary.mjs";
import { CANARY_MS, install, judge, LOST_S, SAMPLE_MS } from "./sampler.mjs";

const WEB = fileURLToPath(new URL("../../web/", import.meta.url));
const PORT = 5290;
const PAGE = `http://127.0.0.1:${PORT}/`;

function missing() {
  if (!existsSync(`${WEB}dist/index.html`)) return "web/dist is not built: run npm run build in web";
  if (!findBrowser()) return "no chromium: apt-get install chromium";
  if (spawnSync("ffmpeg", ["-version"]).status !== 0) return "no ffmpeg: apt-get install ffmpeg";
  return null;
}

const lacking = missing();
if (lacking && process.env.BANYAN_STRICT === "1") throw new Error(lacking);

/** Waits for a condition in the page, at most `seconds`. */
const until = (page, what, seconds, argument) => page.waitForFunction(what, argument, { timeout: seconds * 1000 });
const order = (path) => fetch(`${PAGE}mock/${path}`, { method: "POST" });
const record = (page) => page.evaluate(() => window.__record).then(judge);
const stats = (page) => page.evaluate(() => window.__banyan.stats());

/** No media time was lost, unless the machine was too busy to tell. */
async function nothingLost(t, page, canary) {
  const { lost_s } = await record(page);
  const lag = canary.stop();
  if (lag >= CANARY_MS) t.skip(`INCONCLUSIVE: the canary lagged ${lag} ms`);
  else assert.ok(lost_s <= LOST_S, `${lost_s} s lost, canary ${lag} ms`);
}

describe("the page", { skip: lacking ?? false, timeout: 240_000 }, () => {
  let mock;
  let browser;

  before(async () => {
    mock = spawn(process.execPath, [`${WEB}mock/server.mjs`, "--port", String(PORT)], { stdio: ["ignore", "pipe", "inherit"] });
    await new Promise((resolve, reject) => {
      mock.stdout.once("data", resolve);
      mock.once("exit", (code) => reject(new Error(`the mock ended with ${code}`)));
    });
    browser = await launch(findBrowser());
  });

  after(async () => {
    await browser?.close();
    mock?.kill("SIGTERM");
  });

  async function open(options = {}) {
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
    const page = await context.newPage();
    await page.addInitScript(install, SAMPLE_MS);
    await page.goto(PAGE);
    return page;
  }

  const playing = (page, seconds = 1) =>
    until(page, (s) => (window.__record.last?.media ?? 0) - (window.__record.first?.media ?? 0) > s, 40, seconds);

  test("goes on without loss when its edge dies, twice", async (t) => {
    const page = await open();
    const canary = new Canary();
    await playing(page, 2);
    const dead = [];
    for (const round of [1, 2]) {
      const { edge } = await stats(page);
      dead.push(edge.slice(-1));
      await order(`edge/${edge.slice(-1)}/off`);
      await until(page, (n) => window.__banyan.stats().switches.length >= n, 20, round);
      await playing(page, 2 + 7 * round);
    }
    await nothingLost(t, page, canary);
    const { errors, switches } = await stats(page);
    for (const edge of dead) await order(`edge/${edge}/on`);
    assert.deepEqual(errors.filter((error) => error.fatal), []);
    assert.equal(switches.length, 2);
    assert.match(await page.textContent(".log"), /This player went from edge-\d to edge-\d/);
    await page.context().close();
  });

  test("leaves an edge that accepts requests and never answers", async (t) => {
    const page = await open();
    const canary = new Canary();
    await playing(page, 2);
    const { edge } = await stats(page);
    await order(`edge/${edge.slice(-1)}/mute`);
    await until(page, () => window.__banyan.stats().switches.length > 0, 20);
    await playing(page, 10);
    await order(`edge/${edge.slice(-1)}/on`);
    const { switches } = await stats(page);
    assert.equal(switches[0].why, "no answer");
    await nothingLost(t, page, canary);
    await page.context().close();
  });

  test("goes on while the control plane is away, says so, and finds it again", async (t) => {
    const page = await open();
    const canary = new Canary();
    await playing(page, 1);
    await order("control/off");
    await page.waitForSelector(".banner", { timeout: 15_000 });
    assert.match(await page.textContent(".banner"), /Control plane unreachable, video goes on/);
    const { played_s } = await record(page);
    await playing(page, played_s + 5);
    await order("control/on");
    await page.waitForSelector(".banner", { state: "detached", timeout: 20_000 });
    await nothingLost(t, page, canary);
    assert.match(await page.textContent(".log"), /The control plane is back/);
    await page.context().close();
  });

  test("changes edge and stream by hand and by keys", async (t) => {
    const page = await open();
    const canary = new Canary();
    await playing(page, 1);
    await page.getByRole("combobox", { name: "Edge" }).selectOption("edge-3");
    await until(page, () => window.__banyan.stats().edge === "edge-3", 5);
    await playing(page, 4);
    await nothingLost(t, page, canary);

    await page.keyboard.press("k");
    await until(page, () => window.__banyan.video.paused, 5);
    await page.keyboard.press("k");
    await until(page, () => !window.__banyan.video.paused, 5);
    await page.keyboard.press("m");
    assert.equal(await page.evaluate(() => window.__banyan.video.muted), false);

    await page.locator('[data-stream="welcome"]').focus();
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("Enter");
    await until(page, () => window.__banyan.stats().stream === "lecture" && window.__banyan.stats().first_frame_ms !== null, 20);
    assert.equal(await page.getAttribute('[data-stream="lecture"]', "aria-pressed"), "true");
    assert.equal(new URL(page.url()).hash, "#lecture");
    await page.context().close();
  });

  test("asks nothing of other hosts and keeps its content policy", async () => {
    const context = await browser.newContext();
    const page = await context.newPage();
    const asked = new Set();
    const complaints = [];
    page.on("request", (request) => request.url().startsWith("blob:") || asked.add(new URL(request.url()).hostname));
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(error.message));
    await page.addInitScript(install, SAMPLE_MS);
    await page.goto(PAGE);
    await playing(page, 1);
    assert.deepEqual([...asked], ["127.0.0.1"]);
    assert.deepEqual(complaints, []);
    await context.close();
  });

  test("fits a phone of 360 px, the tree scrolling by itself", async () => {
    const page = await open({ viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true });
    await playing(page, 1);
    const wide = await page.evaluate(() => ({
      page: document.documentElement.scrollWidth,
      inner: document.querySelector(".tree-frame").scrollWidth,
      frame: document.querySelector(".tree-frame").clientWidth,
    }));
    assert.equal(wide.page, 360);
    assert.ok(wide.inner > wide.frame);
    await page.context().close();
  });

  test("does not start by itself where motion is not wanted", async () => {
    const page = await open({ reducedMotion: "reduce" });
    await page.waitForSelector(".big-play");
    assert.equal((await stats(page)).stream, null);
    await page.click(".big-play");
    await playing(page, 0.5);
    await page.context().close();
  });

  test("names every control, and gives the tree as a sentence and as tables", async () => {
    const page = await open();
    await playing(page, 0.5);
    const nameless = await page.evaluate(() =>
      [...document.querySelectorAll("button, select")]
        .filter((one) => !(one.getAttribute("aria-label") ?? one.labels?.[0]?.textContent ?? one.textContent).trim())
        .map((one) => one.outerHTML),
    );
    assert.deepEqual(nameless, []);
    assert.match(await page.getAttribute("svg.tree", "aria-label"), /Welcome to the campus comes from lisbon by way of root-0/);
    await page.click(".tables summary");
    const table = page.getByRole("table", { name: "Content servers" });
    assert.match(await table.textContent(), /lisbon12welcome, lectureactive/);
    await page.context().close();
  });

  test("shows what is being prepared, and what to run when there is nothing", async () => {
    await order("scene/preparing");
    const page = await open();
    await page.waitForSelector("progress");
    assert.equal(await page.locator("progress").count(), 4);
    await order("scene/empty");
    await page.getByText("banyan up examples/campus.yaml").waitFor();
    await order("scene/campus");
    await playing(page, 0.5);
    await page.context().close();
  });
});
