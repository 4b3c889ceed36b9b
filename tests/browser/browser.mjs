// Debian's Chromium, driven by playwright-core; what a page complains about is kept.

import { chromium } from "playwright-core";

/** Starts the Chromium of this path. */
export function launch(executablePath) {
  return chromium.launch({ executablePath, args: ["--disable-gpu", "--force-color-profile=srgb"] });
}

/** A page in a fresh profile. `complaints` grows by what its console and its policy object to. */
export async function open(browser, { scheme = "light", width = 1280, height = 800 } = {}) {
  const context = await browser.newContext({
    colorScheme: scheme,
    reducedMotion: "reduce",
    viewport: { width, height },
    permissions: ["clipboard-read", "clipboard-write"],
  });
  const page = await context.newPage();
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  return { context, page, complaints };
}
