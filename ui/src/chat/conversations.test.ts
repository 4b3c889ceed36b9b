import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { begun, DEFAULT_SETTINGS, finished, step, type Conversation } from "./conversation";
import { load, remove, save, summaries } from "./conversations";

/** What a node keeps, by path, as it answers. */
const kept = new Map<string, { title: string; changed_ms: number; content: unknown }>();
const FOLDER = "/admin/conversations";

function answer(path: string, { method, body }: RequestInit): Response {
  if (path === FOLDER) {
    const all = [...kept].map(([path, { title, changed_ms }]) => ({ id: path.slice(FOLDER.length + 1), title, changed_ms }));
    return Response.json({ conversations: all.sort((a, b) => b.changed_ms - a.changed_ms) });
  }
  if (method === "PUT") kept.set(path, JSON.parse(String(body)) as never);
  const found = kept.get(path);
  if (!found) return Response.json({ error: { message: "no such conversation" } }, { status: 404 });
  if (method === "DELETE") kept.delete(path);
  return method === "GET" ? Response.json(found) : new Response(null, { status: 204 });
}

beforeEach(() => {
  kept.clear();
  vi.stubGlobal("fetch", async (path: string, init: RequestInit) => answer(path, init));
});
afterEach(() => void vi.unstubAllGlobals());

function asked(id: string, now: number): Conversation {
  const settings = { ...DEFAULT_SETTINGS, system: "Be brief.", seed: 7 };
  return step(begun(id, "sprout", settings, 0), { kind: "ask", text: "Hello", question: "q", answer: "a", now });
}

describe("kept conversations", () => {
  it("come back as they were", async () => {
    const [old, recent] = [finished(asked("1", 5), "a"), finished(asked("2", 9), "a")];
    await save(old);
    await save(recent);
    expect(await summaries()).toEqual([
      { id: "2", title: "Hello", changed: 9 },
      { id: "1", title: "Hello", changed: 5 },
    ]);
    expect([await load("1"), await load("2")]).toEqual([old, recent]);
    await remove("2");
    expect((await summaries()).map(({ id }) => id)).toEqual(["1"]);
  });

  it("that are gone are none, and removing them again is no error", async () => {
    expect(await load("1")).toBeNull();
    await remove("1");
  });

  it("have no answer that would be waited for for ever", async () => {
    await save(asked("1", 5));
    expect((await load("1"))?.messages.at(-1)).toMatchObject({ state: "stopped" });
  });

  it("are checked when they are read", async () => {
    const put = (id: string, content: unknown) => kept.set(`${FOLDER}/${id}`, { title: "x", changed_ms: 1, content });
    for (const [at, wrong] of [null, 5, { model: 5, messages: [] }, { model: "m" }].entries()) {
      put(`${at}`, wrong);
      await expect(load(`${at}`)).rejects.toThrow("cannot be read");
    }
    const odd = { model: "m", messages: [5, { id: "q", role: "user", text: "hi" }, { id: "s", role: "system", text: "" }, { id: "a", role: "assistant", text: "x", state: "odd" }] };
    put("odd", odd);
    const found = await load("odd");
    expect(found).toMatchObject({ id: "odd", settings: DEFAULT_SETTINGS });
    expect(found?.messages.map((message) => message.id)).toEqual(["q", "a"]);
    expect(found?.messages.at(-1)).toMatchObject({ state: "stopped", problem: null, reasoning: "" });
  });

  it("that the node does not take are an error with its words", async () => {
    vi.stubGlobal("fetch", async () => Response.json({ error: { message: "the disk is full", hint: "make room" } }, { status: 500 }));
    await expect(save(asked("1", 5))).rejects.toMatchObject({ problem: { message: "the disk is full", hint: "make room" }, status: 500 });
    await expect(summaries()).rejects.toThrow("the disk is full");
  });
});
