import { describe, expect, it } from "vitest";
import { EVENT_CHARACTERS_MAX, EventParser } from "./sse";

const parse = (...pieces: string[]) => {
  const parser = new EventParser();
  return pieces.flatMap((piece) => parser.push(piece)).map((event) => event.data);
};

describe("events", () => {
  it.each([
    ["one", ["data: a\n\n"], ["a"]],
    ["two in one piece", ["data: a\n\ndata: b\n\n"], ["a", "b"]],
    ["one in many pieces", [..."data: {\"a\": 1}\n\n"], ['{"a": 1}']],
    ["several lines", ["data: a\ndata: b\n\n"], ["a\nb"]],
    ["no space after the colon", ["data:a\n\n"], ["a"]],
    ["an empty one", ["data\n\n"], [""]],
    ["comments and other fields", [": alive\n\nevent: x\nid: 1\ndata: a\n\n"], ["a"]],
    ["a field that only begins alike", ["database: a\n\n"], []],
    ["returns", ["data: a\r\n\r\n", "data: b\r\r"], ["a", "b"]],
    ["a return and its newline apart", ["data: a\r", "\n\r", "\n", "data: b\n\n"], ["a", "b"]],
    ["one without an end", ["data: a\n"], []],
    ["nothing", ["", "\n\n\n"], []],
  ])("%s", (_, pieces, expected) => {
    expect(parse(...pieces)).toEqual(expected);
  });

  it("have a name, which counts once", () => {
    const events = new EventParser().push("event: state\ndata: a\n\ndata: b\n\n");
    expect(events).toEqual([{ name: "state", data: "a" }, { name: "message", data: "b" }]);
  });

  it("come out the same wherever the text is cut", () => {
    const text = "data: a\r\ndata: b\r\n\r\n: c\n\ndata: d\n\n";
    for (let cut = 0; cut <= text.length; cut += 1) {
      expect(parse(text.slice(0, cut), text.slice(cut))).toEqual(["a\nb", "d"]);
    }
  });

  it("may not be endless", () => {
    const long = "x".repeat(EVENT_CHARACTERS_MAX);
    expect(() => parse(`data: ${long}\n\n`)).toThrow("too long");
    expect(() => parse(long, "x")).toThrow("too long");
    expect(() => parse(...Array<string>(9).fill(`data: ${long.slice(0, EVENT_CHARACTERS_MAX / 8)}\n`))).toThrow("too long");
    const parser = new EventParser();
    for (let piece = 0; piece < 20; piece += 1) expect(parser.push(`data: ${long.slice(0, 1 << 17)}\n\n`)).toHaveLength(1);
  });
});
