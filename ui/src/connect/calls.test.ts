import { describe, expect, it } from "vitest";
import type { Call } from "../generated/admin";
import { clientText, durationText, newestFirst, statusText, tokensText } from "./calls";

function call(changes: Partial<Call> = {}): Call {
  return {
    id: 1,
    started_ms: 0,
    method: "POST",
    path: "/v1/chat/completions",
    client: "curl",
    from: null,
    model: "sprout",
    position: null,
    status: 200,
    duration_ms: 1250,
    prompt_tokens: 12,
    completion_tokens: 34,
    error: null,
    ...changes,
  };
}

describe("a call", () => {
  it("runs until its answer has ended, whether it has begun or not", () => {
    expect(statusText(call({ status: null, duration_ms: null }))).toBe("running");
    expect(statusText(call({ duration_ms: null }))).toBe("running");
    expect(statusText(call())).toBe("200 done");
  });

  it("that waits for its turn says at which place", () => {
    expect(statusText(call({ position: 2, status: null, duration_ms: null }))).toBe("waiting, place 2");
  });

  it("that did not go well says how", () => {
    expect(statusText(call({ status: 404, error: "no such model" }))).toBe("404 refused");
    expect(statusText(call({ status: 503, error: "no memory" }))).toBe("503 failed");
    expect(statusText(call({ error: "the client hung up" }))).toBe("200 broken off");
    expect(statusText(call({ status: null, error: "the client hung up" }))).toBe("broken off");
  });

  it("names its client", () => {
    const names = ["curl", "Mozilla/5.0", ""].map((client) => clientText(call({ client })));
    expect(names).toEqual(["curl", "a browser", "unnamed program"]);
  });

  it("has figures once they are known", () => {
    expect([durationText(call()), tokensText(call())]).toEqual(["1.3 s", "12 in, 34 out"]);
    const begun = call({ duration_ms: null, completion_tokens: null });
    expect([durationText(begun), tokensText(begun)]).toEqual(["", "12 in"]);
    expect(tokensText(call({ prompt_tokens: null, completion_tokens: null }))).toBe("");
  });
});

it("the newest comes first", () => {
  expect(newestFirst([call({ id: 1 }), call({ id: 2 })]).map(({ id }) => id)).toEqual([2, 1]);
});
