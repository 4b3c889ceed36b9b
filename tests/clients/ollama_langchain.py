"""LangChain's standard tests of chat models, for `ChatOllama` against a node, and of embeddings for `OllamaEmbeddings`.

Usage: ollama_langchain.py BASE_URL. The node has Sprout and the models of `MODELS`, which say what a test looks for.
"""

import contextlib
import os
import sys

import pytest
from langchain_ollama import ChatOllama, OllamaEmbeddings
from langchain_tests.integration_tests import ChatModelIntegrationTests, EmbeddingsIntegrationTests

# Which model answers which test; Sprout answers all others.
MODELS = {
    "test_tool_calling": "magic",
    "test_tool_calling_async": "magic",
    "test_tool_choice": "magic",
    "test_tool_calling_with_no_arguments": "magic-without-arguments",
    "test_bind_runnables_as_tools": "greeter",
    "test_agent_loop": "weather",
    "test_unicode_tool_call_integration": "customers",
    "test_structured_few_shot_examples": "adder",
    "test_json_mode": "jokes",
    "test_structured_output": "jokes",
    "test_structured_output_async": "jokes",
    "test_structured_output_pydantic_2_v1": "jokes",
    "test_structured_output_optional_param": "jokes",
}


class TestChatOllama(ChatModelIntegrationTests):
    @property
    def chat_model_class(self):
        return ChatOllama

    @property
    def chat_model_params(self):
        # "path::class::test[parameters] (stage)"
        test = os.environ["PYTEST_CURRENT_TEST"].split("::")[-1].split(" ")[0].split("[")[0]
        return {"model": MODELS.get(test, "sprout"), "base_url": sys.argv[1], "num_predict": 200, "temperature": 0}

    @property
    def has_tool_choice(self):
        # Ollama's API has none.
        return False

    @property
    def supports_json_mode(self):
        return True


class TestOllamaEmbeddings(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self):
        return OllamaEmbeddings

    @property
    def embedding_model_params(self):
        return {"model": "sprout", "base_url": sys.argv[1]}


if __name__ == "__main__":
    quiet = ["-q", "--tb=short", "-p", "no:cacheprovider", "-p", "no:randomly", "--asyncio-mode=auto", "--disable-warnings"]
    with contextlib.redirect_stdout(sys.stderr):
        result = pytest.main([__file__, *quiet])
    if result != pytest.ExitCode.OK:
        sys.exit(f"pytest: {result!r}")
    print("ok")
