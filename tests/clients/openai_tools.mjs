// Calls of tools through the official `openai` package for JavaScript: forced, so that any model makes them.
//
// Usage: openai_tools.mjs BASE_URL. Ends with an error at the first thing that is not as the SDK's documentation has it.

import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "none", maxRetries: 0, timeout: 60_000 });
const question = { role: "user", content: "How warm is it in Paris?" };
const parameters = {
  type: "object",
  properties: { city: { type: "string", enum: ["Paris", "Rome"] }, days: { type: "integer", minimum: 1, maximum: 9 } },
  required: ["city", "days"],
  additionalProperties: false,
};
const weather = { type: "function", function: { name: "get_weather", description: "Current weather in a city.", parameters } };
const clock = { type: "function", function: { name: "clock" } };
const asked = { model: "sprout", messages: [question], tools: [weather, clock], temperature: 0, max_tokens: 200 };
const named = { type: "function", function: { name: "get_weather" } };

const checked = (call) => {
  assert.equal(call.type, "function");
  assert.equal(call.function.name, "get_weather");
  const { city, days } = JSON.parse(call.function.arguments);
  assert(["Paris", "Rome"].includes(city) && days >= 1 && days <= 9, call.function.arguments);
  return call;
};

const answer = (await client.chat.completions.create({ ...asked, tool_choice: named })).choices[0];
assert.equal(answer.message.content, null);
const call = checked(answer.message.tool_calls[0]);

// Streamed: the id and the name once, then fragments of the arguments.
const parts = [];
for await (const chunk of await client.chat.completions.create({ ...asked, tool_choice: named, stream: true })) {
  parts.push(...(chunk.choices[0].delta.tool_calls ?? []));
}
assert(parts.length > 2, "the arguments come as they are made");
assert.deepEqual(parts.map((part) => Boolean(part.id && part.function.name)), parts.map((_, at) => at === 0));
assert.equal(parts.map((part) => part.function.arguments).join(""), call.function.arguments);

// The SDK's reader of streams puts the call together.
const read = await client.chat.completions.stream({ ...asked, tool_choice: named }).finalChatCompletion();
checked(read.choices[0].message.tool_calls[0]);

// The SDK's own loop: it calls the function and goes on with what that gives back.
const runner = client.chat.completions.runTools({
  ...asked, tool_choice: named, stream: true,
  tools: [{ type: "function", function: {
    name: "get_weather", description: "Current weather in a city.", parameters, parse: JSON.parse,
    function: ({ city }) => `21 degrees in ${city}`,
  } }],
});
const results = [];
runner.on("functionToolCallResult", (result) => results.push(result));
await runner.done();
assert.match(results[0], /^21 degrees in (Paris|Rome)$/);

// The next turn, with what the tool said.
const talk = [question, answer.message, { role: "tool", tool_call_id: call.id, content: "21 degrees" }];
const told = await client.chat.completions.create({ ...asked, messages: talk, max_tokens: 20 });
assert(told.choices[0].message.content || told.choices[0].message.tool_calls, "something is said");

// Functions, as they were called before tools.
const old = { model: "sprout", messages: [question], temperature: 0, functions: [weather.function], function_call: { name: "get_weather" } };
const { message, finish_reason } = (await client.chat.completions.create(old)).choices[0];
assert.equal(finish_reason, "function_call");
assert.equal(message.function_call.name, "get_weather");
assert(["Paris", "Rome"].includes(JSON.parse(message.function_call.arguments).city));
const result = { role: "function", name: "get_weather", content: "21 degrees" };
await client.chat.completions.create({ ...old, messages: [question, message, result], function_call: "none", max_tokens: 10 });

// Tools that take text, here text of a form.
const format = { type: "grammar", grammar: { syntax: "regex", definition: "[a-z]{3,6}[0-9]{2}" } };
const code = { type: "custom", custom: { name: "enter", description: "Enters a code.", format } };
const only = { type: "allowed_tools", allowed_tools: { mode: "required", tools: [{ type: "custom", custom: { name: "enter" } }] } };
const entered = (await client.chat.completions.create({ ...asked, tools: [weather, code], tool_choice: only, parallel_tool_calls: false })).choices[0];
const [entry] = entered.message.tool_calls;
assert.deepEqual([entry.type, entry.custom.name], ["custom", "enter"]);
assert.match(entry.custom.input, /^[a-z]{3,6}[0-9]{2}$/);
const codes = [];
for await (const chunk of await client.chat.completions.create({ ...asked, tools: [code], tool_choice: code, stream: true })) {
  codes.push(...(chunk.choices[0].delta.tool_calls ?? []));
}
assert.match(codes.map((part) => part.custom.input).join(""), /^[a-z]{3,6}[0-9]{2}$/);

console.log("ok");
