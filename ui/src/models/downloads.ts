// Downloads in words, and what can be done with each. Pure.

import type { Problem } from "../api/failure";
import type { Download } from "../generated/admin";
import { bytes, count } from "../parts/words";

export type Step = "pause" | "resume" | "cancel";

/** Those to show: the models that are here have rows of their own. */
export function coming(downloads: readonly Download[]): Download[] {
  return downloads.filter((download) => download.state !== "done");
}

/** Changes whenever a model has come. */
export function doneKey(downloads: readonly Download[]): string {
  const done = downloads.filter((download) => download.state === "done");
  return done.map((download) => `${download.model} ${download.commit}`).join();
}

const STATES: Record<Download["state"], string> = {
  waiting: "Waiting",
  running: "Downloading",
  retrying: "Trying again",
  verifying: "Verifying",
  paused: "Paused",
  done: "Here",
  failed: "Stopped",
};

export function stateText({ state }: Download): string {
  return STATES[state];
}

/** How much is there, from 0 to 1; `null` before it is known of how much. */
export function shareOf({ bytes_done, bytes_total }: Download): number | null {
  return bytes_total > 0 ? bytes_done / bytes_total : null;
}

/** Bytes, speed and time left, as far as they are known. */
export function progressText({ bytes_done, bytes_total, bytes_from_members, bytes_per_s, seconds_left }: Download): string {
  if (bytes_total === 0) return "";
  const parts = [`${bytes(bytes_done)} of ${bytes(bytes_total)}`];
  if (bytes_from_members > 0) parts.push(`${bytes(bytes_from_members)} from the cluster`);
  if (bytes_per_s !== null) parts.push(`${bytes(bytes_per_s)}/s`);
  if (seconds_left !== null) parts.push(`${timeText(seconds_left)} left`);
  return parts.join(" · ");
}

/** Rough, as all such times are. */
export function timeText(seconds: number): string {
  if (seconds < 60) return count(seconds, "second");
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return count(minutes, "minute");
  return `${Math.floor(minutes / 60)} hours ${minutes % 60} minutes`;
}

/** Why it waits, if it says so; a fault that is tried again waits too. */
export function waitingText({ state, reason }: Download): string | null {
  if (state === "waiting") return reason ?? "It begins when those before it are done.";
  return state === "retrying" ? reason : null;
}

/** Why it gave up. */
export function problemOfDownload({ error }: Download): Problem | null {
  return error && { message: error.message, hint: error.hint };
}

/** What can be done with it, besides cancelling. */
export function stepOf({ state }: Download): "pause" | "resume" | null {
  if (state === "paused" || state === "failed") return "resume";
  return state === "done" ? null : "pause";
}

/** A repository as it may be typed or pasted, its page's address too: `owner/name` or `owner/name@revision`. */
export function repositoryIn(text: string): string | null {
  const bare = text.trim().replace(/^(https?:\/\/)?(www\.)?(huggingface\.co|hf\.co)\//, "");
  const parts = /^([\w.-]+\/[\w.-]+)(?:(?:@|\/tree\/)(\S+)|\/)?$/.exec(bare);
  if (!parts) return null;
  const [, repository = "", revision] = parts;
  return revision ? `${repository}@${revision}` : repository;
}
