import { describe, expect, it } from "vitest";
import type { Instance, Link, Node, State } from "../generated/admin";
import * as view from "./view";

const GIB = 2 ** 30;

function node(id: string, changes: Partial<Node> = {}): Node {
  return {
    id,
    name: `node ${id}`,
    chip: "",
    state: "online",
    reason: null,
    memory_total_bytes: 16 * GIB,
    memory_available_bytes: 8 * GIB,
    thermal: null,
    memory_pressure: null,
    ...changes,
  };
}

function instance(changes: Partial<Instance> = {}): Instance {
  return {
    id: "fe",
    model: "sprout",
    sharding: "pipeline",
    state: "ready",
    error: null,
    loading: null,
    fetching: [],
    owner: "a",
    generation: 1,
    shards: [
      { node_id: "b", rank: 0, layers: [4, 5], tensor: [0, 1], bytes: GIB },
      { node_id: "a", rank: 1, layers: [0, 4], tensor: [0, 1], bytes: 2 * GIB },
    ],
    activity: null,
    on_demand: false,
    quantize: null,
    kv_bits: null,
    draft: null,
    expires_unix_ms: null,
    ...changes,
  };
}

function cluster(changes: Partial<State> = {}): State {
  return { node_id: "b", nodes: [node("b"), node("a")], links: [], instances: [instance()], ...changes };
}

function link(a: string, b: string, round_trip_us: number | null = null): Link {
  return { a, b, round_trip_us, kind: null, bandwidth_bytes_per_s: null };
}

const slices = [
  { node_id: "a", rank: 1, layers: [0, 5] as [number, number], tensor: [1, 2] as [number, number], bytes: 1 },
  { node_id: "b", rank: 0, layers: [0, 5] as [number, number], tensor: [0, 2] as [number, number], bytes: 1 },
];

it("who is there is the same whatever the figures are", () => {
  const nodes = [node("b", { memory_available_bytes: 1 }), node("a", { thermal: "elevated" })];
  expect(view.whoKey(cluster({ nodes }))).toBe(view.whoKey(cluster()));
  expect(view.whoKey(cluster({ nodes: [node("b"), node("a", { state: "lost" })] }))).not.toBe(view.whoKey(cluster()));
  expect(view.whoKey(cluster({ nodes: [node("b"), node("a", { name: "elm" })] }))).not.toBe(view.whoKey(cluster()));
});

describe("colours", () => {
  it("are the same whichever node comes first", () => {
    const there = cluster({ nodes: [node("a"), node("b")] });
    expect(view.colorsOf(cluster())).toEqual(view.colorsOf(there));
  });

  it("start again when there are more nodes than colours", () => {
    const many = cluster({ nodes: Array.from({ length: 9 }, (_, index) => node(`n${index}`)) });
    expect(view.colorsOf(many).get("n8")).toBe(0);
  });
});

describe("a strip", () => {
  it("has a pipeline's nodes in the order of the layers", () => {
    const strip = view.stripOf(cluster(), instance());
    expect(strip).toMatchObject({ direction: "columns", layers: 5 });
    expect(strip?.parts.map((part) => [part.node, part.label, part.weight])).toEqual([
      ["node a", "layers 1–4", 4],
      ["node b", "layer 5", 1],
    ]);
    expect(strip && view.stripText(strip)).toBe("node a: layers 1–4, node b: layer 5");
  });

  it("has a tensor split's slices one below the other", () => {
    const strip = view.stripOf(cluster(), instance({ sharding: "tensor", shards: slices }));
    expect(strip?.direction).toBe("rows");
    expect(strip?.parts.map((part) => [part.node, part.label, part.weight])).toEqual([
      ["node b", "slice 1 of 2", 1],
      ["node a", "slice 2 of 2", 1],
    ]);
  });

  it("says which nodes are gone", () => {
    const strip = view.stripOf(cluster({ nodes: [node("b"), node("a", { state: "lost" })] }), instance());
    expect(strip?.parts.map((part) => part.gone)).toEqual([true, false]);
    expect(strip && view.stripText(strip)).toBe("node a (gone): layers 1–4, node b: layer 5");
  });

  it("names a node that is not known by its id", () => {
    const strip = view.stripOf(cluster({ nodes: [] }), instance());
    expect(strip?.parts[0]).toMatchObject({ node: "a", gone: true });
  });

  it("is nothing before the first placement", () => {
    expect(view.stripOf(cluster(), instance({ shards: [] }))).toBeNull();
  });
});

describe("memory", () => {
  it("is models, what is free, and the rest", () => {
    expect(view.memoryParts(node("a"), 4 * GIB).map((part) => [part.kind, part.share])).toEqual([
      ["other", 0.25],
      ["held", 0.25],
      ["free", 0.5],
    ]);
  });

  it("never shows more than there is", () => {
    const parts = view.memoryParts(node("a", { memory_available_bytes: 99 * GIB }), 99 * GIB);
    expect(parts).toEqual([{ kind: "held", bytes: 16 * GIB, share: 1 }]);
    expect(view.memoryParts(node("a", { memory_total_bytes: 0 }), 5)).toEqual([]);
  });

  it("shows what a plan would take of what is free", () => {
    expect(view.memoryParts(node("a"), 4 * GIB, 2 * GIB).map((part) => [part.kind, part.share])).toEqual([
      ["other", 0.25],
      ["held", 0.25],
      ["planned", 0.125],
      ["free", 0.375],
    ]);
    expect(view.memoryParts(node("a"), 0, 99 * GIB).map((part) => part.kind)).toEqual(["other", "planned"]);
  });

  it("counts what is placed, not what was", () => {
    expect(view.heldBytes(cluster(), "a")).toBe(2 * GIB);
    expect(view.heldBytes(cluster({ instances: [instance({ state: "failed" })] }), "a")).toBe(0);
  });
});

