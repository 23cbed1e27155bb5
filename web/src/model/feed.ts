/**
 * The live feed: /api/events by EventSource, reopened for ever with back-off, and
 * watched for silence. A dead control plane is reported, never thrown: the page
 * keeps its last picture of the tree and the video goes on.
 */
import { decodeStreams, decodeTopology } from "./decode";
import type { StreamDetails, Topology } from "./types";

export interface FeedListener {
  topology(topology: Topology): void;
  streams(streams: readonly StreamDetails[]): void;
  unreachable(): void;
}

/** The control plane speaks at least every 5 s; twice that and a little is silence. */
export const SILENCE_MS = 12_000;
const RETRY_FIRST_MS = 1_000;
const RETRY_MOST_MS = 8_000;

/** Delay before attempt `n` (from 0), spread by `chance` in [0, 1) so that pages do not return in step. */
export function backoff(n: number, chance: number): number {
  const full = Math.min(RETRY_MOST_MS, RETRY_FIRST_MS * 2 ** n);
  return Math.round(full * (0.75 + chance / 2));
}

export class Feed {
  readonly #base: string;
  readonly #listener: FeedListener;
  #source: EventSource | null = null;
  #watchdog: ReturnType<typeof setTimeout> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #attempt = 0;
  #offered = "";
  #stopped = false;

  constructor(base: string, listener: FeedListener) {
    this.#base = base;
    this.#listener = listener;
  }

  start(): void {
    void this.#first();
    this.#open();
  }

  stop(): void {
    this.#stopped = true;
    this.#close();
    clearTimeout(this.#timer);
  }

  /** Tries at once, for instance when the page is shown again. */
  nudge(): void {
    if (this.#source?.readyState === EventSource.OPEN || this.#stopped) return;
    clearTimeout(this.#timer);
    this.#open();
  }

  /** The first picture without waiting for the first event. */
  async #first(): Promise<void> {
    const json = await this.#get("topology");
    if (json !== undefined) this.#take(json);
  }

  #open(): void {
    this.#close();
    const source = new EventSource(`${this.#base}events`);
    this.#source = source;
    source.addEventListener("topology", (event: MessageEvent<string>) => {
      if (source !== this.#source) return;
      this.#attempt = 0;
      this.#listen();
      try {
        this.#take(JSON.parse(event.data));
      } catch {
        // Half an event of a dying server: the next one is whole.
      }
    });
    source.addEventListener("error", () => source === this.#source && this.#failed());
    this.#listen();
  }

  #take(json: unknown): void {
    const topology = decodeTopology(json);
    this.#listener.topology(topology);
    const offered = topology.streams.map((stream) => stream.name).join(" ");
    if (offered !== this.#offered) {
      this.#offered = offered;
      void this.#details();
    }
  }

  async #details(): Promise<void> {
    const json = await this.#get("streams");
    if (json === undefined) this.#offered = "";
    else this.#listener.streams(decodeStreams(json));
  }

  async #get(what: string): Promise<unknown> {
    try {
      const answer = await fetch(`${this.#base}${what}`, { cache: "no-store" });
      return answer.ok ? await answer.json() : undefined;
    } catch {
      return undefined;
    }
  }

  #listen(): void {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#failed(), SILENCE_MS);
  }

  #failed(): void {
    this.#close();
    this.#listener.unreachable();
    if (this.#stopped) return;
    this.#timer = setTimeout(() => this.#open(), backoff(this.#attempt, Math.random()));
    this.#attempt += 1;
  }

  #close(): void {
    clearTimeout(this.#watchdog);
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }
}
