// Talks to a node through the official `@anthropic-ai/sdk` package for JavaScript, as a user's program would.
//
// Usage: anthropic_sdk.mjs BASE_URL. Ends with an error at the first thing that is not as the SDK's documentation has it.

import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: process.argv[2], apiKey: "none", maxRetries: 0, timeout: 60_000 });
const messages = [{ role: "user", content: "What is Espalier?" }];
const greedy = { model: "sprout", max_tokens: 200, temperature: 0, messages };

const names = [];
for await (const model of client.models.list({ limit: 1 })) {
  names.push(model.id);
}
assert(names.includes("sprout"), names);
assert((await client.models.retrieve("sprout")).display_name);

const answer = await client.messages.create(greedy);
assert.deepEqual([answer.type, answer.role, answer.stop_reason], ["message", "assistant", "end_turn"]);
const text = answer.content[0].text;
assert.match(text, /Espalier/);
assert.match(answer._request_id, /^req_/);

const counted = await client.messages.countTokens({ model: "sprout", messages });
assert.equal(counted.input_tokens, answer.usage.input_tokens + answer.usage.cache_read_input_tokens);

const kinds = [];
for await (const event of await client.messages.create({ ...greedy, stream: true })) {
  kinds.push(event.type);
}
assert.deepEqual(kinds.slice(0, 2), ["message_start", "content_block_start"]);
assert.deepEqual(kinds.slice(-3), ["content_block_stop", "message_delta", "message_stop"]);

const stream = client.messages.stream(greedy);
let streamed = "";
stream.on("text", (delta) => { streamed += delta; });
const final = await stream.finalMessage();
assert.deepEqual([streamed, final.content[0].text, final.stop_reason], [text, text, "end_turn"]);
assert.equal(final.usage.output_tokens, answer.usage.output_tokens);

// A reader that leaves early is no error, and its answer ends.
const left = client.messages.stream({ ...greedy, max_tokens: 500 });
await new Promise((resolve) => left.once("text", resolve));
left.abort();
await assert.rejects(left.finalMessage(), Anthropic.APIUserAbortError);

const stop = text.split(" ")[1];
const stopped = await client.messages.create({ ...greedy, stop_sequences: [stop] });
assert.deepEqual([stopped.stop_reason, stopped.stop_sequence], ["stop_sequence", stop]);

for (const [kind, said, change] of [
  [Anthropic.NotFoundError, "nope", { model: "nope" }],
  [Anthropic.BadRequestError, "messages", { messages: [] }],
  [Anthropic.BadRequestError, "temperature", { temperature: 9 }],
  [Anthropic.BadRequestError, "prompt is too long", { messages: [{ role: "user", content: "word ".repeat(100_000) }] }],
]) {
  await assert.rejects(client.messages.create({ ...greedy, ...change }), (error) => {
    assert(error instanceof kind, error);
    assert.equal(error.error.type, "error");
    assert(error.error.error.message.includes(said), error.error.error.message);
    assert.equal(error.requestID, error.error.request_id);
    return true;
  });
}

console.log("ok");
