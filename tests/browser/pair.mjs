// Two people, each before the window of their own computer, pair the two and part them again.
// Usage: pair.mjs CHROMIUM HOST_BASE GUEST_BASE. The guest was told where the host is. Prints "ok" at the end.

import assert from "node:assert/strict";
import { check, prepare } from "./accessible.mjs";
import { launch, open } from "./browser.mjs";
import { pointer } from "./hands.mjs";

const [chromium, host, guest] = process.argv.slice(2);
const SLOW_MS = 30_000;

const digitsOf = async (page) => {
  const shown = page.locator(".digits");
  await shown.waitFor({ timeout: SLOW_MS });
  return shown.innerText();
};
const button = (page, name) => page.getByRole("button", { name });

async function settingsOf(base) {
  const { context, page } = await open(browser);
  await prepare(context);
  await page.goto(`${base}/#/settings`);
  return page;
}

const browser = await launch(chromium);
try {
  const here = await settingsOf(host);
  const there = await settingsOf(guest);
  await pointer.press(there, button(there, "Pair…"));
  const digits = await digitsOf(here);
  assert.match(digits, /^\d{3} \d{3}$/);
  assert.equal(await digitsOf(there), digits, "both computers show the same digits");
  await check(there, "comparing digits");
  await pointer.press(there, button(there, "They are the same"));
  await there.getByText("Confirmed here. Now confirm it on Host.").waitFor({ timeout: SLOW_MS });
  await pointer.press(here, button(here, "They are the same"));
  await here.getByText("Guest is in the cluster").waitFor({ timeout: SLOW_MS });
  await there.getByText("Host is in the cluster").waitFor({ timeout: SLOW_MS });
  await button(there, "Remove Host…").waitFor({ timeout: SLOW_MS });

  await check(here, "settings with members");
  await pointer.press(here, button(here, "Remove Guest…"));
  const asked = Date.now();
  await pointer.press(here, here.getByRole("button", { name: "Remove", exact: true }));
  await there.getByText("Host removed this computer from the cluster").waitFor({ timeout: SLOW_MS });
  assert.ok(Date.now() - asked < 2000, "the guest was out at once");
  console.log("ok");
} finally {
  await browser.close();
}
