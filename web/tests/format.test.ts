import { expect, test } from "vitest";
import { ago, bitrate, bytes, count, permille, rate, remaining, seconds } from "../src/format";

test.each([
  [0, "0 Mbit/s"], [-1, "0 Mbit/s"], [Number.NaN, "0 Mbit/s"], [10, "1 kbit/s"],
  [12_000, "96 kbit/s"], [12_500, "0.1 Mbit/s"], [312_500, "2.5 Mbit/s"], [1_243_750, "10 Mbit/s"],
  [12_500_000, "100 Mbit/s"], [125_000_000, "1.0 Gbit/s"],
])("%d bytes per second reads %s", (value, text) => {
  expect(rate(value)).toBe(text);
});

test("other numbers read as people write them", () => {
  expect(bitrate(2_335_034)).toBe("2.3 Mbit/s");
  expect(bytes(0)).toBe("0 B");
  expect(bytes(1536)).toBe("1.5 KiB");
  expect(bytes(48 << 20)).toBe("48 MiB");
  expect(seconds(-3)).toBe("0.0 s");
  expect(remaining(100)).toBe("about 1 s left");
  expect(remaining(89_001)).toBe("about 2 min left");
  expect(remaining(3 * 3_600_000)).toBe("about 3 h left");
  expect(ago(12_400)).toBe("12 s ago");
  expect(count(1, "viewer")).toBe("1 viewer");
  expect(count(0, "viewer")).toBe("0 viewers");
  expect(permille(2)).toBe("0.2 %");
  expect(permille(500)).toBe("50 %");
});
