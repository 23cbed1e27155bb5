/**
 * Plays one stream on one <video>. Owns hls.js, the edge pool and recovery; knows
 * nothing of the page. The control plane is not on this path: once started, only
 * edges are asked.
 */
import Hls from "hls.js";
import type { ErrorData } from "hls.js";
import { EdgePool } from "./edges";
import type { Edge } from "./edges";
import { loaderFor } from "./loader";

export type Phase = "idle" | "loading" | "playing" | "paused" | "waiting" | "failed";

export interface Rendition {
  readonly index: number;
  readonly label: string;
  readonly bitrate: number;
}

export interface Stats {
  readonly stream: string | null;
  readonly edge: string | null;
  readonly phase: Phase;
  readonly first_frame_ms: number | null;
  /** Behind the source's clock when the playlist dates its segments, else behind the playlist's end. */
  readonly latency_s: number | null;
  readonly buffer_s: number;
  readonly rendition: string | null;
  readonly rendition_bps: number;
  readonly auto: boolean;
  readonly dropped: number;
  readonly decoded: number;
  readonly behind_live_s: number | null;
  readonly switches: readonly Switch[];
  readonly errors: readonly Fault[];
}

export interface Switch {
  readonly at: number;
  readonly from: string;
  readonly to: string | null;
  readonly why: string;
}

export interface Fault {
  readonly at: number;
  readonly type: string;
  readonly details: string;
  readonly fatal: boolean;
  /** The answer's HTTP status, or 0. */
  readonly code: number;
}

export interface Listener {
  changed(): void;
  switched(change: Switch): void;
}

/** A paused player lets go of its branch of the tree after this long. */
const PAUSE_KEEPS_MS = 15_000;
const RETRY_FIRST_MS = 500;
const RETRY_MOST_MS = 8_000;
const FAULTS_KEPT = 50;

export class Player {
  readonly video: HTMLVideoElement;
  readonly #pool = new EdgePool();
  readonly #listener: Listener;
  #hls: Hls | null = null;
  #stream: string | null = null;
  #phase: Phase = "idle";
  #askedAt = 0;
  #firstFrameMs: number | null = null;
  #retry = 0;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #pauseTimer: ReturnType<typeof setTimeout> | undefined;
  #letGo = false;
  /** An edge was known and asked for the chosen stream. */
  #opened = false;
  #clockOffsetMs: number | null = null;
  #switches: Switch[] = [];
  #faults: Fault[] = [];

