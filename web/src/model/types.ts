/**
 * What the page knows, after decoding. The control plane's JSON is read once in
 * `decode.ts`; everything else sees only these types, with every field present.
 */

export type Role = "server" | "root" | "relay" | "edge" | "control";
export type MemberState = "ready" | "starting" | "lost";
export type OriginState = "active" | "standby" | "ineligible" | "silent";

export interface Load {
  readonly cpuPermille: number;
  readonly memoryBytes: number;
  readonly networkInBps: number;
  readonly networkOutBps: number;
}

export interface Member {
  readonly name: string;
  readonly role: Role;
  readonly tier: string;
  readonly state: MemberState;
  readonly http: string;
  /** Its process; 0 when unknown. Another one means that it was started again. */
  readonly pid: number;
  readonly load: Load;
  readonly sessions: number;
  /** Ranked parents, nearest first; empty when the control plane does not say. */
  readonly parents: readonly string[];
}

export interface Link {
  readonly from: string;
  readonly to: string;
  readonly stream: string;
  readonly track: string;
  readonly bytesPerSecond: number;
  readonly state: string;
}

export interface StreamSummary {
  readonly name: string;
  readonly title: string;
  readonly carrier: string;
  readonly origin: string;
  readonly candidates: readonly string[];
  readonly viewers: number;
  readonly poster: boolean;
}

export interface EdgeAddress {
  readonly name: string;
  readonly url: string;
}

export interface Preparation {
  readonly content: string;
  readonly permille: number;
  readonly remainingMs: number | null;
  readonly error: string;
}

export interface Origin {
  readonly source: string;
  readonly metric: number | null;
  readonly contents: readonly string[];
  readonly state: OriginState;
  /** Why no stream would be pulled from it, such as ClockSkew; empty = it may be selected. */
  readonly reason: string;
  readonly rttUs: number | null;
  readonly latePermille: number | null;
  readonly loadPermille: number | null;
  /** How far its clock is behind the root's. */
  readonly clockOffsetUs: number | null;
  readonly feeds: readonly string[];
  readonly preparing: readonly Preparation[];
}

/** A change of feeder, as the member that made it tells it. */
export interface Switch {
  readonly member: string;
  readonly at: number;
  readonly stream: string;
  readonly from: string;
  readonly to: string;
  /** The project's word, such as HopSilent. */
  readonly cause: string;
}

export interface Topology {
  readonly name: string;
  readonly epoch: number;
  readonly nowUnixMs: number;
  /** Tier names, top down; empty when the control plane does not say. */
  readonly tiers: readonly string[];
  readonly members: readonly Member[];
  readonly links: readonly Link[];
  readonly streams: readonly StreamSummary[];
  readonly edges: readonly EdgeAddress[];
  readonly origins: readonly Origin[];
  /** Newest first. */
  readonly switches: readonly Switch[];
}

export interface Track {
  readonly name: string;
  readonly kind: "video" | "audio" | "other";
  readonly codec: string;
  readonly width: number;
  readonly height: number;
  readonly frameRate: number;
  readonly peakBandwidth: number;
}

export interface StreamDetails {
  readonly name: string;
  readonly durationMs: number;
  readonly tracks: readonly Track[];
}
