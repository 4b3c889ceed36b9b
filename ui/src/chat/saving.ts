// Keeps one conversation saved while it changes: one save at a time, always the latest text, and while an answer streams
// not with every piece of it. What could not be saved stays here and is tried again.

import { problemOf, Refused, type Problem } from "../api/failure";
import type { Conversation } from "./conversation";

/** So much of an answer may be lost when the page is closed in the middle of it. */
const SOON_MS = 3000;
/** A node that is back should have everything within seconds. */
const RETRY_MS = 10_000;
const TOO_MANY_REQUESTS = 429;

export class Saving {
  #save: (conversation: Conversation) => Promise<void>;
  #told: (problem: Problem | null) => void;
  #unsaved: Conversation | null = null;
  #due = false;
  #ended = false;
  #running: Promise<void> | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `told` hears after each attempt why it failed, or that it did not. */
  constructor(save: (conversation: Conversation) => Promise<void>, told: (problem: Problem | null) => void) {
    this.#save = save;
    this.#told = told;
  }

  now(conversation: Conversation): void {
    this.#unsaved = conversation;
    this.#start();
  }

  /** Within some seconds. */
  soon(conversation: Conversation): void {
    this.#unsaved = conversation;
    this.#startIn(SOON_MS);
  }

  /** Nothing is saved any more; returns when nothing is on its way. */
  async end(): Promise<void> {
    this.#ended = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  #start(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#ended) return;
    this.#due = true;
    this.#running ??= this.#run();
  }

  #startIn(ms: number): void {
    this.#timer ??= setTimeout(() => this.#start(), ms);
  }

  /** Ends because each round needs something new that is due. */
  async #run(): Promise<void> {
    while (this.#due && this.#unsaved && !this.#ended) {
      const conversation = this.#unsaved;
      this.#due = false;
      try {
        await this.#save(conversation);
        if (this.#unsaved === conversation) this.#unsaved = null;
        this.#told(null);
      } catch (error) {
        this.#told(problemOf(error));
        if (!isLasting(error) && !this.#ended) this.#startIn(RETRY_MS);
      }
    }
    this.#running = null;
  }
}

/** The same would be refused again. */
function isLasting(error: unknown): boolean {
  const status = error instanceof Refused ? error.status : null;
  return status !== null && status < 500 && status !== TOO_MANY_REQUESTS;
}

/** What to say of a conversation that could not be saved. */
export function unsavedProblem({ message, hint }: Problem): Problem {
  return { message: `A conversation is not saved: ${message.replace(/\.$/, "")}. It is whole in this window: leave it open.`, hint };
}
