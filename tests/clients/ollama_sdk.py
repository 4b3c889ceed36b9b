"""Talks to a node through the official `ollama` Python SDK, as a user's program would.

Usage: ollama_sdk.py BASE_URL. Exits with an error at the first thing that is not as the SDK's documentation has it.
"""

import sys

import ollama

client = ollama.Client(host=sys.argv[1], timeout=60)
question = [{"role": "user", "content": "What is Espalier?"}]
greedy = {"temperature": 0, "seed": 7, "num_predict": 200}


def refused(status, said, call):
    try:
        call()
    except ollama.ResponseError as error:
        assert error.status_code == status and said in error.error, error
    else:
        raise AssertionError(f"no {status}: {said}")


[listed] = [model for model in client.list().models if model.model == "sprout:latest"]
assert listed.size > 1_000_000 and len(listed.digest) == 64, listed
assert (listed.details.family, listed.details.format) == ("llama", "safetensors"), listed
assert listed.details.parameter_size and listed.details.quantization_level, listed
shown = client.show("sprout")
assert "messages" in shown.template and "FROM sprout" in shown.modelfile, shown
assert {"completion", "tools"} <= set(shown.capabilities), shown
assert shown.modelinfo["llama.context_length"] > 0, shown.modelinfo

answer = client.chat(model="sprout", messages=question, options=greedy)
text = answer.message.content
assert "Espalier" in text and answer.message.role == "assistant", answer
assert answer.done and answer.done_reason == "stop" and answer.model == "sprout", answer
assert answer.total_duration >= answer.load_duration > 0, answer
assert answer.prompt_eval_duration > 0 and answer.eval_duration > 0, answer
assert answer.prompt_eval_count > 0 and answer.eval_count > 0, answer
assert answer.created_at.startswith("20"), answer.created_at

pieces = list(client.chat(model="sprout:latest", messages=question, options=greedy, stream=True))
assert "".join(piece.message.content for piece in pieces) == text, pieces
assert len(pieces) > 3 and [piece.done for piece in pieces].count(True) == 1, pieces
assert pieces[-1].done and pieces[-1].eval_count == answer.eval_count, pieces[-1]

[loaded] = client.ps().models
assert (loaded.name, loaded.digest) == ("sprout:latest", listed.digest), loaded
assert loaded.size > 0 and loaded.context_length > 0 and loaded.expires_at, loaded

one = client.generate(model="sprout", prompt="What is Espalier?", options=greedy)
assert (one.response, one.done_reason) == (text, "stop") and one.context, one
assert "".join(piece.response for piece in client.generate(
    model="sprout", prompt="What is Espalier?", options=greedy, stream=True)) == text
talk = [*question, {"role": "assistant", "content": text}, {"role": "user", "content": "What is a shard?"}]
told = client.chat(model="sprout", messages=talk, options=greedy)
more = client.generate(model="sprout", prompt="What is a shard?", context=one.context, options=greedy)
assert (more.response, more.prompt_eval_count) == (told.message.content, told.prompt_eval_count), (more, told)
raw = client.generate(model="sprout", prompt="An espalier is", raw=True, options={**greedy, "num_predict": 5})
assert (raw.done_reason, raw.eval_count, raw.context) == ("length", 5, None), raw
shouting = "{% for m in messages %}{{ m.content | upper }} {% endfor %}"
loud = client.generate(model="sprout", prompt="an espalier is", template=shouting, options=greedy)
assert loud.prompt_eval_count != one.prompt_eval_count, loud

scored = client.chat(model="sprout", messages=question, logprobs=True, top_logprobs=2, options={**greedy, "num_predict": 10})
assert len(scored.logprobs) == 10 == scored.eval_count, scored
assert all(token.logprob <= 0 and len(token.top_logprobs) == 2 for token in scored.logprobs), scored
assert "".join(token.token for token in scored.logprobs) == scored.message.content, scored
first_word, rest = text.split(" ", 1)
stop = rest.split(" ", 1)[0]
stopped = client.chat(model="sprout", messages=question, options={**greedy, "stop": [stop]})
assert stopped.message.content == text[:text.index(stop)], stopped
# Prompt and answer together have no more than asked for.
room = answer.prompt_eval_count + 4
narrow = client.chat(model="sprout", messages=question, options={**greedy, "num_ctx": room})
assert (narrow.done_reason, narrow.eval_count) == ("length", 4), narrow
# More than fits the model's context: the answer is what fits.
roomy = client.chat(model="sprout", messages=question, options={**greedy, "num_predict": 1_000_000})
assert roomy.message.content == text, roomy

schema = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"], "additionalProperties": False}
formed = client.chat(model="sprout", messages=question, format=schema, options=greedy)
assert formed.message.content.replace(" ", "") in ('{"city":"Paris"}', '{"city":"Rome"}'), formed
assert client.generate(model="sprout", prompt="JSON!", format="json", options=greedy).response.startswith("{")


def get_weather(city: str) -> str:
    """Current weather in a city.

    Args:
        city: The city's name
    """
    return f"21 degrees in {city}"


call = {"function": {"name": "get_weather", "arguments": {"city": "Paris"}}}
asked = [*question, {"role": "assistant", "content": "", "tool_calls": [call]},
         {"role": "tool", "tool_name": "get_weather", "content": get_weather("Paris")}]
with_tools = client.chat(model="sprout", messages=asked, tools=[get_weather], options=greedy)
without = client.chat(model="sprout", messages=question, options=greedy)
assert with_tools.prompt_eval_count > without.prompt_eval_count, (with_tools, without)

mario = {"model": "mario", "from_": "sprout", "system": "You are Mario.", "parameters": {"num_predict": 3, "temperature": 0}}
assert client.create(**mario).status == "success"
steps = [step.status for step in client.create(**mario, messages=[{"role": "user", "content": "Hi"}], stream=True)]
assert steps[-1] == "success", steps
assert "mario:latest" in [model.model for model in client.list().models]
shown = client.show("mario")
assert 'SYSTEM """You are Mario."""' in shown.modelfile and "num_predict" in shown.parameters, shown
brief = client.chat(model="mario", messages=question)
assert (brief.done_reason, brief.eval_count) == ("length", 3), brief
assert brief.prompt_eval_count > answer.prompt_eval_count, brief
client.copy("mario", "luigi:v2")
assert client.chat(model="luigi:v2", messages=question).eval_count == 3
assert client.delete("mario").status == "success" and client.delete("luigi:v2").status == "success"

assert client.pull("sprout").status == "success"
loading = client.generate(model="sprout", keep_alive="5m")
assert (loading.done, loading.done_reason, loading.response) == (True, "load", ""), loading

for status, said, call in [
    (404, "not found", lambda: client.chat(model="nope", messages=question)),
    (404, "not found", lambda: client.show("nope")),
    (404, "not found", lambda: client.delete("mario")),
    (404, "by its repository", lambda: client.pull("llama3.2")),
    (400, "cannot be deleted", lambda: client.delete("sprout")),
    (400, "text alone", lambda: client.generate(model="sprout", prompt="What?", images=[b"hi"])),
    (400, "insert", lambda: client.generate(model="sprout", prompt="def", suffix="end")),
    (400, "temperature", lambda: client.chat(model="sprout", messages=question, options={"temperature": 9})),
    (400, "context length", lambda: client.chat(model="sprout", messages=[{"role": "user", "content": "word " * 100_000}])),
    (400, "name for a model", lambda: client.create(model="../mario", from_="sprout")),
    (400, "Jinja", lambda: client.create(model="mario", from_="sprout", template="{{ .Prompt }}")),
]:
    refused(status, said, call)

print("ok")
