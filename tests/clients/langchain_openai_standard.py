"""LangChain's standard tests of chat models, through ChatOpenAI: by chat completions and by responses.

Usage: langchain_openai_standard.py BASE_URL MODEL. Prints what went wrong to stderr, and ok if nothing did.
"""

import contextlib
import os
import sys

import pytest
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests

CALLS_UNASKED = pytest.mark.xfail(reason="the tests' model is tiny and calls no tool unless it must")
FOLLOWS_NO_WORDS = pytest.mark.xfail(reason="the tests' model is tiny and writes JSON without the fields asked for in words")


class Standard(ChatModelIntegrationTests):
    """What both ways have in common."""

    responses = False

    @property
    def chat_model_class(self):
        return ChatOpenAI

    @property
    def chat_model_params(self):
        return {
            "model": os.environ["ESPALIER_MODEL"], "base_url": os.environ["ESPALIER_BASE_URL"], "api_key": "none", "temperature": 0,
            "max_tokens": 400, "max_retries": 0, "timeout": 60, "use_responses_api": self.responses, "stream_usage": True,
            # One call is enough: a model that must call goes on calling while it may.
            "extra_body": {"parallel_tool_calls": False},
        }

    @property
    def model_override_value(self):
        return os.environ["ESPALIER_MODEL"]

    @property
    def supports_json_mode(self):
        return True

    @FOLLOWS_NO_WORDS
    def test_json_mode(self, model):
        super().test_json_mode(model)

    @CALLS_UNASKED
    def test_agent_loop(self, model):
        super().test_agent_loop(model)

    @CALLS_UNASKED
    def test_unicode_tool_call_integration(self, model, **kwargs):
        super().test_unicode_tool_call_integration(model, **kwargs)


class TestChatCompletions(Standard):
    """Through /v1/chat/completions."""


class TestResponses(Standard):
    """Through /v1/responses."""

    responses = True


# LangChain keeps its connections for all tests, and so they need one event loop.
LOOPS = ["-o", "asyncio_mode=auto", "-o", "asyncio_default_test_loop_scope=session"]

if __name__ == "__main__":
    os.environ["ESPALIER_BASE_URL"], os.environ["ESPALIER_MODEL"] = sys.argv[1:]
    with contextlib.redirect_stdout(sys.stderr):
        failed = pytest.main([__file__, "-q", "-p", "no:cacheprovider", "--tb=short", *LOOPS, "-rfEX"])
    if failed:
        sys.exit(failed)
    print("ok")
