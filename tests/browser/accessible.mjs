// axe-core on a page, in light and in dark: no issue that it calls serious or critical.

import { createRequire } from "node:module";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const REFUSED = ["serious", "critical"];

/** Puts axe into every page of a context. Not as a script of the page: its policy would rightly refuse that. */
export function prepare(context) {
  return context.addInitScript({ path: AXE });
}

/** Throws with what is wrong and where. */
export async function check(page, what) {
  const dark = await page.evaluate(() => matchMedia("(prefers-color-scheme: dark)").matches);
  for (const colorScheme of dark ? ["light", "dark"] : ["dark", "light"]) {
    await page.emulateMedia({ colorScheme });
    await checkAsIs(page, `${what}, ${colorScheme}`);
  }
}

async function checkAsIs(page, what) {
  const { violations, passes } = await page.evaluate(() => globalThis.axe.run(document));
  if (passes.length === 0) throw new Error(`${what}: axe looked at nothing`);
  const bad = violations.filter(({ impact }) => REFUSED.includes(impact));
  if (bad.length === 0) return;
  const lines = bad.map(({ id, impact, help, nodes }) => {
    const where = nodes.slice(0, 5).map((node) => `    ${node.target.join(" ")}: ${node.failureSummary}`);
    return [`  ${impact}: ${id}: ${help}`, ...where].join("\n");
  });
  throw new Error(`${what}:\n${lines.join("\n")}`);
}
