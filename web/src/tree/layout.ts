/**
 * Places the tree: content servers on top, then roots, interior tiers, edges.
 * Pure: a topology, the chosen stream and a width in; boxes and curves out.
 * Places depend on names only, so nothing jumps when a link comes or goes.
 */
import type { Link, Member, StreamSummary, Topology } from "../model/types";

export interface Box {
  readonly member: Member;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  /** Active content server of the chosen stream. */
  readonly active: boolean;
  readonly carrier: boolean;
  /** A content server that is not feeding the chosen stream, or offers something else. */
  readonly dimmed: boolean;
  readonly candidate: boolean;
  readonly here: boolean;
  readonly outBytesPerSecond: number;
}

export interface Row {
  readonly key: string;
  readonly label: string;
  readonly y: number;
  readonly boxes: readonly Box[];
}

/** `other` carries another stream; `spare` carries nothing and is a way out. */
export type CurveKind = "mine" | "chosen" | "other" | "spare";

export interface Curve {
  readonly key: string;
  readonly from: string;
  readonly to: string;
  readonly path: string;
  readonly kind: CurveKind;
  readonly bytesPerSecond: number;
  readonly tracks: readonly string[];
  readonly label: { readonly x: number; readonly y: number } | null;
  readonly troubled: boolean;
}

export interface Drawing {
  readonly width: number;
  readonly height: number;
  readonly rows: readonly Row[];
  readonly curves: readonly Curve[];
}

export interface Wish {
  readonly stream: string | null;
  /** The edge this page plays from, if any. */
  readonly here: string | null;
  readonly width: number;
}

const GAP = 14;
const MAX_BOX = 148;
const MIN_BOX = 100;
const BOX_HEIGHT = 50;
/** From a row's top to its boxes: the tier's name, then the arriving links' rates. */
const ROW_HEAD = 40;
/** Nothing arrives at the first row. */
const FIRST_HEAD = 22;
const BETWEEN = 34;
const MARGIN = 6;
/** Below the last row, for the sign that hangs on a box. */
const FOOT = 12;

export function draw(topology: Topology, wish: Wish): Drawing {
  const tiers = rowsOf(topology);
  const stream = topology.streams.find((candidate) => candidate.name === wish.stream) ?? null;
  const most = Math.max(1, ...tiers.map((tier) => tier.members.length));
  const width = Math.max(wish.width, most * (MIN_BOX + GAP) - GAP + 2 * MARGIN);
  const box = Math.min(MAX_BOX, (width - 2 * MARGIN - (most - 1) * GAP) / most);
  const out = outgoing(topology.links, wish.stream);

  const rows: Row[] = [];
  let y = MARGIN;
  for (const tier of tiers) {
    const top = y + (rows.length === 0 ? FIRST_HEAD : ROW_HEAD);
    const slot = (width - 2 * MARGIN) / Math.max(1, tier.members.length);
    const boxes = tier.members.map((member, index) => ({
      member,
      x: round(MARGIN + slot * (index + 0.5) - box / 2),
      y: top,
      width: round(box),
      height: BOX_HEIGHT,
      outBytesPerSecond: out.get(member.name) ?? 0,
      ...marks(member, stream, wish.here),
    }));
    rows.push({ key: tier.key, label: tier.label, y, boxes });
    y = top + BOX_HEIGHT + BETWEEN;
  }
  const height = rows.length === 0 ? 0 : y - BETWEEN + FOOT;
  return { width: round(width), height, rows, curves: curves(topology, rows, wish) };
}

function marks(member: Member, stream: StreamSummary | null, here: string | null) {
  const active = stream !== null && stream.origin === member.name;
  const candidate = stream === null || active || stream.candidates.includes(member.name);
  return {
    active,
    candidate,
    carrier: stream !== null && stream.carrier === member.name,
    dimmed: member.role === "server" && stream !== null && !active,
    here: member.name === here,
  };
}

interface Tier {
  readonly key: string;
  readonly label: string;
  readonly members: readonly Member[];
}

/** Rows top down, each in slot order. Empty rows do not exist. */
export function rowsOf(topology: Topology): Tier[] {
  const of = (role: Member["role"]) => topology.members.filter((member) => member.role === role).sort(bySlot);
  const interior = of("relay");
  const tiers: Tier[] = [
    { key: "servers", label: "Content servers", members: of("server") },
    { key: "roots", label: "Roots", members: of("root") },
    ...orderTiers(topology, interior).map((tier) => ({
      key: `tier-${tier}`,
      label: tier === "relay" ? "Relays" : `Relays: ${tier}`,
      members: interior.filter((member) => member.tier === tier),
    })),
    { key: "edges", label: "Edges", members: of("edge") },
  ];
  return tiers.filter((tier) => tier.members.length > 0);
}

