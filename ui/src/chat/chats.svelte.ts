// The conversations while the page is open, and the answers that are on their way. One for the whole window: an answer
// goes on while another page is looked at.

import { answer as ask, type Piece } from "../api/chat";
import { problemOf, type Problem } from "../api/failure";
import { begun, finished, isBusy, messagesFor, step, type Conversation, type Event, type Settings } from "./conversation";
import { loadAll, remove, save } from "./conversations";

/** Pieces are shown this often at most: each time the whole answer is laid out anew. */
const SHOW_MS = 50;

/** Not `randomUUID`: a page that came over plain HTTP from another computer does not have it. */
function freshId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

class Chats {
  /** The latest first. */
  all = $state.raw<Conversation[]>([]);
  /** Conversations could not be kept: why. */
  problem = $state.raw<Problem | null>(null);
  #running = new Map<string, AbortController>();
  #loaded = false;

  async load(): Promise<void> {
    if (this.#loaded) return;
    this.#loaded = true;
    const kept = await loadAll();
    this.all = [...this.all, ...kept];
  }

  find(id: string | null): Conversation | null {
    return this.all.find((conversation) => conversation.id === id) ?? null;
  }

  begin(model: string, settings: Settings): Conversation {
    const conversation = begun(freshId(), model, settings, Date.now());
    this.all = [conversation, ...this.all];
    return conversation;
  }

  /** Changes what the next answer is asked for with. */
  change(id: string, changes: Partial<Pick<Conversation, "model" | "settings">>): void {
    this.#put(id, (conversation) => ({ ...conversation, ...changes }));
    void this.#keep(id);
  }

  ask(id: string, text: string): void {
    const fresh = freshId();
    this.#begin(id, fresh, { kind: "ask", text, question: freshId(), answer: fresh, now: Date.now() });
  }

  edit(id: string, question: string, text: string): void {
    const fresh = freshId();
    this.#begin(id, fresh, { kind: "edit", question, text, answer: fresh, now: Date.now() });
  }

  retry(id: string, answer: string): void {
    const fresh = freshId();
    this.#begin(id, fresh, { kind: "retry", answer, fresh, now: Date.now() });
  }

  stop(id: string): void {
    const last = this.find(id)?.messages.at(-1);
    if (last) this.#step(id, { kind: "stop", answer: last.id });
    this.#running.get(id)?.abort();
  }

  async remove(id: string): Promise<void> {
    this.stop(id);
    this.all = this.all.filter((conversation) => conversation.id !== id);
    await remove(id);
  }

  #begin(id: string, answer: string, event: Event): void {
    const before = this.find(id);
    if (!before || isBusy(before)) return;
    this.#step(id, event);
    this.all = this.all.toSorted((a, b) => b.changed - a.changed);
    void this.#run(id, answer);
  }

  async #run(id: string, answer: string): Promise<void> {
    const conversation = this.find(id);
    if (!conversation) return;
    const stop = new AbortController();
    this.#running.set(id, stop);
    await this.#keep(id);
    const { system: _, ...sampling } = conversation.settings;
    let waiting: Piece[] = [];
    let came = 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const show = (): void => {
      clearTimeout(timer);
      timer = undefined;
      this.#step(id, { kind: "pieces", answer, pieces: waiting, now: came });
      waiting = [];
    };
    try {
      const request = { model: conversation.model, messages: messagesFor(conversation), ...sampling };
      for await (const piece of ask(request, stop.signal)) {
        const first = came === 0;
        came = Date.now();
        waiting.push(piece);
        if (first) show();
        else timer ??= setTimeout(show, SHOW_MS);
      }
      show();
      this.#put(id, (conversation) => finished(conversation, answer));
    } catch (error) {
      show();
      this.#step(id, stop.signal.aborted ? { kind: "stop", answer } : { kind: "fail", answer, problem: problemOf(error) });
    }
    if (this.#running.get(id) === stop) this.#running.delete(id);
    await this.#keep(id);
  }

  #step(id: string, event: Event): void {
    this.#put(id, (conversation) => step(conversation, event));
  }

  #put(id: string, change: (conversation: Conversation) => Conversation): void {
    this.all = this.all.map((conversation) => (conversation.id === id ? change(conversation) : conversation));
  }

  async #keep(id: string): Promise<void> {
    const conversation = this.find(id);
    try {
      if (conversation && conversation.messages.length > 0) await save(conversation);
      this.problem = null;
    } catch {
      const hint = "Remove conversations that are no longer needed.";
      this.problem = { message: "The browser has no room left to keep this conversation.", hint };
    }
  }
}

export const chats = new Chats();
