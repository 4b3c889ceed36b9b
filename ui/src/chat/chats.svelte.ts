// The conversations while the page is open, and the answers that are on their way. One for the whole window: an answer
// goes on while another page is looked at.

import { answer as ask, type Piece } from "../api/chat";
import { problemOf, type Problem } from "../api/failure";
import { begun, finished, isBusy, messagesFor, step, type Conversation, type Event, type Settings } from "./conversation";
import { load, remove, save, summaries, type Summary } from "./conversations";
import { entriesOf, isStale } from "./list";
import { Saving } from "./saving";

/** Pieces are shown this often at most: each time the whole answer is laid out anew. */
const SHOW_MS = 50;

/** Not `randomUUID`: a page that came over plain HTTP from another computer does not have it. */
function freshId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Reading a conversation that is kept: under way, or what came of it if it is not open now. */
export type Reading = "reading" | "missing" | Problem;

class Chats {
  #kept = $state.raw<Summary[]>([]);
  #open = $state.raw<Conversation[]>([]);
  #reading = $state.raw<Record<string, Reading>>({});
  /** Why some are not saved, by conversation. */
  #unsaved = $state.raw<Record<string, Problem>>({});
  /** The list could not be read, or a conversation not removed: why. */
  problem = $state.raw<Problem | null>(null);
  #running = new Map<string, AbortController>();
  #savings = new Map<string, Saving>();

  /** The latest first. */
  readonly all = $derived(entriesOf(this.#kept, this.#open));
  /** Why conversations could not be saved. */
  readonly unsaved = $derived(Object.values(this.#unsaved)[0] ?? null);

  /** Asks what the node keeps now. */
  async refresh(): Promise<void> {
    try {
      this.#kept = await summaries();
      this.problem = null;
    } catch (error) {
      this.problem = problemOf(error);
    }
  }

  /** Reads a conversation, unless it is open here as it is kept. */
  async open(id: string): Promise<void> {
    const here = this.find(id);
    if (this.#reading[id] === "reading") return;
    if (here && !isStale(here, this.#kept.find((kept) => kept.id === id))) return;
    this.#read(id, "reading");
    try {
      const found = await load(id);
      const now = this.find(id);
      if (found && (!now || now === here)) this.#open = [...this.#open.filter((other) => other.id !== id), found];
      this.#read(id, found || now ? null : "missing");
    } catch (error) {
      this.#read(id, problemOf(error));
    }
  }

  find(id: string | null): Conversation | null {
    return this.#open.find((conversation) => conversation.id === id) ?? null;
  }

  readingOf(id: string | null): Reading | null {
    return id === null ? null : (this.#reading[id] ?? null);
  }

  begin(model: string, settings: Settings): Conversation {
    const conversation = begun(freshId(), model, settings, Date.now());
    this.#open = [...this.#open, conversation];
    return conversation;
  }

  /** Changes what the next answer is asked for with. */
  change(id: string, changes: Partial<Pick<Conversation, "model" | "settings">>): void {
    this.#put(id, (conversation) => ({ ...conversation, ...changes }));
    this.#keep(id, "soon");
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

  /** Whether it is gone. */
  async remove(id: string): Promise<boolean> {
    this.stop(id);
    // What is on its way to the disk would come back after the removal.
    await this.#savings.get(id)?.end();
    try {
      await remove(id);
    } catch (error) {
      this.#savings.delete(id);
      this.problem = problemOf(error);
      return false;
    }
    this.#kept = this.#kept.filter((kept) => kept.id !== id);
    this.#open = this.#open.filter((conversation) => conversation.id !== id);
    this.#savings.delete(id);
    this.#told(id, null);
    this.problem = null;
    return true;
  }

  #begin(id: string, answer: string, event: Event): void {
    const before = this.find(id);
    if (!before || isBusy(before)) return;
    this.#step(id, event);
    this.#keep(id, "now");
    void this.#run(id, answer);
  }

  async #run(id: string, answer: string): Promise<void> {
    const conversation = this.find(id);
    if (!conversation) return;
    const stop = new AbortController();
    this.#running.set(id, stop);
    const { system: _, ...sampling } = conversation.settings;
    let waiting: Piece[] = [];
    let came = 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const show = (): void => {
      clearTimeout(timer);
      timer = undefined;
      this.#step(id, { kind: "pieces", answer, pieces: waiting, now: came });
      waiting = [];
      this.#keep(id, "soon");
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
    this.#keep(id, "now");
  }

  #step(id: string, event: Event): void {
    this.#put(id, (conversation) => step(conversation, event));
  }

  #put(id: string, change: (conversation: Conversation) => Conversation): void {
    this.#open = this.#open.map((conversation) => (conversation.id === id ? change(conversation) : conversation));
  }

  #keep(id: string, when: "now" | "soon"): void {
    const conversation = this.find(id);
    if (!conversation || conversation.messages.length === 0) return;
    const saving = this.#savings.get(id) ?? new Saving(save, (problem) => this.#told(id, problem));
    this.#savings.set(id, saving);
    saving[when](conversation);
  }

  #told(id: string, problem: Problem | null): void {
    const { [id]: _, ...others } = this.#unsaved;
    this.#unsaved = problem ? { ...others, [id]: problem } : others;
  }

  #read(id: string, reading: Reading | null): void {
    const { [id]: _, ...others } = this.#reading;
    this.#reading = reading ? { ...others, [id]: reading } : others;
  }
}

export const chats = new Chats();
