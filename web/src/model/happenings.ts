/**
 * What changed between two snapshots, in sentences. Pure: the page shows these,
 * and they are what makes a repair visible to somebody who just blinked.
 */
import type { Member, StreamSummary, Switch, Topology } from "./types";

export type Tone = "good" | "plain" | "bad";

export interface Happening {
  readonly at: number;
  readonly tone: Tone;
  readonly text: string;
}

/** Who fed each (member, stream) last; it outlives a snapshot without that link. */
export type Feeders = ReadonlyMap<string, string>;

export const KEPT = 40;

export function difference(before: Topology, after: Topology, feeders: Feeders, at: number): Happening[] {
  return [
    ...memberChanges(before.members, after.members, at),
    ...streamChanges(before.streams, after, at),
    ...moves(after, feeders, at),
  ];
}

/** The feeders after a snapshot. A member with two parents at once keeps its old entry. */
export function feedersAfter(topology: Topology, feeders: Feeders): Feeders {
  const next = new Map(feeders);
  for (const [key, from] of soleFeeders(topology)) next.set(key, from);
  return next;
}

function memberChanges(before: readonly Member[], after: readonly Member[], at: number): Happening[] {
  const old = new Map(before.map((member) => [member.name, member]));
  const happenings: Happening[] = [];
  for (const member of after) {
    const was = old.get(member.name);
    old.delete(member.name);
    if (member.role === "control") continue;
    if (!was) {
      happenings.push({ at, tone: "plain", text: `${member.name} joined the tree` });
    } else if (was.state !== member.state) {
      if (member.state === "lost") happenings.push({ at, tone: "bad", text: `${member.name} was lost` });
      else if (member.state === "starting") happenings.push({ at, tone: "plain", text: `${member.name} is starting` });
      else if (was.state === "lost") happenings.push({ at, tone: "good", text: `${member.name} is back` });
      else happenings.push({ at, tone: "good", text: `${member.name} is ready` });
    } else if (was.pid !== member.pid && was.pid !== 0 && member.pid !== 0) {
      happenings.push({ at, tone: "bad", text: `${member.name} died and was started again` });
    }
  }
  for (const member of old.values()) {
    if (member.role !== "control") happenings.push({ at, tone: "plain", text: `${member.name} left the tree` });
  }
  return happenings;
}

function streamChanges(before: readonly StreamSummary[], { streams: after, switches }: Topology, at: number): Happening[] {
  const old = new Map(before.map((stream) => [stream.name, stream]));
  const happenings: Happening[] = [];
  for (const stream of after) {
    const was = old.get(stream.name);
    old.delete(stream.name);
    if (!was) {
      happenings.push({ at, tone: "good", text: `${stream.title} is on offer` });
      continue;
    }
    if (was.origin !== stream.origin) happenings.push({ at, ...originChange(was, stream, switches) });
    if (was.carrier !== stream.carrier && stream.carrier !== "" && was.carrier !== "") {
      happenings.push({ at, tone: "plain", text: `${stream.carrier} carries ${stream.title}, was ${was.carrier}` });
    }
  }
  for (const stream of old.values()) {
    happenings.push({ at, tone: "plain", text: `${stream.title} was withdrawn` });
  }
  return happenings;
}

/** A stream nobody watches has no content server, and that is no misfortune. */
function originChange(was: StreamSummary, stream: StreamSummary, switches: readonly Switch[]): { tone: Tone; text: string } {
  if (stream.origin === "") {
    const watched = stream.viewers > 0 || stream.candidates.length === 0;
    return watched
      ? { tone: "bad", text: `${stream.title} has no content server` }
      : { tone: "plain", text: `${stream.title} rests: nobody watches` };
  }
  if (was.origin === "") return { tone: "plain", text: `${stream.title} flows from ${stream.origin}` };
  const told = switches.find((one) => one.stream === stream.name && one.from === was.origin && one.to === stream.origin);
  return { tone: "good", text: `${stream.title} now comes from ${stream.origin}, was ${was.origin}${because(told)}` };
}

function moves(after: Topology, feeders: Feeders, at: number): Happening[] {
  const servers = new Set(after.members.filter((member) => member.role === "server").map((member) => member.name));
  const told = new Set<string>();
  const happenings: Happening[] = [];
  for (const [key, from] of soleFeeders(after)) {
    const was = feeders.get(key);
    if (was === undefined || was === from) continue;
    // A change of content server is told as the stream's, once.
    if (servers.has(from) && servers.has(was)) continue;
    const to = key.slice(0, key.indexOf("\n"));
    const why = after.switches.find((one) => one.member === to && one.from === was && one.to === from);
    const text = `${to} moved to ${from}, was ${was}${because(why)}`;
    if (told.has(text)) continue;
    told.add(text);
    happenings.push({ at, tone: "plain", text });
  }
  return happenings;
}

/** The reason in a reader's words; one that this page does not know is told as it came. */
function because(why: Switch | undefined): string {
  if (why === undefined) return "";
  const words: Record<string, string> = {
    ConnectionLost: "its connection was lost",
    HopSilent: "it fell silent",
    MediaStalled: "its media stood still",
    HeartbeatLost: "its heartbeat was lost",
    BetterMetric: "the other one is better",
    ContentGone: "it no longer has the content",
    ClockSkew: "its clock is off",
    Drained: "it leaves",
    GoAway: "it leaves",
    PathLoop: "it was fed in a circle",
    ParentRepairing: "it repaired for too long",
    Planned: "as planned",
    CarrierReturned: "it is back",
  };
  return `: ${words[why.cause] ?? why.cause}`;
}

/** Feeder of each (member, stream) that has exactly one. */
function soleFeeders(topology: Topology): Map<string, string> {
  const all = new Map<string, Set<string>>();
  for (const link of topology.links) {
    const key = `${link.to}\n${link.stream}`;
    const set = all.get(key) ?? new Set();
    set.add(link.from);
    all.set(key, set);
  }
  const sole = new Map<string, string>();
  for (const [key, set] of all) {
    const [only] = set;
    if (set.size === 1 && only !== undefined) sole.set(key, only);
  }
  return sole;
}
