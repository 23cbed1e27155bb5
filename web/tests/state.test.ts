import { describe, expect, test } from "vitest";
import { KEPT } from "../src/model/happenings";
import { health, initial, QUIET_MS, reduce } from "../src/model/state";
import type { Event, State } from "../src/model/state";
import { json, link, member, topology } from "./campus";

const play = (...events: Event[]): State => events.reduce(reduce, initial);
const seen = (more: Record<string, unknown> = {}, at = 1_000_100): Event => ({ type: "topology", topology: topology(more), at });
const texts = (state: State) => state.happenings.map((one) => one.text);
const withMember = (name: string, state: string) =>
  json().members.map((one) => (one.name === name ? { ...one, state } : one));

describe("what happened", () => {
  test("says nothing of the first picture", () => {
    expect(play(seen()).happenings).toEqual([]);
  });

  test("tells loss and return of a member", () => {
    const state = play(seen(), seen({ members: withMember("edge-2", "lost") }), seen());
    expect(texts(state)).toEqual(["edge-2 is back", "edge-2 was lost"]);
    expect(state.happenings.map((one) => one.tone)).toEqual(["good", "bad"]);
  });

  test("tells a death too short to be seen as loss", () => {
    const withPid = (pid: number) => seen({ members: json().members.map((one) => ({ ...one, pid: one.name === "edge-2" ? pid : 7 })) });
    expect(texts(play(withPid(0), withPid(41), withPid(41), withPid(42)))).toEqual(["edge-2 died and was started again"]);
  });

  test("tells joining and leaving, but not of the control plane", () => {
    const more = [...json().members.filter((one) => one.name !== "control"), member("edge-3", "edge")];
    expect(texts(play(seen(), seen({ members: more }), seen()))).toEqual(["edge-3 left the tree", "edge-3 joined the tree"]);
  });

  test("tells a change of content server once, as the stream's", () => {
    const [figs, nuts] = json().streams;
    const after = {
      streams: [{ ...figs, origin: "medlar" }, nuts],
      links: json().links.map((one) => (one.from === "quince" ? { ...one, from: "medlar" } : one)),
    };
    expect(texts(play(seen(), seen(after)))).toEqual(["Figs now comes from medlar, was quince"]);
  });

  test("does not mistake a stream at rest for one without content server", () => {
    const [figs] = json().streams;
    const one = (more: Record<string, unknown>) => seen({ streams: [{ ...figs, ...more }], links: [] });
    const rest = { origin: null, carrier: null, viewers: 0 };
    expect(texts(play(one({}), one(rest), one({})))).toEqual(["Figs flows from quince", "Figs rests: nobody watches"]);
    const lost = { ...rest, viewers: 2 };
    expect(texts(play(one({}), one(lost)))).toEqual(["Figs has no content server"]);
  });

  test("tells a move of a parent, also over a picture without the link", () => {
    const links = (from: string | null) => ({
      links: json().links.filter((one) => one.to !== "edge-2").concat(from ? [link(from, "edge-2", "figs", "hi", 1)] : []),
    });
    expect(texts(play(seen(), seen(links(null)), seen(links("root-1"))))).toEqual(["edge-2 moved to root-1, was lower-0"]);
  });

  test("says why, where the members told, and passes on a word it does not know", () => {
    const links = { links: json().links.filter((one) => one.to !== "edge-2").concat(link("root-1", "edge-2", "figs", "hi", 1)) };
    const told = (cause: string) => ({
      ...links,
      switches: [{ member: "edge-2", at_unix_ms: 5, stream: "figs", track: "hi", from: "lower-0", to: "root-1", cause }],
    });
    expect(texts(play(seen(), seen(told("HopSilent"))))).toEqual(["edge-2 moved to root-1, was lower-0: it fell silent"]);
    expect(texts(play(seen(), seen(told("Whim"))))).toEqual(["edge-2 moved to root-1, was lower-0: Whim"]);
    const [figs, nuts] = json().streams;
    const after = {
      streams: [{ ...figs, origin: "medlar" }, nuts],
      switches: [{ member: "root-0", at_unix_ms: 5, stream: "figs", track: "hi", from: "quince", to: "medlar", cause: "BetterMetric", origin: true }],
    };
    expect(texts(play(seen(), seen(after)))).toEqual(["Figs now comes from medlar, was quince: the other one is better"]);
  });

  test("waits while a member has two parents", () => {
    const two = { links: [link("root-1", "edge-2", "figs", "hi", 1), ...json().links] };
    expect(texts(play(seen(), seen(two)))).toEqual([]);
  });

  test("is bounded", () => {
    const events: Event[] = [seen()];
    for (let n = 0; n < 60; n += 1) events.push(seen({ members: withMember("edge-2", n % 2 ? "ready" : "lost") }));
    expect(play(...events).happenings).toHaveLength(KEPT);
  });
});

describe("the feed", () => {
  test("keeps the last picture while the control plane is away, and says when it returns", () => {
    const away = play(seen(), { type: "unreachable", at: 2_000_000 });
    expect(away.topology?.name).toBe("orchard");
    expect(away).toMatchObject({ feed: "unreachable", lostAt: 2_000_000 });
    const later = reduce(away, { type: "unreachable", at: 2_005_000 });
    expect(later.lostAt).toBe(2_000_000);
    const back = reduce(later, seen({}, 2_006_000));
    expect(back.feed).toBe("live");
    expect(texts(back)).toEqual(["The control plane is back"]);
  });

  test("waits until a control plane that came back knows the tree again", () => {
    const starting = { members: json().members.map((one) => ({ ...one, state: "starting" })), streams: [], links: [] };
    const away = play(seen(), { type: "unreachable", at: 2_000_000 });
    const learning = reduce(away, seen(starting, 2_001_000));
    expect(learning.topology?.streams).toHaveLength(2);
    const whole = reduce(learning, seen({}, 2_003_000));
    expect(texts(whole)).toEqual(["The control plane is back"]);
    const late = reduce(learning, seen({ members: withMember("edge-2", "lost") }, 2_001_000 + QUIET_MS));
    expect(texts(late)).toEqual(["edge-2 was lost", "The control plane is back"]);
  });

  test("takes the least delayed clock sample", () => {
    const state = play(seen({}, 1_000_300), seen({}, 1_000_020), seen({}, 1_000_500), seen({ now_unix_ms: 0 }, 1));
    expect(state.clockOffsetMs).toBe(20);
  });
});

describe("health", () => {
  const word = (...events: Event[]) => health(play(...events)).word;
  test("is one word", () => {
    expect(word()).toBe("unknown");
    expect(word(seen())).toBe("healthy");
    expect(word(seen({ members: [] }))).toBe("starting");
    expect(word(seen({ members: withMember("edge-2", "starting") }))).toBe("starting");
    expect(word(seen({ members: withMember("edge-2", "lost") }))).toBe("degraded");
    expect(word(seen(), { type: "unreachable", at: 1 })).toBe("unknown");
  });

  test("does not mind an idle stream without active source, but minds one nobody can serve", () => {
    const [figs] = json().streams;
    const idle = { streams: [{ ...figs, origin: "", viewers: 0 }] };
    expect(word(seen(idle))).toBe("healthy");
    expect(word(seen({ ...idle, origins: [] }))).toBe("degraded");
    expect(word(seen({ streams: [{ ...figs, origin: "", viewers: 2 }] }))).toBe("degraded");
  });
});

test("selecting the same stream again changes nothing", () => {
  const state = play({ type: "select", stream: "figs" });
  expect(reduce(state, { type: "select", stream: "figs" })).toBe(state);
});
