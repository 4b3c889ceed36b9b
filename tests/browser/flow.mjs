// What a person does with the window of a three-node cluster, done with the pointer and again with the keyboard alone.
// Usage: flow.mjs CHROMIUM BASE VICTIM. When it prints "kill", whoever started it kills the node named VICTIM and answers with
// a line; it prints "ok" at the end.

import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { check, prepare } from "./accessible.mjs";
import { launch, open } from "./browser.mjs";
import { keyboard, nav, pointer } from "./hands.mjs";
import { firstRun, move, settings } from "./settings.mjs";

const [chromium, base, victim] = process.argv.slice(2);
/** Loading, mending and answering share a busy machine with other tests. */
const SLOW_MS = 60_000;
const QUESTION = "Count from 1 to 90.";

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function killVictim() {
  console.log("kill");
  await answers.next();
}

const answerOf = (page) => page.getByRole("article", { name: "Answer" }).last();
const textOf = (page) => answerOf(page).locator(".text").innerText();
const whole = (page) => answerOf(page).getByText(/^\d+ tokens$/).waitFor({ timeout: SLOW_MS });

/** Picks the plan over `count` computers in a row and loads it. */
async function load(page, hand, count) {
  await hand.press(page, nav(page, "Models"));
  await page.getByText(/^Fits on 1 of your \d computers, about \d+ tok\/s predicted/).waitFor({ timeout: SLOW_MS });
  await hand.press(page, page.getByRole("link", { name: "Choose who holds it… sprout" }));
  const plans = page.getByRole("radio", { name: / in a row/ });
  await plans.first().waitFor({ timeout: SLOW_MS });
  const names = await plans.evaluateAll((radios) => radios.map((radio) => radio.labels[0].textContent));
  const wanted = names.findIndex((name) => (name.match(/layers? \d/g) ?? []).length === count);
  assert.ok(wanted >= 0, `no plan over ${count} computers among ${names.join(" | ")}`);
  await hand.choose(page, plans.nth(wanted));
  assert.equal(await holders(page), count, "each computer of the plan is drawn with its layers");
  await hand.press(page, page.getByRole("button", { name: "Load this way" }));
  await page.getByRole("heading", { name: "Cluster" }).waitFor();
  await page.getByText("Ready", { exact: true }).waitFor({ timeout: SLOW_MS });
  assert.equal(await holders(page), count, "the picture shows who holds what");
  assert.equal(await page.getByRole("row", { name: /sprout layers? / }).count(), count, "the list says the same");
}

/** Computers of the picture that hold a part. */
function holders(page) {
  return page.locator(".picture .holding").count();
}

async function ask(page, hand, text) {
  await hand.write(page, page.getByRole("textbox", { name: "Message" }), text);
  await hand.press(page, page.getByRole("button", { name: "Ask", exact: true }));
}

async function setTemperatureToZero(page, hand) {
  await hand.press(page, page.getByText("System prompt and sampling"));
  await hand.write(page, page.getByRole("spinbutton", { name: "Temperature" }), "0");
}

/** Counts twice, the second time with a loss in the middle: the same text comes. Gives it. */
async function recover(page, hand) {
  await hand.press(page, nav(page, "Chat"));
  await setTemperatureToZero(page, hand);
  await ask(page, hand, QUESTION);
  await whole(page);
  const undisturbed = await textOf(page);
  assert.match(undisturbed, /1, 2, 3, 4, 5, 6, 7/);
  await hand.press(page, page.getByRole("button", { name: "Retry" }));
  await page.waitForFunction(() => document.querySelector("article[aria-busy=true] .text")?.textContent.includes(", 9,"));
  await killVictim();
  const soFar = await textOf(page);
  assert.ok(soFar.length < undisturbed.length, "the loss came too late to be in the middle of the answer");
  await hand.press(page, nav(page, "Cluster"));
  await page.getByRole("row", { name: new RegExp(`${victim}.*Gone`) }).waitFor({ timeout: SLOW_MS });
  await page.getByText(/^6 layers in a row over 2 computers|^all 6 layers on one computer/).waitFor({ timeout: SLOW_MS });
  await page.getByText("Ready", { exact: true }).waitFor({ timeout: SLOW_MS });
  await page.goBack();
  await whole(page);
  assert.equal(await textOf(page), undisturbed, "the text after the loss is the text that would have come");
  assert.equal(await answerOf(page).getByRole("alert").count(), 0, "no error was shown");
}

