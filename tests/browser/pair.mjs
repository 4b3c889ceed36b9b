// Two people, each before the window of their own computer, pair the two, start them again, and part them.
// Usage: pair.mjs CHROMIUM HOST_BASE GUEST_BASE. The guest was told where the host is. When it prints "restart", whoever started
// it ends both nodes, starts them anew with their data, and answers with their two addresses. Prints "ok" at the end.

import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { check, prepare } from "./accessible.mjs";
import { launch, open } from "./browser.mjs";
import { pointer } from "./hands.mjs";

const [chromium, ...bases] = process.argv.slice(2);
const SLOW_MS = 30_000;
/** Parting is seen on the screen within this, of which most is the machine's own business. */
const PART_MS = 1000;

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function restart() {
  console.log("restart");
  const { value } = await answers.next();
  return value.split(" ");
}

const digitsOf = async (page) => {
  const shown = page.locator(".digits");
  await shown.waitFor({ timeout: SLOW_MS });
  return shown.innerText();
};
/** Only of a computer that is there does the list say how much memory is free. */
const rowOf = (page, name) => page.getByRole("row", { name: new RegExp(`^${name}.* free of `) });
const button = (page, name) => page.getByRole("button", { name });

/** A page of a node's window, in a browser of its own. */
async function pageOf(base, address) {
  const { context, page } = await open(browser);
  await prepare(context);
  await page.goto(`${base}/#/${address}`);
  return page;
}

async function pair(here, there) {
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
}

/** Each window shows both computers, and nobody is asked anything. */
async function joined(base) {
  const page = await pageOf(base, "cluster");
  for (const name of ["Host", "Guest"]) {
    await rowOf(page, name).waitFor({ timeout: SLOW_MS });
  }
  assert.equal(await page.locator(".digits").count(), 0, "no digits after a restart");
  assert.equal(await button(page, "Approve…").count(), 0, "nobody asks after a restart");
  return page;
}

async function part(hostBase, guestBase) {
  const cluster = await joined(guestBase);
  await joined(hostBase);
  const there = await pageOf(guestBase, "settings");
  const here = await pageOf(hostBase, "settings");
  await button(there, "Remove Host…").waitFor({ timeout: SLOW_MS });
  await check(here, "settings with members");
  await pointer.press(here, button(here, "Remove Guest…"));
  const told = there.getByText("Host removed this computer from the cluster");
  const gone = rowOf(cluster, "Host");
  const asked = Date.now();
  await pointer.press(here, here.getByRole("button", { name: "Remove", exact: true }));
  await Promise.all([told.waitFor({ timeout: SLOW_MS }), gone.waitFor({ state: "detached", timeout: SLOW_MS })]);
  const took = Date.now() - asked;
  assert.ok(took < PART_MS, `the guest was out after ${took} ms`);
  await button(here, "Remove Guest…").waitFor({ state: "detached", timeout: SLOW_MS });
}

const browser = await launch(chromium);
try {
  await pair(await pageOf(bases[0], "settings"), await pageOf(bases[1], "settings"));
  await part(...(await restart()));
  console.log("ok");
} finally {
  await browser.close();
}
process.exit(0);
