import { describe, expect, test } from "vitest";
import { backoff } from "../src/model/feed";
import { EdgePool, edgesOf, FIRST_PATIENCE_MS, PENALTY_MS, PROVEN_PATIENCE_MS, reachable } from "../src/player/edges";
import type { Edge } from "../src/player/edges";
import { target } from "../src/ui/cards";
import { topology } from "./campus";

const edge = (name: string, sessions = 0, state: Edge["state"] = "ready"): Edge => ({
  name, sessions, state, url: `http://host:80${name.slice(-1)}`,
});

function pool(...edges: Edge[]): EdgePool {
  const made = new EdgePool();
  made.update(edges);
  return made;
}

describe("choosing an edge", () => {
  test("takes the first ready one with the fewest sessions", () => {
    expect(pool(edge("e-0", 3), edge("e-1", 0, "lost"), edge("e-2", 1), edge("e-3", 1)).choose(0)?.name).toBe("e-2");
  });

  test("takes one that is not ready rather than none", () => {
    expect(pool(edge("e-0", 0, "lost"), edge("e-1", 9, "starting")).choose(0)?.name).toBe("e-1");
    expect(pool().choose(0)).toBeNull();
  });

  test("stays, whatever the control plane thinks of it later", () => {
    const one = pool(edge("e-0", 0), edge("e-1", 1));
    one.choose(0);
    one.update([edge("e-0", 50, "lost"), edge("e-1", 0)]);
    expect(one.choose(1)?.name).toBe("e-0");
  });

  test("goes to another when its edge is no longer listed", () => {
    const one = pool(edge("e-0", 0), edge("e-1", 1));
    one.choose(0);
    one.update([edge("e-1", 1)]);
    expect(one.choose(1)?.name).toBe("e-1");
  });
});

describe("failing over", () => {
  test("passes over an edge that failed lately, and comes back to it when all have", () => {
    const one = pool(edge("e-0", 0), edge("e-1", 1), edge("e-2", 2));
    one.choose(0);
    expect(one.fail("e-0", 0)?.name).toBe("e-1");
    expect(one.fail("e-1", 10)?.name).toBe("e-2");
    expect(one.fail("e-2", 20)?.name).toBe("e-0");
  });

  test("forgets a failure after a while", () => {
    const one = pool(edge("e-0", 0), edge("e-1", 1), edge("e-2", 2));
    one.choose(0);
    one.fail("e-0", 0);
    expect(one.fail("e-1", PENALTY_MS + 1)?.name).toBe("e-0");
  });

  test("moves once when several requests fail at the same edge", () => {
    const one = pool(edge("e-0", 0), edge("e-1", 1), edge("e-2", 2));
    one.choose(0);
    expect(one.fail("e-0", 0)?.name).toBe("e-1");
    expect(one.fail("e-0", 1)?.name).toBe("e-1");
  });

  test("has nowhere to go with one edge", () => {
    const one = pool(edge("e-0"));
    one.choose(0);
    expect(one.fail("e-0", 0)).toBeNull();
    expect(one.current?.name).toBe("e-0");
  });

  test("rewrites addresses of known edges to the current one and leaves others alone", () => {
    const one = pool(edge("e-0", 0), edge("e-1", 1));
    one.choose(0);
    expect(one.rewrite("http://host:801/figs/run/hi/7.m4s?x=1")).toBe("http://host:800/figs/run/hi/7.m4s?x=1");
    one.select("e-1");
    expect(one.rewrite("http://host:800/figs/hi.m3u8")).toBe("http://host:801/figs/hi.m3u8");
    expect(one.rewrite("http://elsewhere/a")).toBe("http://elsewhere/a");
    expect(one.owner("http://host:800/figs/hi.m3u8")).toBe("e-0");
    expect(one.owner("http://host:8000/figs")).toBeNull();
  });

  test("is less patient with an edge that has sent media", () => {
    const one = pool(edge("e-0"), edge("e-1"));
    one.choose(0);
    one.succeed("e-0", false);
    expect(one.patience("e-0")).toBe(FIRST_PATIENCE_MS);
    one.succeed("e-0", true);
    expect(one.patience("e-0")).toBe(PROVEN_PATIENCE_MS);
    one.fail("e-0", 1);
    expect(one.patience("e-0")).toBe(FIRST_PATIENCE_MS);
  });

  test("still knows the address of an edge that left", () => {
    const one = pool(edge("e-0", 0), edge("e-1", 1));
    one.choose(0);
    one.update([edge("e-1", 1)]);
    one.choose(1);
    expect(one.rewrite("http://host:800/figs/hi.m3u8")).toBe("http://host:801/figs/hi.m3u8");
  });
});

describe("addresses", () => {
  test("of loopback edges follow the page's host from another machine", () => {
    expect(reachable("http://127.0.0.1:9002", "lab.example")).toBe("http://lab.example:9002");
    expect(reachable("http://127.0.0.1:9002", "localhost")).toBe("http://127.0.0.1:9002");
    expect(reachable("https://edge.example/live", "lab.example")).toBe("https://edge.example/live");
  });

  test("come with what the tree says of the edge", () => {
    expect(edgesOf(topology(), "localhost")).toEqual([
      { name: "edge-2", url: "http://127.0.0.1:9002", state: "ready", sessions: 2 },
      { name: "edge-10", url: "http://127.0.0.1:9010", state: "ready", sessions: 1 },
    ]);
  });
});

test("reconnecting backs off within bounds and is spread", () => {
  expect(backoff(0, 0)).toBe(750);
  expect(backoff(0, 0.999)).toBeLessThan(1_251);
  expect(backoff(50, 0.999)).toBeLessThanOrEqual(10_000);
});

test("arrow keys move among cards and stop at the ends", () => {
  expect(target("ArrowRight", 0, 3)).toBe(1);
  expect(target("ArrowDown", 2, 3)).toBe(2);
  expect(target("ArrowLeft", 0, 3)).toBe(0);
  expect(target("End", 0, 3)).toBe(2);
  expect(target("Home", 2, 3)).toBe(0);
  expect(target("x", 1, 3)).toBeNull();
});
