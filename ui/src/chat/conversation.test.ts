import { describe, expect, it } from "vitest";
import type { Piece } from "../api/chat";
import { begun, DEFAULT_SETTINGS, figuresOf, finished, isBusy, messagesFor, step, titleOf, type Answer, type Conversation } from "./conversation";

const empty = begun("c", "sprout", DEFAULT_SETTINGS, 0);
const ask = (conversation: Conversation, text: string, tag: string, now = 0) =>
  step(conversation, { kind: "ask", text, question: `q${tag}`, answer: `a${tag}`, now });
const hear = (conversation: Conversation, answer: string, pieces: Piece[], now: number) =>
  step(conversation, { kind: "pieces", answer, pieces, now });
const text = (text: string): Piece => ({ kind: "text", text });
const last = (conversation: Conversation) => conversation.messages.at(-1) as Answer;
const states = (conversation: Conversation) =>
  conversation.messages.map((message) => (message.role === "user" ? message.text : `${message.state}: ${message.text}`));

/** One question answered. */
const one = finished(hear(ask(empty, "What is a shard?", "1"), "a1", [text("A part.")], 100), "a1");

describe("a conversation", () => {
  it("waits, answers, is done", () => {
    const asked = ask(empty, "Hello", "1", 1000);
    expect(states(asked)).toEqual(["Hello", "waiting: "]);
    expect(isBusy(asked)).toBe(true);
    const begun = hear(asked, "a1", [text("Hi")], 1250);
    expect(states(begun)).toEqual(["Hello", "answering: Hi"]);
    const whole = finished(hear(begun, "a1", [text("!"), { kind: "finish", reason: "stop" }, { kind: "usage", tokens: 3 }], 1300), "a1");
    expect(states(whole)).toEqual(["Hello", "done: Hi!"]);
    expect(isBusy(whole)).toBe(false);
    expect(last(whole).timing).toEqual({ sent: 1000, first: 1250, last: 1300, pieces: 2, tokens: 3 });
  });

  it("keeps reasoning apart", () => {
    const thought = hear(ask(empty, "Hello", "1"), "a1", [{ kind: "reasoning", text: "Hm. " }, text("Hi")], 10);
    expect(last(thought)).toMatchObject({ reasoning: "Hm. ", text: "Hi" });
  });

  it("says that an answer was cut", () => {
    expect(last(hear(ask(empty, "Count", "1"), "a1", [{ kind: "finish", reason: "length" }], 10)).cut).toBe(true);
  });

  it("stops with what has come, and what comes later changes nothing", () => {
    const stopped = step(hear(ask(empty, "Count", "1"), "a1", [text("1, 2")], 10), { kind: "stop", answer: "a1" });
    expect(states(stopped)).toEqual(["Count", "stopped: 1, 2"]);
    expect(states(hear(stopped, "a1", [text(", 3")], 20))).toEqual(["Count", "stopped: 1, 2"]);
    expect(states(step(stopped, { kind: "fail", answer: "a1", problem: { message: "x", hint: null } }))).toEqual(["Count", "stopped: 1, 2"]);
    expect(states(finished(stopped, "a1"))).toEqual(["Count", "stopped: 1, 2"]);
  });

  it("fails with words and can be tried again", () => {
    const failed = step(ask(one, "More", "2"), { kind: "fail", answer: "a2", problem: { message: "lost", hint: "retry" } });
    expect(last(failed)).toMatchObject({ state: "failed", problem: { message: "lost" } });
    const again = step(failed, { kind: "retry", answer: "a2", fresh: "a3", now: 5 });
    expect(states(again)).toEqual(["What is a shard?", "done: A part.", "More", "waiting: "]);
    expect(last(again).id).toBe("a3");
  });

  it("takes one question at a time", () => {
    const busy = ask(empty, "Hello", "1");
    expect(ask(busy, "Hello?", "2")).toBe(busy);
    expect(step(busy, { kind: "edit", question: "q1", text: "x", answer: "a2", now: 0 })).toBe(busy);
    expect(step(busy, { kind: "retry", answer: "a1", fresh: "a2", now: 0 })).toBe(busy);
  });

  it("goes on from an edited question and forgets what came after", () => {
    const two = finished(ask(one, "And a rank?", "2"), "a2");
    const edited = step(two, { kind: "edit", question: "q1", text: "What is a rank?", answer: "a9", now: 7 });
    expect(states(edited)).toEqual(["What is a rank?", "waiting: "]);
    expect(edited.changed).toBe(7);
    expect(step(two, { kind: "edit", question: "a1", text: "x", answer: "a9", now: 7 })).toBe(two);
  });

  it("sends the system prompt and what was said", () => {
    const polite = { ...ask(one, "Thanks", "2"), settings: { ...DEFAULT_SETTINGS, system: "Be brief." } };
    expect(messagesFor(polite)).toEqual([
      { role: "system", content: "Be brief." },
      { role: "user", content: "What is a shard?" },
      { role: "assistant", content: "A part." },
      { role: "user", content: "Thanks" },
    ]);
    expect(messagesFor(ask(empty, "Hello", "1"))).toEqual([{ role: "user", content: "Hello" }]);
    const failed = step(ask(empty, "Hello?", "1"), { kind: "fail", answer: "a1", problem: { message: "x", hint: null } });
    expect(messagesFor(ask(failed, "Hello", "2"))).toEqual([{ role: "user", content: "Hello" }]);
  });

  it("has no half a character in its title", () => {
    expect(titleOf(ask(empty, "🌳".repeat(90), "1"))).toBe("🌳".repeat(80));
  });

  it("is called by its first question", () => {
    expect([titleOf(empty), titleOf(one), titleOf(ask(empty, "\n a\nb", "1"))]).toEqual(["New conversation", "What is a shard?", "a"]);
  });
});

it("figures are counted from the tokens, or from the pieces as long as those are not known", () => {
  const timing = { sent: 0, first: 200, last: 1200, pieces: 11, tokens: null };
  expect(figuresOf(timing)).toEqual({ firstMs: 200, perSecond: 10 });
  expect(figuresOf({ ...timing, tokens: 21 })).toEqual({ firstMs: 200, perSecond: 20 });
  expect(figuresOf({ ...timing, last: 200 })).toEqual({ firstMs: 200, perSecond: null });
  // All at once: the network's doing.
  expect(figuresOf({ ...timing, last: (timing.first ?? 0) + 3 })).toEqual({ firstMs: 200, perSecond: null });
  expect(figuresOf({ ...timing, first: null, last: null })).toEqual({ firstMs: null, perSecond: null });
});
