import { describe, expect, it } from "vitest";
import type { Settings } from "../generated/admin";
import { beside, isWanted, numberOf, STEPS } from "./steps";

describe("the first run", () => {
  const settings = (welcomed: boolean) => ({ welcomed }) as Settings;

  it("is for who opens the window and was not told yet", () => {
    for (const hash of ["", "#", "#/"]) expect(isWanted(hash, settings(false)), hash).toBe(true);
    expect(isWanted("", settings(true))).toBe(false);
    expect(isWanted("", null)).toBe(false);
  });

  it("does not stand before a page that was asked for", () => {
    expect(isWanted("#/settings", settings(false))).toBe(false);
  });

  it("goes from the first step to the last and back", () => {
    expect(STEPS.map((step) => [numberOf(step), beside(step, -1), beside(step, 1)])).toEqual([
      [1, null, "network"],
      [2, "what", "try"],
      [3, "network", null],
    ]);
  });
});
