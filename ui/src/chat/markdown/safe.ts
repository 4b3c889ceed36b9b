// From a model's Markdown to a tree that components show as text and elements: no HTML string is ever made, so there is
// nothing to sanitize. What is HTML in the answer is shown as the text that it is; links lead only to the web or to mail.

import { Lexer, type Token } from "marked";

/** Laid out whole up to here; a longer answer is shown as plain text rather than making the page slow. */
const CHARACTERS_MAX = 200_000;

/** The blocks of a text. */
export function blocksOf(text: string): Token[] {
  if (text.length > CHARACTERS_MAX) return [{ type: "code", raw: text, text, lang: "" }];
  return [...new Lexer({ gfm: true, breaks: true }).lex(text)];
}

/** A link's target if it may be followed. */
export function safeHref(href: unknown): string | null {
  if (typeof href !== "string") return null;
  try {
    const { protocol } = new URL(href);
    return protocol === "http:" || protocol === "https:" || protocol === "mailto:" ? href : null;
  } catch {
    // Relative ones would lead into this page.
    return null;
  }
}

const ENTITIES: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", "#39": "'", nbsp: "\u00a0" };

/** Markdown may write a few characters by their HTML names. */
export function plain(text: string): string {
  return text.replace(/&(amp|lt|gt|quot|apos|#39|nbsp);/g, (whole, name: string) => ENTITIES[name] ?? whole);
}
