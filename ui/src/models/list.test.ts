import { expect, it } from "vitest";
import type { Instance, Model } from "../generated/admin";
import { aboutText, listed } from "./list";

const model = (id: string): Model => ({ id, weights_bytes: 2 ** 30, family: "llama", weights_format: "4-bit", licence: null, folder: `/models/${id}`, is_own: true, is_part: false });
const instance = (id: string, name: string): Instance => ({
  id,
  model: name,
  sharding: "pipeline",
  state: "ready",
  error: null,
  loading: null,
  fetching: [],
  owner: "a",
  generation: 1,
  shards: [],
  activity: null,
  on_demand: false,
  quantize: null,
  kv_bits: null,
  draft: null,
  expires_unix_ms: null,
});

it("loaded models come first, each once, with all that runs of them", () => {
  const found = listed([model("b"), model("a"), model("c")], [instance("1", "c"), instance("2", "c"), instance("3", "far")]);
  expect(found.map(({ name, model, instances }) => [name, model !== null, instances.length])).toEqual([
    ["c", true, 2],
    ["far", false, 1],
    ["a", true, 0],
    ["b", true, 0],
  ]);
});

it("a model in a line", () => {
  const [here, far] = listed([model("a")], [instance("1", "a"), instance("2", "b")]);
  expect(here && aboutText(here)).toBe("1 GiB · 4-bit · llama · no licence stated");
  const licensed = listed([{ ...model("a"), licence: "apache-2.0" }], [])[0];
  expect(licensed && aboutText(licensed)).toContain(" · licence apache-2.0");
  const part = listed([{ ...model("a"), is_part: true }], [])[0];
  expect(part && aboutText(part)).toBe("1 GiB, of which a part is here · 4-bit · llama · no licence stated");
  expect(far && aboutText(far)).toContain("another computer");
  const bare = listed([{ id: "x", weights_bytes: 5, family: "", weights_format: "", licence: null, folder: "/models/x", is_own: false, is_part: false }], [])[0];
  expect(bare && aboutText(bare)).toBe("5 B · no licence stated");
});
