// Where conversations are kept: the one door to it, so that another place needs no other change. For now it is the
// browser's storage, one entry for each. What is read back is checked: older versions and other hands write there too.

import { field } from "../api/failure";
import { DEFAULT_SETTINGS, isOpen, type Answer, type Conversation, type Message, type Question, type Settings } from "./conversation";

const PREFIX = "espalier.conversation.";

/** All that are kept, the latest first. */
export async function loadAll(storage: Storage = localStorage): Promise<Conversation[]> {
  const keys = Array.from({ length: storage.length }, (_, index) => storage.key(index) ?? "");
  const found = keys.filter((key) => key.startsWith(PREFIX)).map((key) => parse(storage.getItem(key)));
  return found.filter((conversation) => conversation !== null).sort((a, b) => b.changed - a.changed);
}

/** Throws when there is no room left. */
export async function save(conversation: Conversation, storage: Storage = localStorage): Promise<void> {
  storage.setItem(PREFIX + conversation.id, JSON.stringify(conversation));
}

export async function remove(id: string, storage: Storage = localStorage): Promise<void> {
  storage.removeItem(PREFIX + id);
}

function parse(text: string | null): Conversation | null {
  try {
    return conversationOf(JSON.parse(text ?? ""));
  } catch {
    return null;
  }
}

function conversationOf(value: unknown): Conversation | null {
  const [id, model, changed, messages] = [field(value, "id"), field(value, "model"), field(value, "changed"), field(value, "messages")];
  if (typeof id !== "string" || typeof model !== "string" || !Array.isArray(messages)) return null;
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
