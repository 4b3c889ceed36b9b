// What the settings say and take. Pure.

import type { FolderWish, ModelFolder, Settings } from "../generated/admin";
import { bytes } from "../parts/words";

const GB = 1 << 30;

/** A port as it was typed; `null` if it is none. 0 is any free one. */
export function portOf(text: string): number | null {
  return /^\d{1,5}$/.test(text) && Number(text) <= 65_535 ? Number(text) : null;
}

/** Minutes as they were typed; none is never. */
export function minutesOf(text: string): number {
  const minutes = Math.floor(Number(text));
  return Number.isFinite(minutes) && minutes > 0 ? minutes : 0;
}

/** What to lend at most, typed in gigabytes; `null`, whatever is free, if nothing was. */
export function lentBytesOf(text: string): number | null {
  const gigabytes = Number(text);
  return text.trim() !== "" && Number.isFinite(gigabytes) && gigabytes >= 0 ? Math.round(gigabytes * GB) : null;
}

/** The limit as it is typed. */
export function lentText({ lend_memory_bytes_max: bytes }: Settings): string {
  return bytes === null ? "" : String(Math.round((bytes / GB) * 100) / 100);
}

/** Bytes per second, typed in megabytes; none is no limit. */
export function speedOf(text: string): number {
  const megabytes = Number(text);
  return Number.isFinite(megabytes) && megabytes > 0 ? Math.max(1, Math.round(megabytes * 1e6)) : 0;
}

/** The limit as it is typed. */
export function speedText({ download_bytes_per_s_max: bytes }: Settings): string {
  return bytes === 0 ? "" : String(bytes / 1e6);
}

/** Where the page is after a change, if it is no longer where it came from. */
export type Moved = { kind: "moved"; host: string } | { kind: "closed" };

/** `host` is the page's own, `NAME:PORT`. A page that came in another way does not move with the port. */
export function movedBy(before: Settings, after: Settings, host: string): Moved | null {
  const [was, is] = [portIn(before.api_address), portIn(after.api_address)];
  if (was === null || was !== portIn(host) || was === is) return null;
  return is === null ? { kind: "closed" } : { kind: "moved", host: `${host.slice(0, host.lastIndexOf(":"))}:${is}` };
}

function portIn(address: string | null): string | null {
  return /:(\d+)$/.exec(address ?? "")?.[1] ?? null;
}

/** The folders as they are told to the node. */
function wanted({ model_folders }: Settings): FolderWish[] {
  return model_folders.map(({ path, writable }) => ({ path, writable }));
}

/** The folders, and this one, in which nothing is changed. `null` if it is there already or is no whole path. */
export function foldersWith(settings: Settings, text: string): FolderWish[] | null {
  const path = text.trim().replace(/(?<=.)[/\\]+$/, "");
  const paths = settings.model_folders.map((folder) => folder.path);
  const whole = path.startsWith("/") || /^[A-Za-z]:[\\/]/.test(path) || path.startsWith("\\\\");
  return whole && !paths.includes(path) ? [...wanted(settings), { path, writable: false }] : null;
}

export function foldersWithout(settings: Settings, path: string): FolderWish[] {
  return wanted({ ...settings, model_folders: settings.model_folders.filter((folder) => folder.path !== path) });
}

/** The folders, of which downloads may go to this one, or may not. */
export function foldersChanged(settings: Settings, path: string, writable: boolean): FolderWish[] {
  const changed = settings.model_folders.map((folder) => (folder.path === path ? { ...folder, writable } : folder));
  return wanted({ ...settings, model_folders: changed });
}

/** What there is to know of a folder's disk. */
export function folderText({ available, free_bytes }: ModelFolder): string {
  if (!available) return "not there now: is the disk connected?";
  return free_bytes === null ? "" : `${bytes(free_bytes)} free`;
}
