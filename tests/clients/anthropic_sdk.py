"""Talks to a node through the official `anthropic` Python SDK, as a user's program would.

Usage: anthropic_sdk.py BASE_URL. Exits with an error at the first thing that is not as the SDK's documentation has it.
"""

import sys

import anthropic

client = anthropic.Anthropic(base_url=sys.argv[1], api_key="none", max_retries=0, timeout=60)
question = [{"role": "user", "content": "What is Espalier?"}]
# Newer versions of the SDK have no argument for the temperature; the API still has the field.
greedy = {"model": "sprout", "max_tokens": 200, "extra_body": {"temperature": 0}}

models = client.models.list()
assert "sprout" in [model.id for model in models], models
assert client.models.retrieve("sprout").created_at.year >= 1970
assert [model.id for model in client.models.list(limit=1)] == [model.id for model in models], models

answer = client.messages.create(messages=question, **greedy)
assert (answer.type, answer.role, answer.model) == ("message", "assistant", "sprout"), answer
assert [block.type for block in answer.content] == ["text"], answer
text = answer.content[0].text
assert "Espalier" in text, text
assert (answer.stop_reason, answer.stop_sequence) == ("end_turn", None), answer

counted = client.messages.count_tokens(model="sprout", messages=question)
usage = answer.usage
assert counted.input_tokens == usage.input_tokens + usage.cache_read_input_tokens, (counted, usage)
assert usage.output_tokens > 0, usage

with client.messages.stream(messages=question, **greedy) as stream:
    assert "".join(stream.text_stream) == text
    final = stream.get_final_message()
assert (final.content[0].text, final.stop_reason) == (text, "end_turn"), final
assert final.usage.output_tokens == usage.output_tokens, (final.usage, usage)

events = list(client.messages.create(messages=question, stream=True, **greedy))
kinds = [event.type for event in events]
assert kinds[:2] == ["message_start", "content_block_start"], kinds
assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"], kinds
assert set(kinds[2:-3]) == {"content_block_delta"}, kinds

# The same words, said in blocks, are the same prompt; what Claude Code adds for Anthropic's accounting is no part of it.
in_blocks = [{"role": "user", "content": [
    {"type": "text", "text": "What is Espalier?", "cache_control": {"type": "ephemeral"}}]}]
short = "Answer in one sentence."
one = client.messages.create(messages=question, system=short, **greedy)
other = client.messages.create(messages=in_blocks, system=[
    {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.0; cch=ab12c;"},
    {"type": "text", "text": short}], **greedy)
assert one.content == other.content and one.usage.output_tokens == other.usage.output_tokens, (one, other)

# Requests that differ in nothing but that are read once.
long = [{"type": "text", "text": "Espalier runs one language model on several computers. " * 30}]
for number, nonce in enumerate(["0a1b2", "c3d4e"]):
    billing = {"type": "text", "text": f"x-anthropic-billing-header: cc_version=2.1.0; cc_entrypoint=cli; cch={nonce};"}
    read = client.messages.create(messages=question, system=[billing, *long], **greedy)
    assert (read.usage.cache_read_input_tokens > 0) == (number == 1), read
# A prompt can be read ahead of the question.
ahead = client.messages.create(messages=question, system=long, **{**greedy, "max_tokens": 0})
assert ahead.content == [] and ahead.usage.output_tokens == 0 and ahead.usage.cache_read_input_tokens > 0, ahead
raw = client.messages.with_raw_response.create(messages=question, **greedy)
assert raw.headers["request-id"].startswith("req_") and raw.parse()._request_id == raw.headers["request-id"], raw

first_word, rest = text.split(" ", 1)
stop = rest.split(" ", 1)[0]
stopped = client.messages.create(messages=question, stop_sequences=[stop], **greedy)
assert stopped.content[0].text == text[:text.index(stop)], stopped
cut = client.messages.create(messages=question, **{**greedy, "max_tokens": 3})
assert (cut.stop_reason, cut.usage.output_tokens) == ("max_tokens", 3), cut
# More than fits the context: the answer is what fits.
roomy = client.messages.create(messages=question, **{**greedy, "max_tokens": 1_000_000}, timeout=60)
assert (roomy.content, roomy.stop_reason) == (answer.content, "end_turn"), roomy

for kind, said, call in [
    (anthropic.NotFoundError, "nope", lambda: client.messages.create(messages=question, **{**greedy, "model": "nope"})),
    (anthropic.BadRequestError, "messages", lambda: client.messages.create(messages=[], **greedy)),
    (anthropic.BadRequestError, "temperature",
     lambda: client.messages.create(messages=question, **{**greedy, "extra_body": {"temperature": 9}})),
    (anthropic.BadRequestError, "prompt is too long",
     lambda: client.messages.create(messages=[{"role": "user", "content": "word " * 100_000}], **greedy)),
    (anthropic.NotFoundError, "batches", lambda: client.messages.batches.list()),
]:
    try:
        call()
    except kind as error:
        assert error.body["type"] == "error" and said in error.body["error"]["message"], error
        assert error.body["error"]["type"] in ("invalid_request_error", "not_found_error"), error
        assert error.request_id == error.body["request_id"], error
    else:
        raise AssertionError(f"no {kind.__name__}")

print("ok")
