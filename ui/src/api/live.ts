// The connection to the node: the latest state, and whether it still is the latest.

import type { Download, Downloads, Membership, State } from "../generated/admin";
import { follow } from "./line";

export type Seen = { state: State; membership: Membership; downloads: Download[] };

export type Live =
  | { kind: "connecting" }
  | ({ kind: "live" } & Seen)
  | ({ kind: "lost"; since: Date } & (Seen | { state: null; membership: null; downloads: null }));

/** Watches the node until the returned function is called. */
export function watch(onChange: (live: Live) => void): () => void {
  let last: Partial<Seen> = {};
  return follow("/admin/events", {
    heard({ name, data }) {
      if (name === "downloads") last = { ...last, downloads: (JSON.parse(data) as Downloads).downloads };
      else if (name === "state" || name === "membership") last = { ...last, [name]: JSON.parse(data) };
      else return;
      if (isWhole(last)) onChange({ kind: "live", ...last });
    },
    lost() {
      const seen = isWhole(last) ? last : { state: null, membership: null, downloads: null };
      onChange({ kind: "lost", since: new Date(), ...seen });
    },
  });
}

function isWhole(seen: Partial<Seen>): seen is Seen {
  return seen.state !== undefined && seen.membership !== undefined && seen.downloads !== undefined;
}
