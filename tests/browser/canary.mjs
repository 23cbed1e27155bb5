/** The largest delay of a timer in this process group: what the machine, not the product, costs. */
import { performance } from "node:perf_hooks";

const PERIOD_MS = 100;

export class Canary {
  #worst = 0;
  #due = performance.now() + PERIOD_MS;
  #timer = setInterval(() => {
    const now = performance.now();
    this.#worst = Math.max(this.#worst, now - this.#due);
    this.#due = now + PERIOD_MS;
  }, PERIOD_MS).unref();

  /** The worst lag so far, in ms. */
  get lag() {
    return Math.round(Math.max(0, this.#worst));
  }

  stop() {
    clearInterval(this.#timer);
    return this.lag;
  }
}
