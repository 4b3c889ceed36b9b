"""LangChain's standard tests of chat models, for `ChatAnthropic` against a node.

Usage: anthropic_langchain.py BASE_URL. The node has Sprout and the models of `MODELS`, which say what a test looks for.
"""

import contextlib
import os
import sys

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_tests.integration_tests import ChatModelIntegrationTests

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
    "test_structured_output": "jokes",
    "test_structured_output_async": "jokes",
    "test_structured_output_pydantic_2_v1": "jokes",
    "test_structured_output_optional_param": "jokes",
}


class TestChatAnthropic(ChatModelIntegrationTests):
    @property
    def chat_model_class(self):
        return ChatAnthropic

    @property
    def chat_model_params(self):
        # "path::class::test[parameters] (stage)"
        test = os.environ["PYTEST_CURRENT_TEST"].split("::")[-1].split(" ")[0].split("[")[0]
        return {
            "model": MODELS.get(test, "sprout"), "base_url": sys.argv[1], "api_key": "none", "max_tokens": 200,
            "timeout": 60,
        }

    @property
    def supports_anthropic_inputs(self):
        return True

    @property
    def structured_output_kwargs(self):
        return {"method": "json_schema"}

    @pytest.mark.xfail(reason="Anthropic's SDK takes no models of pydantic 1 as a format")
    def test_structured_output_pydantic_2_v1(self, model):
        super().test_structured_output_pydantic_2_v1(model)


if __name__ == "__main__":
    quiet = ["-q", "--tb=short", "-p", "no:cacheprovider", "-p", "no:randomly", "--asyncio-mode=auto", "--disable-warnings"]
    with contextlib.redirect_stdout(sys.stderr):
        result = pytest.main([__file__, *quiet])
    if result != pytest.ExitCode.OK:
        sys.exit(f"pytest: {result!r}")
    print("ok")
