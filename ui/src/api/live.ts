// The connection to the node: the latest state, and whether it still is the latest. Tries again for as long as the
// page is open.

import type { Membership, State } from "../generated/admin";
import { EventParser } from "./sse";
import { request } from "./transport";

export type Seen = { state: State; membership: Membership };

export type Live =
  | { kind: "connecting" }
  | ({ kind: "live" } & Seen)
  | ({ kind: "lost"; since: Date } & (Seen | { state: null; membership: null }));

/** A page that was left open for days must not hammer, and a node that is back should be seen within seconds. */
const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 4000;
/** The node sends a sign of life every 10 s; after three missed ones the line is dead. */
const SILENCE_MS_MAX = 35_000;

/** Watches the node until the returned function is called. */
export function watch(url: string, onChange: (live: Live) => void): () => void {
  const stop = new AbortController();
  void follow(url, onChange, stop.signal);
  return () => stop.abort();
}

async function follow(url: string, onChange: (live: Live) => void, stop: AbortSignal): Promise<void> {
  let last: Partial<Seen> = {};
  let pause = RETRY_MS_MIN;
  while (!stop.aborted) {
    try {
      for await (const news of events(url, stop)) {
        last = { ...last, ...news };
        pause = RETRY_MS_MIN;
        if (isWhole(last)) onChange({ kind: "live", ...last });
      }
    } catch {
      // Why the line broke is nobody's business; that it did is shown below.
    }
    if (stop.aborted) return;
    const seen = isWhole(last) ? last : { state: null, membership: null };
    onChange({ kind: "lost", since: new Date(), ...seen });
    await new Promise((resolve) => setTimeout(resolve, pause));
    pause = Math.min(pause * 2, RETRY_MS_MAX);
  }
}

function isWhole(seen: Partial<Seen>): seen is Seen {
  return seen.state !== undefined && seen.membership !== undefined;
}

async function* events(url: string, stop: AbortSignal): AsyncGenerator<Partial<Seen>> {
  const line = new AbortController();
  const hangUp = () => line.abort();
  stop.addEventListener("abort", hangUp);
  let silence = setTimeout(hangUp, SILENCE_MS_MAX);
  try {
    const response = await request(url, { signal: line.signal });
    if (!response.ok || !response.body) return;
    const parser = new EventParser();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(silence);
      silence = setTimeout(hangUp, SILENCE_MS_MAX);
      for (const { name, data } of parser.push(value)) {
        if (name === "state") yield { state: JSON.parse(data) as State };
        if (name === "membership") yield { membership: JSON.parse(data) as Membership };
      }
    }
  } finally {
    clearTimeout(silence);
    stop.removeEventListener("abort", hangUp);
    line.abort();
  }
}