/** Declared order when known; else parents before children, then order of appearance. */
export function orderTiers(topology: Topology, interior: readonly Member[]): string[] {
  const present = [...new Set(interior.map((member) => member.tier))];
  const declared = topology.tiers.filter((tier) => present.includes(tier));
  if (declared.length === present.length) return declared;

  const tierOf = new Map(interior.map((member) => [member.name, member.tier]));
  const above = new Map(present.map((tier) => [tier, new Set<string>()]));
  for (const link of topology.links) {
    const from = tierOf.get(link.from);
    const to = tierOf.get(link.to);
    if (from !== undefined && to !== undefined && from !== to) above.get(to)?.add(from);
  }
  const ordered: string[] = [];
  while (ordered.length < present.length) {
    const rest = present.filter((tier) => !ordered.includes(tier));
    const free = rest.find((tier) => [...(above.get(tier) ?? [])].every((parent) => ordered.includes(parent)));
    // Links that contradict each other: appearance decides.
    ordered.push(free ?? rest[0] ?? "");
  }
  return ordered;
}

/** "edge-2" before "edge-10". */
function bySlot(a: Member, b: Member): number {
  return a.name.localeCompare(b.name, "en", { numeric: true });
}

function outgoing(links: readonly Link[], stream: string | null): Map<string, number> {
  const out = new Map<string, number>();
  for (const link of links) {
    if (stream !== null && link.stream !== stream) continue;
    out.set(link.from, (out.get(link.from) ?? 0) + link.bytesPerSecond);
  }
  return out;
}

interface Bundle {
  readonly from: string;
  readonly to: string;
  readonly chosen: boolean;
  bytesPerSecond: number;
  tracks: string[];
  troubled: boolean;
}

function curves(topology: Topology, rows: readonly Row[], wish: Wish): Curve[] {
  const place = new Map(rows.flatMap((row) => row.boxes).map((box) => [box.member.name, box]));
  const bundles = bundle(topology.links, wish.stream);
  const mine = pathTo(bundles, wish.here);
  const ports = new Ports([...bundles.values()], place);
  const drawn: Curve[] = [];
  const joined = new Set<string>();

  for (const [key, entry] of bundles) {
    const from = place.get(entry.from);
    const to = place.get(entry.to);
    if (!from || !to) continue;
    joined.add(`${entry.from}\n${entry.to}`);
    const kind: CurveKind = !entry.chosen ? "other" : mine.has(key) ? "mine" : "chosen";
    const crowd = [...place.values()].some((box) => box.y === from.y && isBetween(box.x, from.x, to.x));
    const { path, label } = curve(from, to, ports.at(entry), crowd);
    drawn.push({
      key,
      from: entry.from,
      to: entry.to,
      path,
      kind,
      bytesPerSecond: entry.bytesPerSecond,
      tracks: [...new Set(entry.tracks)].sort(),
      label: entry.chosen ? label : null,
      troubled: entry.troubled,
    });
  }
  for (const [from, to] of spares(topology)) {
    const a = place.get(from);
    const b = place.get(to);
    if (!a || !b || joined.has(`${from}\n${to}`)) continue;
    joined.add(`${from}\n${to}`);
    drawn.push({
      key: `spare\n${from}\n${to}`,
      from,
      to,
      path: curve(a, b, b.x + b.width / 2, true).path,
      kind: "spare",
      bytesPerSecond: 0,
      tracks: [],
      label: null,
      troubled: false,
    });
  }
  const order: Record<CurveKind, number> = { spare: 0, other: 1, chosen: 2, mine: 3 };
  return drawn.sort((a, b) => order[a.kind] - order[b.kind]);
}

/** One bundle per pair of members for the chosen stream, one for all others. */
function bundle(links: readonly Link[], stream: string | null): Map<string, Bundle> {
  const bundles = new Map<string, Bundle>();
  for (const link of links) {
    const chosen = link.stream === stream;
    const key = `${chosen ? "chosen" : "other"}\n${link.from}\n${link.to}`;
    const entry = bundles.get(key) ?? {
      from: link.from,
      to: link.to,
      chosen,
      bytesPerSecond: 0,
      tracks: [],
      troubled: false,
    };
    entry.bytesPerSecond += link.bytesPerSecond;
    entry.tracks.push(link.track);
    entry.troubled ||= link.state === "stalled" || link.state === "repairing";
    bundles.set(key, entry);
  }
  return bundles;
}

/** Keys of the chosen stream's bundles on the way from a content server to `here`. */
function pathTo(bundles: ReadonlyMap<string, Bundle>, here: string | null): Set<string> {
  const path = new Set<string>();
  const open = here === null ? [] : [here];
  const seen = new Set<string>(open);
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    for (const [key, entry] of bundles) {
      if (!entry.chosen || entry.to !== name) continue;
      path.add(key);
      if (!seen.has(entry.from)) {
        seen.add(entry.from);
        open.push(entry.from);
      }
    }
  }
  return path;
}

