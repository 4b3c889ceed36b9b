import { expect, it } from "vitest";
import type { HubModel, KnownModel, Placement, State } from "../generated/admin";
import { aboutText, fitting, formText, foundText, roomOf } from "./known";

const GIB = 2 ** 30;
const model: KnownModel = {
  name: "Qwen3 30B A3B",
  alias: "qwen3-30b",
  family: "qwen3_moe",
  layers: 48,
  context_tokens: 40960,
  repositories: [
    { id: "o/small", format: "4 bits", bytes: 16 * GIB, active_bytes: 2 * GIB },
    { id: "o/large", format: "8 bits", bytes: 30 * GIB, active_bytes: 4 * GIB },
  ],
};

it("which forms of a model a cluster could hold", () => {
  expect(fitting([model], 40 * GIB)[0]?.repositories.map((one) => one.id)).toEqual(["o/small", "o/large"]);
  expect(fitting([model], 20 * GIB)[0]?.repositories.map((one) => one.id)).toEqual(["o/small"]);
  expect(fitting([model], 17 * GIB)).toEqual([]);
});

it("what computers lend that are there", () => {
  const node = (state: string, gib: number) => ({ state, memory_available_bytes: gib * GIB });
  const state = { nodes: [node("online", 10), node("lost", 20), node("online", 5)] } as unknown as State;
  expect(roomOf(state)).toBe(15 * GIB);
});

it("a model in words", () => {
  expect(formText(model.repositories[0]!)).toBe("4 bits · 16 GiB");
  expect(aboutText(model)).toBe("up to 40,960 tokens · 48 layers");
});

it("what a repository holds", () => {
  const found = { bytes: 378 * GIB, layers: 61, context_tokens: 163840, placements: [] as Placement[] } as HubModel;
  expect(foundText(found)).toBe("378 GiB to download · 61 layers · up to 163,840 tokens");
  const placed = { ...found, placements: [{ shards: [{}, {}] } as unknown as Placement] };
  expect(foundText(placed)).toMatch(/it would fit 2 computers$/);
});
