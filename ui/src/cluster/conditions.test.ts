import { describe, expect, it } from "vitest";
import type { Level, Link } from "../generated/admin";
import { activityText, isWorking, levelHint, levelText, linkFact, linkFacts } from "./conditions";

const LEVELS: Level[] = ["normal", "elevated", "critical"];
const link = (changes: Partial<Link>): Link => ({ a: "a", b: "b", round_trip_us: null, kind: null, bandwidth_bytes_per_s: null, ...changes });

describe("a computer", () => {
  it("says how warm it is and how short of memory, each in words of its own", () => {
    expect(LEVELS.map((level) => levelText("thermal", level))).toEqual(["cool", "warm", "too hot"]);
    expect(LEVELS.map((level) => levelText("memory", level))).toEqual(["memory fine", "memory tight", "memory short"]);
    const hints = LEVELS.flatMap((level) => [levelHint("thermal", level), levelHint("memory", level)]);
    expect(new Set(hints).size).toBe(6);
  });

  it("says so in a word where there is little room", () => {
    for (const level of LEVELS) {
      for (const condition of ["thermal", "memory"] as const) expect(levelText(condition, level, true)).toMatch(/^\w{3,5}$/);
    }
  });
});

describe("a link", () => {
  it("says what is known of it", () => {
    expect(linkFacts(link({ kind: "thunderbolt", round_trip_us: 280, bandwidth_bytes_per_s: 2.4e9 }))).toEqual(["Thunderbolt", "0.3 ms", "19 Gbit/s"]);
    expect(linkFacts(link({ kind: "other", round_trip_us: 280 }))).toEqual(["0.3 ms"]);
    expect(linkFacts(link({}))).toEqual([]);
  });

  it("says one thing where there is little room", () => {
    expect(linkFact(link({ kind: "wifi", round_trip_us: 2900 }))).toBe("2.9 ms");
    expect(linkFact(link({ kind: "wifi" }))).toBe("Wi-Fi");
    expect(linkFact(link({}))).toBe("");
  });
});

describe("a model", () => {
  it("says what it does now", () => {
    expect(activityText({ reading: 1, answering: 2, waiting: 0, tokens_per_s: 31.2 })).toBe("reading 1 prompt, answering 2, 31 tok/s");
    expect(activityText({ reading: 2, answering: 0, waiting: 3, tokens_per_s: 0 })).toBe("reading 2 prompts, 3 waiting");
    expect(activityText(null)).toBe("no request now");
    expect(activityText({ reading: 0, answering: 0, waiting: 0, tokens_per_s: 0 })).toBe("no request now");
  });

  it("works while it reads or answers", () => {
    const idle = { reading: 0, answering: 0, waiting: 1, tokens_per_s: 0 };
    expect([isWorking(null), isWorking(idle), isWorking({ ...idle, reading: 1 }), isWorking({ ...idle, answering: 1 })]).toEqual([false, false, true, true]);
  });
});
