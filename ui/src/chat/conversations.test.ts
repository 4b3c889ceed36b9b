import { beforeEach, describe, expect, it } from "vitest";
import { begun, DEFAULT_SETTINGS, finished, step, type Conversation } from "./conversation";
import { loadAll, remove, save } from "./conversations";

/** The part of a browser's storage that is used. */
class Memory implements Storage {
  #items = new Map<string, string>();
  get length() { return this.#items.size; }
  key(index: number) { return [...this.#items.keys()][index] ?? null; }
  getItem(key: string) { return this.#items.get(key) ?? null; }
  setItem(key: string, value: string) { this.#items.set(key, value); }
  removeItem(key: string) { this.#items.delete(key); }
  clear() { this.#items.clear(); }
}

let storage: Memory;
beforeEach(() => { storage = new Memory(); });

function asked(id: string, now: number): Conversation {
  const settings = { ...DEFAULT_SETTINGS, system: "Be brief.", seed: 7 };
  return step(begun(id, "sprout", settings, 0), { kind: "ask", text: "Hello", question: "q", answer: "a", now });
}

describe("kept conversations", () => {
  it("come back as they were, the latest first", async () => {
    const [old, recent] = [finished(asked("1", 5), "a"), finished(asked("2", 9), "a")];
    await save(old, storage);
    await save(recent, storage);
    expect(await loadAll(storage)).toEqual([recent, old]);
    await remove("2", storage);
    expect(await loadAll(storage)).toEqual([old]);
  });

  it("have no answer that would be waited for for ever", async () => {
    await save(asked("1", 5), storage);
    const [found] = await loadAll(storage);
    expect(found?.messages.at(-1)).toMatchObject({ state: "stopped" });
  });

  it("leave out what is none", async () => {
    storage.setItem("other", "x");
    storage.setItem("espalier.conversation.1", "{");
    storage.setItem("espalier.conversation.2", '{"id": "2", "model": 5, "messages": []}');
    storage.setItem("espalier.conversation.3", "null");
    const odd = { id: "4", model: "m", messages: [5, { id: "q", role: "user", text: "hi" }, { id: "s", role: "system", text: "" }, { id: "a", role: "assistant", text: "x", state: "odd" }] };
    storage.setItem("espalier.conversation.4", JSON.stringify(odd));
    const [found, ...more] = await loadAll(storage);
    expect(more).toEqual([]);
    expect(found?.settings).toEqual(DEFAULT_SETTINGS);
    expect(found?.messages.map((message) => message.id)).toEqual(["q", "a"]);
    expect(found?.messages.at(-1)).toMatchObject({ state: "stopped", problem: null, reasoning: "" });
  });
});
