import { describe, expect, it } from "vitest";
import type { Node, Placement, State } from "../generated/admin";
import { fitText, leftOf, neededBytes, partsOf, planKey, tightestOf, titleOf, wishFor } from "./plan";

const GIB = 2 ** 30;

function node(id: string, available: number, state: Node["state"] = "online"): Node {
  const memory = { memory_total_bytes: 32 * GIB, memory_available_bytes: available * GIB };
  return { id, name: id, chip: "", state, reason: null, thermal: null, memory_pressure: null, ...memory };
}

const state: State = {
  node_id: "oak",
  nodes: [node("oak", 16), node("elm", 8), node("birch", 4), node("ash", 0, "lost")],
  links: [],
  instances: [],
};

const row: Placement = {
  sharding: "pipeline",
  tokens_per_s: 24.4,
  shards: [
    { node_id: "elm", rank: 0, layers: [4, 6], tensor: [0, 1], bytes: 2 * GIB },
    { node_id: "oak", rank: 1, layers: [0, 4], tensor: [0, 1], bytes: 4 * GIB },
  ],
};
const slices: Placement = {
  sharding: "tensor",
  tokens_per_s: 31,
  shards: ["oak", "elm", "birch"].map((node_id, index) => ({
    node_id,
    rank: index,
    layers: [0, 6],
    tensor: [index, 3],
    bytes: GIB,
  })),
};
const alone: Placement = { ...row, shards: [{ node_id: "oak", rank: 0, layers: [0, 6], tensor: [0, 1], bytes: 20 * GIB }] };

describe("a plan in words", () => {
  it("names who takes part, in the order of the layers", () => {
    expect([alone, row, slices].map((placement) => titleOf(state, placement))).toEqual([
      "oak alone",
      "oak and elm in a row",
      "oak, elm and birch side by side",
    ]);
  });

  it("says who holds what", () => {
    expect(partsOf(state, row)).toEqual(["oak layers 1–4", "elm layers 5–6"]);
    expect(partsOf(state, slices)).toEqual(["oak slice 1 of 3", "elm slice 2 of 3", "birch slice 3 of 3"]);
  });

  it("says whether a model fits", () => {
    expect(fitText(state, [row, slices])).toBe("Fits on 2 of your 3 computers, about 24 tok/s predicted; needs 6 GiB.");
    expect(fitText({ ...state, nodes: [node("oak", 32)] }, [alone])).toBe(
      "Fits on this computer, about 24 tok/s predicted; needs 20 GiB.",
    );
    expect(fitText(state, [])).toBe("");
  });
});

describe("memory left", () => {
  it("is counted for every computer that is there", () => {
    expect(leftOf(state, row).map(({ node, left }) => [node.id, left / GIB])).toEqual([
      ["oak", 12],
      ["elm", 6],
      ["birch", 4],
    ]);
    expect(neededBytes(row)).toBe(6 * GIB);
  });

  it("is never less than none", () => {
    expect(leftOf(state, alone)[0]?.left).toBe(0);
  });

  it("is least where it is tightest", () => {
    expect(tightestOf(state, row)).toBe("6 GiB left on elm");
    expect(tightestOf(state, { ...row, shards: [] })).toBe("");
  });
});

describe("a wish", () => {
  it("is exactly the plan that was picked", () => {
    expect(wishFor("sprout", "auto", row)).toEqual({ model: "sprout", sharding: "pipeline", node_ids: ["elm", "oak"] });
  });

  it("leaves the choice to Espalier", () => {
    expect(wishFor("/m", "tensor", null)).toEqual({ model: "/m", sharding: "tensor" });
  });
});

it("plans are asked for again when who is there changes, not when a figure does", () => {
  const less = { ...state, nodes: [node("oak", 15.9), node("elm", 8), node("birch", 4)] };
  expect(planKey(less)).toBe(planKey(state));
  expect(planKey({ ...state, nodes: [node("oak", 16)] })).not.toBe(planKey(state));
});
