// Talks to a node through the official `ollama` package for JavaScript, as a user's program would.
//
// Usage: ollama_sdk.mjs BASE_URL. Ends with an error at the first thing that is not as the package's documentation has it.

import assert from "node:assert/strict";
import { Ollama } from "ollama";

const client = new Ollama({ host: process.argv[2] });
const messages = [{ role: "user", content: "What is Espalier?" }];
const options = { temperature: 0, seed: 7, num_predict: 200 };
const asked = { model: "sprout", messages, options };

const all = async (stream) => {
  const parts = [];
  for await (const part of stream) {
    parts.push(part);
  }
  return parts;
};

const names = async () => (await client.list()).models.map((model) => model.model);
assert((await names()).includes("sprout:latest"));
assert((await client.version()).version);
const shown = await client.show({ model: "sprout" });
assert.deepEqual(shown.capabilities, ["completion", "tools"]);
assert.match(shown.modelfile, /^FROM sprout/m);

const answer = await client.chat(asked);
const text = answer.message.content;
assert.match(text, /Espalier/);
assert.deepEqual([answer.done, answer.done_reason, answer.message.role], [true, "stop", "assistant"]);
assert(answer.total_duration > 0 && answer.eval_count > 0, answer);
const pieces = await all(await client.chat({ ...asked, stream: true }));
assert.equal(pieces.map((piece) => piece.message.content).join(""), text);
assert.deepEqual([pieces.length > 3, pieces.at(-1).eval_count], [true, answer.eval_count]);
assert((await client.ps()).models.some((model) => model.model === "sprout:latest"));

const question = { model: "sprout", prompt: messages[0].content, options };
const one = await client.generate(question);
assert.equal(one.response, text);
const streamed = await all(await client.generate({ ...question, stream: true }));
assert.equal(streamed.map((piece) => piece.response).join(""), text);
const loading = await client.generate({ model: "sprout", prompt: "" });
assert.deepEqual([loading.done_reason, loading.response], ["load", ""]);

const format = { type: "object", properties: { city: { enum: ["Paris", "Rome"] } }, required: ["city"], additionalProperties: false };
const formed = await client.chat({ ...asked, format });
assert(["Paris", "Rome"].includes(JSON.parse(formed.message.content).city), formed.message.content);

const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tool = { type: "function", function: { name: "get_weather", description: "Current weather in a city", parameters } };
const call = { function: { name: "get_weather", arguments: { city: "Paris" } } };
const turns = [...messages, { role: "assistant", content: "", tool_calls: [call] }, { role: "tool", tool_name: "get_weather", content: "21 degrees" }];
const told = await client.chat({ ...asked, messages: turns, tools: [tool] });
assert(told.prompt_eval_count > answer.prompt_eval_count, told);

const { embeddings, load_duration } = await client.embed({ model: "sprout", input: ["a pear", "an apple"] });
assert.deepEqual(embeddings.map((vector) => vector.length), [192, 192]);
assert(load_duration > 0);
const length = Math.hypot(...embeddings[0]);
assert(Math.abs(length - 1) < 1e-3, length);
assert.deepEqual((await client.embed({ model: "sprout", input: [] })).embeddings, []);
const cut = { model: "sprout", input: "pears ".repeat(50), options: { num_ctx: 9 } };
assert.equal((await client.embed(cut)).prompt_eval_count, 9);

const mario = { model: "js-mario", from: "sprout", system: "You are Mario.", license: "Public domain" };
const own = { num_predict: 8, temperature: 2, seed: 3, stop: ["Luigi"] };
const steps = await all(await client.create({ ...mario, parameters: own, stream: true }));
assert.equal(steps.at(-1).status, "success");
const derived = await client.show({ model: "js-mario" });
assert.deepEqual([derived.license, derived.system], ["Public domain", "You are Mario."]);
assert.match(derived.parameters, /^seed\s+3$/m);
assert.match(derived.parameters, /^stop\s+"Luigi"$/m);
// Its seed counts, so that two answers are the same; and so does the request's.
const asMario = async (more) => (await client.chat({ model: "js-mario", messages, options: more })).message.content;
assert.equal(await asMario(), await asMario());
assert.notEqual(await asMario(), await asMario({ seed: 4 }));
const short = await client.chat({ model: "js-mario", messages });
const long = await client.chat({ model: "js-mario", messages, options: { num_predict: -1, temperature: 0 } });
assert(short.eval_count <= 8 && long.eval_count > 8, [short, long]);
await client.copy({ source: "js-mario", destination: "js-luigi:v2" });
assert((await names()).includes("js-luigi:v2"));
await client.delete({ model: "js-luigi:v2" });
await client.delete({ model: "js-mario" });
assert(!(await names()).some((name) => name.startsWith("js-")));

// A conversation for which there is no room loses its oldest turns.
const earlier = { role: "user", content: "word ".repeat(2000) };
const kept = await client.chat({ ...asked, messages: [earlier, { role: "assistant", content: "Yes." }, ...messages] });
assert.match(kept.message.content, /Espalier/);

// A reader that leaves early is no error for the node, and its answer ends.
const left = await client.chat({ ...asked, stream: true });
await assert.rejects(async () => {
  for await (const _ of left) {
    left.abort();
  }
}, { name: "AbortError" });

for (const [status, said, wrong] of [
  [404, "not found", () => client.chat({ ...asked, model: "nope" })],
  [404, "not found", () => client.delete({ model: "nope" })],
  [400, "does not support insert", () => client.generate({ ...question, suffix: "end" })],
  [400, "does not support thinking", () => client.chat({ ...asked, think: true })],
  [400, "exceeds maximum context length", () => client.embed({ ...cut, truncate: false })],
  [400, "text alone", () => client.generate({ ...question, images: ["aGk="] })],
]) {
  await assert.rejects(wrong, (error) => {
    assert.equal(error.status_code, status, error);
    assert(error.message.includes(said), error.message);
    return true;
  });
}
assert.equal((await client.chat({ ...asked, think: false })).message.content, text);

console.log("ok");
