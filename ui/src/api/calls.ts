// The recent calls of the API, followed for as long as somebody looks.

import type { Call, Calls } from "../generated/admin";
import { follow } from "./line";

/** `calls` is null before the first list has come. */
export type CallsSeen = { calls: Call[] | null; lost: boolean };

/** Watches them until the returned function is called. */
export function watchCalls(onChange: (seen: CallsSeen) => void): () => void {
  let calls: Call[] | null = null;
  return follow("/admin/calls", {
    heard({ name, data }) {
      if (name !== "calls") return;
      ({ calls } = JSON.parse(data) as Calls);
      onChange({ calls, lost: false });
    },
    lost: () => onChange({ calls, lost: true }),
  });
}
