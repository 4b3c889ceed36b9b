// Requests to the admin API. Every wait has a limit, every error is words.

import type { Model, Models, Opened, Placement, Placements, Settings, Wish } from "../generated/admin";
import { problemIn, Refused } from "./failure";
import { request } from "./transport";

/** The node answers at once, except that it starts a worker to look into a model it has not seen before. */
const ANSWER_MS_MAX = 60_000;

/** The models whose files this node has. */
export async function models(): Promise<Model[]> {
  return (await ask<Models>("GET", "/admin/models")).models;
}

/** The ways to run a model, best first. */
export async function plan(wish: Wish): Promise<Placement[]> {
  return (await ask<Placements>("POST", "/admin/plan", wish)).placements;
}

/** Starts to load a model; the new instance's id. */
export async function open(wish: Wish): Promise<string> {
  return (await ask<Opened>("POST", "/admin/instances", wish)).id;
}

/** Unloads an instance. */
export async function close(id: string): Promise<void> {
  await ask("DELETE", `/admin/instances/${encodeURIComponent(id)}`);
}

/** How this node runs. */
export function settings(): Promise<Settings> {
  return ask<Settings>("GET", "/admin/settings");
}

/** Changes how this node runs; how it runs then. */
export function change(settings: Partial<Settings>): Promise<Settings> {
  return ask<Settings>("PATCH", "/admin/settings", settings);
}

/** Starts, confirms or cancels a pairing with a node. */
export async function pairing(step: "start" | "confirm" | "cancel", node_id: string): Promise<void> {
  await ask("POST", step === "start" ? "/admin/pairing" : `/admin/pairing/${step}`, { node_id });
}

/** Removes a member from the cluster; this node itself leaves it. */
export async function removeMember(id: string): Promise<void> {
  await ask("DELETE", `/admin/members/${encodeURIComponent(id)}`);
}

async function ask<T>(method: string, path: string, body?: object): Promise<T> {
  const response = await request(path, {
    method,
    signal: AbortSignal.timeout(ANSWER_MS_MAX),
    ...(body && { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }),
  });
  if (response.status === 204) return undefined as T;
  const answer: unknown = await response.json().catch(() => null);
  if (!response.ok) throw new Refused(problemIn(answer, response.status));
  return answer as T;
}
