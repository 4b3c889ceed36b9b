// Requests to the admin API. Every wait has a limit, every error is words.

import type {
  ApiKey,
  ApiKeys,
  CleanWish,
  Cleaned,
  ConversationSummary,
  Conversations,
  DiskUsage,
  DownloadWish,
  FolderWish,
  HubModel,
  HubToken,
  KeptConversation,
  KnownModel,
  KnownModels,
  Leftover,
  Logs,
  Model,
  Models,
  NewApiKey,
  NewHubToken,
  Opened,
  Placement,
  Placements,
  Scope,
  Settings,
  Wish,
} from "../generated/admin";
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

/** Deletes a model's files from this computer. */
export async function deleteModel(id: string): Promise<void> {
  await ask("DELETE", `/admin/models/${inPath(id)}`);
}

/** Models to choose from. */
export async function knownModels(): Promise<KnownModel[]> {
  return (await ask<KnownModels>("GET", "/admin/hub")).models;
}

/** What a repository of the hub holds, `owner/name` or `owner/name@revision`. */
export async function lookAt(repository: string): Promise<HubModel> {
  return await ask<HubModel>("GET", `/admin/hub/${inPath(repository)}`);
}

/** Fetches a model from its repository, `owner/name` or `owner/name@revision`: here, or on all computers of the cluster. */
export async function startDownload(model: string, everywhere: boolean): Promise<void> {
  const wish: DownloadWish = { model, everywhere };
  await ask("POST", "/admin/downloads", wish);
}

/** Pauses a download, goes on with it, or forgets it and deletes what came. */
export async function stepDownload(model: string, step: "pause" | "resume" | "cancel"): Promise<void> {
  const path = `/admin/downloads/${inPath(model)}`;
  await (step === "cancel" ? ask("DELETE", path) : ask("POST", `${path}/${step}`));
}

/** A name whose slashes stay. */
function inPath(name: string): string {
  return name.split("/").map(encodeURIComponent).join("/");
}

/** Whether a token for Hugging Face is kept. */
export async function hasHubToken(): Promise<boolean> {
  return (await ask<HubToken>("GET", "/admin/hub-token")).is_set;
}

/** Keeps one, in the place of another. */
export async function keepHubToken(token: string): Promise<void> {
  const kept: NewHubToken = { token };
  await ask("PUT", "/admin/hub-token", kept);
}

export async function forgetHubToken(): Promise<void> {
  await ask("DELETE", "/admin/hub-token");
}

/** How this node runs. */
export function settings(): Promise<Settings> {
  return ask<Settings>("GET", "/admin/settings");
}

/** What models take of the disks, and what is left over there. */
export function diskUsage(): Promise<DiskUsage> {
  return ask<DiskUsage>("GET", "/admin/disk");
}

/** Removes what is left over at these paths; what was removed. */
export async function clean(paths: string[]): Promise<Leftover[]> {
  const wish: CleanWish = { paths };
  return (await ask<Cleaned>("POST", "/admin/disk/clean", wish)).leftovers;
}

/** What to change; folders are all of them, and `closing` is the port that it closes under the page. */
export type Change = Partial<Omit<Settings, "model_folders">> & { model_folders?: FolderWish[]; closing?: string | null };

/** Changes how this node runs; how it runs then. */
export function change(settings: Change): Promise<Settings> {
  return ask<Settings>("PATCH", "/admin/settings", settings);
}

/** Everything as at the first start; how it runs then. */
export function resetSettings(): Promise<Settings> {
  return ask<Settings>("DELETE", "/admin/settings");
}

/** The keys with which programs on other computers may use the API. */
export async function apiKeys(): Promise<ApiKey[]> {
  return (await ask<ApiKeys>("GET", "/admin/api-keys")).keys;
}

/** Makes a key. It is told this one time. */
export function makeApiKey(name: string, scope: Scope): Promise<NewApiKey> {
  return ask<NewApiKey>("POST", "/admin/api-keys", { name, scope });
}

/** Whoever has this key is refused from now on. */
export async function removeApiKey(id: string): Promise<void> {
  await ask("DELETE", `/admin/api-keys/${encodeURIComponent(id)}`);
}

/** The end of the node's log. */
export function logs(): Promise<Logs> {
  return ask<Logs>("GET", "/admin/logs");
}

/** The conversations that the node keeps, the latest first. */
export async function conversations(): Promise<ConversationSummary[]> {
  return (await ask<Conversations>("GET", "/admin/conversations")).conversations;
}

export function conversation(id: string): Promise<KeptConversation> {
  return ask<KeptConversation>("GET", conversationPath(id));
}

export async function keepConversation(id: string, kept: KeptConversation): Promise<void> {
  await ask("PUT", conversationPath(id), kept);
}

export async function removeConversation(id: string): Promise<void> {
  await ask("DELETE", conversationPath(id));
}

function conversationPath(id: string): string {
  return `/admin/conversations/${encodeURIComponent(id)}`;
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
  if (!response.ok) throw new Refused(problemIn(answer, response.status), response.status);
  if (answer === null) throw new TypeError("The node's answer was cut off.");
  return answer as T;
}