  constructor(video: HTMLVideoElement, listener: Listener) {
    this.video = video;
    this.#listener = listener;
    const on = (name: keyof HTMLMediaElementEventMap, act: () => void) => video.addEventListener(name, act);
    on("playing", () => this.#enter("playing"));
    on("waiting", () => this.#phase === "playing" && this.#enter("waiting"));
    on("pause", () => this.#paused());
    on("play", () => this.#resumed());
    on("volumechange", () => listener.changed());
    on("error", () => this.#nativeError());
  }

  get hls(): Hls | null {
    return this.#hls;
  }

  get stream(): string | null {
    return this.#stream;
  }

  get phase(): Phase {
    return this.#phase;
  }

  get edge(): Edge | null {
    return this.#pool.current;
  }

  get edges(): readonly Edge[] {
    return this.#pool.edges;
  }

  get renditions(): readonly Rendition[] {
    return (this.#hls?.levels ?? []).map((level, index) => ({
      index,
      label: level.height > 0 ? `${level.height}p` : level.name || `rendition ${index + 1}`,
      bitrate: level.bitrate,
    }));
  }

  /** Chosen rendition, or -1 for automatic. */
  get renditionChoice(): number {
    return this.#hls?.manualLevel ?? -1;
  }

  know(edges: readonly Edge[], clockOffsetMs: number | null): void {
    this.#pool.update(edges);
    this.#clockOffsetMs = clockOffsetMs;
    if (this.#stream !== null && !this.#opened) this.#open();
  }

  play(stream: string): void {
    this.#close();
    this.#stream = stream;
    this.#askedAt = performance.now();
    this.#firstFrameMs = null;
    this.#switches = [];
    this.#faults = [];
    this.#enter("loading");
    this.#open();
  }

  toggle(): void {
    if (this.#stream === null) return;
    if (this.video.paused) void this.#start();
    else this.video.pause();
  }

  /** Later requests go to this edge; what is buffered stays. */
  selectEdge(name: string): void {
    const from = this.#pool.current?.name ?? "";
    const edge = this.#pool.select(name);
    if (!edge || edge.name === from) return;
    this.#note({ at: Date.now(), from, to: edge.name, why: "chosen by you" });
    if (this.#phase === "failed") this.#again();
    // Native playback has one address and must be opened anew.
    if (this.#hls === null && this.#stream !== null) this.#open();
  }

  selectRendition(index: number): void {
    if (this.#hls) this.#hls.nextLevel = index;
    this.#listener.changed();
  }

  goLive(): void {
    const at = this.#hls?.liveSyncPosition;
    if (at !== null && at !== undefined) this.video.currentTime = at;
    if (this.video.paused) void this.#start();
  }

  stats(): Stats {
    const { video } = this;
    const hls = this.#hls;
    const quality = video.getVideoPlaybackQuality?.();
    const level = hls && hls.currentLevel >= 0 ? hls.levels[hls.currentLevel] : undefined;
    const sync = hls?.liveSyncPosition ?? null;
    return {
      stream: this.#stream,
      edge: this.#pool.current?.name ?? null,
      phase: this.#phase,
      first_frame_ms: this.#firstFrameMs,
      latency_s: this.#latency(),
      buffer_s: ahead(video),
      rendition: level ? `${level.height}p` : video.videoHeight > 0 ? `${video.videoHeight}p` : null,
      rendition_bps: level?.bitrate ?? 0,
      auto: hls?.autoLevelEnabled ?? true,
      dropped: quality?.droppedVideoFrames ?? 0,
      decoded: quality?.totalVideoFrames ?? 0,
      behind_live_s: sync === null ? null : Math.max(0, sync - video.currentTime),
      switches: this.#switches,
      errors: this.#faults,
    };
  }

  #latency(): number | null {
    const hls = this.#hls;
    if (!hls || this.#firstFrameMs === null) return null;
    const playing = hls.playingDate;
    if (playing && this.#clockOffsetMs !== null) {
      const behind = (Date.now() - this.#clockOffsetMs - playing.getTime()) / 1000;
      // Dates of another clock say nothing; then the playlist's end is the reference.
      if (behind > -1 && behind < 600) return Math.max(0, behind);
    }
    return hls.latency > 0 ? hls.latency : null;
  }

  #open(): void {
    const edge = this.#pool.choose(performance.now());
    if (!edge || this.#stream === null) return;
    this.#opened = true;
    const url = `${edge.url}/${this.#stream}/index.m3u8`;
    this.#watchFirstFrame();
    if (Hls.isSupported()) this.#openHls(url);
    else this.video.src = url;
    void this.#start();
  }

  #openHls(url: string): void {
    const patient = { maxNumRetry: 4, retryDelayMs: 400, maxRetryDelayMs: 3_000, backoff: "exponential" as const };
    const policy = {
      default: { maxTimeToFirstByteMs: 8_000, maxLoadTimeMs: 20_000, timeoutRetry: patient, errorRetry: patient },
    };
    const hls = new Hls({
      // fMP4 passes through: a worker would cost a copy and a blob: policy for nothing.
      enableWorker: false,
      lowLatencyMode: true,
      backBufferLength: 20,
      maxBufferLength: 30,
      startFragPrefetch: true,
      manifestLoadPolicy: policy,
      playlistLoadPolicy: policy,
      fragLoadPolicy: policy,
      loader: loaderFor(this.#pool, {
        moved: (from, to, why) => this.#note({ at: Date.now(), from, to, why }),
      }),
    });
    this.#hls = hls;
    hls.on(Hls.Events.ERROR, (_, data) => this.#error(hls, data));
    hls.on(Hls.Events.MANIFEST_PARSED, () => this.#listener.changed());
    hls.on(Hls.Events.LEVEL_SWITCHED, () => this.#listener.changed());
    hls.on(Hls.Events.FRAG_BUFFERED, () => {
      this.#retry = 0;
      if (this.#phase === "failed") this.#enter(this.#afterFailure());
    });
    hls.loadSource(url);
    hls.attachMedia(this.video);
  }

  #close(): void {
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#pauseTimer);
    this.#retry = 0;
    this.#letGo = false;
    this.#opened = false;
    this.#hls?.destroy();
    this.#hls = null;
    this.video.removeAttribute("src");
    this.video.load();
  }

  async #start(): Promise<void> {
    try {
      await this.video.play();
    } catch (error) {
      if (!(error instanceof DOMException) || error.name !== "NotAllowedError") return;
      // Browsers let a page start muted video only; sound waits for a tap.
      if (this.video.muted) {
        this.#enter("paused");
        return;
      }
      this.video.muted = true;
      void this.#start();
    }
  }

  #watchFirstFrame(): void {
    const { video } = this;
    const stream = this.#stream;
    const seen = () => {
      if (this.#stream !== stream || this.#firstFrameMs !== null) return;
      this.#firstFrameMs = Math.round(performance.now() - this.#askedAt);
      this.#listener.changed();
    };
    if (typeof video.requestVideoFrameCallback === "function") video.requestVideoFrameCallback(seen);
    else video.addEventListener("playing", seen, { once: true });
  }

  #error(hls: Hls, data: ErrorData): void {
    if (hls !== this.#hls) return;
    this.#faults.push({
      at: Date.now(),
      type: data.type,
      details: data.details,
      fatal: data.fatal,
      code: data.response?.code ?? 0,
    });
    this.#faults = this.#faults.slice(-FAULTS_KEPT);
    if (!data.fatal) return;
    if (data.type === Hls.ErrorTypes.MEDIA_ERROR && this.#retry < 2) {
      this.#retry += 1;
      hls.recoverMediaError();
      return;
    }
    const edge = this.#pool.current;
    if (data.type === Hls.ErrorTypes.NETWORK_ERROR && edge) {
      const next = this.#pool.fail(edge.name, performance.now());
      if (next) this.#note({ at: Date.now(), from: edge.name, to: next.name, why: data.details });
    }
    this.#enter("failed");
    this.#later();
  }

  #later(): void {
    clearTimeout(this.#retryTimer);
    const delay = Math.min(RETRY_MOST_MS, RETRY_FIRST_MS * 2 ** this.#retry);
    this.#retry += 1;
    this.#retryTimer = setTimeout(() => this.#again(), delay);
  }

  /** Goes on where it stands when the levels are known, else opens anew. */
  #again(): void {
    clearTimeout(this.#retryTimer);
    if (this.#stream === null) return;
    const hls = this.#hls;
    if (hls && hls.levels.length > 0) {
      hls.startLoad(-1);
      return;
    }
    this.#hls?.destroy();
    this.#hls = null;
    this.#open();
  }

  /** A picture that never stopped fires no event to say that it plays. */
  #afterFailure(): Phase {
    if (this.video.paused) return "paused";
    return this.video.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA ? "playing" : "waiting";
  }

  #nativeError(): void {
    if (this.#hls || this.#stream === null || !this.video.error || !this.video.hasAttribute("src")) return;
    const edge = this.#pool.current;
    if (edge) {
      const next = this.#pool.fail(edge.name, performance.now());
      if (next) this.#note({ at: Date.now(), from: edge.name, to: next.name, why: "playback error" });
    }
    this.#enter("failed");
    this.#later();
  }

  #paused(): void {
    if (this.#stream === null || this.video.ended) return;
    this.#enter("paused");
    clearTimeout(this.#pauseTimer);
    this.#pauseTimer = setTimeout(() => {
      this.#hls?.stopLoad();
      this.#letGo = this.#hls !== null;
    }, PAUSE_KEEPS_MS);
  }

  #resumed(): void {
    clearTimeout(this.#pauseTimer);
    if (!this.#letGo || !this.#hls) return;
    this.#letGo = false;
    const hls = this.#hls;
    hls.startLoad(-1);
    // The window has moved on: from the new playlist's live point.
    hls.once(Hls.Events.LEVEL_UPDATED, () => this.goLive());
  }

  #note(change: Switch): void {
    this.#switches = [...this.#switches, change].slice(-FAULTS_KEPT);
    this.#listener.switched(change);
    this.#listener.changed();
  }

  #enter(phase: Phase): void {
    if (this.#phase === phase) return;
    this.#phase = phase;
    this.#listener.changed();
  }
}

/** Seconds buffered beyond the present position. */
function ahead(video: HTMLVideoElement): number {
  const { buffered, currentTime } = video;
  for (let i = 0; i < buffered.length; i += 1) {
    if (buffered.start(i) <= currentTime + 0.1 && currentTime <= buffered.end(i)) return buffered.end(i) - currentTime;
  }
  return 0;
}
