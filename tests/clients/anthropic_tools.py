"""Calls of tools through the official `anthropic` Python SDK: forced, so that any model makes them.

Usage: anthropic_tools.py BASE_URL. Exits with an error at the first thing that is not as the SDK's documentation has it.
"""

import json
import sys

import anthropic

client = anthropic.Anthropic(base_url=sys.argv[1], api_key="none", max_retries=0, timeout=60)
question = [{"role": "user", "content": "How warm is it in Paris?"}]
weather = {
    "name": "get_weather",
    "description": "Current weather in a city.",
    "input_schema": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "enum": ["Paris", "Rome"]},
            "days": {"type": "integer", "minimum": 1, "maximum": 9},
        },
        "required": ["city", "days"],
        "additionalProperties": False,
    }}
asked = {"model": "sprout", "max_tokens": 200, "tools": [weather], "extra_body": {"temperature": 0}}
must = {"tool_choice": {"type": "tool", "name": "get_weather"}, **asked}

answer = client.messages.create(messages=question, **must)
assert answer.stop_reason == "tool_use", answer
[use] = answer.content
assert (use.type, use.name) == ("tool_use", "get_weather") and use.id, use
assert use.input["city"] in ("Paris", "Rome") and isinstance(use.input["days"], int), use

any_tool = client.messages.create(messages=question, **{**must, "tool_choice": {"type": "any"}})
assert any_tool.content[-1].type == "tool_use", any_tool

events = list(client.messages.create(messages=question, stream=True, **must))
kinds = [event.type for event in events if event.type != "ping"]
assert kinds[:2] == ["message_start", "content_block_start"] and kinds[-1] == "message_stop", kinds
assert events[1].content_block.type == "tool_use" and events[1].content_block.input == {}, events[1]
fragments = [event.delta.partial_json for event in events if event.type == "content_block_delta"]
assert len(fragments) > 2, fragments
with client.messages.stream(messages=question, **must) as stream:
    final = stream.get_final_message()
assert final.content[0].input == use.input, (final, use)

result = {"type": "tool_result", "tool_use_id": use.id, "content": [{"type": "text", "text": "21 degrees"}]}
talk = [*question, {"role": "assistant", "content": answer.content}, {"role": "user", "content": [result]}]
told = client.messages.create(messages=talk, **{**asked, "max_tokens": 20})
assert told.content and told.usage.input_tokens + told.usage.cache_read_input_tokens > 0, told
counted = client.messages.count_tokens(model="sprout", messages=question, tools=[weather])
bare = client.messages.count_tokens(model="sprout", messages=question)
assert counted.input_tokens > bare.input_tokens, (counted, bare)

# As agents send it: tools of Anthropic's own among the others, a picture from a tool, instructions between turns, beta
# features in headers and fields.
picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "eA=="}}
shown = {**result, "content": [{"type": "text", "text": "Here:"}, picture], "is_error": False}
agent = client.beta.messages.create(
    betas=["interleaved-thinking-2025-05-14", "context-management-2025-06-27"],
    messages=[*question, {"role": "system", "content": "Be brief."}, {"role": "assistant", "content": answer.content},
              {"role": "user", "content": [shown]}],
    system=[{"type": "text", "text": "You are an agent.", "cache_control": {"type": "ephemeral"}}],
    thinking={"type": "adaptive"}, context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    output_config={"effort": "high"}, metadata={"user_id": "someone"}, service_tier="auto",
    **{**asked, "max_tokens": 20, "tools": [weather, {"type": "web_search_20250305", "name": "web_search"}]})
assert agent.content and agent.usage.output_tokens > 0, agent
try:
    client.messages.create(messages=[{"role": "user", "content": [picture]}], **asked)
except anthropic.BadRequestError as error:
    assert "image input is not supported" in error.body["error"]["message"], error
else:
    raise AssertionError("a picture was taken")
schema = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"],
          "additionalProperties": False}
formed = client.messages.create(
    model="sprout", max_tokens=50, messages=question, output_config={"format": {"type": "json_schema", "schema": schema}})
assert json.loads(formed.content[0].text)["city"] in ("Paris", "Rome"), formed

print("ok")