describe("words", () => {
  it("say how a model is divided", () => {
    expect(view.divisionText(instance())).toBe("5 layers in a row over 2 computers (pipeline)");
    expect(view.divisionText(instance({ sharding: "tensor", shards: slices }))).toBe(
      "5 layers, each sliced over 2 computers (tensor)",
    );
    expect(view.divisionText(instance({ shards: slices.slice(0, 1) }))).toBe("all 5 layers on one computer");
    expect(view.divisionText(instance({ shards: [] }))).toBe("not placed yet");
  });

  it("say that an instance waits", () => {
    const error = { code: "not_enough_memory", message: "too big", hint: null };
    expect(view.stateText(instance({ state: "placing", error }))).toBe("Waiting");
    expect(view.stateText(instance({ state: "failed", error }))).toBe("Failed");
    expect(view.stateText(instance())).toBe("Ready");
  });

  it("say how far loading is", () => {
    const loading = { bytes_done: GIB / 2, bytes_total: 2 * GIB };
    expect(view.progressOf(instance({ loading }))).toEqual({ share: 0.25, text: "512 MiB of 2 GiB read" });
    expect(view.progressOf(instance())).toBeNull();
  });

  it("say what is fetched, in all and by whom", () => {
    const a = { node_id: "a", bytes_done: GIB, bytes_total: 3 * GIB };
    const b = { node_id: "b", bytes_done: GIB, bytes_total: 5 * GIB };
    expect(view.fetchingOf(cluster(), instance())).toBeNull();
    expect(view.fetchingOf(cluster(), instance({ fetching: [a] }))).toEqual({ share: 1 / 3, text: "fetching 1 GiB of 3 GiB", each: [] });
    expect(view.fetchingOf(cluster(), instance({ fetching: [a, b] }))).toEqual({
      share: 0.25,
      text: "fetching 2 GiB of 8 GiB",
      each: ["node a: 1 GiB of 3 GiB", "node b: 1 GiB of 5 GiB"],
    });
  });

  it("say how far a computer is", () => {
    const links = [link("a", "b", 280), link("b", "c", 12345), link("b", "d", null)];
    const state = cluster({ links });
    expect(["a", "b", "c", "d"].map((id) => view.distanceText(state, id))).toEqual(["0.3 ms", "", "12 ms", ""]);
  });

  it("say what a computer holds", () => {
    expect(view.holdingOf(instance(), "a")).toBe("layers 1–4");
    expect(view.holdingOf(instance({ sharding: "tensor", shards: slices }), "a")).toBe("slice 2 of 2");
    expect(view.holdingOf(instance(), "c")).toBeNull();
    expect(view.holdingOf(null, "a")).toBeNull();
  });

  it("say what the cluster is", () => {
    expect(view.clusterText(cluster())).toBe("2 computers · 32 GiB of memory · 1 model ready");
    const alone = cluster({ nodes: [node("a", { memory_total_bytes: 0 })], instances: [] });
    expect(view.clusterText(alone)).toBe("1 computer · 0 models ready");
    const activity = { reading: 0, answering: 1, waiting: 0, tokens_per_s: 12.4 };
    const busy = cluster({ instances: [instance({ activity }), instance({ activity }), instance()] });
    expect(view.clusterText(busy)).toBe("2 computers · 32 GiB of memory · 3 models ready · 25 tok/s now");
  });
});

describe("links", () => {
  const shards = ["a", "b", "c"].map((node_id, rank) => ({ node_id, rank, layers: [0, 5] as [number, number], tensor: [rank, 3] as [number, number], bytes: 1 }));

  it("are used between stages in a row, and between slices in a ring", () => {
    expect(view.hopsOf({ sharding: "pipeline", shards })).toEqual([["a", "b"], ["b", "c"]]);
    expect(view.hopsOf({ sharding: "tensor", shards })).toEqual([["a", "b"], ["b", "c"], ["c", "a"]]);
    expect(view.hopsOf({ sharding: "tensor", shards: shards.slice(0, 2) })).toEqual([["a", "b"]]);
    expect(view.hopsOf({ sharding: "pipeline", shards: [] })).toEqual([]);
    expect(view.hopsOf(null)).toEqual([]);
  });

  it("come in the order of what they say", () => {
    const state = cluster({ links: [link("c", "d"), link("a", "b"), link("c", "a")] });
    const found = view.linksToDraw(state, [["a", "c"]]);
    expect(found.map(({ link, inUse }) => [link.a + link.b, inUse])).toEqual([["ca", true], ["ab", false], ["cd", false]]);
  });

  it("of a large cluster are drawn only where they say something", () => {
    const ids = [..."abcdefgh"];
    const links = ids.flatMap((a, index) => ids.slice(index + 1).map((b) => link(a, b)));
    const found = view.linksToDraw(cluster({ links }), [["c", "d"]]);
    expect(found.map(({ link }) => link.a + link.b)).toEqual(["cd", "ab", "bc", "bd", "be", "bf", "bg", "bh"]);
  });

  it("are all there in words, the nearest first", () => {
    const state = cluster({ links: [link("a", "b", 900), link("b", "c", 300), link("a", "c", null)] });
    expect(view.linkTexts(state)).toEqual(["node b – c: 0.3 ms", "node a – node b: 0.9 ms"]);
  });
});
