/**
 * The page's state and its reducer. Pure: events in, a new state out. Time is
 * carried by the events.
 */
import { difference, feedersAfter, KEPT } from "./happenings";
import type { Feeders, Happening, Tone } from "./happenings";
import type { StreamDetails, StreamSummary, Topology } from "./types";

/** `connecting` only before the first answer; afterwards `live` or `unreachable`. */
export type Feed = "connecting" | "live" | "unreachable";

export interface State {
  readonly topology: Topology | null;
  readonly quietUntil: number;
  /** Viewer's clock minus the control plane's, in ms; the least delayed sample wins. */
  readonly clockOffsetMs: number | null;
  readonly details: ReadonlyMap<string, StreamDetails>;
  readonly feed: Feed;
  readonly lostAt: number;
  readonly selected: string | null;
  readonly happenings: readonly Happening[];
  readonly feeders: Feeders;
}

export type Event =
  | { readonly type: "topology"; readonly topology: Topology; readonly at: number }
  | { readonly type: "streams"; readonly streams: readonly StreamDetails[] }
  | { readonly type: "unreachable"; readonly at: number }
  | { readonly type: "select"; readonly stream: string }
  | { readonly type: "happened"; readonly text: string; readonly tone: Tone; readonly at: number };

export const initial: State = {
  topology: null,
  quietUntil: 0,
  clockOffsetMs: null,
  details: new Map(),
  feed: "connecting",
  lostAt: 0,
  selected: null,
  happenings: [],
  feeders: new Map(),
};

export function reduce(state: State, event: Event): State {
  switch (event.type) {
    case "topology":
      return withTopology(state, event.topology, event.at);
    case "streams":
      return { ...state, details: new Map(event.streams.map((stream) => [stream.name, stream])) };
    case "unreachable":
      if (state.feed === "unreachable") return state;
      return { ...state, feed: "unreachable", lostAt: event.at };
    case "select":
      return state.selected === event.stream ? state : { ...state, selected: event.stream };
    case "happened":
      return { ...state, happenings: keep(state.happenings, [event]) };
  }
}

/** A control plane that came back learns who is there within this time; its news until then are about itself. */
export const QUIET_MS = 6_000;

function withTopology(state: State, topology: Topology, at: number): State {
  const back = state.feed === "unreachable" && state.topology !== null;
  const quietUntil = back ? at + QUIET_MS : state.quietUntil;
  const offset = topology.nowUnixMs > 0 ? at - topology.nowUnixMs : null;
  const next: State = { ...state, quietUntil, feed: "live", clockOffsetMs: least(state.clockOffsetMs, offset) };
  const happenings = back
    ? keep(state.happenings, [{ at, tone: "good", text: "The control plane is back" }])
    : state.happenings;
  if (at < quietUntil && state.topology !== null && knowsLess(topology, state.topology)) return { ...next, happenings };

  const news = state.topology === null ? [] : difference(state.topology, topology, state.feeders, at);
  return {
    ...next,
    topology,
    happenings: keep(happenings, news),
    feeders: feedersAfter(topology, state.feeders),
  };
}

function knowsLess(topology: Topology, known: Topology): boolean {
  const ready = (one: Topology) => one.members.filter((member) => member.state === "ready").length;
  return ready(topology) < ready(known) || topology.streams.length < known.streams.length;
}

/** Delay on the way only ever adds, so the smallest difference is nearest the truth. */
function least(known: number | null, sample: number | null): number | null {
  if (sample === null) return known;
  return known === null ? sample : Math.min(known, sample);
}

function keep(old: readonly Happening[], news: readonly Happening[]): readonly Happening[] {
  if (news.length === 0) return old;
  return [...[...news].reverse().map(({ at, tone, text }) => ({ at, tone, text })), ...old].slice(0, KEPT);
}

export type Health = "healthy" | "starting" | "degraded" | "unknown";

/** The topology in one word and one sentence. */
export function health(state: State): { readonly word: Health; readonly why: string } {
  const topology = state.topology;
  if (topology === null || state.feed !== "live") {
    return { word: "unknown", why: topology === null ? "waiting for the control plane" : "control plane unreachable" };
  }
  const members = topology.members.filter((member) => member.role !== "control");
  const lost = members.filter((member) => member.state === "lost");
  const orphan = topology.streams.filter((stream) => isOrphan(stream, topology));
  const starting = members.filter((member) => member.state === "starting");
  if (lost.length > 0) {
    const names = lost.map((member) => member.name).slice(0, 3).join(", ");
    return { word: "degraded", why: `${names}${lost.length > 3 ? " and others" : ""} lost` };
  }
  if (orphan.length > 0 && starting.length === 0) {
    return { word: "degraded", why: `${orphan[0]?.title ?? "a stream"} has no content server` };
  }
  if (members.length === 0) return { word: "starting", why: "no member has joined" };
  if (starting.length > 0) {
    return { word: "starting", why: `${members.length - starting.length} of ${members.length} members ready` };
  }
  return { word: "healthy", why: `all ${members.length} members ready` };
}

/** Nobody serves it and no candidate is heard: idle streams may have no active origin. */
function isOrphan(stream: StreamSummary, topology: Topology): boolean {
  if (stream.origin !== "") return false;
  const heard = topology.origins.some(
    (origin) => origin.state !== "silent" && stream.candidates.includes(origin.source),
  );
  return !heard || stream.viewers > 0;
}
