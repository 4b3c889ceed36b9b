import { describe, expect, it } from "vitest";
import { bandwidth, bytes, count, duration, list, milliseconds, rate } from "./words";

describe("words", () => {
  it("say how many bytes", () => {
    const GIB = 2 ** 30;
    expect([0, 1023, 1536, 99.96 * GIB, 2 ** 45].map(bytes)).toEqual(["0 B", "1023 B", "1.5 KiB", "100 GiB", "32 TiB"]);
  });

  it("say how far and how fast", () => {
    expect([280, 9949, 12345].map(milliseconds)).toEqual(["0.3 ms", "9.9 ms", "12 ms"]);
    expect([0.44, 9.96, 241.6].map(rate)).toEqual(["0.4 tok/s", "10 tok/s", "242 tok/s"]);
  });

  it("say what a link carries", () => {
    expect([450_000, 38e6, 124.9e6, 1.25e9, 2.4e9].map(bandwidth)).toEqual(["3.6 Mbit/s", "304 Mbit/s", "1 Gbit/s", "10 Gbit/s", "19 Gbit/s"]);
  });

  it("say how long", () => {
    expect([3, 999.4, 999.6, 48_211, 59_960, 125_400].map(duration)).toEqual(["3 ms", "999 ms", "1.0 s", "48.2 s", "1 min 0 s", "2 min 5 s"]);
  });

  it("count and list", () => {
    expect([count(1, "computer"), count(3, "computer")]).toEqual(["1 computer", "3 computers"]);
    expect([list([]), list(["oak"]), list(["oak", "elm"]), list(["oak", "elm", "birch"])]).toEqual([
      "",
      "oak",
      "oak and elm",
      "oak, elm and birch",
    ]);
  });
});
