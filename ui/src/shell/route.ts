// Which page the address means: `#/page` or `#/page/argument`, the argument percent-encoded. Pure.

export type Route = { page: string; argument: string | null };

/** The page of an address that names none. */
export const HOME = "cluster";

/** An address can be typed by hand or come from elsewhere: whatever it is, it means some page. */
export function parseRoute(hash: string, pages: readonly string[]): Route {
  const [, page = "", argument = ""] = /^#\/([a-z-]*)(?:\/(.*))?$/s.exec(hash) ?? [];
  if (!pages.includes(page)) return { page: HOME, argument: null };
  return { page, argument: decoded(argument) };
}

export function hrefOf(page: string, argument?: string): string {
  return argument ? `#/${page}/${encodeURIComponent(argument)}` : `#/${page}`;
}

function decoded(text: string): string | null {
  if (text === "") return null;
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
