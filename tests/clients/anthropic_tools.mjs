// Calls of tools through the official `@anthropic-ai/sdk` package for JavaScript: forced, so that any model makes them.
//
// Usage: anthropic_tools.mjs BASE_URL. Ends with an error at the first thing that is not as the SDK's documentation has it.

import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";

const client = new Anthropic({ baseURL: process.argv[2], apiKey: "none", maxRetries: 0, timeout: 60_000 });
const question = { role: "user", content: "How warm is it in Paris?" };
const input_schema = {
  type: "object",
  properties: { city: { type: "string", enum: ["Paris", "Rome"] }, days: { type: "integer", minimum: 1, maximum: 9 } },
  required: ["city", "days"],
  additionalProperties: false,
};
const weather = { name: "get_weather", description: "Current weather in a city.", input_schema };
const asked = { model: "sprout", max_tokens: 200, temperature: 0, messages: [question], tools: [weather] };
const must = { ...asked, tool_choice: { type: "tool", name: "get_weather", disable_parallel_tool_use: true } };

const checked = (block) => {
  assert.deepEqual([block.type, block.name], ["tool_use", "get_weather"]);
  assert(["Paris", "Rome"].includes(block.input.city) && block.input.days >= 1 && block.input.days <= 9, block);
  return block;
};

const answer = await client.messages.create(must);
assert.equal(answer.stop_reason, "tool_use");
const call = checked(answer.content[0]);

// The reader puts the fragments together, and tells of each as it comes.
const stream = client.messages.stream(must);
let fragments = 0;
stream.on("inputJson", () => { fragments += 1; });
const read = await stream.finalMessage();
assert(fragments > 2, "the input comes as it is made");
assert.deepEqual(checked(read.content[0]).input, call.input);

// The next turn, with what the tool said.
const result = { type: "tool_result", tool_use_id: call.id, content: "21 degrees" };
const talk = [question, { role: "assistant", content: answer.content }, { role: "user", content: [result] }];
const told = await client.messages.create({ ...asked, messages: talk, max_tokens: 20 });
assert(told.content.length > 0);

// The SDK's own loop runs the tool. It asks the server to keep the conversation, and keeps it itself when that is refused.
const ran = [];
const run = (input) => { ran.push(input); return "21 degrees"; };
const { description } = weather;
const tool = betaTool({ name: weather.name, description, inputSchema: input_schema, run });
const last = await client.beta.messages.toolRunner({ ...must, tools: [tool], max_iterations: 2 });
assert.deepEqual(ran.at(-1), checked(last.content[0]).input);
assert.equal(ran.length, 2);

console.log("ok");
