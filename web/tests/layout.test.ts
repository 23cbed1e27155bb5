import { describe as group, expect, test } from "vitest";
import { describe, draw, orderTiers, rowsOf, shorten, thickness } from "../src/tree/layout";
import type { Drawing } from "../src/tree/layout";
import { link, member, topology } from "./campus";

const wish = { stream: "figs", here: "edge-2", width: 600 };
const boxes = (drawing: Drawing) => drawing.rows.flatMap((row) => row.boxes);

group("rows", () => {
  test("stand in order of the tree, in slot order, without the control plane", () => {
    expect(rowsOf(topology()).map((row) => row.members.map((one) => one.name))).toEqual([
      ["medlar", "quince"], ["root-0", "root-1"], ["upper-0"], ["lower-0"], ["edge-2", "edge-10"],
    ]);
  });

  test("follow the declared tiers when they are known", () => {
    const declared = topology({ tiers: ["lower", "upper"] });
    expect(orderTiers(declared, declared.members.filter((one) => one.role === "relay"))).toEqual(["lower", "upper"]);
  });

  test("survive links that contradict each other", () => {
    const knot = topology({ links: [link("lower-0", "upper-0", "a", "t", 1), link("upper-0", "lower-0", "a", "t", 1)] });
    expect(orderTiers(knot, knot.members.filter((one) => one.role === "relay"))).toEqual(["lower", "upper"]);
  });

  test("of an empty topology do not exist", () => {
    const drawing = draw(topology({ members: [], links: [] }), wish);
    expect(drawing.rows).toEqual([]);
    expect(drawing.height).toBe(0);
  });
});

group("boxes", () => {
  test("neither overlap nor leave the picture, however many there are", () => {
    for (const edges of [1, 2, 4, 9, 40]) {
      for (const width of [300, 640, 1200]) {
        const many = topology({ members: Array.from({ length: edges }, (_, n) => member(`edge-${n}`, "edge")) });
        const drawing = draw(many, { ...wish, width });
        expect(drawing.width).toBeGreaterThanOrEqual(width);
        let right = 0;
        for (const box of boxes(drawing)) {
          expect(box.x).toBeGreaterThan(right);
          right = box.x + box.width;
        }
        expect(right).toBeLessThanOrEqual(drawing.width);
      }
    }
  });

  test("do not move when links come and go", () => {
    const place = (links: unknown[]) => boxes(draw(topology({ tiers: ["upper", "lower"], links }), wish)).map((box) => [box.member.name, box.x, box.y]);
    expect(place([])).toEqual(place([link("root-1", "edge-2", "figs", "hi", 9)]));
  });

  test("carry the marks of the chosen stream", () => {
    const by = new Map(boxes(draw(topology(), wish)).map((box) => [box.member.name, box]));
    expect(by.get("quince")).toMatchObject({ active: true, dimmed: false });
    expect(by.get("medlar")).toMatchObject({ active: false, dimmed: true, candidate: true });
    expect(by.get("root-0")?.carrier).toBe(true);
    expect(by.get("edge-2")?.here).toBe(true);
    expect(by.get("lower-0")?.outBytesPerSecond).toBe(500_000);
  });
});

group("curves", () => {
  test("bundle the tracks of a link and sum their rates", () => {
    const first = draw(topology(), wish).curves.find((curve) => curve.from === "quince");
    expect(first).toMatchObject({ to: "root-0", bytesPerSecond: 262_500, tracks: ["hi", "sound"] });
  });

  test("mark the path to this viewer, the rest of the stream, and other streams", () => {
    const kinds = new Map(draw(topology(), wish).curves.map((curve) => [`${curve.from}>${curve.to}`, curve.kind]));
    expect(Object.fromEntries(kinds)).toEqual({
      "quince>root-0": "mine", "root-0>upper-0": "mine", "upper-0>lower-0": "mine", "lower-0>edge-2": "mine",
      "lower-0>edge-10": "chosen", "medlar>root-1": "other",
    });
  });

  test("show parents that feed nothing as spare, and only those", () => {
    const members = [member("root-0", "root"), member("root-1", "root"), member("edge-2", "edge", { parents: ["root-0", "root-1", "root-9"] })];
    const drawing = draw(topology({ members, links: [link("root-0", "edge-2", "figs", "hi", 1)] }), wish);
    expect(drawing.curves.map((curve) => [curve.from, curve.kind])).toEqual([["root-1", "spare"], ["root-0", "mine"]]);
  });

  test("end in the picture also for loops, siblings and unknown members", () => {
    const links = [
      link("edge-2", "edge-10", "figs", "hi", 1), link("edge-10", "edge-2", "figs", "hi", 1),
      link("edge-2", "root-0", "figs", "hi", 1), link("nobody", "edge-2", "figs", "hi", 1),
    ];
    const drawing = draw(topology({ links }), wish);
    expect(drawing.curves).toHaveLength(3);
    for (const curve of drawing.curves) expect(curve.path).not.toMatch(/NaN|undefined/);
  });
});

test("a rate thickens its curve within bounds", () => {
  expect(thickness(0)).toBe(1.5);
  expect(thickness(-5)).toBe(1.5);
  expect(thickness(1e12)).toBe(6);
  expect(thickness(250_000)).toBeGreaterThan(thickness(25_000));
});

test("a long name is cut in the middle and keeps its slot", () => {
  expect(shorten("edge-1", 10)).toBe("edge-1");
  expect(shorten("distribution-12", 10)).toBe("distr…n-12");
  expect(shorten("distribution-12", 10)).toHaveLength(10);
});

test("the tree reads as a sentence", () => {
  expect(describe(topology(), "figs")).toBe(
    "Content servers: medlar, quince. Roots: root-0, root-1. Relays upper: upper-0. Relays lower: lower-0. " +
      "Edges: edge-2, edge-10. Figs comes from quince by way of root-0.",
  );
  expect(describe(topology({ members: [] }), null)).toBe("No members yet.");
});
