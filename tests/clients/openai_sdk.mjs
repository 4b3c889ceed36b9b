// Talks to a node through the official `openai` package for JavaScript, as a user's program would.
//
// Usage: openai_sdk.mjs BASE_URL. Ends with an error at the first thing that is not as the SDK's documentation has it.

import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "none", maxRetries: 0, timeout: 60_000 });
const messages = [{ role: "user", content: "What is Espalier?" }];
const greedy = { model: "sprout", messages, temperature: 0 };

const models = [];
for await (const model of client.models.list()) models.push(model);
assert(models.some((model) => model.id === "sprout" && model.object === "model"), "sprout is listed");
assert.equal((await client.models.retrieve("sprout")).id, "sprout");

const { data: answer, request_id } = await client.chat.completions.create(greedy).withResponse();
assert.match(request_id, /^req_/);
const text = answer.choices[0].message.content;
assert.match(text, /Espalier/);
assert.equal(answer.choices[0].finish_reason, "stop");
assert.equal(answer.choices[0].message.refusal, null);
assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);

const chunks = [];
const stream = await client.chat.completions.create({
  ...greedy, stream: true, stream_options: { include_usage: true, include_obfuscation: false },
});
for await (const chunk of stream) chunks.push(chunk);
assert.equal(chunks[0].choices[0].delta.role, "assistant");
assert.equal(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join(""), text);
assert.deepEqual(chunks.at(-1).choices, []);
assert.equal(chunks.at(-1).usage.completion_tokens, answer.usage.completion_tokens);
assert(chunks.slice(0, -1).every((chunk) => chunk.usage === null && chunk.id === chunks[0].id));

// The SDK's own reader of streams.
const runner = client.chat.completions.stream(greedy);
let said = "";
runner.on("content", (piece) => (said += piece));
const final = await runner.finalChatCompletion();
assert.equal(said, text);
assert.equal(final.choices[0].message.content, text);

// Everything optional may be null, and what only OpenAI's own service does is tolerated.
const rich = await client.chat.completions.create({
  ...greedy, audio: null, frequency_penalty: null, function_call: undefined, logit_bias: null, logprobs: null, n: null,
  max_completion_tokens: null, metadata: { of: "a test" }, modalities: ["text"], parallel_tool_calls: null,
  prediction: { type: "content", content: "Espalier" }, presence_penalty: null, prompt_cache_key: "key",
  reasoning_effort: "none", response_format: null, safety_identifier: "someone", seed: null, service_tier: "auto",
  stop: null, store: false, stream: false, stream_options: null, tool_choice: null, tools: null, top_logprobs: null,
  top_p: null, user: "someone", verbosity: "low", web_search_options: null, something_new: { of: "tomorrow" },
});
assert.equal(rich.choices[0].message.content, text);

const several = await client.chat.completions.create({ ...greedy, temperature: 1, seed: 5, n: 3, max_completion_tokens: 8 });
assert.deepEqual(several.choices.map((choice) => choice.index), [0, 1, 2]);
const scored = await client.chat.completions.create({ ...greedy, max_completion_tokens: 4, logprobs: true, top_logprobs: 2 });
assert.equal(scored.choices[0].logprobs.content.length, 4);
assert.equal(scored.choices[0].logprobs.content.map((token) => token.token).join(""), scored.choices[0].message.content);

const schema = {
  type: "object", properties: { name: { type: "string", maxLength: 8 }, age: { type: "integer", minimum: 0, maximum: 99 } },
  required: ["name", "age"], additionalProperties: false,
};
const person = await client.chat.completions.create({
  ...greedy, max_completion_tokens: 100, response_format: { type: "json_schema", json_schema: { name: "person", strict: true, schema } },
});
assert.deepEqual(Object.keys(JSON.parse(person.choices[0].message.content)), ["name", "age"]);

const completion = await client.completions.create({ model: "sprout", prompt: [5, 6, 7, 8], echo: true, logprobs: 2, max_tokens: 0 });
assert.equal(completion.choices[0].logprobs.token_logprobs.length, 4);
const pieces = [];
for await (const piece of await client.completions.create({ model: "sprout", prompt: ["One", "Two"], max_tokens: 3, stream: true })) {
  pieces.push(piece);
}
assert.deepEqual([...new Set(pieces.map((piece) => piece.choices[0].index))].sort(), [0, 1]);

for (const [kind, param, call] of [
  [OpenAI.NotFoundError, null, () => client.chat.completions.create({ ...greedy, model: "nope" })],
  [OpenAI.NotFoundError, "model", () => client.models.retrieve("no/such-model")],
  [OpenAI.BadRequestError, "messages", () => client.chat.completions.create({ ...greedy, messages: [] })],
  [OpenAI.BadRequestError, "temperature", () => client.chat.completions.create({ ...greedy, temperature: 9 })],
  [OpenAI.BadRequestError, "messages[0].content[0]", () => client.chat.completions.create({
    ...greedy, messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "data:," } }] }],
  })],
]) {
  await assert.rejects(call, (error) => {
    assert(error instanceof kind, `${error}`);
    assert.equal(error.param, param);
    assert(error.message && error.type && error.code, `${error}`);
    return true;
  });
}

console.log("ok");