/** Stop, edit, retry. */
async function converse(page, hand) {
  await hand.press(page, nav(page, "Chat"));
  await hand.press(page, page.getByRole("link", { name: "New conversation" }));
  await ask(page, hand, QUESTION);
  await page.waitForFunction(() => document.querySelector("article[aria-busy=true] .text")?.textContent.includes(", 4,"));
  await hand.press(page, page.getByRole("button", { name: "Stop" }));
  await answerOf(page).getByText("stopped").waitFor();
  await hand.press(page, page.getByRole("button", { name: "Edit this question" }));
  await hand.write(page, page.getByRole("textbox", { name: "Changed question" }), "What is a shard?");
  await hand.press(page, page.getByRole("button", { name: "Ask this instead" }));
  await whole(page);
  assert.match(await textOf(page), /shard/);
  await answerOf(page).getByText(/^first token \d/).waitFor();
  await hand.press(page, page.getByRole("button", { name: "Retry" }));
  await whole(page);
  const kept = await page.getByRole("navigation", { name: "Conversations" }).getByRole("listitem").count();
  await page.reload();
  await page.getByRole("article", { name: "Question" }).getByText("What is a shard?").waitFor();
  const conversations = page.getByRole("navigation", { name: "Conversations" }).getByRole("listitem");
  // The list is read beside the conversation that is open, and may come after it.
  await conversations.nth(kept - 1).waitFor();
  assert.equal(await conversations.count(), kept, "conversations are still there after a reload");
  await hand.press(page, page.getByRole("button", { name: "Remove conversation What is a shard?" }));
  assert.equal(await conversations.count(), kept, "a conversation is not removed by one press");
  await hand.press(page, page.getByRole("button", { name: "Remove? conversation What is a shard?" }));
  await page.getByText("Nothing said yet").waitFor();
  assert.equal(await conversations.count(), kept - 1);
}

async function unload(page, hand) {
  await hand.press(page, nav(page, "Models"));
  await hand.press(page, page.getByRole("button", { name: "Unload sprout" }));
  await page.getByRole("button", { name: "Load sprout" }).waitFor({ timeout: SLOW_MS });
  await hand.press(page, nav(page, "Cluster"));
  await page.getByText("No model is loaded").waitFor();
  assert.equal(await holders(page), 0);
}

async function connect(page, hand) {
  await hand.press(page, nav(page, "Connect"));
  await hand.press(page, page.getByText("OpenAI SDK for Python"));
  await hand.press(page, page.getByRole("button", { name: "Copy the set-up for OpenAI SDK for Python" }));
  await page.getByRole("status").getByText("Copied").waitFor();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.ok(copied.includes(`base_url="${base}/v1"`), copied);
}

async function unknownFolder(page, hand) {
  await hand.press(page, nav(page, "Models"));
  await hand.write(page, page.getByRole("textbox", { name: "A folder on this computer" }), "/no/such/folder");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").getByText("Give the folder").or(page.getByText("give the folder")).waitFor();
}

/** Every page, as it is when there is something on it. */
async function accessible(browser) {
  const { context, page } = await open(browser, { width: 900, height: 600 });
  await prepare(context);
  for (const address of ["cluster", "models", "placement/sprout", "placement/nothing", "chat", "connect", "settings"]) {
    await page.goto(`${base}/#/${address}`);
    await page.waitForTimeout(1000);
    if (address === "chat") {
      await page.getByText("System prompt and sampling").click();
      await ask(page, pointer, "What is Espalier?");
      await whole(page);
    }
    if (address === "connect") await page.getByRole("row", { name: /chat\/completions sprout 200 done/ }).first().waitFor();
    await check(page, address);
  }
  await context.close();
}

const browser = await launch(chromium);
const { page, context, complaints } = await open(browser);
await prepare(context);
await page.goto(base);
await firstRun(page, keyboard, base);
await unload(page, keyboard);
await check(page, "a cluster without a model");
await load(page, pointer, 3);
await accessible(browser);
await recover(page, pointer);
await unload(page, pointer);
await load(page, keyboard, 2);
await converse(page, keyboard);
await connect(page, keyboard);
await unload(page, keyboard);
await settings(page, keyboard);
assert.deepEqual(complaints, [], "the page's own complaints");
await unknownFolder(page, keyboard);
await move(page, keyboard, base);
await browser.close();
console.log("ok");
process.exit(0);
