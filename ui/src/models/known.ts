// Models of the hub in words, and which of them this cluster could hold. Pure.

import { onlineOf } from "../cluster/view";
import type { HubModel, KnownModel, KnownRepository, State } from "../generated/admin";
import { bytes, count } from "../parts/words";

/** Beside its weights a model needs room for what it computes, and for what it has read. */
const BESIDE_WEIGHTS = 1.1;

/** What the computers lend to models together, in bytes. */
export function roomOf(state: State): number {
  return onlineOf(state).reduce((sum, node) => sum + node.memory_available_bytes, 0);
}

export function fits(repository: KnownRepository, room: number): boolean {
  return repository.bytes * BESIDE_WEIGHTS <= room;
}

/** The models of which some form fits, with the forms that do. */
export function fitting(models: readonly KnownModel[], room: number): KnownModel[] {
  const some = models.map((model) => ({ ...model, repositories: model.repositories.filter((one) => fits(one, room)) }));
  return some.filter((model) => model.repositories.length > 0);
}

/** A form of a model: `4 bits · 352 GiB`. */
export function formText({ format, bytes: size }: KnownRepository): string {
  return `${format} · ${bytes(size)}`;
}

/** How much it reads for a token, which decides how fast it is, and how long a text it takes. */
export function aboutText(model: KnownModel): string {
  return `up to ${model.context_tokens.toLocaleString("en")} tokens · ${count(model.layers, "layer")}`;
}

/** What a repository holds, and whether the cluster could run it. */
export function foundText(found: HubModel): string {
  const parts = [
    `${bytes(found.bytes)} to download`,
    count(found.layers, "layer"),
    `up to ${found.context_tokens.toLocaleString("en")} tokens`,
  ];
  const best = found.placements[0];
  if (best) parts.push(`it would fit ${best.shards.length === 1 ? "one computer" : `${best.shards.length} computers`}`);
  return parts.join(" · ");
}
