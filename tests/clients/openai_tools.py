"""Calls of tools through the official `openai` Python SDK: forced, so that any model makes them.

Usage: openai_tools.py BASE_URL. Exits with an error at the first thing that is not as the SDK's documentation has it.
"""

import json
import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0, timeout=60)
question = [{"role": "user", "content": "How warm is it in Paris?"}]
weather = {"type": "function", "function": {
    "name": "get_weather",
    "description": "Current weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "enum": ["Paris", "Rome"]},
            "days": {"type": "integer", "minimum": 1, "maximum": 9},
        },
        "required": ["city", "days"],
        "additionalProperties": False,
    }}}
clock = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}
asked = {"model": "sprout", "messages": question, "tools": [weather, clock], "temperature": 0, "max_tokens": 200}


def check(call):
    assert call.type == "function" and call.id, call
    assert call.function.name in ("get_weather", "clock"), call
    arguments = json.loads(call.function.arguments)
    if call.function.name == "get_weather":
        assert arguments["city"] in ("Paris", "Rome") and 1 <= arguments["days"] <= 9, call


named = {"type": "function", "function": {"name": "get_weather"}}
answer = client.chat.completions.create(tool_choice=named, **asked).choices[0]
# A named function leaves no choice, so the answer ends as if it were not a choice: with `stop`, as at OpenAI.
assert answer.finish_reason in ("stop", "tool_calls"), answer
[call] = answer.message.tool_calls
assert call.function.name == "get_weather", call
check(call)

required = client.chat.completions.create(tool_choice="required", parallel_tool_calls=False, **asked).choices[0]
assert required.finish_reason == "tool_calls" and len(required.message.tool_calls) == 1, required
assert not required.message.content, required
check(required.message.tool_calls[0])
several = client.chat.completions.create(tool_choice="required", **{**asked, "temperature": 1, "seed": 7}).choices[0]
if several.finish_reason == "tool_calls":
    for call in several.message.tool_calls:
        check(call)

# Streamed: the id and the name come once, then the arguments in fragments; together they are the whole call.
chunks = list(client.chat.completions.create(tool_choice=named, stream=True, **asked))
parts = [part for chunk in chunks for part in chunk.choices[0].delta.tool_calls or []]
assert [bool(part.id) for part in parts] == [True] + [False] * (len(parts) - 1), parts
assert [bool(part.function.name) for part in parts] == [True] + [False] * (len(parts) - 1), parts
assert {part.index for part in parts} == {0}, parts
streamed = "".join(part.function.arguments or "" for part in parts)
assert streamed == answer.message.tool_calls[0].function.arguments, (streamed, answer)
assert len(parts) > 2, "the arguments come as they are made"

with client.chat.completions.stream(tool_choice=named, **asked) as stream:
    kinds = [event.type for event in stream]
    assert "tool_calls.function.arguments.delta" in kinds and "tool_calls.function.arguments.done" in kinds, kinds

# The next turn, with what the tool said.
result = {"role": "tool", "tool_call_id": answer.message.tool_calls[0].id, "content": "21 degrees"}
told = client.chat.completions.create(**{**asked, "messages": [*question, answer.message, result], "max_tokens": 20})
assert told.choices[0].message.content or told.choices[0].message.tool_calls, told
unasked = client.chat.completions.create(tool_choice="none", **{**asked, "max_tokens": 20}).choices[0]
assert unasked.message.tool_calls is None, unasked

# Responses: the same call as an item of its own.
flat = {"type": "function", **weather["function"], "strict": True}
response = client.responses.create(
    model="sprout", input="How warm is it in Paris?", tools=[flat], tool_choice="required", temperature=0)
[item] = [item for item in response.output if item.type == "function_call"]
assert item.name == "get_weather" and json.loads(item.arguments)["city"] in ("Paris", "Rome"), response
events = list(client.responses.create(
    model="sprout", input="How warm is it in Paris?", tools=[flat], tool_choice="required", temperature=0, stream=True))
assert [event.sequence_number for event in events] == list(range(len(events))), events
fragments = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
assert "".join(fragments) == item.arguments and len(fragments) > 2, fragments

for change, param in [
    ({"tools": [], "tool_choice": "required"}, "tool_choice"),
    ({"tool_choice": {"type": "function", "function": {"name": "fly"}}}, "tool_choice"),
    ({"tools": [{"type": "function", "function": {"name": "bad", "parameters": {"type": "objekt"}}}],
      "tool_choice": "required"}, "tools"),
]:
    try:
        client.chat.completions.create(**{**asked, **change})
    except openai.BadRequestError as error:
        assert error.body["param"] == param, error
    else:
        raise AssertionError(f"{change} was taken")

print("ok")
