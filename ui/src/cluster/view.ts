// What the pages show of a state, as plain values: no component decides anything that could be tested here.

import type { Fetching, Instance, InstanceState, Link, Node, NodeState, Placement, Shard, State } from "../generated/admin";
import { bytes, milliseconds, rate } from "../parts/words";
import { linkFacts } from "./conditions";

/** Computers have one of so many colours; app.css defines them. */
export const COLORS = 8;

/** A part of a bar. `share` is its part of the whole, 0 to 1. */
export type MemoryPart = { kind: "held" | "planned" | "free" | "other"; share: number; bytes: number };

/** A stretch of layers, or a slice of all of them, and who holds it. */
export type StripPart = { nodeId: string; node: string; color: number; gone: boolean; weight: number; label: string };

export type Strip = { direction: "columns" | "rows"; parts: StripPart[]; layers: number };

/** What both an instance and a plan have: how a model is divided. */
export type Division = Pick<Placement, "shards"> & Pick<Instance, "sharding">;

/** The same colour for a computer on every node's page, and different ones as long as there are enough. */
export function colorsOf(state: State): Map<string, number> {
  const ids = state.nodes.map((node) => node.id).sort();
  return new Map(ids.map((id, index) => [id, index % COLORS]));
}

export function nameOf(state: State, nodeId: string): string {
  return state.nodes.find((node) => node.id === nodeId)?.name ?? nodeId.slice(0, 8);
}

export function onlineOf(state: State): Node[] {
  return state.nodes.filter((node) => node.state === "online");
}

/** Changes when somebody comes, goes or is renamed, and not with every figure. */
export function whoKey(state: State): string {
  return state.nodes.map((node) => `${node.id}/${node.state}/${node.name}`).join(" ");
}

/** Bytes of shards that instances plan on a computer. */
export function heldBytes(state: State, nodeId: string): number {
  const shards = state.instances.filter(isPlaced).flatMap((instance) => instance.shards);
  return shards.filter((shard) => shard.node_id === nodeId).reduce((sum, shard) => sum + shard.bytes, 0);
}

function isPlaced(instance: Instance): boolean {
  return instance.state !== "failed" && instance.error === null;
}

/** A computer's memory: models, a model that is only planned, what is free, and the rest: the system and programs. */
export function memoryParts(node: Node, held: number, planned = 0): MemoryPart[] {
  const total = node.memory_total_bytes;
  if (total === 0) return [];
  const models = Math.min(held, total);
  const available = Math.min(node.memory_available_bytes, total - models);
  const more = Math.min(planned, available);
  const parts: MemoryPart[] = [
    part("other", total - models - available, total),
    part("held", models, total),
    part("planned", more, total),
    part("free", available - more, total),
  ];
  return parts.filter((part) => part.bytes > 0);
}

function part(kind: MemoryPart["kind"], bytes: number, total: number): MemoryPart {
  return { kind, bytes, share: bytes / total };
}

