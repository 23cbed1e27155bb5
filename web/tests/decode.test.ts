import { describe, expect, test } from "vitest";
import { decodeStreams, decodeTopology } from "../src/model/decode";
import { topology } from "./campus";

describe("decoding the control plane's JSON", () => {
  test("keeps what is there", () => {
    const orchard = topology();
    expect(orchard.name).toBe("orchard");
    expect(orchard.members.map((member) => member.role)).toEqual([
      "server", "server", "root", "root", "relay", "relay", "edge", "edge", "control",
    ]);
    expect(orchard.edges[1]?.url).toBe("http://127.0.0.1:9010");
    expect(orchard.origins[0]).toMatchObject({ metric: 12, state: "active", rttUs: 400 });
    expect(orchard.origins[1]).toMatchObject({ metric: 30, state: "standby", rttUs: null });
  });

  test("keeps why a content server may not feed", () => {
    const origins = [
      { source: "quince", state: "Ineligible", reason: "ClockSkew", clock_offset_us: -2_500_000 },
      { source: "medlar", state: "Silent", reason: "Silent" },
    ];
    const [quince, medlar] = topology({ origins }).origins;
    expect(quince).toMatchObject({ state: "ineligible", reason: "ClockSkew", clockOffsetUs: -2_500_000 });
    expect(medlar).toMatchObject({ state: "silent", clockOffsetUs: null });
  });

  test("never fails on odd input", () => {
    const odd: unknown[] = [
      null, 7, "text", [], {}, { members: 3, links: {}, streams: [null, 4, []] },
      { members: [{ name: 5 }, { name: "x", load: 9, parents: [1, { name: "y" }, "z"] }], edges: [{ url: "javascript:alert(1)" }] },
    ];
    for (const value of odd) {
      expect(() => decodeTopology(value)).not.toThrow();
      expect(() => decodeStreams(value)).not.toThrow();
    }
    expect(decodeTopology(odd[6]).members).toHaveLength(1);
    expect(decodeTopology(odd[6]).members[0]?.parents).toEqual(["y", "z"]);
    expect(decodeTopology(odd[6]).edges).toEqual([]);
  });

  test("reads frame rates as ratios", () => {
    const [stream] = decodeStreams([
      { name: "figs", tracks: [{ name: "hi", kind: "video", frame_rate: "30000/1001" }, { name: "s", kind: "audio", frame_rate: "0/0" }] },
    ]);
    expect(stream?.tracks[0]?.frameRate).toBeCloseTo(29.97, 2);
    expect(stream?.tracks[1]?.frameRate).toBe(0);
  });
});
