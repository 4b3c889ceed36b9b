// A stream of the node's events, followed for as long as somebody wants it: a line that breaks or falls silent is
// called again.

import { EventParser, type ServerEvent } from "./sse";
import { request } from "./transport";

/** A page that was left open for days must not hammer, and a node that is back should be seen within seconds. */
const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 4000;
/** The node sends a sign of life every 10 s; after three missed ones the line is dead. */
const SILENCE_MS_MAX = 35_000;

export type Listener = { heard: (event: ServerEvent) => void; lost: () => void };

/** Follows the stream of this path until the returned function is called. */
export function follow(path: string, listener: Listener): () => void {
  const stop = new AbortController();
  void keepCalling(path, listener, stop.signal);
  return () => stop.abort();
}

async function keepCalling(path: string, listener: Listener, stop: AbortSignal): Promise<void> {
  let pause = RETRY_MS_MIN;
  while (!stop.aborted) {
    try {
      for await (const event of events(path, stop)) {
        pause = RETRY_MS_MIN;
        if (!stop.aborted) listener.heard(event);
      }
    } catch {
      // Why the line broke is nobody's business; that it did is told below.
    }
    if (stop.aborted) return;
    listener.lost();
    await new Promise((resolve) => setTimeout(resolve, pause));
    pause = Math.min(pause * 2, RETRY_MS_MAX);
  }
}

async function* events(path: string, stop: AbortSignal): AsyncGenerator<ServerEvent> {
  const line = new AbortController();
  const hangUp = () => line.abort();
  stop.addEventListener("abort", hangUp);
  let silence = setTimeout(hangUp, SILENCE_MS_MAX);
  try {
    const response = await request(path, { signal: line.signal });
    if (!response.ok || !response.body) return;
    const parser = new EventParser();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(silence);
      silence = setTimeout(hangUp, SILENCE_MS_MAX);
      yield* parser.push(value);
    }
  } finally {
    clearTimeout(silence);
    stop.removeEventListener("abort", hangUp);
    line.abort();
  }
}