/** Each member's ways out: its first two parents that feed it nothing now. */
function* spares(topology: Topology): Generator<[string, string]> {
  for (const member of topology.members) {
    for (const parent of member.parents.slice(0, 2)) yield [parent, member.name];
  }
}

/** Where several bundles reach one box, they land side by side, in order of their start. */
class Ports {
  readonly #at = new Map<Bundle, number>();

  constructor(bundles: readonly Bundle[], place: ReadonlyMap<string, Box>) {
    const byChild = new Map<string, Bundle[]>();
    for (const entry of bundles) byChild.set(entry.to, [...(byChild.get(entry.to) ?? []), entry]);
    for (const [name, entries] of byChild) {
      const box = place.get(name);
      if (!box) continue;
      const above = entries.filter((entry) => place.get(entry.from)?.y !== box.y);
      const startOf = (entry: Bundle) => (place.get(entry.from)?.x ?? 0) + (entry.chosen ? 0 : 0.5);
      above.sort((a, b) => startOf(a) - startOf(b));
      above.forEach((entry, index) => {
        this.#at.set(entry, box.x + (box.width * (index + 1)) / (above.length + 1));
      });
    }
  }

  at(entry: Bundle): number {
    return this.#at.get(entry) ?? 0;
  }
}

interface Drawn {
  readonly path: string;
  readonly label: { readonly x: number; readonly y: number };
}

function isBetween(x: number, a: number, b: number): boolean {
  return x > Math.min(a, b) && x < Math.max(a, b);
}

/** A hanging root: leaves straight down, arrives straight down. Siblings are joined at their sides. */
function curve(from: Box, to: Box, portX: number, crowd: boolean): Drawn {
  const x0 = round(from.x + from.width / 2);
  const y0 = from.y + from.height;
  const x1 = round(portX);
  const y1 = to.y;
  if (from.y === to.y) return sibling(from, to, crowd);
  if (y1 < y0) {
    // Upward, which only an orphan's last resort draws: around the outside.
    const out = round(Math.max(from.x + from.width, to.x + to.width) + 24);
    const a = { x: from.x + from.width, y: from.y + from.height / 2 };
    const b = { x: to.x + to.width, y: to.y + to.height / 2 };
    return { path: `M${a.x} ${a.y} C${out} ${a.y} ${out} ${b.y} ${b.x} ${b.y}`, label: { x: out, y: round((a.y + b.y) / 2) } };
  }
  const bend = round((y1 - y0) * 0.55);
  return { path: `M${x0} ${y0} C${x0} ${y0 + bend} ${x1} ${y1 - bend} ${x1} ${y1}`, label: { x: x1, y: y1 - 9 } };
}

/** Next to each other: a straight line; with others between: an arc above them. */
function sibling(from: Box, to: Box, crowd: boolean): Drawn {
  const rightward = to.x > from.x;
  const x0 = round(rightward ? from.x + from.width : from.x);
  const x1 = round(rightward ? to.x : to.x + to.width);
  const y = from.y + from.height / 2;
  const middle = round((x0 + x1) / 2);
  if (!crowd) return { path: `M${x0} ${y} L${x1} ${y}`, label: { x: middle, y: y - 8 } };
  const high = from.y - 22;
  return { path: `M${x0} ${y} C${middle} ${high} ${middle} ${high} ${x1} ${y}`, label: { x: middle, y: from.y + 2 } };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

/** Stroke width of a rate: 1.5 px for a trickle, at most 6 px. */
export function thickness(bytesPerSecond: number): number {
  const megabits = (bytesPerSecond * 8) / 1e6;
  return round(Math.min(6, 1.5 + 1.3 * Math.log2(1 + Math.max(0, megabits))));
}

/** The tree in a sentence, for those who do not see it. */
export function describe(topology: Topology, stream: string | null): string {
  const chosen = topology.streams.find((entry) => entry.name === stream);
  const rows = rowsOf(topology).map((tier) => `${tier.label.replace(":", "")}: ${tier.members.map((member) => member.name).join(", ")}.`);
  const base = rows.length === 0 ? "No members yet." : rows.join(" ");
  if (!chosen) return base;
  const source = chosen.origin === "" ? "no content server" : chosen.origin;
  return `${base} ${chosen.title} comes from ${source} by way of ${chosen.carrier || "no root"}.`;
}

/** A name cut in the middle, so that its slot number stays. */
export function shorten(name: string, room: number): string {
  if (name.length <= room || room < 4) return name;
  const tail = Math.min(4, Math.floor((room - 1) / 2));
  return `${name.slice(0, room - 1 - tail)}…${name.slice(name.length - tail)}`;
}
