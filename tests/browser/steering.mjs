/**
 * Plays a steered multivariant playlist with plain hls.js, as any page could: no
 * loader and no edge list of ours, only content steering.
 *
 *   node steering.mjs --url URL [--for 20] [--within 60] [--json] [--follow]
 *
 * Prints one line (JSON with --json), with --follow before it a line of JSON for
 * every second played (`played_s`, `edge`: host and port of the last media). Exit
 * codes are those of play.mjs.
 */
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { findBrowser, launch } from "./browser.mjs";
import { Canary } from "./canary.mjs";
import { install, judge, SAMPLE_MS, verdict } from "./sampler.mjs";

const PLAYER = fileURLToPath(new URL("../../web/node_modules/hls.js/dist/hls.min.js", import.meta.url));

const { values } = parseArgs({
  options: {
    url: { type: "string" },
    for: { type: "string", default: "20" },
    within: { type: "string", default: "60" },
    json: { type: "boolean", default: false },
    follow: { type: "boolean", default: false },
  },
});
const wanted = Number(values.for);
const within = Number(values.within);
const executable = findBrowser();
if (!values.url || !(wanted > 0) || !(within >= wanted)) {
  console.error("usage: node steering.mjs --url URL [--for SECONDS] [--within SECONDS] [--json] [--follow]");
  process.exit(64);
}
if (!executable) {
  console.error("no chromium found; install it (apt-get install chromium) or set BANYAN_CHROMIUM");
  process.exit(1);
}

/** Runs in the page: plays, and says from where. A pathway that fails is not worth asking again. */
function play(url) {
  const once = (policy) => ({
    default: { ...policy.default, maxTimeToFirstByteMs: 2500, errorRetry: null, timeoutRetry: null },
  });
  const { playlistLoadPolicy, fragLoadPolicy } = window.Hls.DefaultConfig;
  const player = new window.Hls({
    playlistLoadPolicy: once(playlistLoadPolicy),
    fragLoadPolicy: once(fragLoadPolicy),
    liveSyncDuration: 6,
  });
  const video = document.querySelector("video");
  const told = { edges: [], pathways: [], fatal: 0, errors: [] };
  const add = (list, one) => one && list.at(-1) !== one && list.push(one);
  player.on(window.Hls.Events.FRAG_BUFFERED, (_, { frag }) => {
    if (frag.url) add(told.edges, new URL(frag.url).host);
    add(told.pathways, player.pathways.length > 0 ? player.levels[frag.level]?.pathwayId : undefined);
  });
  player.on(window.Hls.Events.ERROR, (_, { details, fatal, response }) => {
    told.fatal += fatal ? 1 : 0;
    if (told.errors.length < 20) told.errors.push(`${fatal ? "fatal " : ""}${details} ${response?.code ?? ""}`.trim());
  });
  window.__banyan = { video, told };
  player.loadSource(url);
  player.attachMedia(video);
  void video.play();
}

async function watch(page) {
  const deadline = performance.now() + within * 1000;
  let told = 0;
  for (;;) {
    const { record, seen } = await page.evaluate(() => {
      const { first, last, jumps, samples } = window.__record;
      return { record: { first, last, jumps, samples }, seen: window.__banyan.told };
    });
    const figures = judge(record);
    if (values.follow && figures.played_s >= told + 1) {
      told = Math.floor(figures.played_s);
      console.log(JSON.stringify({ played_s: figures.played_s, edge: seen.edges.at(-1) ?? null }));
    }
    if (figures.played_s >= wanted || performance.now() >= deadline) {
      return { ...figures, ...seen, first_frame_ms: record.first ? Math.round(record.first.wall * 1000) : null };
    }
    await page.waitForTimeout(SAMPLE_MS);
  }
}

const browser = await launch(executable);
const canary = new Canary();
let result;
try {
  const page = await browser.newPage();
  await page.setContent("<video muted></video>");
  await page.addScriptTag({ path: PLAYER });
  await page.evaluate(`(${install})(${SAMPLE_MS})`);
  await page.evaluate(play, values.url);
  result = { ...(await watch(page)), missing_segments: 0, canary_lag_ms: canary.stop() };
} finally {
  await browser.close();
}
const { code, word, reasons } = verdict(result, wanted);
if (values.json) console.log(JSON.stringify({ ...result, verdict: word, reasons }));
else console.log(`${word}${reasons.length > 0 ? `: ${reasons.join("; ")}` : ""} (${result.played_s} s from ${result.edges.join(", then ")}, lost ${result.lost_s} s; ${result.errors.join(", ")})`);
process.exit(code);
