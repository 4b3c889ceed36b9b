// Responses through the official `openai` package for JavaScript: streamed, kept, gone on from, in the background.
//
// Usage: openai_responses.mjs BASE_URL. Ends with an error at the first thing that is not as the SDK's documentation has it.

import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "none", maxRetries: 0, timeout: 60_000 });
const greedy = { model: "sprout", temperature: 0 };
const question = "What is Espalier?";

const response = await client.responses.create({ ...greedy, input: question });
assert.equal(response.status, "completed");
assert.match(response.output_text, /Espalier/);
assert.match(response.id, /^resp_/);
assert.match(response.output[0].id, /^msg_/);

// Streamed, event by event.
const events = [];
for await (const event of await client.responses.create({ ...greedy, input: question, stream: true })) events.push(event);
assert.deepEqual(events.map((event) => event.sequence_number), events.map((_, at) => at));
const kinds = events.map((event) => event.type);
assert.deepEqual(kinds.slice(0, 4), [
  "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
]);
assert.deepEqual(kinds.slice(-4), [
  "response.output_text.done", "response.content_part.done", "response.output_item.done", "response.completed",
]);
assert.equal(events.at(-1).response.output[0].content[0].text, response.output_text);

// The SDK's own reader checks that what it was told and what is told at the end agree.
const final = await client.responses.stream({ ...greedy, input: question }).finalResponse();
assert.equal(final.output_text, response.output_text);

// A later request goes on from it.
const next = await client.responses.create({ ...greedy, previous_response_id: response.id, input: "What is a shard?" });
assert.equal(next.previous_response_id, response.id);
assert(next.usage.input_tokens > response.usage.input_tokens);
assert.equal((await client.responses.retrieve(response.id)).output_text, response.output_text);
const items = [];
for await (const item of client.responses.inputItems.list(next.id, { order: "asc" })) items.push(item);
assert.equal(items.at(-1).content[0].text, "What is a shard?");

// Too short.
const cut = await client.responses.create({ ...greedy, input: question, max_output_tokens: 3 });
assert.deepEqual([cut.status, cut.incomplete_details.reason], ["incomplete", "max_output_tokens"]);

// Structured.
const schema = {
  type: "object", properties: { name: { type: "string", maxLength: 8 } }, required: ["name"], additionalProperties: false,
};
const format = { type: "json_schema", name: "person", strict: true, schema };
const structured = await client.responses.create({ ...greedy, input: question, text: { format }, max_output_tokens: 60 });
assert.deepEqual(Object.keys(JSON.parse(structured.output_text)), ["name"]);

// Calls: of a function, and of a tool that takes text.
const parameters = { type: "object", properties: { city: { type: "string", enum: ["Paris", "Rome"] } }, required: ["city"], additionalProperties: false };
const weather = { type: "function", name: "get_weather", parameters, strict: true };
const enter = { type: "custom", name: "enter", format: { type: "grammar", syntax: "regex", definition: "[a-z]{3,6}[0-9]{2}" } };
const calling = { ...greedy, input: "How warm is it in Paris?", tools: [weather, enter, { type: "web_search" }], parallel_tool_calls: false };
const called = await client.responses.create({ ...calling, tool_choice: { type: "function", name: "get_weather" } });
const [call] = called.output;
assert(["Paris", "Rome"].includes(JSON.parse(call.arguments).city));
const output = { type: "function_call_output", call_id: call.call_id, output: "21 degrees" };
await client.responses.create({ ...calling, previous_response_id: called.id, input: [output], tool_choice: "none", max_output_tokens: 10 });
const only = { type: "allowed_tools", mode: "required", tools: [{ type: "custom", name: "enter" }] };
const entered = await client.responses.stream({ ...calling, tool_choice: only }).finalResponse();
assert.equal(entered.output[0].type, "custom_tool_call");
assert.match(entered.output[0].input, /^[a-z]{3,6}[0-9]{2}$/);

// Counted, with the tokens' log-probabilities, and by the id of an item.
const counted = await client.responses.inputTokens.count({ model: "sprout", input: question });
assert.equal(counted.input_tokens, response.usage.input_tokens);
const scored = await client.responses.create({
  ...greedy, input: question, max_output_tokens: 4, include: ["message.output_text.logprobs"], top_logprobs: 2,
});
assert.deepEqual(scored.output[0].content[0].logprobs.map((token) => token.top_logprobs.length), [2, 2, 2, 2]);
const reference = { type: "item_reference", id: response.output[0].id };
const referred = await client.responses.create({ ...greedy, input: [{ role: "user", content: question }, reference, { role: "user", content: "What is a shard?" }] });
assert.equal(referred.output_text, next.output_text);

// In the background: asked about until it is done, its events told again from where one was.
const started = await client.responses.create({ ...greedy, input: question, background: true, stream: true });
let id, seen;
for await (const event of started) {
  id ??= event.response?.id;
  if ((seen = event.sequence_number) === 4) break;
}
const rest = [];
for await (const event of await client.responses.retrieve(id, { stream: true, starting_after: seen })) rest.push(event);
assert.equal(rest[0].sequence_number, seen + 1);
assert.equal(rest.at(-1).type, "response.completed");
const polled = await client.responses.retrieve(id);
assert.deepEqual([polled.status, polled.output_text], ["completed", response.output_text]);
assert(["cancelled", "completed"].includes((await client.responses.cancel(id)).status));

await client.responses.delete(response.id);
await assert.rejects(client.responses.retrieve(response.id), OpenAI.NotFoundError);
await assert.rejects(client.responses.create({ ...greedy, input: question, previous_response_id: "resp_none" }), OpenAI.APIError);

console.log("ok");
