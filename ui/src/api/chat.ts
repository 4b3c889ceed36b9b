// A streamed chat answer: what comes, piece by piece, until it is whole. Ends by an error with words, or by `signal`.

import { field, problemIn, Refused } from "./failure";
import { EventParser } from "./sse";
import { request as send } from "./transport";

export type ChatMessage = { role: "system" | "user" | "assistant"; content: string };

export type Sampling = { temperature: number; top_p: number; max_tokens: number | null; seed: number | null };

export type ChatRequest = { model: string; messages: ChatMessage[] } & Sampling;

export type Piece =
  | { kind: "text"; text: string }
  | { kind: "reasoning"; text: string }
  | { kind: "finish"; reason: string }
  | { kind: "usage"; tokens: number };

/** The node sends a sign of life every 10 s, also while a model loads; after three missed ones the line is dead. */
const SILENCE_MS_MAX = 35_000;
/** More than any model's context: an answer that never ends is stopped. */
const ANSWER_CHARACTERS_MAX = 16 << 20;

export async function* answer(request: ChatRequest, signal: AbortSignal): AsyncGenerator<Piece> {
  const response = await send("/v1/chat/completions", {
    method: "POST",
    signal,
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(bodyOf(request)),
  });
  if (!response.ok || !response.body) {
    throw new Refused(problemIn(await response.json().catch(() => null), response.status));
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    yield* pieces(reader);
  } finally {
    // Tells the node to stop computing, however this ended.
    await reader.cancel().catch(() => undefined);
  }
}

async function* pieces(reader: ReadableStreamDefaultReader<string>): AsyncGenerator<Piece> {
  const parser = new EventParser();
  let characters = 0;
  for (;;) {
    const { done, value } = await inTime(reader.read());
    if (done) throw new Refused({ message: "The answer broke off.", hint: "Retry, or look at the Cluster page." });
    characters += value.length;
    if (characters > ANSWER_CHARACTERS_MAX) throw new Refused({ message: "The answer is too long.", hint: null });
    for (const { data } of parser.push(value)) {
      if (data === "[DONE]") return;
      yield* piecesOf(data);
    }
  }
}

/** What one event says. */
export function piecesOf(data: string): Piece[] {
  const chunk: unknown = JSON.parse(data);
  if (field(chunk, "error") !== undefined) throw new Refused(problemIn(chunk, 200));
  const [choice] = listOf(field(chunk, "choices"));
  const delta = field(choice, "delta");
  const [text, reasoning] = [field(delta, "content"), field(delta, "reasoning_content")];
  const [reason, tokens] = [field(choice, "finish_reason"), field(field(chunk, "usage"), "completion_tokens")];
  const found: Piece[] = [];
  if (typeof reasoning === "string" && reasoning) found.push({ kind: "reasoning", text: reasoning });
  if (typeof text === "string" && text) found.push({ kind: "text", text });
  if (typeof reason === "string") found.push({ kind: "finish", reason });
  if (typeof tokens === "number") found.push({ kind: "usage", tokens });
  return found;
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function bodyOf({ max_tokens, seed, ...request }: ChatRequest): object {
  return {
    ...request,
    ...(max_tokens !== null && { max_tokens }),
    ...(seed !== null && { seed }),
    stream: true,
    stream_options: { include_usage: true },
  };
}

async function inTime<T>(waiting: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    const problem = { message: "The node fell silent.", hint: "Is it still running? Retry when it is." };
    timer = setTimeout(() => reject(new Refused(problem)), SILENCE_MS_MAX);
  });
  try {
    return await Promise.race([waiting, late]);
  } finally {
    clearTimeout(timer);
  }
}
