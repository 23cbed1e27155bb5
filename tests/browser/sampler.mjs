/**
 * The stall rule. `install` runs inside the page and records frames and samples;
 * `judge` is pure and turns the record into figures.
 *
 * Media time is compared with wall time between the first and the last frame
 * shown: what is missing was lost. `waiting` events are not used, they also fire
 * on clean runs. A jump forward hides what it skips, so it counts as lost, too.
 */

/** Period of the samples, in ms. */
export const SAMPLE_MS = 250;

/** Runs in the page: watches `window.__banyan.video` from its first appearance. */
export function install(sampleMs) {
  const fresh = () => ({ first: null, last: null, jumps: 0, samples: [] });
  const record = fresh();
  window.__record = record;
  /** A stream begins: what was recorded of the one before does not count. */
  window.__forget = () => Object.assign(record, fresh());
  const begin = (video) => {
    const seen = (_, frame) => {
      const at = { wall: performance.now() / 1000, media: frame.mediaTime };
      if (record.last) {
        const ahead = at.media - record.last.media - (at.wall - record.last.wall);
        if (ahead > 0.25) record.jumps += ahead;
      }
      record.first ??= at;
      record.last = at;
      video.requestVideoFrameCallback(seen);
    };
    video.requestVideoFrameCallback(seen);
    setInterval(() => {
      if (record.first) record.samples.push({ wall: performance.now() / 1000, media: video.currentTime });
    }, sampleMs);
  };
  const wait = setInterval(() => {
    const video = window.__banyan?.video;
    if (!video) return;
    clearInterval(wait);
    begin(video);
  }, 5);
}

/** Stalls, seconds played and seconds lost of a record. */
export function judge(record) {
  const { first, last, samples } = record;
  if (!first || !last) return { played_s: 0, lost_s: 0, stalls: 0 };
  const wall = last.wall - first.wall;
  const media = last.media - first.media;
  return {
    played_s: round(Math.max(0, media - record.jumps)),
    lost_s: round(Math.max(0, wall - media + record.jumps)),
    stalls: stalls(samples),
  };
}

/** Runs of samples in which media advanced less than half of the wall. */
function stalls(samples) {
  let count = 0;
  let stalled = false;
  for (let i = 1; i < samples.length; i += 1) {
    const wall = samples[i].wall - samples[i - 1].wall;
    const media = samples[i].media - samples[i - 1].media;
    const now = media < wall / 2;
    if (now && !stalled) count += 1;
    stalled = now;
  }
  return count;
}

/** Most media that may be missing between the first and the last frame, in seconds. */
export const LOST_S = 0.3;

/** Canary lag from which timing says nothing about the product, in ms. */
export const CANARY_MS = 500;

/** 0 passed, 1 failed, 3 inconclusive; with the reasons. Faults count whatever the canary says. */
export function verdict(result, wantedS) {
  const faults = [];
  if (result.fatal > 0) faults.push(`${result.fatal} fatal player errors`);
  if (result.missing_segments > 0) faults.push(`${result.missing_segments} media requests answered 400 or more`);
  const late = [];
  if (result.first_frame_ms === null) late.push("no frame was shown");
  else if (result.played_s < wantedS) late.push(`${result.played_s} s played, wanted ${wantedS}`);
  if (result.lost_s > LOST_S) late.push(`${result.lost_s} s of media time lost, at most ${LOST_S} accepted`);

  if (faults.length > 0) return { code: 1, word: "FAIL", reasons: [...faults, ...late] };
  if (result.canary_lag_ms >= CANARY_MS) {
    const lag = `the canary lagged ${result.canary_lag_ms} ms, at most ${CANARY_MS} is judged`;
    return { code: 3, word: "INCONCLUSIVE", reasons: [lag, ...late] };
  }
  return late.length > 0 ? { code: 1, word: "FAIL", reasons: late } : { code: 0, word: "PASS", reasons: [] };
}

function round(value) {
  return Math.round(value * 1000) / 1000;
}
