// The first run and the settings, as a person goes through them.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { check } from "./accessible.mjs";
import { nav } from "./hands.mjs";

/** Loading shares a busy machine with other tests. */
const SLOW_MS = 60_000;

/** Says that nobody has been told yet what this is. */
async function asNew(page, base) {
  const answer = await page.request.patch(`${base}/admin/settings`, { data: { welcomed: false } });
  assert.ok(answer.ok(), await answer.text());
  await page.goto(base);
  await page.reload();
}

/** The first run, left early and then taken to its end, with Sprout loaded: it comes once. */
export async function firstRun(page, hand, base) {
  await asNew(page, base);
  const focused = () => page.evaluate(() => document.activeElement.textContent);
  for (const title of ["Several computers, one language model", "Your other computers", "A first answer"]) {
    await page.getByRole("heading", { name: title }).waitFor();
    await page.waitForFunction((title) => document.activeElement.textContent === title, title);
    await check(page, `the first run: ${title}`);
    if (title !== "A first answer") await hand.press(page, page.getByRole("button", { name: "Next" }));
  }
  await page.keyboard.press("Escape");
  await page.getByRole("heading", { name: "Cluster" }).waitFor();
  assert.equal(await focused(), "Cluster", "the page's title has the focus");
  await asTold(page, base);
  await asNew(page, base);
  for (let step = 0; step < 2; step += 1) await hand.press(page, page.getByRole("button", { name: "Next" }));
  await hand.press(page, page.getByRole("button", { name: "Try Sprout now" }));
  await page.getByRole("heading", { name: "Chat" }).waitFor({ timeout: SLOW_MS });
  const model = await page.getByRole("combobox", { name: "Model" }).elementHandle();
  await page.waitForFunction((model) => model.value === "sprout", model);
  await asTold(page, base);
}

/** Whoever opens the window again is not told again. */
async function asTold(page, base) {
  await page.waitForFunction(async () => (await (await fetch("/admin/settings")).json()).welcomed);
  await page.goto(base);
  await page.reload();
  await page.getByRole("navigation", { name: "Pages" }).waitFor();
  await page.getByRole("heading", { name: "Computers" }).waitFor();
}

const section = (page, name) => page.getByRole("region", { name, exact: true });

/** What can be set, each kept by the node; whatever cannot be taken back is asked about. */
export async function settings(page, hand) {
  await hand.press(page, nav(page, "Settings"));
  await hand.write(page, page.getByRole("textbox", { name: "Name", exact: true }), "renamed");
  await page.keyboard.press("Enter");
  await page.getByRole("banner").getByText("renamed").waitFor();
  await hand.write(page, page.getByRole("spinbutton", { name: "Port" }), "70000");
  await page.keyboard.press("Enter");
  await section(page, "Local server").getByRole("alert").getByText("That is no port").waitFor();
  await apiKey(page, hand);
  await folder(page, hand);
  await hand.press(page, page.getByRole("button", { name: "Show the log" }));
  await section(page, "Log").getByText("the API listens").last().waitFor();
  await hand.press(page, page.getByRole("button", { name: "Reset all settings…" }));
  await hand.press(page, page.getByRole("button", { name: "Keep them" }));
  await page.reload();
  assert.equal(await page.getByRole("textbox", { name: "Name", exact: true }).inputValue(), "renamed");
  await hand.press(page, page.getByRole("button", { name: "Reset all settings…" }));
  await check(page, "settings");
  await hand.press(page, page.getByRole("button", { name: "Reset", exact: true }));
  await page.waitForFunction(() => document.querySelector("#name").value !== "renamed");
}

/** A key is shown once, and is gone when it is removed. */
async function apiKey(page, hand) {
  await hand.write(page, page.getByRole("textbox", { name: "Name of a new key" }), "laptop");
  await page.keyboard.press("Enter");
  await page.getByText("it is not shown again").waitFor();
  await hand.press(page, page.getByRole("button", { name: "Copy the key" }));
  await page.getByRole("status").getByText("Copied").waitFor();
  const key = await page.evaluate(() => navigator.clipboard.readText());
  assert.ok(key.length > 20, key);
  await check(page, "settings with a key");
  await hand.press(page, page.getByRole("button", { name: "I have it" }));
  assert.ok(!(await page.locator("main").innerText()).includes(key), "the key is shown once");
  await hand.press(page, page.getByRole("button", { name: "Remove the key laptop…" }));
  await page.keyboard.press("Escape");
  await page.getByRole("list", { name: "API keys" }).getByText("laptop").waitFor();
  await hand.press(page, page.getByRole("button", { name: "Remove the key laptop…" }));
  await hand.press(page, page.getByRole("group", { name: "Remove the key laptop…" }).getByRole("button", { name: "Remove" }));
  await page.getByRole("list", { name: "API keys" }).waitFor({ state: "detached" });
}

async function folder(page, hand) {
  await hand.write(page, page.getByRole("textbox", { name: "Another folder" }), "/Volumes/Absent");
  await page.keyboard.press("Enter");
  await section(page, "Model folders").getByText("is the disk connected?").waitFor();
  await hand.press(page, page.getByRole("button", { name: "Remove /Volumes/Absent from the list" }));
  await page.getByText("is the disk connected?").waitFor({ state: "detached" });
}

/** A port that nobody listens on. */
async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** The page says where it is now, and is there. */
export async function move(page, hand, base) {
  await hand.press(page, nav(page, "Settings"));
  await hand.write(page, page.getByRole("spinbutton", { name: "Port" }), String(await freePort()));
  await page.keyboard.press("Enter");
  const link = page.getByRole("alert").getByRole("link");
  await link.waitFor();
  const there = await link.getAttribute("href");
  assert.notEqual(new URL(there).origin, base);
  await hand.press(page, link);
  await page.getByRole("heading", { name: "Settings" }).waitFor();
  await page.getByRole("region", { name: "Local server" }).getByText(new URL(there).host).waitFor();
}
