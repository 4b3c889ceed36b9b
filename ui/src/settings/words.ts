// What the settings say and take. Pure.

import type { Settings } from "../generated/admin";

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

/** The folders, and this one. `null` if it is there already or is no whole path. */
export function foldersWith({ model_folders }: Settings, text: string): string[] | null {
  const path = text.trim().replace(/(?<=.)[/\\]+$/, "");
  const paths = model_folders.map((folder) => folder.path);
  const whole = path.startsWith("/") || /^[A-Za-z]:[\\/]/.test(path) || path.startsWith("\\\\");
  return whole && !paths.includes(path) ? [...paths, path] : null;
}

export function foldersWithout({ model_folders }: Settings, path: string): string[] {
  return model_folders.map((folder) => folder.path).filter((other) => other !== path);
}
