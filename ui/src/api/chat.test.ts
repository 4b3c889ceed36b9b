import { describe, expect, it } from "vitest";
import { piecesOf } from "./chat";
import { problemIn, problemOf, Refused } from "./failure";

describe("a chunk", () => {
  const chunk = (delta: object, rest: object = {}) => JSON.stringify({ choices: [{ index: 0, delta, finish_reason: null, ...rest }] });

  it.each([
    [chunk({ role: "assistant", content: "" }), []],
    [chunk({ content: "Hi" }), [{ kind: "text", text: "Hi" }]],
    [chunk({ content: "", reasoning_content: "Hm" }), [{ kind: "reasoning", text: "Hm" }]],
    [chunk({ content: "" }, { finish_reason: "stop" }), [{ kind: "finish", reason: "stop" }]],
    ['{"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 9}}', [{ kind: "usage", tokens: 9 }]],
    ['{"choices": [], "usage": null}', []],
    ["null", []],
    ['{"choices": 5}', []],
  ])("%s", (data, expected) => {
    expect(piecesOf(data)).toEqual(expected);
  });

  it("may be an error", () => {
    expect(() => piecesOf('{"error": {"message": "a node is gone (hint: retry)"}}')).toThrow("a node is gone");
    expect(() => piecesOf("{")).toThrow();
  });
});

describe("a problem", () => {
  it("has its hint, wherever the envelope has it", () => {
    expect(problemIn({ error: { message: "too big", hint: "add a node" } }, 507)).toEqual({ message: "too big", hint: "add a node" });
    expect(problemIn({ error: { message: "too big (hint: add a node)" } }, 507)).toEqual({ message: "too big", hint: "add a node" });
    expect(problemIn({ error: { message: "too big", hint: null } }, 507)).toEqual({ message: "too big", hint: null });
    expect(problemIn("<html>", 502)).toEqual({ message: "The node answered with status 502.", hint: null });
  });

  it("is words, whatever was thrown", () => {
    expect(problemOf(new Refused({ message: "no", hint: "yes" }))).toEqual({ message: "no", hint: "yes" });
    expect(problemOf(new TypeError("Failed to fetch")).message).toBe("The node did not answer.");
    expect(problemOf("x")).toEqual({ message: "x", hint: null });
  });
});
