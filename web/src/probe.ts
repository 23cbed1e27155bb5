/** What the page shows to tests and to a curious console: `window.__banyan`. */
import type Hls from "hls.js";
import type { Player, Stats } from "./player/player";

export interface Probe {
  readonly video: HTMLVideoElement;
  readonly hls: Hls | null;
  stats(): Stats;
}

declare global {
  interface Window {
    __banyan?: Probe;
  }
}

export function expose(player: Player): void {
  window.__banyan = {
    get video() {
      return player.video;
    },
    get hls() {
      return player.hls;
    },
    stats: () => player.stats(),
  };
}
