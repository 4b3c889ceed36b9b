"""Talks to a node through the official `openai` Python SDK, as a user's program would.

Usage: openai_sdk.py BASE_URL. Exits with an error at the first thing that is not as the SDK's documentation has it.
"""

import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key="none", max_retries=0, timeout=60)
question = [{"role": "user", "content": "What is Espalier?"}]

assert "sprout" in [model.id for model in client.models.list()]

answer = client.chat.completions.create(model="sprout", messages=question, temperature=0)
text = answer.choices[0].message.content
assert "Espalier" in text, text
assert answer.choices[0].finish_reason == "stop", answer
assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens

stream = client.chat.completions.create(
    model="sprout", messages=question, temperature=0, stream=True,
    stream_options={"include_usage": True})
chunks = list(stream)
assert chunks[0].choices[0].delta.role == "assistant", chunks[0]
assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == text
assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == answer.usage.completion_tokens

scored = client.chat.completions.create(
    model="sprout", messages=question, temperature=0, max_completion_tokens=4, logprobs=True, top_logprobs=2)
assert len(scored.choices[0].logprobs.content) == 4, scored
assert all(len(token.top_logprobs) == 2 for token in scored.choices[0].logprobs.content)

completion = client.completions.create(
    model="sprout", prompt=[5, 6, 7, 8], echo=True, logprobs=2, max_tokens=0)
assert len(completion.choices[0].logprobs.token_logprobs) == 4, completion
several = client.completions.create(model="sprout", prompt=["One", "Two"], max_tokens=3, temperature=0)
assert [choice.index for choice in several.choices] == [0, 1]

# The SDK asks for Base64 unless told otherwise.
texts = ["What is a shard?", "Two and three are five.", "What is a shard?"]
embedded = client.embeddings.create(model="sprout", input=texts)
vectors = [one.embedding for one in embedded.data]
assert [one.index for one in embedded.data] == [0, 1, 2]
assert embedded.usage.prompt_tokens == embedded.usage.total_tokens > 0


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b))


assert all(abs(cosine(vector, vector) - 1) < 1e-5 for vector in vectors)
assert abs(cosine(vectors[0], vectors[2]) - 1) < 1e-5 and cosine(vectors[0], vectors[1]) < 0.99
alone = client.embeddings.create(model="sprout", input=texts[1], encoding_format="float").data[0].embedding
assert abs(cosine(alone, vectors[1]) - 1) < 1e-5
short = client.embeddings.create(model="sprout", input=texts[1], dimensions=16).data[0].embedding
assert len(short) == 16 and abs(cosine(short, short) - 1) < 1e-5
tokens = client.embeddings.create(model="sprout", input=[[5, 6, 7], [5, 6, 7, 8]])
assert len(tokens.data) == 2 and tokens.usage.prompt_tokens == 7

for kind, call in [
    (openai.NotFoundError, lambda: client.chat.completions.create(model="nope", messages=question)),
    (openai.BadRequestError, lambda: client.chat.completions.create(model="sprout", messages=[])),
    (openai.BadRequestError, lambda: client.chat.completions.create(model="sprout", messages=question, temperature=9)),
    (openai.BadRequestError, lambda: client.embeddings.create(model="sprout", input="")),
    (openai.BadRequestError, lambda: client.embeddings.create(model="sprout", input="x", dimensions=100000)),
    (openai.BadRequestError, lambda: client.embeddings.create(model="sprout", input=[5] * 100000)),
    (openai.NotFoundError, lambda: client.embeddings.create(model="nope", input="x")),
    (openai.NotFoundError, lambda: client.get("/nothing", cast_to=object)),
]:
    try:
        call()
    except kind as error:
        assert error.body["message"], error
    else:
        raise AssertionError(f"no {kind.__name__}")

print("ok")
