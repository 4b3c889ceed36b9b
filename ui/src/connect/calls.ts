// What the list of calls shows. Pure.

import type { Call } from "../generated/admin";
import { duration } from "../parts/words";

/** `broken`: it began well and did not end so. */
export type CallState = "running" | "done" | "refused" | "failed" | "broken";

/** The newest first. */
export function newestFirst(calls: readonly Call[]): Call[] {
  return calls.toReversed();
}

export function stateOf({ status, error, duration_ms }: Call): CallState {
  if (status !== null && status >= 500) return "failed";
  if (status !== null && status >= 400) return "refused";
  if (error !== null) return "broken";
  return duration_ms === null ? "running" : "done";
}

const STATE_WORDS: Record<CallState, string> = {
  running: "running",
  done: "done",
  refused: "refused",
  failed: "failed",
  broken: "broken off",
};

/** `running`, `waiting, place 2`, `200 done`, `404 refused`. */
export function statusText(call: Call): string {
  const state = stateOf(call);
  if (state === "running" && call.position !== null) return `waiting, place ${call.position}`;
  return call.status === null || state === "running" ? STATE_WORDS[state] : `${call.status} ${STATE_WORDS[state]}`;
}

/** Who called, in the client's own words; every browser calls itself Mozilla. */
export function clientText({ client }: Call): string {
  return client.startsWith("Mozilla/") ? "a browser" : client || "unnamed program";
}

export function durationText({ duration_ms }: Call): string {
  return duration_ms === null ? "" : duration(duration_ms);
}

/** Tokens read and written; empty if none were counted. */
export function tokensText({ prompt_tokens, completion_tokens }: Call): string {
  const parts = [prompt_tokens === null ? "" : `${prompt_tokens} in`, completion_tokens === null ? "" : `${completion_tokens} out`];
  return parts.filter((text) => text).join(", ");
}
