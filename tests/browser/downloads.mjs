// Models that come from a hub, as a person brings them here and deletes them. Usage: downloads.mjs CHROMIUM BASE MODEL [FOLDER]
// BASE is a node whose hub is slow; with FOLDER, pictures are put there. When it prints "break", the hub is to refuse everything
// from then on, and when it prints "mend", no more; whoever started it answers with a line. It prints "ok" at the end.

import assert from "node:assert/strict";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { check, prepare } from "./accessible.mjs";
import { launch, open } from "./browser.mjs";
import { keyboard, nav, pointer } from "./hands.mjs";

const [chromium, base, model, folder] = process.argv.slice(2);
const SLOW_MS = 60_000;
const SIZES = [
  { width: 1280, height: 800 },
  { width: 420, height: 800 },
];

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function say(word) {
  console.log(word);
  await answers.next();
}

const row = (page) => page.getByRole("list", { name: "Downloads" }).getByRole("listitem");
const here = (page) => page.getByRole("list", { name: "Models" }).getByRole("heading", { name: model });
const button = (page, what) => page.getByRole("button", { name: `${what} ${model}`, exact: true });

async function look(page, name) {
  await check(page, name);
  if (!folder) return;
  for (const size of SIZES) {
    await page.setViewportSize(size);
    await page.screenshot({ path: join(folder, `${name}-${size.width}.png`), fullPage: true });
  }
  await page.setViewportSize(SIZES[0]);
}

async function begin(page, hand, name) {
  await hand.write(page, page.getByRole("textbox", { name: "A model on Hugging Face" }), name);
  await page.keyboard.press("Enter");
  await row(page).first().waitFor({ timeout: SLOW_MS });
}

/** What people run is listed, what fits first; what a repository holds is told once its name is there. */
async function choose(page, hand) {
  await hand.press(page, nav(page, "Models"));
  await hand.press(page, page.locator("summary", { hasText: "Models that people run" }));
  const known = page.getByRole("list", { name: "Models that people run" });
  await known.getByRole("heading", { name: "Qwen3 0.6B" }).waitFor();
  const fitting = await known.getByRole("listitem").count();
  assert.equal(await known.getByRole("heading", { name: "DeepSeek V3.1" }).count(), 0, "it is too large for one computer");
  await hand.toggle(page, page.getByRole("checkbox", { name: /need more/ }));
  await known.getByRole("heading", { name: "DeepSeek V3.1" }).waitFor();
  assert.ok((await known.getByRole("listitem").count()) > fitting);
  const field = page.getByRole("textbox", { name: "A model on Hugging Face" });
  await hand.write(page, field, model);
  await page.getByText(/^\d.* to download · 6 layers · .* it would fit one computer$/).waitFor({ timeout: SLOW_MS });
  await look(page, "choosing");
  await field.fill("");
  await hand.press(page, page.locator("summary", { hasText: "Models that people run" }));
}

/** Starts it, pauses it, goes on, and sees it among the models. */
async function bring(page, hand) {
  await hand.press(page, nav(page, "Models"));
  await begin(page, hand, `https://huggingface.co/${model}`);
  await row(page).getByText(/^\d.* of \d.*\/s · \d+ seconds? left$/).waitFor({ timeout: SLOW_MS });
  await look(page, "downloading");
  await hand.press(page, button(page, "Pause"));
  await row(page).getByText("Paused", { exact: true }).waitFor();
  const before = await row(page).locator("progress").getAttribute("value");
  assert.ok(Number(before) > 0 && Number(before) < 1, before);
  await look(page, "paused");
  await hand.press(page, button(page, "Resume"));
  await here(page).waitFor({ timeout: SLOW_MS });
  assert.equal(await row(page).count(), 0, "it is no download any more");
}

async function remove(page, hand) {
  await hand.press(page, button(page, "Delete"));
  await look(page, "deleting");
  await hand.press(page, page.getByRole("button", { name: "Keep it" }));
  await here(page).waitFor();
  await hand.press(page, button(page, "Delete"));
  await hand.press(page, page.getByRole("button", { name: "Delete its files" }));
  await here(page).waitFor({ state: "detached" });
}

/** What gave up says why, and is cancelled. */
async function fail(page, hand) {
  await begin(page, hand, `${model}@no-such-revision`);
  await row(page).getByRole("alert").getByText(/check the name/).waitFor({ timeout: SLOW_MS });
  await look(page, "failed");
  await hand.press(page, button(page, "Cancel"));
  await hand.press(page, page.getByRole("button", { name: "Delete what came" }));
  await row(page).waitFor({ state: "detached" });
}

/** The token is taken, and not shown again. */
async function token(page, hand) {
  await hand.press(page, nav(page, "Settings"));
  const section = page.getByRole("region", { name: "Downloads" });
  const field = section.getByLabel("Token for Hugging Face", { exact: true });
  await hand.write(page, field, "hf_secret");
  await hand.press(page, section.getByRole("button", { name: "Keep", exact: true }));
  await section.getByRole("button", { name: "Replace", exact: true }).waitFor();
  assert.equal(await field.inputValue(), "");
  await look(page, "token");
  await hand.press(page, section.getByRole("button", { name: "Forget the token for Hugging Face" }));
  await hand.press(page, section.getByRole("button", { name: "Forget it" }));
  await section.getByRole("button", { name: "Keep", exact: true }).waitFor();
  await hand.press(page, nav(page, "Models"));
}

/** A fault that passes is told of while it lasts. */
async function retry(page, hand) {
  await say("break");
  await begin(page, hand, model);
  await row(page).getByText(/^.*: it answers 500$/).waitFor({ timeout: SLOW_MS });
  await look(page, "retrying");
  await say("mend");
  await here(page).waitFor({ timeout: SLOW_MS });
}

async function refuse(page, hand) {
  await hand.write(page, page.getByRole("textbox", { name: "A model on Hugging Face" }), "no-owner");
  assert.ok(await page.getByRole("button", { name: "Download", exact: true }).isDisabled());
}

const browser = await launch(chromium);
const { page, context, complaints } = await open(browser);
await prepare(context);
await page.goto(`${base}/#/models`);
await choose(page, pointer);
await bring(page, keyboard);
await remove(page, keyboard);
await fail(page, pointer);
await refuse(page, pointer);
assert.equal(await page.getByRole("button", { name: "Delete sprout" }).count(), 0, "what cannot be deleted is not offered");
await token(page, keyboard);
await retry(page, pointer);
await remove(page, pointer);
assert.deepEqual(complaints, [], "the page's own complaints");
await browser.close();
console.log("ok");
process.exit(0);
