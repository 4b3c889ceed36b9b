import { describe, expect, it } from "vitest";
import { hrefOf, parseRoute } from "./route";

const PAGES = ["cluster", "models", "placement"];

describe("an address", () => {
  it.each([
    ["", { page: "cluster", argument: null }],
    ["#/models", { page: "models", argument: null }],
    ["#/models/", { page: "models", argument: null }],
    ["#/nothing/x", { page: "cluster", argument: null }],
    ["#/placement/%2Fdata%2FQwen3", { page: "placement", argument: "/data/Qwen3" }],
    ["#/placement/%E0%A4%A", { page: "placement", argument: null }],
    ["#javascript:alert(1)", { page: "cluster", argument: null }],
  ])("%j is %j", (hash, route) => {
    expect(parseRoute(hash, PAGES)).toEqual(route);
  });

  it("comes back from its link", () => {
    for (const argument of ["sprout", "org/model", "/a b/ü?#%"]) {
      expect(parseRoute(hrefOf("placement", argument), PAGES)).toEqual({ page: "placement", argument });
    }
  });
});
