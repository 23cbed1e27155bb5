/**
 * The hls.js loader that survives an edge. Every request goes to the pool's
 * current edge; when that one refuses, breaks off, says 5xx or keeps silent, the
 * same resource is asked of the next edge. hls.js sees one slow answer, so the
 * buffer, the levels and the picture stay.
 */
import Hls from "hls.js";
import type {
  HlsConfig,
  Loader,
  LoaderCallbacks,
  LoaderConfiguration,
  LoaderContext,
  LoaderStats,
} from "hls.js";
import type { EdgePool } from "./edges";

type Load = Loader<LoaderContext>;

export interface Watch {
  /** A request failed over; `to` is null when no edge is left. */
  moved(from: string, to: string | null, why: string): void;
}

export function loaderFor(pool: EdgePool, watch: Watch): HlsConfig["loader"] {
  const Inner = Hls.DefaultConfig.loader;

  return class EdgeLoader implements Load {
    context: LoaderContext | null = null;
    readonly stats: LoaderStats;
    #inner: Load;
    #gone = false;
    readonly #config: HlsConfig;

    constructor(config: HlsConfig) {
      this.#config = config;
      this.#inner = new Inner(config);
      this.stats = this.#inner.stats;
    }

    load(context: LoaderContext, config: LoaderConfiguration, callbacks: LoaderCallbacks<LoaderContext>): void {
      this.context = context;
      this.#attempt(context, config, callbacks, Math.max(1, pool.edges.length));
    }

    #attempt(
      context: LoaderContext,
      config: LoaderConfiguration,
      callbacks: LoaderCallbacks<LoaderContext>,
      left: number,
    ): void {
      context.url = pool.rewrite(context.url);
      const asked = pool.owner(context.url);
      const others = left > 1 && asked !== null;

      /** True when the request now runs at another edge. */
      const movedOn = (why: string): boolean => {
        if (this.#gone || asked === null) return false;
        const wasCurrent = pool.current?.name === asked;
        const next = pool.fail(asked, performance.now());
        const to = next && next.name !== asked ? next.name : null;
        if (wasCurrent) watch.moved(asked, to, why);
        if (!others || to === null) return false;
        this.#renew();
        this.#attempt(context, config, callbacks, left - 1);
        return true;
      };

      this.#inner.load(context, others ? hasty(config, pool.patience(asked)) : config, {
        ...callbacks,
        onSuccess: (response, stats, ctx, details) => {
          if (asked !== null) pool.succeed(asked, context.responseType === "arraybuffer");
          callbacks.onSuccess(response, stats, ctx, details);
        },
        onError: (error, ctx, details, stats) => {
          const edgeIsBad = error.code === 0 || error.code >= 500;
          if (edgeIsBad && movedOn(error.code === 0 ? "connection failed" : `HTTP ${error.code}`)) return;
          callbacks.onError(error, ctx, details, stats);
        },
        onTimeout: (stats, ctx, details) => {
          if (movedOn("no answer")) return;
          callbacks.onTimeout(stats, ctx, details);
        },
      });
    }

    /** A fresh inner loader on the same statistics object, which hls.js already holds. */
    #renew(): void {
      this.#inner.destroy();
      this.#inner = new Inner(this.#config);
      Object.assign(this.stats, this.#inner.stats);
      this.#inner.stats = this.stats;
    }

    abort(): void {
      this.#gone = true;
      this.#inner.abort();
    }

    destroy(): void {
      this.#gone = true;
      this.#inner.destroy();
      this.context = null;
    }

    getCacheAge(): number | null {
      return this.#inner.getCacheAge?.() ?? null;
    }

    getResponseHeader(name: string): string | null {
      return this.#inner.getResponseHeader?.(name) ?? null;
    }
  };
}

/** One attempt, given up after `patience` ms of silence. */
function hasty(config: LoaderConfiguration, patience: number): LoaderConfiguration {
  const policy = config.loadPolicy;
  return {
    ...config,
    loadPolicy: {
      ...policy,
      maxTimeToFirstByteMs: Math.min(patience, policy.maxTimeToFirstByteMs || patience),
      errorRetry: null,
      timeoutRetry: null,
    },
  };
}
