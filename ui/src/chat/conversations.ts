// Where conversations are kept: the one door to it, so that another place needs no other change. The node keeps them, one
// file for each. What is read back is checked: older versions and other hands write there too.

import * as node from "../api/admin";
import { field, Refused } from "../api/failure";
import {
  DEFAULT_SETTINGS,
  isOpen,
  titleOf,
  type Answer,
  type Conversation,
  type Message,
  type Question,
  type Settings,
} from "./conversation";

/** What a list shows of a conversation. `changed` is in milliseconds since 1970. */
export type Summary = { id: string; title: string; changed: number };

/** All that are kept, the latest first. */
export async function summaries(): Promise<Summary[]> {
  const kept = await node.conversations();
  return kept.map(({ id, title, changed_ms }) => ({ id, title, changed: changed_ms }));
}

/** A conversation as it was kept; `null` if it is not. */
export async function load(id: string): Promise<Conversation | null> {
  const kept = await unlessGone(node.conversation(id));
  if (kept === null) return null;
  const conversation = conversationOf(id, kept.content);
  if (!conversation) throw new Refused({ message: "This conversation cannot be read.", hint: "A newer Espalier may have written it." });
  return conversation;
}

export async function save(conversation: Conversation): Promise<void> {
  const { id, changed, ...content } = conversation;
  await node.keepConversation(id, { title: titleOf(conversation), changed_ms: changed, content: { ...content, changed } });
}

/** One that is not kept is gone already. */
export async function remove(id: string): Promise<void> {
  await unlessGone(node.removeConversation(id));
}

async function unlessGone<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof Refused && error.status === 404) return null;
    throw error;
  }
}

function conversationOf(id: string, value: unknown): Conversation | null {
  const [model, changed, messages] = [field(value, "model"), field(value, "changed"), field(value, "messages")];
  if (typeof model !== "string" || !Array.isArray(messages)) return null;
  return {
    id,
    model,
    changed: numberOf(changed) ?? 0,
    settings: settingsOf(field(value, "settings")),
    messages: messages.map(messageOf).filter((message) => message !== null),
  };
}

function messageOf(value: unknown): Message | null {
  const [id, role, text] = [field(value, "id"), field(value, "role"), field(value, "text")];
  if (typeof id !== "string" || typeof text !== "string") return null;
  if (role === "user") return { id, role, text } satisfies Question;
  if (role !== "assistant") return null;
  const [reasoning, state, message, hint] = [
    field(value, "reasoning"),
    field(value, "state"),
    field(field(value, "problem"), "message"),
    field(field(value, "problem"), "hint"),
  ];
  const timing = field(value, "timing");
  const answer: Answer = {
    id,
    role,
    text,
    reasoning: typeof reasoning === "string" ? reasoning : "",
    state: state === "done" || state === "failed" || state === "waiting" || state === "answering" ? state : "stopped",
    cut: field(value, "cut") === true,
    problem: typeof message === "string" ? { message, hint: typeof hint === "string" ? hint : null } : null,
    timing: {
      sent: numberOf(field(timing, "sent")) ?? 0,
      first: numberOf(field(timing, "first")),
      last: numberOf(field(timing, "last")),
      pieces: numberOf(field(timing, "pieces")) ?? 0,
      tokens: numberOf(field(timing, "tokens")),
    },
  };
  // The page was closed in the middle of it: nothing more will come.
  return isOpen(answer) ? { ...answer, state: "stopped" } : answer;
}

function settingsOf(value: unknown): Settings {
  const system = field(value, "system");
  return {
    system: typeof system === "string" ? system : "",
    temperature: numberOf(field(value, "temperature")) ?? DEFAULT_SETTINGS.temperature,
    top_p: numberOf(field(value, "top_p")) ?? DEFAULT_SETTINGS.top_p,
    max_tokens: numberOf(field(value, "max_tokens")),
    seed: numberOf(field(value, "seed")),
  };
}

function numberOf(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}
