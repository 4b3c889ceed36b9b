// A conversation and everything that can happen to it. Pure: ids and times are arguments.

import type { ChatMessage, Piece, Sampling } from "../api/chat";
import type { Problem } from "../api/failure";

export type Question = { id: string; role: "user"; text: string };

/** `waiting` until the first piece comes; then `answering`; the rest are ends. */
export type AnswerState = "waiting" | "answering" | "done" | "stopped" | "failed";

export type Answer = {
  id: string;
  role: "assistant";
  text: string;
  reasoning: string;
  state: AnswerState;
  /** It was cut at the limit of tokens. */
  cut: boolean;
  problem: Problem | null;
  timing: Timing;
};

/** Milliseconds of any one clock. */
export type Timing = { sent: number; first: number | null; last: number | null; pieces: number; tokens: number | null };

export type Message = Question | Answer;

export type Settings = Sampling & { system: string };

export type Conversation = {
  id: string;
  model: string;
  settings: Settings;
  messages: Message[];
  /** When it last changed, in milliseconds since 1970. */
  changed: number;
};

export type Event =
  | { kind: "ask"; text: string; question: string; answer: string; now: number }
  | { kind: "edit"; question: string; text: string; answer: string; now: number }
  | { kind: "retry"; answer: string; fresh: string; now: number }
  | { kind: "pieces"; answer: string; pieces: Piece[]; now: number }
  | { kind: "stop"; answer: string }
  | { kind: "fail"; answer: string; problem: Problem };

export const DEFAULT_SETTINGS: Settings = { system: "", temperature: 0.7, top_p: 1, max_tokens: null, seed: null };

export function begun(id: string, model: string, settings: Settings, now: number): Conversation {
  return { id, model, settings, messages: [], changed: now };
}

/** Whether an answer still grows. */
export function isOpen(message: Message | undefined): boolean {
  return message?.role === "assistant" && (message.state === "waiting" || message.state === "answering");
}

export function isBusy(conversation: Conversation): boolean {
  return isOpen(conversation.messages.at(-1));
}

/** The conversation after an event; itself if the event does not fit, because it comes too late. */
export function step(conversation: Conversation, event: Event): Conversation {
  switch (event.kind) {
    case "ask": {
      const question: Question = { id: event.question, role: "user", text: event.text };
      if (isBusy(conversation)) return conversation;
      return after(conversation, [...conversation.messages, question], event.answer, event.now);
    }
    case "edit": {
      const at = conversation.messages.findIndex((message) => message.id === event.question && message.role === "user");
      if (at < 0 || isBusy(conversation)) return conversation;
      const question: Question = { id: event.question, role: "user", text: event.text };
      return after(conversation, [...conversation.messages.slice(0, at), question], event.answer, event.now);
    }
    case "retry": {
      const at = conversation.messages.findIndex((message) => message.id === event.answer && message.role === "assistant");
      if (at < 0 || isBusy(conversation)) return conversation;
      return after(conversation, conversation.messages.slice(0, at), event.fresh, event.now);
    }
    case "pieces":
      return changed(conversation, event.answer, (answer) => grown(answer, event.pieces, event.now));
    case "stop":
      return changed(conversation, event.answer, (answer) => ({ ...answer, state: "stopped" }));
    case "fail":
      return changed(conversation, event.answer, (answer) => ({ ...answer, state: "failed", problem: event.problem }));
  }
}

/** These messages, and an answer that is waited for. */
function after(conversation: Conversation, messages: Message[], id: string, now: number): Conversation {
  const timing: Timing = { sent: now, first: null, last: null, pieces: 0, tokens: null };
  const answer: Answer = { id, role: "assistant", text: "", reasoning: "", state: "waiting", cut: false, problem: null, timing };
  return { ...conversation, messages: [...messages, answer], changed: now };
}

/** Only an answer that is still open changes. */
function changed(conversation: Conversation, id: string, change: (answer: Answer) => Answer): Conversation {
  const messages = conversation.messages.map((message) =>
    message.id === id && message.role === "assistant" && isOpen(message) ? change(message) : message,
  );
  return { ...conversation, messages };
}

function grown(answer: Answer, pieces: readonly Piece[], now: number): Answer {
  const next: Answer = { ...answer, timing: { ...answer.timing } };
  for (const piece of pieces) {
    if (piece.kind === "finish") next.cut = piece.reason === "length";
    else if (piece.kind === "usage") {
      next.timing.tokens = piece.tokens;
    } else {
      if (next.state === "waiting") next.state = "answering";
      if (piece.kind === "text") next.text += piece.text;
      else next.reasoning += piece.text;
      next.timing.first ??= now;
      next.timing.last = now;
      next.timing.pieces += 1;
    }
  }
  return next;
}

/** The answer is whole. */
export function finished(conversation: Conversation, id: string): Conversation {
  return changed(conversation, id, (answer) => ({ ...answer, state: "done" }));
}

/** What is sent for the answer that is waited for: the system prompt and everything before it. */
export function messagesFor(conversation: Conversation): ChatMessage[] {
  const system: ChatMessage[] = conversation.settings.system.trim()
    ? [{ role: "system", content: conversation.settings.system }]
    : [];
  const said = conversation.messages.filter((message, at, all) => !isOpen(message) && !cameToNothing(message, all[at + 1]));
  return [...system, ...said.map((message): ChatMessage => ({ role: message.role, content: message.text }))];
}

/** A question whose answer has no text, and that answer: many templates want question and answer in turn. */
function cameToNothing(message: Message, next: Message | undefined): boolean {
  const empty = (answer: Message | undefined) => answer?.role === "assistant" && answer.text === "" && !isOpen(answer);
  return empty(message) || (message.role === "user" && empty(next));
}

/** More is never seen of it in a list. */
const TITLE_CHARACTERS_MAX = 80;

/** Its first question, or what it is without one. */
export function titleOf(conversation: Conversation): string {
  const question = conversation.messages.find((message) => message.role === "user");
  const [line = ""] = question?.text.trim().split("\n") ?? [];
  // By characters: half of one is no text that could be kept.
  return [...line].slice(0, TITLE_CHARACTERS_MAX).join("") || "New conversation";
}

/** Within less, what is measured is how the bytes came and not how fast tokens were made. */
const PACE_MS_MIN = 100;

/** Time to the first token and tokens per second after it; `null` where there is nothing to say yet. */
export function figuresOf({ sent, first, last, pieces, tokens }: Timing): { firstMs: number | null; perSecond: number | null } {
  if (first === null || last === null) return { firstMs: null, perSecond: null };
  const more = (tokens ?? pieces) - 1;
  return { firstMs: first - sent, perSecond: more > 0 && last - first >= PACE_MS_MIN ? (more * 1000) / (last - first) : null };
}
