//! Content: what each kind of block says.
//!
//! An image or a file that a person sends is refused: an answer that does not heed it would be wrong. In what a tool gave
//! back it is told of in words, so that an agent whose tool opened a picture can go on.

use base::{Failure, ToolCall};
use serde_json::value::RawValue;

use super::{invalid, missing, object};
use crate::anthropic::model::{
    CompactionBlock, Content, DocumentBlock, Kind, SearchResultBlock, TextBlock, ThinkingBlock,
    ToolReferenceBlock, ToolResultBlock, ToolUseBlock,
};
use crate::json::{Object, parse_part};

/// What a block says.
pub(super) enum Said {
    /// Words.
    Text(String),
    /// What the model thought.
    Thought(String),
    /// What it called.
    Call(ToolCall),
    /// What that gave.
    Result {
        /// Which call.
        id: String,
        /// Its words.
        text: String,
    },
}

/// What content says, block by block.
pub(super) fn said(content: Content, at: &str) -> Result<Vec<Said>, Failure> {
    match content {
        Content::Text(text) => Ok(vec![Said::Text(text)]),
        Content::Blocks(blocks) => {
            let numbered = blocks.iter().enumerate();
            let said = numbered.map(|(index, block)| one(block, &format!("{at}[{index}]")));
            said.filter_map(Result::transpose).collect()
        }
    }
}

/// What content says that may be text alone.
pub(super) fn texts(content: Content, at: &str) -> Result<Vec<String>, Failure> {
    words(said(content, at)?, at)
}

fn words(said: Vec<Said>, at: &str) -> Result<Vec<String>, Failure> {
    let said = said.into_iter().map(|said| match said {
        Said::Text(text) => Ok(text),
        Said::Thought(_) | Said::Call(_) | Said::Result { .. } => {
            Err(invalid(at, "may hold text alone"))
        }
    });
    said.collect()
}

/// What a tool gave back.
fn given_back(content: Content, at: &str) -> Result<Vec<String>, Failure> {
    let blocks = match content {
        Content::Text(text) => return Ok(vec![text]),
        Content::Blocks(blocks) => blocks,
    };
    let mut said = Vec::with_capacity(blocks.len());
    for (index, block) in blocks.iter().enumerate() {
        let at = format!("{at}[{index}]");
        let Kind { kind } = parse_part(block, &at)?;
        said.extend(match kind.as_deref() {
            Some("image") => Some(unseen("an image")),
            Some("document") => {
                let document: DocumentBlock = parse_part(block, &at)?;
                if document.is_text() {
                    Some(self::document(document, &at)?)
                } else {
                    Some(unseen("a file"))
                }
            }
            // What the browser of Anthropic's own tools shows.
            Some("browser_state") => None,
            Some(_) | None => one(block, &at)?,
        });
    }
    words(said, at)
}

/// For what the model cannot look at.
fn unseen(what: &str) -> Said {
    Said::Text(format!("[{what}, which this model cannot look at]"))
}

/// `None` for a block that says nothing to this model.
fn one(block: &RawValue, at: &str) -> Result<Option<Said>, Failure> {
    let Kind { kind } = parse_part(block, at)?;
    let kind = kind.ok_or_else(|| missing(format!("{at}.type")))?;
    match kind.as_str() {
        "text" => text(parse_part(block, at)?, at).map(Some),
        "thinking" => {
            let ThinkingBlock { thinking } = parse_part(block, at)?;
            let thinking = thinking.ok_or_else(|| missing(format!("{at}.thinking")))?;
            Ok(Some(Said::Thought(thinking)))
        }
        "tool_use" => call(parse_part(block, at)?, at).map(Some),
        "tool_result" => result(parse_part(block, at)?, at).map(Some),
        "tool_reference" => {
            let ToolReferenceBlock { tool_name } = parse_part(block, at)?;
            let name = tool_name.ok_or_else(|| missing(format!("{at}.tool_name")))?;
            Ok(Some(Said::Text(name)))
        }
        "search_result" => search_result(parse_part(block, at)?, at).map(Some),
        "document" => document(parse_part(block, at)?, at).map(Some),
        // What was said before, in short, or nothing if that could not be told.
        "compaction" => {
            let CompactionBlock { content } = parse_part(block, at)?;
            Ok(content.map(Said::Text))
        }
        "image" => Err(invalid(
            at,
            "is an image: image input is not supported, models here read text alone",
        )),
        // Encrypted for Anthropic, or steps of tools that it ran: whoever sends them has talked to Claude before.
        "redacted_thinking" | "server_tool_use" | "mcp_tool_use" | "mcp_tool_listing"
        | "container_upload" | "tool_addition" | "tool_removal" | "fallback" => Ok(None),
        kind if kind.ends_with("_tool_result") => Ok(None),
        _ => Err(invalid(
            format!("{at}.type"),
            "is no kind of content that is known here",
        )),
    }
}

fn text(block: TextBlock, at: &str) -> Result<Said, Failure> {
    let text = block.text.ok_or_else(|| missing(format!("{at}.text")))?;
    Ok(Said::Text(text))
}

fn call(block: ToolUseBlock, at: &str) -> Result<Said, Failure> {
    let input_at = format!("{at}.input");
    let input = block.input.ok_or_else(|| missing(&input_at))?;
    Ok(Said::Call(ToolCall {
        id: block.id.ok_or_else(|| missing(format!("{at}.id")))?,
        name: block.name.ok_or_else(|| missing(format!("{at}.name")))?,
        arguments: object(&input, input_at)?,
    }))
}

fn result(block: ToolResultBlock, at: &str) -> Result<Said, Failure> {
    let id = block.tool_use_id;
    let id = id.ok_or_else(|| missing(format!("{at}.tool_use_id")))?;
    let content = block.content.unwrap_or(Content::Text(String::new()));
    let mut text = given_back(content, &format!("{at}.content"))?.join("\n");
    if block.is_error.unwrap_or(false) {
        // Templates have no place for it.
        text.insert_str(0, "Error: ");
    }
    Ok(Said::Result { id, text })
}

fn search_result(block: SearchResultBlock, at: &str) -> Result<Said, Failure> {
    let at = format!("{at}.content");
    let content = block.content.ok_or_else(|| missing(&at))?;
    let heading = [block.title, block.source].into_iter().flatten();
    let lines: Vec<String> = heading.chain(texts(content, &at)?).collect();
    Ok(Said::Text(lines.join("\n")))
}

/// Documents that are text themselves; no file is opened here.
fn document(block: DocumentBlock, at: &str) -> Result<Said, Failure> {
    let at = format!("{at}.source");
    if block.source.is_some() && !block.is_text() {
        let what = "is a document that is not plain text, and models here read text alone";
        return Err(invalid(at, what));
    }
    let Object(source) = block.source.ok_or_else(|| missing(&at))?;
    let words = match (source.data, source.content) {
        (Some(data), _) => vec![data],
        (None, Some(content)) => texts(content, &format!("{at}.content"))?,
        (None, None) => return Err(missing(format!("{at}.data"))),
    };
    let lines: Vec<String> = block.title.into_iter().chain(words).collect();
    Ok(Said::Text(lines.join("\n")))
}
