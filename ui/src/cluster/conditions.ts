// How computers, links and models are doing, in words: heat, memory, what joins them, what is asked of them. Pure.

import type { Activity, Level, Link, LinkKind } from "../generated/admin";
import { bandwidth, count, milliseconds, rate } from "../parts/words";

export type Condition = "thermal" | "memory";

/** In full, and for where there is little room beside a picture that says what is meant. */
const LEVEL_WORDS: Record<Condition, Record<Level, { full: string; short: string }>> = {
  thermal: {
    normal: { full: "cool", short: "cool" },
    elevated: { full: "warm", short: "warm" },
    critical: { full: "too hot", short: "hot" },
  },
  memory: {
    normal: { full: "memory fine", short: "fine" },
    elevated: { full: "memory tight", short: "tight" },
    critical: { full: "memory short", short: "short" },
  },
};

export function levelText(condition: Condition, level: Level, short = false): string {
  const words = LEVEL_WORDS[condition][level];
  return short ? words.short : words.full;
}

/** What it means, for who wonders. */
export function levelHint(condition: Condition, level: Level): string {
  if (level === "normal") return condition === "thermal" ? "Its temperature is normal." : "It has memory to spare.";
  if (condition === "thermal") return level === "elevated" ? "It is warm and may slow down." : "It is too hot and slows down.";
  return level === "elevated" ? "Its programs need most of its memory." : "It has too little memory and moves some of it to disk.";
}

const KIND_WORDS: Record<LinkKind, string> = {
  loopback: "same machine",
  ethernet: "Ethernet",
  wifi: "Wi-Fi",
  thunderbolt: "Thunderbolt",
  other: "",
};

export function kindText(kind: LinkKind | null): string {
  return kind === null ? "" : KIND_WORDS[kind];
}

/** What is known of a link: what it is, how long a round trip takes, how much it carries. */
export function linkFacts({ kind, round_trip_us, bandwidth_bytes_per_s }: Link): string[] {
  const facts = [
    kindText(kind),
    round_trip_us === null ? "" : milliseconds(round_trip_us),
    bandwidth_bytes_per_s == null ? "" : bandwidth(bandwidth_bytes_per_s),
  ];
  return facts.filter((text) => text);
}

/** The one that counts most: every token waits for a round trip. */
export function linkFact(link: Link): string {
  return link.round_trip_us === null ? (linkFacts(link)[0] ?? "") : milliseconds(link.round_trip_us);
}

/** `reading 1 prompt, answering 2, 1 waiting, 31 tok/s`. */
export function activityText(activity: Activity | null): string {
  if (!activity) return "no request now";
  const { reading, answering, waiting, tokens_per_s } = activity;
  const parts = [
    reading > 0 ? `reading ${count(reading, "prompt")}` : "",
    answering > 0 ? `answering ${answering}` : "",
    waiting > 0 ? `${waiting} waiting` : "",
    tokens_per_s > 0 ? rate(tokens_per_s) : "",
  ];
  return parts.filter((text) => text).join(", ") || "no request now";
}

/** Whether something is computed now. */
export function isWorking(activity: Activity | null): boolean {
  return !!activity && activity.reading + activity.answering > 0;
}
