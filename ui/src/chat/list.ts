// The list of conversations: those that the node keeps and those that this window has open, each once. Pure.

import { isBusy, titleOf, type Conversation } from "./conversation";
import type { Summary } from "./conversations";

export type Entry = Summary & { busy: boolean };

/** The latest first. What is open is shown as it is here: the node may not have it yet. */
export function entriesOf(kept: readonly Summary[], open: readonly Conversation[]): Entry[] {
  const here = open.map((conversation) => ({
    id: conversation.id,
    title: titleOf(conversation),
    changed: conversation.changed,
    busy: isBusy(conversation),
  }));
  const others = kept.filter(({ id }) => !here.some((entry) => entry.id === id));
  return [...here, ...others.map((summary) => ({ ...summary, busy: false }))].sort((a, b) => b.changed - a.changed);
}

/** Whether what this window has of a conversation is older than what the node keeps, and may be replaced. */
export function isStale(open: Conversation, kept: Summary | undefined): boolean {
  return kept !== undefined && kept.changed > open.changed && !isBusy(open);
}
