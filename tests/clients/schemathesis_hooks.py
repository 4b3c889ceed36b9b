"""What schemathesis cannot know: which model is there. Without it nearly all requests end at a name that is nobody's."""

import schemathesis


@schemathesis.hook
def map_body(context, body):
    # Three of four, by what else is asked: the rest name models as schemathesis makes them up.
    if isinstance(body, dict) and "model" in body and len(repr(body)) % 4 and is_answer(context.operation.path):
        body = {**body, "model": "sprout"}
        if isinstance(body.get("messages"), list) and len(body["messages"]) % 2 == 0:
            body["messages"] = [*body["messages"], {"role": "user", "content": "What is a shard?"}]
    return body


def is_answer(path):
    """Not what opens, makes or copies models."""
    return path.startswith("/v1/") or path in ("/api/chat", "/api/generate", "/api/embed", "/api/embeddings", "/api/show")
