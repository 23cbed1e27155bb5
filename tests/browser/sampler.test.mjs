import assert from "node:assert/strict";
import { test } from "node:test";
import { judge, verdict } from "./sampler.mjs";

/** A record from pairs of (wall, media), sampled at each. */
function record(pairs, jumps = 0) {
  const points = pairs.map(([wall, media]) => ({ wall, media }));
  return { first: points[0] ?? null, last: points.at(-1) ?? null, jumps, samples: points };
}

const line = (from, to, media = from) => {
  const pairs = [];
  for (let wall = from; wall <= to + 1e-9; wall += 0.25) pairs.push([wall, media + wall - from]);
  return pairs;
};

test("nothing shown is nothing played", () => {
  assert.deepEqual(judge(record([])), { played_s: 0, lost_s: 0, stalls: 0 });
});

test("a clean run loses nothing", () => {
  assert.deepEqual(judge(record(line(10, 25, 400))), { played_s: 15, lost_s: 0, stalls: 0 });
});

test("a pause of two seconds is one stall and two seconds lost", () => {
  const frozen = [[15.25, 5], [15.5, 5], [15.75, 5], [16, 5], [16.25, 5], [16.5, 5], [16.75, 5], [17, 5]];
  const pairs = [...line(10, 15, 0), ...frozen, ...line(17.25, 22.25, 5.25)];
  assert.deepEqual(judge(record(pairs)), { played_s: 10.25, lost_s: 2, stalls: 1 });
});

test("a jump forward after a stall does not hide it", () => {
  const pairs = [...line(10, 15, 0), [16, 5], [17, 5], ...line(17.25, 22.25, 7.25)];
  const { lost_s, played_s } = judge(record(pairs, 2));
  assert.equal(lost_s, 2);
  assert.equal(played_s, 10.25);
});

const good = { fatal: 0, missing_segments: 0, first_frame_ms: 400, played_s: 15.1, lost_s: 0.04, canary_lag_ms: 12 };

test("the verdict follows the gate", () => {
  assert.equal(verdict(good, 15).code, 0);
  assert.equal(verdict({ ...good, lost_s: 0.31 }, 15).code, 1);
  assert.equal(verdict({ ...good, played_s: 14.9 }, 15).code, 1);
  assert.equal(verdict({ ...good, first_frame_ms: null }, 15).code, 1);
  assert.equal(verdict({ ...good, fatal: 1 }, 15).code, 1);
  assert.equal(verdict({ ...good, missing_segments: 1 }, 15).code, 1);
});

test("a busy machine is inconclusive, never passed, but does not excuse a fault", () => {
  assert.equal(verdict({ ...good, canary_lag_ms: 500 }, 15).code, 3);
  assert.equal(verdict({ ...good, canary_lag_ms: 900, lost_s: 3 }, 15).code, 3);
  assert.equal(verdict({ ...good, canary_lag_ms: 900, missing_segments: 1 }, 15).code, 1);
});
