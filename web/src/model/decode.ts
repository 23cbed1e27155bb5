/**
 * Reads the control plane's JSON into the page's types. A missing or odd field
 * becomes a default, an unusable entry is dropped: a newer or older control
 * plane must never blank the page while the video plays.
 */
import type {
  EdgeAddress,
  Link,
  Member,
  MemberState,
  Origin,
  OriginState,
  Preparation,
  Role,
  StreamDetails,
  StreamSummary,
  Switch,
  Topology,
  Track,
} from "./types";

type Json = Record<string, unknown>;

export function decodeTopology(value: unknown): Topology {
  const json = object(value);
  return {
    name: text(json.topology),
    epoch: number(json.epoch) ?? 0,
    nowUnixMs: number(json.now_unix_ms) ?? 0,
    tiers: texts(json.tiers),
    members: list(json.members, decodeMember),
    links: list(json.links, decodeLink),
    streams: list(json.streams, decodeStream),
    edges: list(json.edges, decodeEdge),
    origins: list(json.origins, decodeOrigin),
    switches: list(json.switches, decodeSwitch),
  };
}

export function decodeStreams(value: unknown): StreamDetails[] {
  return list(value, (json) => {
    const name = text(json.name);
    if (name === "") return null;
    return {
      name,
      durationMs: number(json.duration_ms) ?? 0,
      tracks: list(json.tracks, decodeTrack),
    };
  });
}

function decodeMember(json: Json): Member | null {
  const name = text(json.name);
  if (name === "") return null;
  const load = object(json.load);
  const role = decodeRole(text(json.role));
  return {
    name,
    role,
    tier: text(json.tier) || role,
    state: decodeState(text(json.state)),
    http: text(json.http),
    pid: number(json.pid) ?? 0,
    load: {
      cpuPermille: number(load.cpu_permille) ?? 0,
      memoryBytes: number(load.memory_bytes) ?? 0,
      networkInBps: number(load.network_in_bps) ?? 0,
      networkOutBps: number(load.network_out_bps) ?? 0,
    },
    sessions: number(json.sessions) ?? number(load.sessions) ?? 0,
    parents: names(json.parents),
  };
}

function decodeLink(json: Json): Link | null {
  const from = text(json.from);
  const to = text(json.to);
  if (from === "" || to === "") return null;
  return {
    from,
    to,
    stream: text(json.stream),
    track: text(json.track),
    bytesPerSecond: Math.max(0, number(json.bytes_per_second) ?? 0),
    state: text(json.state).toLowerCase(),
  };
}

function decodeStream(json: Json): StreamSummary | null {
  const name = text(json.name);
  if (name === "") return null;
  return {
    name,
    title: text(json.title) || name,
    carrier: text(json.carrier),
    origin: text(json.origin),
    candidates: texts(json.candidates),
    viewers: number(json.viewers) ?? 0,
    poster: json.poster !== false && json.poster !== null,
  };
}

function decodeEdge(json: Json): EdgeAddress | null {
  const url = text(json.url).replace(/\/+$/, "");
  if (!/^https?:\/\//.test(url)) return null;
  return { name: text(json.name) || url, url };
}

function decodeOrigin(json: Json): Origin | null {
  const source = text(json.source);
  if (source === "") return null;
  return {
    source,
    metric: number(json.metric),
    contents: texts(json.contents),
    state: decodeOriginState(text(json.state)),
    reason: text(json.reason),
    rttUs: number(json.rtt_us),
    latePermille: number(json.late_permille),
    loadPermille: number(json.load_permille),
    clockOffsetUs: number(json.clock_offset_us),
    feeds: texts(json.feeds),
    preparing: list(json.preparing, decodePreparation),
  };
}

function decodeSwitch(json: Json): Switch | null {
  const member = text(json.member);
  const cause = text(json.cause);
  if (member === "" || cause === "") return null;
  return { member, at: number(json.at_unix_ms) ?? 0, stream: text(json.stream), from: text(json.from), to: text(json.to), cause };
}

function decodePreparation(json: Json): Preparation | null {
  const content = text(json.content);
  if (content === "") return null;
  const remaining = number(json.remaining_ms);
  return {
    content,
    permille: Math.min(1000, Math.max(0, number(json.permille) ?? 0)),
    remainingMs: remaining !== null && remaining > 0 ? remaining : null,
    error: text(json.error),
  };
}

function decodeTrack(json: Json): Track | null {
  const name = text(json.name);
  if (name === "") return null;
  const kind = text(json.kind).toLowerCase();
  return {
    name,
    kind: kind === "video" || kind === "audio" ? kind : "other",
    codec: text(json.codec),
    width: number(json.width) ?? 0,
    height: number(json.height) ?? 0,
    frameRate: ratio(json.frame_rate),
    peakBandwidth: number(json.peak_bandwidth) ?? 0,
  };
}

function decodeRole(value: string): Role {
  switch (value.toLowerCase()) {
    case "origin":
    case "server":
    case "source":
    case "contentserver":
    case "content-server":
    case "content_server":
      return "server";
    case "root":
      return "root";
    case "edge":
      return "edge";
    case "control":
      return "control";
    default:
      return "relay";
  }
}

function decodeState(value: string): MemberState {
  switch (value.toLowerCase()) {
    case "ready":
      return "ready";
    case "lost":
      return "lost";
    default:
      return "starting";
  }
}

function decodeOriginState(value: string): OriginState {
  switch (value.toLowerCase()) {
    case "active":
      return "active";
    case "standby":
      return "standby";
    case "ineligible":
      return "ineligible";
    default:
      return "silent";
  }
}

/** "25/1", "30000/1001" or 25 as frames per second; 0 when unknown. */
function ratio(value: unknown): number {
  if (typeof value === "number") return value;
  const match = /^(\d+)(?:\/(\d+))?$/.exec(text(value));
  if (!match) return 0;
  const den = Number(match[2] ?? "1");
  return den === 0 ? 0 : Number(match[1]) / den;
}

function object(value: unknown): Json {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

function list<T>(value: unknown, decode: (json: Json) => T | null): T[] {
  if (!Array.isArray(value)) return [];
  return value.map((entry) => decode(object(entry))).filter((entry): entry is T => entry !== null);
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((entry): entry is string => typeof entry === "string") : [];
}

/** Names given either as strings or as objects with a `name`. */
function names(value: unknown): string[] {
  if (!Array.isArray(value)) return [];
  return value.map((entry) => (typeof entry === "string" ? entry : text(object(entry).name))).filter(Boolean);
}

function number(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}