/** Who holds what, in the order of the layers; `null` before the first placement. */
export function stripOf(state: State, division: Division): Strip | null {
  if (division.shards.length === 0) return null;
  const colors = colorsOf(state);
  const tensor = division.sharding === "tensor";
  const layers = layersOf(division);
  const shards = division.shards.toSorted((a, b) => (tensor ? a.tensor[0] - b.tensor[0] : a.layers[0] - b.layers[0]));
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

export function layersOf(division: Division): number {
  return Math.max(0, ...division.shards.map((shard) => shard.layers[1]));
}

function isOnline(state: State, nodeId: string): boolean {
  return state.nodes.some((node) => node.id === nodeId && node.state === "online");
}

export function partText(shard: Shard, tensor: boolean): string {
  return tensor ? `slice ${shard.tensor[0] + 1} of ${shard.tensor[1]}` : layerText(shard.layers);
}

/** Layers as people count them: from 1, both ends included. */
function layerText([first, end]: [number, number]): string {
  return end - first === 1 ? `layer ${end}` : `layers ${first + 1}–${end}`;
}

/** What one computer holds of a model, in words; `null` if nothing. */
export function holdingOf(division: Division | null, nodeId: string): string | null {
  const shard = division?.shards.find((shard) => shard.node_id === nodeId);
  return shard ? partText(shard, division?.sharding === "tensor") : null;
}

/** How a model is divided, in words. */
export function divisionText(division: Division): string {
  const nodes = division.shards.length;
  if (nodes === 0) return "not placed yet";
  const layers = layersOf(division);
  if (nodes === 1) return `all ${layers} layers on one computer`;
  return division.sharding === "tensor"
    ? `${layers} layers, each sliced over ${nodes} computers (tensor)`
    : `${layers} layers in a row over ${nodes} computers (pipeline)`;
}

/** What a strip says to who cannot see it. */
export function stripText(strip: Strip): string {
  return strip.parts.map(partTitle).join(", ");
}

export function partTitle(part: StripPart): string {
  return `${part.node}${part.gone ? " (gone)" : ""}: ${part.label}`;
}

/** Pairs of computers between which a model's activations travel: a pipeline's stages in a row, slices in a ring. */
export function hopsOf(division: Division | null): [string, string][] {
  const ids = (division?.shards ?? []).map((shard) => shard.node_id);
  const ring = division?.sharding === "tensor" && ids.length > 2;
  const ends = ring ? [...ids.slice(1), ids[0] as string] : ids.slice(1);
  return ends.map((id, index) => [ids[index] as string, id]);
}

/** With more links than this a picture shows only those in use and those of this node; the list has them all. */
const LINKS_SHOWN_MAX = 15;

/** The links to draw, in the order in which they get their labels: those in use, those of this node, the others. */
export function linksToDraw(state: State, hops: readonly [string, string][]): { link: Link; inUse: boolean }[] {
  const inUse = (link: Link) => hops.some(([a, b]) => (a === link.a && b === link.b) || (a === link.b && b === link.a));
  const own = (link: Link) => link.a === state.node_id || link.b === state.node_id;
  const weight = (link: Link) => (inUse(link) ? 0 : own(link) ? 1 : 2);
  const few = state.links.length <= LINKS_SHOWN_MAX;
  const drawn = state.links.filter((link) => few || weight(link) < 2);
  return drawn.sort((a, b) => weight(a) - weight(b)).map((link) => ({ link, inUse: inUse(link) }));
}

const INSTANCE_WORDS: Record<InstanceState, string> = {
  placing: "Choosing computers",
  downloading: "Downloading",
  loading: "Loading",
  ready: "Ready",
  mending: "Mending",
  failed: "Failed",
};

/** An error that is not the end: more computers or memory would help. */
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

/** What is fetched of a model before it can be read: in all, and by whom where several do. */
export function fetchingOf(state: State, instance: Instance): { share: number; text: string; each: string[] } | null {
  if (instance.fetching.length === 0) return null;
  const sum = (of: (part: Fetching) => number): number => instance.fetching.reduce((all, part) => all + of(part), 0);
  const done = sum((part) => part.bytes_done);
  const total = sum((part) => part.bytes_total);
  const words = (part: Fetching): string => `${nameOf(state, part.node_id)}: ${bytes(part.bytes_done)} of ${bytes(part.bytes_total)}`;
  const each = instance.fetching.length > 1 ? instance.fetching.map(words) : [];
  return { share: done / total, text: `fetching ${bytes(done)} of ${bytes(total)}`, each };
}

const NODE_WORDS: Record<NodeState, string> = { online: "Online", locked: "Wants in", lost: "Gone" };

export function nodeStateText(node: Node): string {
  return NODE_WORDS[node.state];
}

/** How far a computer is from the one that shows the page; empty if that is not known. */
export function distanceText(state: State, nodeId: string): string {
  const link = linkTo(state, nodeId);
  return link?.round_trip_us == null ? "" : milliseconds(link.round_trip_us);
}

/** The link between a computer and the one that shows the page. */
export function linkTo(state: State, nodeId: string): Link | undefined {
  return state.links.find(({ a, b }) => (a === state.node_id && b === nodeId) || (b === state.node_id && a === nodeId));
}

/** Every link of which something is known in words, the nearest first. */
export function linkTexts(state: State): string[] {
  const known = state.links.filter((link) => linkFacts(link).length > 0);
  const sorted = known.toSorted((a, b) => (a.round_trip_us ?? Infinity) - (b.round_trip_us ?? Infinity));
  return sorted.map((link) => `${nameOf(state, link.a)} – ${nameOf(state, link.b)}: ${linkFacts(link).join(", ")}`);
}

/** The cluster in a line. */
export function clusterText(state: State): string {
  const online = onlineOf(state);
  const total = online.reduce((sum, node) => sum + node.memory_total_bytes, 0);
  const ready = state.instances.filter((instance) => instance.state === "ready").length;
  const computers = online.length === 1 ? "1 computer" : `${online.length} computers`;
  const models = ready === 1 ? "1 model ready" : `${ready} models ready`;
  const speed = state.instances.reduce((sum, instance) => sum + (instance.activity?.tokens_per_s ?? 0), 0);
  const parts = [computers, total > 0 ? `${bytes(total)} of memory` : "", models, speed > 0 ? `${rate(speed)} now` : ""];
  return parts.filter((text) => text).join(" · ");
}
