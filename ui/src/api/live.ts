// The connection to the node: the latest state, and whether it still is the latest. Tries again for as long as the
// page is open.

import type { State } from "../generated/admin";

export type Live =
  | { kind: "connecting" }
  | { kind: "live"; state: State }
  | { kind: "lost"; state: State | null; since: Date };

/** A page that was left open for days must not hammer, and a node that is back should be seen within seconds. */
const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 4000;

/** Watches the node's state until the returned function is called. */
export function watch(url: string, onChange: (live: Live) => void): () => void {
  let source: EventSource | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let last: State | null = null;
  let lostSince: Date | null = null;
  let pause = RETRY_MS_MIN;

  function connect(): void {
    source = new EventSource(url);
    source.addEventListener("state", (event: MessageEvent<string>) => {
      last = JSON.parse(event.data) as State;
      lostSince = null;
      pause = RETRY_MS_MIN;
      onChange({ kind: "live", state: last });
    });
    source.addEventListener("error", () => {
      // A browser gives up after some errors and goes on after others: here it is one rule for all.
      source?.close();
      lostSince ??= new Date();
      onChange({ kind: "lost", state: last, since: lostSince });
      timer = setTimeout(connect, pause);
      pause = Math.min(pause * 2, RETRY_MS_MAX);
    });
  }

  connect();
  return () => {
    clearTimeout(timer);
    source?.close();
  };
}
