import { describe, expect, it } from "vitest";
import type { Belonging, Membership, Pairing } from "../generated/admin";
import { grouped, isOpen, isShown, partners, wish } from "./joining";

const near = (name: string, belongs: Belonging) => ({ id: name, name, cluster_name: "espalier", belongs });
const membership = (members: number, by_key = false): Membership => ({
  by_key,
  members: Array.from({ length: members }, (_, index) => ({ id: `${index}`, name: `${index}`, added_by: "0" })),
  nearby: [near("b", "elsewhere"), near("c", "newcomer"), near("a", "newcomer"), near("d", "ours"), near("e", "unknown")],
  pairing: null,
  notice: null,
});

describe("partners", () => {
  it("of a newcomer are newcomers and members of clusters", () => {
    expect(partners(membership(0)).map((near) => near.name)).toEqual(["a", "c", "b"]);
  });
  it("of a member are newcomers alone", () => {
    expect(partners(membership(2)).map((near) => near.name)).toEqual(["a", "c"]);
  });
  it("with a key are none", () => {
    expect(partners(membership(0, true))).toEqual([]);
  });
});

it("a pairing is shown until its end was read, or at once if it was ended here", () => {
  const ended: Pairing = { node_id: "a", name: "a", started_here: true, stage: "ended", digits: null, confirmed_here: false, confirmed_there: false, error: null };
  expect([isShown(null, null, null), isShown(ended, null, null), isShown(ended, JSON.stringify(ended), null)]).toEqual([false, true, false]);
  expect([isShown(ended, null, "a"), isShown(ended, null, "b"), isShown({ ...ended, stage: "compare" }, null, "a")]).toEqual([false, true, true]);
});

it("words", () => {
  expect(wish(near("Study", "newcomer"))).toBe("Study wants to join");
  expect(grouped("012345")).toBe("012 345");
  expect(isOpen(null)).toBe(false);
});
