import { expect, it } from "vitest";
import type { Instance, InstanceState } from "../generated/admin";
import { choicesOf, noteFor } from "./models";

function instance(model: string, state: InstanceState, message?: string): Instance {
  const error = message ? { code: "not_enough_memory", message, hint: null } : null;
  return { id: model + state, model, state, error, sharding: null, loading: null, fetching: [], owner: "a", generation: 1, shards: [], activity: null, on_demand: false, expires_unix_ms: null, quantize: null, kv_bits: null, draft: null };
}

it("models to talk to are each there once, the loaded ones first", () => {
  const found = choicesOf(["big", "sprout", "broken"], [instance("sprout", "ready"), instance("sprout", "ready"), instance("broken", "failed")]);
  expect(found).toEqual([
    { name: "sprout", ready: true },
    { name: "big", ready: false },
    { name: "broken", ready: false },
  ]);
});

it("says why an answer has to wait", () => {
  const note = (...instances: Instance[]) => noteFor(instances, "sprout");
  expect(note(instance("sprout", "ready"))).toBe("");
  expect(note(instance("sprout", "mending"), instance("sprout", "ready"))).toBe("");
  expect(note(instance("sprout", "mending"))).toContain("goes on by itself");
  expect(note(instance("sprout", "loading"))).toContain("loaded");
  expect(note(instance("sprout", "placing", "too big"))).toBe("The model waits: too big.");
  expect(note(instance("other", "mending"))).toBe("");
});
