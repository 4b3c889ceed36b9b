// What the page shows of a state, as plain values: no component decides anything that could be tested here.

import type { Instance, InstanceState, Node, NodeState, Shard, State } from "./generated/admin";

/** Nodes have one of so many colours; app.css defines them. */
export const COLORS = 8;

/** A part of a bar. `share` is its part of the whole, 0 to 1. */
export type MemoryPart = { kind: "held" | "free" | "other"; share: number; bytes: number };

/** A stretch of layers, or a slice of all of them, and who holds it. */
export type StripPart = { nodeId: string; node: string; color: number; gone: boolean; weight: number; label: string };

export type Strip = { direction: "columns" | "rows"; parts: StripPart[]; layers: number };

/** The same colour for a node on every node's page, and different ones as long as there are enough. */
export function colorsOf(state: State): Map<string, number> {
  const ids = state.nodes.map((node) => node.id).sort();
  return new Map(ids.map((id, index) => [id, index % COLORS]));
}

export function nameOf(state: State, nodeId: string): string {
  return state.nodes.find((node) => node.id === nodeId)?.name ?? nodeId.slice(0, 8);
}

/** Bytes of shards that instances plan on a node. */
export function heldBytes(state: State, nodeId: string): number {
  const shards = state.instances.filter(isPlaced).flatMap((instance) => instance.shards);
  return shards.filter((shard) => shard.node_id === nodeId).reduce((sum, shard) => sum + shard.bytes, 0);
}

function isPlaced(instance: Instance): boolean {
  return instance.state !== "failed" && instance.error === null;
}

/** A node's memory: models, what is free for more, and the rest, which belongs to other programs. */
export function memoryParts(node: Node, held: number): MemoryPart[] {
  const total = node.memory_total_bytes;
  if (total === 0) return [];
  const models = Math.min(held, total);
  const free = Math.min(node.memory_available_bytes, total - models);
  const parts: MemoryPart[] = [
    { kind: "held", bytes: models, share: models / total },
    { kind: "free", bytes: free, share: free / total },
    { kind: "other", bytes: total - models - free, share: (total - models - free) / total },
  ];
  return parts.filter((part) => part.bytes > 0);
}

/** Who holds what of an instance, in the order of the layers; `null` before the first placement. */
export function stripOf(state: State, instance: Instance): Strip | null {
  if (instance.shards.length === 0) return null;
  const colors = colorsOf(state);
  const tensor = instance.sharding === "tensor";
  const layers = Math.max(...instance.shards.map((shard) => shard.layers[1]));
  const shards = instance.shards.toSorted((a, b) =>
    tensor ? a.tensor[0] - b.tensor[0] : a.layers[0] - b.layers[0],
  );
  const parts = shards.map((shard) => ({
    nodeId: shard.node_id,
    node: nameOf(state, shard.node_id),
    color: colors.get(shard.node_id) ?? 0,
    gone: !isOnline(state, shard.node_id),
    weight: tensor ? 1 : shard.layers[1] - shard.layers[0],
    label: partText(shard, tensor),
  }));
  return { direction: tensor ? "rows" : "columns", parts, layers };
}

function isOnline(state: State, nodeId: string): boolean {
  return state.nodes.some((node) => node.id === nodeId && node.state === "online");
}

function partText(shard: Shard, tensor: boolean): string {
  return tensor ? `slice ${shard.tensor[0] + 1} of ${shard.tensor[1]}` : layerText(shard.layers);
}

/** Layers as people count them: from 1, both ends included. */
function layerText([first, end]: [number, number]): string {
  return end - first === 1 ? `layer ${end}` : `layers ${first + 1}–${end}`;
}

/** How a model is divided, in words. */
export function divisionText(instance: Instance): string {
  const nodes = instance.shards.length;
  if (nodes === 0) return "not placed yet";
  const layers = Math.max(...instance.shards.map((shard) => shard.layers[1]));
  if (nodes === 1) return `all ${layers} layers on one node`;
  return instance.sharding === "tensor"
    ? `${layers} layers, each sliced over ${nodes} nodes (tensor)`
    : `${layers} layers in a row over ${nodes} nodes (pipeline)`;
}

/** What a strip says to who cannot see it. */
export function stripText(strip: Strip): string {
  return strip.parts.map(partTitle).join(", ");
}

export function partTitle(part: StripPart): string {
  return `${part.node}${part.gone ? " (gone)" : ""}: ${part.label}`;
}

const INSTANCE_WORDS: Record<InstanceState, string> = {
  placing: "Choosing nodes",
  downloading: "Downloading",
  loading: "Loading",
  ready: "Ready",
  mending: "Mending",
  failed: "Failed",
};

/** An error that is not the end: more nodes or memory would help. */
export function waits(instance: Instance): boolean {
  return instance.error !== null && instance.state !== "failed";
}

export function stateText(instance: Instance): string {
  return waits(instance) ? "Waiting" : INSTANCE_WORDS[instance.state];
}

export function progressOf(instance: Instance): { share: number; text: string } | null {
  if (!instance.loading) return null;
  const { bytes_done, bytes_total } = instance.loading;
  return { share: bytes_done / bytes_total, text: `${bytes(bytes_done)} of ${bytes(bytes_total)} read` };
}

const NODE_WORDS: Record<NodeState, string> = { online: "Online", locked: "Not a member", lost: "Gone" };

export function nodeStateText(node: Node): string {
  return NODE_WORDS[node.state];
}

/** What a node is, in a line: its hardware and memory, and how far away it is. */
export function nodeText(state: State, node: Node): string {
  const memory = node.memory_total_bytes > 0 ? bytes(node.memory_total_bytes) : "";
  const distance = node.state === "online" ? distanceText(state, node.id) : "";
  return [node.chip, memory, distance].filter((text) => text !== "").join(" · ");
}

/** How far a node is from the one that shows the page; empty if that is not known. */
export function distanceText(state: State, nodeId: string): string {
  const link = state.links.find(
    ({ a, b }) => (a === state.node_id && b === nodeId) || (b === state.node_id && a === nodeId),
  );
  if (link === undefined || link.round_trip_us === null) return "";
  return `${(link.round_trip_us / 1000).toFixed(link.round_trip_us < 9950 ? 1 : 0)} ms away`;
}

/** Bytes for people, in the units of `espalier status`. */
export function bytes(count: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const text = unit === 0 || value >= 99.95 ? value.toFixed(0) : value.toFixed(1);
  return `${text.replace(/\.0$/, "")} ${units[unit]}`;
}
