// What people are shown and asked about membership. Pure.

import type { Membership, Nearby, Pairing } from "../generated/admin";

/** Computers that this one can be paired with, those that wait to be let in first. */
export function partners(membership: Membership): Nearby[] {
  if (membership.by_key) return [];
  const isMember = membership.members.length > 0;
  const able = membership.nearby.filter((near) => near.belongs === "newcomer" || (near.belongs === "elsewhere" && !isMember));
  return able.sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
}

function rank(near: Nearby): number {
  return near.belongs === "newcomer" ? 0 : 1;
}

/** What a computer nearby waits for, in words. */
export function wish(near: Nearby): string {
  if (near.belongs === "newcomer") return `${near.name} wants to join`;
  return `${near.name} is in a cluster that you can join`;
}

/** Digits as they are read aloud. */
export function grouped(digits: string): string {
  return `${digits.slice(0, 3)} ${digits.slice(3)}`;
}

/** A pairing that was ended in this window needs no word about its end. */
export function isShown(pairing: Pairing | null, read: string | null, cancelled: string | null): pairing is Pairing {
  if (pairing === null || JSON.stringify(pairing) === read) return false;
  return pairing.stage !== "ended" || pairing.node_id !== cancelled;
}

/** Whether a pairing goes on, so that nothing else can begin. */
export function isOpen(pairing: Pairing | null): boolean {
  return pairing?.stage === "calling" || pairing?.stage === "compare";
}
