/** A small topology for tests, with names unlike the product's. */
import { decodeTopology } from "../src/model/decode";
import type { Topology } from "../src/model/types";

export function member(name: string, role: string, more: Record<string, unknown> = {}) {
  return { name, role, tier: role, state: "ready", sessions: 0, load: {}, ...more };
}

export function link(from: string, to: string, stream: string, track: string, bytes: number) {
  return { from, to, stream, track, bytes_per_second: bytes, state: "flowing" };
}

export function json(more: Record<string, unknown> = {}) {
  return {
    topology: "orchard",
    epoch: 4,
    now_unix_ms: 1_000_000,
    members: [
      member("quince", "origin"),
      member("medlar", "origin"),
      member("root-0", "root"),
      member("root-1", "root"),
      member("lower-0", "relay", { tier: "lower" }),
      member("upper-0", "relay", { tier: "upper" }),
      member("edge-10", "edge", { sessions: 1 }),
      member("edge-2", "edge", { sessions: 2 }),
      member("control", "control"),
    ],
    links: [
      link("quince", "root-0", "figs", "hi", 250_000),
      link("quince", "root-0", "figs", "sound", 12_500),
      link("root-0", "upper-0", "figs", "hi", 250_000),
      link("upper-0", "lower-0", "figs", "hi", 250_000),
      link("lower-0", "edge-2", "figs", "hi", 250_000),
      link("lower-0", "edge-10", "figs", "hi", 250_000),
      link("medlar", "root-1", "nuts", "hi", 125_000),
    ],
    streams: [
      { name: "figs", title: "Figs", carrier: "root-0", origin: "quince", candidates: ["quince", "medlar"], viewers: 3, poster: true },
      { name: "nuts", title: "Nuts", carrier: "root-1", origin: "medlar", candidates: ["medlar"], viewers: 0, poster: false },
    ],
    edges: [
      { name: "edge-2", url: "http://127.0.0.1:9002" },
      { name: "edge-10", url: "http://127.0.0.1:9010/" },
    ],
    origins: [
      { source: "quince", metric: 12, contents: ["figs"], state: "Active", rtt_us: 400, late_permille: 1, load_permille: 100, feeds: ["figs"], preparing: [] },
      { source: "medlar", metric: 30, contents: ["figs", "nuts"], state: "Standby", reason: "", feeds: [], preparing: [] },
    ],
    ...more,
  };
}

export function topology(more: Record<string, unknown> = {}): Topology {
  return decodeTopology(json(more));
}
