/**
 * Which edge to play from. Pure: all edges serve equal bytes under equal names,
 * so changing edge is only a change of address; this decides when and whither.
 */
import type { EdgeAddress, MemberState, Topology } from "../model/types";

export interface Edge extends EdgeAddress {
  readonly state: MemberState;
  readonly sessions: number;
}

/** How long a failed edge is passed over while another one is left. */
export const PENALTY_MS = 20_000;

/** Less than a live player's buffer, so that the next edge's answer comes in time. */
export const PROVEN_PATIENCE_MS = 2_500;
/** An edge nobody watches yet must fetch by way of the tree; leaving it early would wake all edges in turn. */
export const FIRST_PATIENCE_MS = 5_000;

/** Edges with what the tree says of them; an edge the tree does not list counts as ready. */
export function edgesOf(topology: Topology, pageHost: string): Edge[] {
  const members = new Map(topology.members.map((member) => [member.name, member]));
  return topology.edges.map((edge) => {
    const member = members.get(edge.name);
    return {
      name: edge.name,
      url: reachable(edge.url, pageHost),
      state: member?.state ?? "ready",
      sessions: member?.sessions ?? 0,
    };
  });
}

/**
 * A page opened from another machine cannot use a loopback address: there the
 * edge is on the host that served the page.
 */
export function reachable(url: string, pageHost: string): string {
  const parsed = new URL(url);
  if (!isLoopback(parsed.hostname) || pageHost === "" || isLoopback(pageHost)) return url;
  parsed.hostname = pageHost;
  return parsed.href.replace(/\/+$/, "");
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || /^127(\.\d+){3}$/.test(host);
}

export class EdgePool {
  #edges: readonly Edge[] = [];
  #current: string | null = null;
  readonly #known = new Map<string, string>();
  readonly #failedAt = new Map<string, number>();
  readonly #proven = new Set<string>();

  /** The current edge stays: the tree's opinion of an edge that plays is of no matter. */
  update(edges: readonly Edge[]): void {
    this.#edges = edges;
    for (const edge of edges) this.#known.set(edge.url, edge.name);
  }

  get edges(): readonly Edge[] {
    return this.#edges;
  }

  get current(): Edge | null {
    return this.#edges.find((edge) => edge.name === this.#current) ?? null;
  }

  /** The current edge, or the first ready one with the fewest sessions. */
  choose(now: number): Edge | null {
    const current = this.current ?? this.#best(now, null);
    this.#current = current?.name ?? null;
    return current;
  }

  select(name: string): Edge | null {
    if (this.#edges.some((edge) => edge.name === name)) this.#current = name;
    this.#failedAt.delete(name);
    return this.current;
  }

  /** Marks an edge as failed; moves on if it was the current one. Null when there is no other. */
  fail(name: string, now: number): Edge | null {
    this.#failedAt.set(name, now);
    this.#proven.delete(name);
    if (this.#current !== name) return this.current;
    const next = this.#best(now, name);
    if (next) this.#current = next.name;
    return next;
  }

  /** An edge answered; `media` when it sent media, so that its branch of the tree stands. */
  succeed(name: string, media: boolean): void {
    this.#failedAt.delete(name);
    if (media) this.#proven.add(name);
  }

  /** Silence after which another edge is asked, in ms: a branch that must grow first gets longer. */
  patience(name: string): number {
    return this.#proven.has(name) ? PROVEN_PATIENCE_MS : FIRST_PATIENCE_MS;
  }

  /** The same resource at the current edge; addresses of no known edge stay as they are. */
  rewrite(url: string): string {
    const target = this.current;
    if (!target) return url;
    for (const base of this.#known.keys()) {
      if (url.startsWith(`${base}/`)) return target.url + url.slice(base.length);
    }
    return url;
  }

  /** Name of the edge an address belongs to. */
  owner(url: string): string | null {
    for (const [base, name] of this.#known) if (url.startsWith(`${base}/`)) return name;
    return null;
  }

  #best(now: number, except: string | null): Edge | null {
    const rank = (edge: Edge) => {
      const failed = this.#failedAt.get(edge.name);
      const resting = failed !== undefined && now - failed < PENALTY_MS;
      return (resting ? 4 : 0) + (edge.state === "ready" ? 0 : edge.state === "starting" ? 1 : 2);
    };
    let best: Edge | null = null;
    for (const edge of this.#edges) {
      if (edge.name === except) continue;
      if (best === null || rank(edge) < rank(best)) best = edge;
      else if (rank(edge) === rank(best) && edge.sessions < best.sessions) best = edge;
    }
    return best;
  }
}
