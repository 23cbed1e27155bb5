/**
 * Plays a stream on a Banyan page in headless Chromium and judges it.
 *
 *   node play.mjs --page URL [--stream NAME] [--for 15] [--within 90] --out DIR [--json] [--follow]
 *
 * Prints one line (JSON with --json), with --follow before it a line of JSON for
 * every second played (`played_s`, `edge`), writes screenshots to DIR, and exits 0 when
 * it played, 1 when it did not, 3 (INCONCLUSIVE) when the machine was too busy to
 * tell, 64 for bad arguments.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { parseArgs } from "node:util";
import { findBrowser, launch } from "./browser.mjs";
import { Canary } from "./canary.mjs";
import { install, judge, SAMPLE_MS, verdict } from "./sampler.mjs";

const USAGE = "usage: node play.mjs --page URL [--stream NAME] [--for SECONDS] [--within SECONDS] --out DIR [--json] [--follow]";

function options() {
  try {
    const { values } = parseArgs({
      options: {
        page: { type: "string" },
        stream: { type: "string" },
        for: { type: "string", default: "15" },
        within: { type: "string", default: "90" },
        out: { type: "string" },
        json: { type: "boolean", default: false },
        follow: { type: "boolean", default: false },
      },
    });
    const wanted = Number(values.for);
    const within = Number(values.within);
    if (!values.page || !values.out) throw new Error("--page and --out are needed");
    if (!(wanted > 0) || !(within >= wanted)) throw new Error(`--for ${values.for} --within ${values.within}: wants 0 < for <= within`);
    return { ...values, page: values.page, out: values.out, wanted, within };
  } catch (error) {
    console.error(`${error.message}\n${USAGE}`);
    process.exit(64);
  }
}

const MEDIA = /\.(m3u8|mpd|m4s|mp4|ts|aac)$/;
const isMedia = (url) => MEDIA.test(new URL(url).pathname);

/** What went wrong outside the player, in a few words each. */
function listen(page) {
  const heard = { missing: 0, refused: 0, errors: [] };
  const note = (text) => heard.errors.length < 20 && heard.errors.push(text);
  page.on("response", (response) => {
    if (response.status() < 400 || !isMedia(response.url())) return;
    heard.missing += 1;
    note(`${response.status()} ${response.url()}`);
  });
  page.on("requestfailed", (request) => {
    const why = request.failure()?.errorText ?? "failed";
    // The player itself gives up requests it no longer needs.
    if (!isMedia(request.url()) || why === "net::ERR_ABORTED") return;
    heard.refused += 1;
    note(`${why} ${request.url()}`);
  });
  page.on("pageerror", (error) => note(`page: ${error.message}`));
  return heard;
}

/** The page plays the stream in its address by itself. */
function addressOf({ page, stream }) {
  const url = new URL(page);
  if (stream) url.hash = stream;
  return url.href;
}

async function choose(page, stream, timeout) {
  const card = stream ? page.locator(`[data-stream="${stream}"]`) : page.locator("[data-stream]").first();
  await card.waitFor({ timeout });
  const name = await card.getAttribute("data-stream");
  const already = await page.evaluate(() => window.__banyan?.stats().stream ?? null);
  if (already !== name) {
    await card.evaluate((element) => {
      element.click();
      window.__forget();
    });
  }
  return name;
}

async function watch(page, { wanted, follow }, deadline) {
  let told = 0;
  for (;;) {
    const record = await page.evaluate(() => {
      const { first, last, jumps, samples } = window.__record;
      return { first, last, jumps, samples, stats: window.__banyan?.stats() ?? null };
    });
    const figures = judge(record);
    if (follow && figures.played_s >= told + 1) {
      told = Math.floor(figures.played_s);
      console.log(JSON.stringify({ played_s: figures.played_s, edge: record.stats?.edge ?? null }));
    }
    if (figures.played_s >= wanted || performance.now() >= deadline) return { figures, stats: record.stats };
    await page.waitForTimeout(SAMPLE_MS);
  }
}

/** After the judging: a screenshot costs frames. */
async function portraits(page, folder) {
  await mkdir(folder, { recursive: true });
  const shoot = (name) => page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
  await shoot("page");
  await page.emulateMedia({ colorScheme: "dark" });
  await shoot("page-dark");
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: 390, height: 844 });
  await page.waitForTimeout(300);
  await shoot("page-phone");
}

async function run(settings, executable) {
  const browser = await launch(executable);
  try {
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: "light" });
    const page = await context.newPage();
    const heard = listen(page);
    await page.addInitScript(install, SAMPLE_MS);
    const canary = new Canary();
    const start = performance.now();
    const limit = settings.within * 1000;
    let stream = null;
    let outcome = { figures: judge({ first: null, last: null, samples: [] }), stats: null };
    try {
      await page.goto(addressOf(settings), { timeout: limit });
      stream = await choose(page, settings.stream, Math.max(1, limit - (performance.now() - start)));
      outcome = await watch(page, settings, start + limit);
    } catch (error) {
      heard.errors.push(`run: ${error.message.split("\n")[0]}`);
    }
    const lag = canary.stop();
    const faults = outcome.stats?.errors ?? [];
    const result = {
      stream,
      edge: outcome.stats?.edge ?? null,
      first_frame_ms: outcome.stats?.first_frame_ms ?? null,
      ...outcome.figures,
      fatal: faults.filter((fault) => fault.fatal).length,
      errors: [...faults.map((fault) => `${fault.fatal ? "fatal " : ""}${fault.details}${fault.code ? ` ${fault.code}` : ""}`), ...heard.errors].slice(0, 20),
      canary_lag_ms: lag,
      dropped: outcome.stats?.dropped ?? 0,
      missing_segments: heard.missing,
      refused_requests: heard.refused,
      latency_s: outcome.stats?.latency_s ?? null,
      rendition: outcome.stats?.rendition ?? null,
      switches: (outcome.stats?.switches ?? []).map(({ from, to, why }) => ({ from, to, why })),
    };
    await portraits(page, settings.out).catch((error) => console.error(`no screenshots: ${error.message}`));
    return result;
  } finally {
    await browser.close();
  }
}

const settings = options();
const executable = findBrowser();
if (!executable) {
  console.error("no chromium found; install it (apt-get install chromium) or set BANYAN_CHROMIUM");
  process.exit(1);
}
const result = await run(settings, executable);
const { code, word, reasons } = verdict(result, settings.wanted);
if (settings.json) console.log(JSON.stringify({ ...result, verdict: word, reasons }));
else console.log(`${word}${reasons.length > 0 ? `: ${reasons.join("; ")}` : ""} (${result.played_s} s of ${result.stream} from ${result.edge}, first frame ${result.first_frame_ms} ms, lost ${result.lost_s} s)`);
process.exit(code);
