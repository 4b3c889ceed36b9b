//! Programs that others wrote, against a real node.

use std::time::Duration;

use anyhow::Result;
use tests::checkpoints::python;
use tests::node_js;
use tests::nodes::{Node, NodeOptions};
use tests::scripted;

/// Runs a scenario of `tests/clients`, in Python or in JavaScript, against a node of its own, at the path where its
/// dialect is.
fn replay(scenario: &str, path: &str) -> Result<()> {
    let node = Node::start(&NodeOptions {
        model: Some("sprout".into()),
        ..NodeOptions::default()
    })?;
    let address = format!("http://127.0.0.1:{}{path}", node.port);
    let file = format!("clients/{scenario}");
    let run = match scenario.rsplit_once('.') {
        Some((_, "mjs")) => node_js::run,
        _ => python,
    };
    assert_eq!(run(&file, &[&address])?.trim(), "ok");
    Ok(())
}

#[test]
fn the_official_openai_sdk_works() -> Result<()> {
    replay("openai_sdk.py", "/v1")
}

#[test]
fn the_official_openai_sdk_calls_tools() -> Result<()> {
    replay("openai_tools.py", "/v1")
}

#[test]
fn the_official_openai_sdk_for_javascript_works() -> Result<()> {
    replay("openai_sdk.mjs", "/v1")
}

#[test]
fn the_official_openai_sdk_for_javascript_calls_tools() -> Result<()> {
    replay("openai_tools.mjs", "/v1")
}

#[test]
fn the_official_openai_sdk_for_javascript_keeps_responses() -> Result<()> {
    replay("openai_responses.mjs", "/v1")
}

/// They want short strings, which Sprout does not write against its will.
#[test]
fn langchains_standard_tests_pass_for_chat_openai() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let model = folder.path().join("scripted");
    let (node, name) = scripted::node(&model, &["Hello! What can I do for you?"])?;
    let address = format!("http://127.0.0.1:{}/v1", node.port);
    let printed = python("clients/langchain_openai_standard.py", &[&address, &name])?;
    assert_eq!(printed.trim(), "ok");
    Ok(())
}

#[test]
fn the_official_anthropic_sdk_works() -> Result<()> {
    replay("anthropic_sdk.py", "")
}

#[test]
fn the_official_anthropic_sdk_calls_tools() -> Result<()> {
    replay("anthropic_tools.py", "")
}

/// What `LangChain`'s tests look for, by the model that says it.
const LANGCHAIN_SAYS: [(&str, &[&str]); 7] = [
    (
        "magic",
        &[
            "<tool_call>\n{\"name\": \"magic_function\", \"arguments\": {\"input\": 3}}\n</tool_call>",
        ],
    ),
    (
        "magic-without-arguments",
        &["<tool_call>\n{\"name\": \"magic_function_no_args\", \"arguments\": {}}\n</tool_call>"],
    ),
    (
        "greeter",
        &[
            "<tool_call>\n{\"name\": \"greeting_generator\", \"arguments\": {\"answer_style\": \"pirate\"}}\n</tool_call>",
        ],
    ),
    (
        "weather",
        &[
            "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"location\": \"San Francisco\"}}\n</tool_call>",
            "It is sunny in San Francisco.",
        ],
    ),
    (
        "customers",
        &[
            "<tool_call>\n{\"name\": \"unicode_customer\", \"arguments\": {\"customer_name\": \"你好啊集団 こんにちは株式会社\", \
           \"description\": \"Two companies\"}}\n</tool_call>",
        ],
    ),
    (
        "adder",
        &[
            "<tool_call>\n{\"name\": \"my_adder_tool\", \"arguments\": {\"a\": 3, \"b\": 4}}\n</tool_call>",
        ],
    ),
    (
        "jokes",
        &["{\"setup\": \"Why do cats purr?\", \"punchline\": \"They idle.\"}"],
    ),
];

#[test]
fn the_official_anthropic_sdk_for_javascript_works() -> Result<()> {
    replay("anthropic_sdk.mjs", "")
}

#[test]
fn the_official_anthropic_sdk_for_javascript_calls_tools() -> Result<()> {
    replay("anthropic_tools.mjs", "")
}

#[test]
fn langchains_standard_tests_pass_for_anthropic() -> Result<()> {
    langchain("clients/anthropic_langchain.py")
}

/// Runs `LangChain`'s tests against a node with the models that say what they look for.
fn langchain(scenario: &str) -> Result<()> {
    let node = Node::start(&NodeOptions {
        model: Some("sprout".into()),
        ..NodeOptions::default()
    })?;
    let folder = tempfile::tempdir()?;
    for (name, says) in LANGCHAIN_SAYS {
        let model = folder.path().join(name);
        scripted::model(&model, says)?;
        let id = node.api().place(&model.to_string_lossy(), "auto", 1)?;
        node.api().wait_ready(&id, Duration::from_secs(30))?;
    }
    let address = format!("http://127.0.0.1:{}", node.port);
    let printed = python(scenario, &[&address])?;
    assert_eq!(printed.trim(), "ok");
    Ok(())
}

#[test]
fn the_official_ollama_sdk_works() -> Result<()> {
    replay("ollama_sdk.py", "")
}

#[test]
fn the_official_ollama_sdk_for_javascript_works() -> Result<()> {
    replay("ollama_sdk.mjs", "")
}

#[test]
fn langchains_standard_tests_pass_for_ollama() -> Result<()> {
    langchain("clients/ollama_langchain.py")
}
