// Pictures of every page, light and dark. Usage: screenshots.mjs CHROMIUM BASE NEWCOMER_BASE FOLDER [WIDTHxHEIGHT ...]
// BASE is a node of a cluster with Sprout loaded; NEWCOMER_BASE is one that is in no cluster yet and sees another such.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { check, prepare } from "./accessible.mjs";
import { launch, open } from "./browser.mjs";

const [chromium, base, newcomer, folder, ...sizes] = process.argv.slice(2);
const READY_MS = 60_000;

/** What a page shows when its picture is taken. */
const SCENES = {
  cluster: async (page) => {
    await page.goto(`${base}/#/cluster`);
    await page.getByRole("row", { name: /layers/ }).first().waitFor();
    // Every computer has said how it is.
    await page.getByRole("row", { name: /memory fine/ }).nth(2).waitFor();
  },
  models: async (page) => {
    await page.goto(`${base}/#/models`);
    await page.getByRole("button", { name: "Unload sprout" }).waitFor();
  },
  placement: async (page) => {
    await page.goto(`${base}/#/placement/sprout`);
    await page.getByRole("radio", { name: /, .* and .* in a row/ }).first().check();
  },
  chat: async (page) => {
    await page.goto(`${base}/#/chat`);
    await forgetAll(page);
    await page.reload();
    for (const [before, question] of ["What is Espalier?", "Count from 1 to 60."].entries()) {
      await page.getByLabel("Message").fill(question);
      await page.keyboard.press("Enter");
      await page.getByText(/\d tokens/).nth(before).waitFor({ timeout: READY_MS });
    }
  },
  connect: async (page) => {
    await page.goto(`${base}/#/connect`);
    await page.getByText("OpenAI SDK for Python").click();
  },
  calls: async (page) => {
    await page.goto(`${base}/#/connect`);
    await page.getByRole("row", { name: /chat\/completions/ }).first().waitFor();
    await page.getByRole("heading", { name: "Recent calls" }).scrollIntoViewIfNeeded();
    await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
  },
  settings: async (page) => {
    await page.goto(`${base}/#/settings`);
    await page.getByRole("heading", { name: "Local server" }).waitFor();
  },
  server: async (page) => {
    await page.goto(`${base}/#/settings`);
    await page.getByRole("heading", { name: "Local server" }).evaluate((heading) => heading.scrollIntoView());
  },
  "first-run": async (page) => {
    // A node that was started by hand takes it that its user knows.
    await page.request.patch(`${newcomer}/admin/settings`, { data: { welcomed: false } });
    await page.goto(newcomer);
    await page.getByRole("heading", { name: "Several computers, one language model" }).waitFor();
    const read = page.getByRole("button", { name: "OK" });
    if (await read.isVisible()) await read.click();
  },
  joining: async (page) => {
    await page.goto(`${newcomer}/#/settings`);
    await page.getByRole("button", { name: "Pair…" }).first().click();
    await page.locator(".digits").waitFor({ timeout: READY_MS });
  },
};

/** What has to be undone so that the next picture is the same. */
const AFTER = {
  joining: (page) => page.getByRole("button", { name: "Cancel" }).click(),
};

async function forgetAll(page) {
  await page.evaluate(async () => {
    const { conversations } = await (await fetch("/admin/conversations")).json();
    for (const { id } of conversations) await fetch(`/admin/conversations/${id}`, { method: "DELETE" });
  });
}

await mkdir(folder, { recursive: true });
const browser = await launch(chromium);
for (const size of sizes.length > 0 ? sizes : ["900x600"]) {
  const [width, height] = size.split("x").map(Number);
  for (const scheme of ["light", "dark"]) {
    const { context, page, complaints } = await open(browser, { scheme, width, height });
    await prepare(context);
    for (const [name, show] of Object.entries(SCENES)) {
      await show(page);
      await page.evaluate(() => document.activeElement?.blur());
      // The pointer would leave a mark on what lies under it.
      await page.mouse.move(0, 0);
      await page.waitForTimeout(300);
      const suffix = sizes.length > 1 ? `-${size}` : "";
      await page.screenshot({ path: join(folder, `${name}-${scheme}${suffix}.png`) });
      await check(page, name);
      await AFTER[name]?.(page);
    }
    if (complaints.length > 0) throw new Error(complaints.join("\n"));
    await context.close();
  }
}
await browser.close();
console.log("ok");
