// What the pages say of ways to run a model. Pure.

import { nameOf, onlineOf, partText } from "../cluster/view";
import type { Node, Placement, ShardingWish, State, Wish } from "../generated/admin";
import { bytes, count, list, rate } from "../parts/words";

/** What one computer would have left. */
export type Left = { node: Node; takes: number; left: number };

/** Who would run a model: `oak alone`, `oak, elm and birch in a row`. */
export function titleOf(state: State, placement: Placement): string {
  const names = inOrder(placement).map((shard) => nameOf(state, shard.node_id));
  if (names.length === 1) return `${names[0]} alone`;
  return placement.sharding === "tensor" ? `${list(names)} side by side` : `${list(names)} in a row`;
}

/** Who would hold what: `oak layers 1–4`, `elm layers 5–6`. */
export function partsOf(state: State, placement: Placement): string[] {
  const tensor = placement.sharding === "tensor";
  return inOrder(placement).map((shard) => `${nameOf(state, shard.node_id)} ${partText(shard, tensor)}`);
}

/** A pipeline's shards in the order of the layers: rank 0 holds the last ones. */
function inOrder(placement: Placement) {
  return placement.shards.toSorted((a, b) => a.layers[0] - b.layers[0] || a.tensor[0] - b.tensor[0]);
}

/** What every computer that is online would have left. */
export function leftOf(state: State, placement: Placement): Left[] {
  return onlineOf(state).map((node) => {
    const takes = placement.shards
      .filter((shard) => shard.node_id === node.id)
      .reduce((sum, shard) => sum + shard.bytes, 0);
    return { node, takes, left: Math.max(0, node.memory_available_bytes - takes) };
  });
}

/** The computer that would be the fullest of those that take part. */
export function tightestOf(state: State, placement: Placement): string {
  const [tightest] = leftOf(state, placement)
    .filter(({ takes }) => takes > 0)
    .sort((a, b) => a.left - b.left);
  return tightest ? `${bytes(tightest.left)} left on ${tightest.node.name}` : "";
}

/** What a model needs, in all. */
export function neededBytes(placement: Placement): number {
  return placement.shards.reduce((sum, shard) => sum + shard.bytes, 0);
}

/** Whether a model fits, in a sentence about the best way to run it. */
export function fitText(state: State, placements: readonly Placement[]): string {
  const [best] = placements;
  if (!best) return "";
  const used = best.shards.length;
  const all = onlineOf(state).length;
  const where =
    all === 1 ? "Fits on this computer" : `Fits on ${used} of your ${count(all, "computer")}`;
  return `${where}, about ${rate(best.tokens_per_s)} predicted; needs ${bytes(neededBytes(best))}.`;
}

/** What to ask for so that a model runs in this way; without one Espalier chooses. */
export function wishFor(model: string, sharding: ShardingWish, placement: Placement | null): Wish {
  if (!placement) return { model, sharding };
  return { model, sharding: placement.sharding, node_ids: placement.shards.map((shard) => shard.node_id) };
}

/** What answers about plans depend on: who is there and what is loaded. They are asked for again when it changes. */
export function planKey(state: State): string {
  const nodes = onlineOf(state).map((node) => node.id);
  const instances = state.instances.map((instance) => `${instance.id}/${instance.state}/${instance.generation}`);
  return [...nodes, ...instances].join(" ");
}
