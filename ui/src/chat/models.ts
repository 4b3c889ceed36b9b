// Which models can be talked to, and what to say while one is not ready. Pure.

import type { Instance } from "../generated/admin";

export type Choice = { name: string; ready: boolean };

/** Loaded ones first; others are loaded by the first question. */
export function choicesOf(local: readonly string[], instances: readonly Instance[]): Choice[] {
  const loaded = instances.filter((instance) => instance.state !== "failed").map((instance) => instance.model);
  const names = [...new Set([...loaded, ...local])];
  return names.map((name) => ({ name, ready: loaded.includes(name) }));
}

/** Why an answer does not come at once; empty if nothing is known to be in its way. */
export function noteFor(instances: readonly Instance[], model: string): string {
  const found = instances.filter((instance) => instance.model === model);
  if (found.some((instance) => instance.state === "ready")) return "";
  const [instance] = found;
  if (instance?.error) return `The model waits: ${instance.error.message}.`;
  if (instance?.state === "mending") return "A computer is gone. The model is being placed again; the answer goes on by itself.";
  return instance ? "The model is being loaded…" : "";
}
