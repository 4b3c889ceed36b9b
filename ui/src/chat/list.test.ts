import { expect, it } from "vitest";
import { begun, DEFAULT_SETTINGS, step } from "./conversation";
import { entriesOf, isStale } from "./list";

const asked = (id: string, now: number, text = "Hello") =>
  step(begun(id, "sprout", DEFAULT_SETTINGS, 0), { kind: "ask", text, question: "q", answer: "a", now });
const kept = (id: string, changed: number) => ({ id, title: `kept ${id}`, changed });

it("lists what is kept and what is open, each once, the latest first", () => {
  const found = entriesOf([kept("3", 30), kept("2", 20), kept("1", 10)], [asked("2", 25, "Open"), asked("4", 40)]);
  expect(found.map(({ id, title, busy }) => [id, title, busy])).toEqual([
    ["4", "Hello", true],
    ["3", "kept 3", false],
    ["2", "Open", true],
    ["1", "kept 1", false],
  ]);
});

it("what another window has changed is read again, unless an answer grows here", () => {
  const done = step(asked("1", 5), { kind: "stop", answer: "a" });
  expect([isStale(done, kept("1", 9)), isStale(done, kept("1", 5)), isStale(done, undefined)]).toEqual([true, false, false]);
  expect(isStale(asked("1", 5), kept("1", 9))).toBe(false);
});
