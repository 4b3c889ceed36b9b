//! A request in text becomes one in tokens: rendered, tokenized, checked against the model's limits. Pure.

use base::{
    Conversation, ErrorCode, Failure, GenerateRequest, Grammar, Prompt, TokenId, TokenRequest,
};
use cluster::InstanceView;
use text::answer::AnswerParser;
use text::grammar::{self, GrammarError};
use text::{Framing, RenderError, TextStart, TextStream, Tokenizer, TokenizerError};

use super::answer::{Teller, Wanted};
use super::model_text::{Chat, ModelText};
use crate::words;

/// What a model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ModelLimits {
    /// Longest prompt and answer together, in tokens.
    pub(crate) context_tokens: u32,
    /// Longest answer to a request that says nothing of it, in tokens.
    pub(crate) unasked_tokens: u32,
    /// Token ids are below this.
    pub(crate) vocabulary_size: u32,
}

impl ModelLimits {
    /// Of a model as it is placed: its cache may have less room than the model knows how to use.
    pub(crate) fn of(instance: &InstanceView) -> Self {
        Self {
            context_tokens: instance.context_tokens_max.min(instance.cache_tokens),
            unasked_tokens: u32::MAX,
            vocabulary_size: instance.vocabulary_size,
        }
    }
}

/// A request ready for rank 0, and what turns its tokens back.
pub(crate) struct Prepared {
    pub(crate) request: TokenRequest,
    pub(crate) teller: Teller,
}

/// Prepares a request. `model` is the model's own name, `unix_seconds` the time for templates that print it. Takes as
/// long as tokenizing takes: milliseconds for a long prompt; and with a grammar as compiling does.
pub(crate) fn prepare(
    ask: GenerateRequest,
    model: String,
    text: &ModelText,
    limits: ModelLimits,
    unix_seconds: i64,
) -> Result<Prepared, Failure> {
    let opening = opening(&ask.prompt, ask.grammar, text, unix_seconds)?;
    let prompt = opening.tokens;
    let context = ask.context_tokens.unwrap_or(u32::MAX);
    let limits = ModelLimits {
        context_tokens: limits.context_tokens.min(context),
        ..limits
    };
    check_vocabulary(&prompt, "prompt", limits)?;
    check_vocabulary(&ask.stop_tokens, "stop_token_ids", limits)?;
    if let Some(grammar) = &opening.grammar {
        check_grammar(grammar, &ask.prompt, &text.tokenizer)?;
    }
    let prediction = prediction(&ask.prediction, text, limits)?;
    let max_tokens = answer_tokens(prompt.len(), ask.max_tokens, limits)?;
    let mut stop_tokens = ask.stop_tokens;
    if !ask.ignore_eos {
        stop_tokens.extend(text.tokenizer.stop_tokens());
        stop_tokens.extend(opening.ends);
    }
    stop_tokens.sort_unstable();
    stop_tokens.dedup();
    let scored = ask.logprobs.is_some();
    let wanted = Wanted {
        model,
        echo: ask.echo.then(|| echo_of(&ask.prompt, &prompt, text)),
        scored,
    };
    let request = TokenRequest {
        id: ask.id,
        client: ask.standing.client,
        priority: ask.standing.priority,
        prompt,
        generated: Vec::new(),
        sampling: ask.sampling.or(&text.recommended),
        max_tokens,
        stop: ask.stop.clone(),
        stop_tokens,
        logprobs: ask.logprobs,
        prompt_logprobs: ask.echo && scored,
        grammar: opening.grammar,
        logit_bias: ask.logit_bias,
        pooling: None,
        prediction,
    };
    let stream = TextStream::new(text.tokenizer.clone(), ask.stop, opening.start);
    let teller = Teller::new(
        text.tokenizer.clone(),
        stream.showing(opening.marks),
        opening.parser,
        wanted,
        &request,
    );
    Ok(Prepared { request, teller })
}

/// What an answer goes on from, and how it is to be.
struct Opening {
    tokens: Vec<TokenId>,
    start: TextStart,
    /// Special tokens that are read as marks.
    marks: Vec<TokenId>,
    /// What tells what is said from the rest, in a conversation.
    parser: Option<AnswerParser>,
    grammar: Option<Grammar>,
    /// Tokens that end the answer, besides the model's own.
    ends: Vec<TokenId>,
}

fn opening(
    prompt: &Prompt,
    grammar: Option<Grammar>,
    text: &ModelText,
    unix_seconds: i64,
) -> Result<Opening, Failure> {
    let continuation = |tokens: Vec<TokenId>, grammar: Option<Grammar>| Opening {
        tokens,
        start: TextStart::Continuation,
        marks: Vec::new(),
        ends: Vec::new(),
        parser: None,
        grammar,
    };
    let opening = match prompt {
        Prompt::Chat(conversation) => {
            let chat = text.chat.as_ref().ok_or_else(no_template)?;
            of_conversation(conversation, chat, grammar.as_ref(), text, unix_seconds)?
        }
        Prompt::Templated {
            conversation,
            template,
        } => {
            let chat = text.chat_by(template)?;
            of_conversation(conversation, &chat, grammar.as_ref(), text, unix_seconds)?
        }
        Prompt::Text(words) => continuation(encode(words, Framing::Whole, text)?, grammar),
        Prompt::Tokens(tokens) => continuation(tokens.clone(), grammar),
        Prompt::Infill { prefix, suffix } => {
            let format = text.infill.as_ref().ok_or_else(no_infill)?;
            let tokens = format.prompt(&text.tokenizer, prefix, suffix);
            Opening {
                ends: format.ends().to_vec(),
                ..continuation(tokens.map_err(|error| not_encoded(&error))?, grammar)
            }
        }
    };
    if opening.tokens.is_empty() {
        let failure = Failure::new(ErrorCode::InvalidRequest, "the prompt has no tokens");
        return Err(failure.hint("send at least one").param("prompt"));
    }
    Ok(opening)
}

fn of_conversation(
    conversation: &Conversation,
    chat: &Chat,
    asked: Option<&Grammar>,
    text: &ModelText,
    unix_seconds: i64,
) -> Result<Opening, Failure> {
    let Chat { template, format } = chat;
    if conversation.must_think && !format.thinks() {
        return Err(no_thinking());
    }
    let rendered = template
        .render(&format.told(conversation), unix_seconds)
        .map_err(|error| not_rendered(&error))?;
    Ok(Opening {
        tokens: encode(&rendered, Framing::Bare, text)?,
        start: TextStart::OfText,
        marks: format.marks(),
        ends: format.ends().to_vec(),
        parser: Some(format.parser(conversation, &rendered)),
        grammar: format.grammar(conversation, asked, &rendered)?,
    })
}

fn encode(words: &str, framing: Framing, text: &ModelText) -> Result<Vec<TokenId>, Failure> {
    let tokens = text.tokenizer.encode(words, framing);
    tokens.map_err(|error| not_encoded(&error))
}

fn not_encoded(error: &TokenizerError) -> Failure {
    words::failure(ErrorCode::InvalidRequest, &error.to_string())
}

/// The tokens that an answer will probably have. Nothing is lost where it is longer than any answer but guesses.
fn prediction(words: &str, text: &ModelText, limits: ModelLimits) -> Result<Vec<TokenId>, Failure> {
    let mut tokens = encode(words, Framing::Bare, text)?;
    let most = TokenRequest::PREDICTION_TOKENS_MAX.min(limits.context_tokens as usize);
    tokens.truncate(most);
    check_vocabulary(&tokens, "prediction.content", limits)?;
    Ok(tokens)
}

/// The prompt as text: what the client wrote, where it wrote text.
fn echo_of(prompt: &Prompt, tokens: &[TokenId], text: &ModelText) -> String {
    match prompt {
        Prompt::Text(words) => words.clone(),
        Prompt::Infill { prefix, .. } => prefix.clone(),
        Prompt::Chat(_) | Prompt::Templated { .. } | Prompt::Tokens(_) => {
            text.tokenizer.decode(tokens)
        }
    }
}

/// Refuses tokens that the model does not know; `param` is where the client wrote them.
pub(super) fn check_vocabulary(
    tokens: &[TokenId],
    param: &str,
    limits: ModelLimits,
) -> Result<(), Failure> {
    let size = limits.vocabulary_size;
    if let Some(token) = tokens.iter().find(|token| **token >= size) {
        let message = format!("there is no token {token}: the vocabulary has {size}");
        let failure = Failure::new(ErrorCode::InvalidRequest, message).param(param);
        return Err(failure.hint("tokenize with this model's own tokenizer"));
    }
    Ok(())
}

/// A grammar that rank 0 could not obey is refused before it gets there.
fn check_grammar(grammar: &Grammar, prompt: &Prompt, tokenizer: &Tokenizer) -> Result<(), Failure> {
    let Err(error) = grammar::compile(tokenizer, grammar) else {
        return Ok(());
    };
    Err(bad_tool(prompt, tokenizer).unwrap_or_else(|| not_obeyed(&error)))
}

/// What is wrong with a tool whose arguments must be valid, if that is what is wrong.
fn bad_tool(prompt: &Prompt, tokenizer: &Tokenizer) -> Option<Failure> {
    let conversation = prompt.conversation()?;
    let strict = conversation.tools.iter().filter(|tool| tool.strict);
    let mut kept = conversation.must_call().chain(strict);
    kept.find_map(|tool| {
        let schema = Grammar::JsonSchema(tool.parameters.clone());
        let error = grammar::compile(tokenizer, &schema).err()?;
        let mut failure = not_obeyed(&error).param("tools");
        failure.message = format!("tool {:?}: {}", tool.name, failure.message);
        Some(failure)
    })
}

fn not_obeyed(error: &GrammarError) -> Failure {
    words::failure(ErrorCode::InvalidRequest, &error.to_string()).param("response_format")
}

/// How long the answer may become: as asked, or up to the end of the context.
fn answer_tokens(
    prompt_tokens: usize,
    asked: Option<u32>,
    limits: ModelLimits,
) -> Result<u32, Failure> {
    let context = limits.context_tokens;
    let room = u32::try_from(prompt_tokens)
        .ok()
        .and_then(|prompt| context.checked_sub(prompt));
    match (room, asked) {
        (Some(room), Some(GenerateRequest::TO_THE_END)) if room > 0 => Ok(room),
        (Some(room), Some(asked)) if asked <= room => Ok(asked),
        // Without a wish there must at least be room for one token.
        (Some(room), None) if room > 0 => Ok(room.min(limits.unasked_tokens)),
        (Some(_) | None, _) => {
            let message = match asked {
                Some(asked) if asked != GenerateRequest::TO_THE_END => format!(
                    "the prompt has {prompt_tokens} tokens and {asked} are asked for, but prompt and answer together have room for {context}"
                ),
                Some(_) | None => format!(
                    "the prompt has {prompt_tokens} tokens, but prompt and answer together have room for {context}"
                ),
            };
            let failure = Failure::new(ErrorCode::ContextTooLong, message);
            Err(failure.hint("shorten the prompt or ask for fewer tokens"))
        }
    }
}

fn no_template() -> Failure {
    Failure::new(
        ErrorCode::InvalidRequest,
        "this model has no chat template: it was not made for conversations",
    )
    .hint("use /v1/completions")
    .param("messages")
}

fn no_thinking() -> Failure {
    let message = "this model does not support thinking";
    Failure::new(ErrorCode::InvalidRequest, message)
        .hint("leave out think, or use a model that thinks")
        .param("think")
}

fn no_infill() -> Failure {
    let message = "this model does not support insert: it was not taught to fill in what belongs before a suffix";
    Failure::new(ErrorCode::InvalidRequest, message)
        .hint("leave out suffix, or use a model for code that has the marks for it")
        .param("suffix")
}

fn not_rendered(error: &RenderError) -> Failure {
    words::failure(ErrorCode::InvalidRequest, &error.to_string()).param("messages")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ModelLimits = ModelLimits {
        context_tokens: 100,
        unasked_tokens: u32::MAX,
        vocabulary_size: 50,
    };

    #[test]
    fn an_answer_fits_the_context() {
        assert_eq!(answer_tokens(60, None, LIMITS), Ok(40));
        let brief = ModelLimits {
            unasked_tokens: 3,
            ..LIMITS
        };
        assert_eq!(answer_tokens(60, None, brief), Ok(3));
        assert_eq!(answer_tokens(98, None, brief), Ok(2));
        assert_eq!(answer_tokens(60, Some(40), brief), Ok(40));
        assert_eq!(answer_tokens(60, Some(40), LIMITS), Ok(40));
        assert_eq!(answer_tokens(60, Some(0), LIMITS), Ok(0));
        assert_eq!(answer_tokens(100, Some(0), LIMITS), Ok(0));
        let all = Some(GenerateRequest::TO_THE_END);
        assert_eq!(answer_tokens(60, all, brief), Ok(40));
        for (prompt, asked) in [
            (100, all),
            (60, Some(41)),
            (100, None),
            (101, Some(0)),
            (usize::MAX, None),
        ] {
            let failure = answer_tokens(prompt, asked, LIMITS).unwrap_err();
            assert_eq!(failure.code, ErrorCode::ContextTooLong);
            assert!(failure.message.contains("100"), "{failure}");
        }
    }

    #[test]
    fn tokens_outside_the_vocabulary_are_refused_by_name() {
        assert!(check_vocabulary(&[0, 49], "prompt", LIMITS).is_ok());
        for token in [50, u32::MAX] {
            let failure = check_vocabulary(&[1, token], "stop_token_ids", LIMITS).unwrap_err();
            assert_eq!(failure.param.as_deref(), Some("stop_token_ids"));
        }
    }

    #[test]
    fn a_grammar_that_cannot_be_obeyed_is_refused_with_its_place() {
        let sprout = concat!(env!("ESPALIER_CHECKOUT"), "/engine/store/sprout");
        let tokenizer = Tokenizer::load(sprout.as_ref()).unwrap();
        let good = Grammar::JsonSchema(r#"{"type": "object"}"#.into());
        let prompt = Prompt::Tokens(Vec::new());
        assert_eq!(check_grammar(&good, &prompt, &tokenizer), Ok(()));
        for (bad, place) in [
            (
                Grammar::JsonSchema(r#"{"type": "objekt"}"#.into()),
                "objekt",
            ),
            (Grammar::Lark("start: a\nb: \"c\"".into()), "1(8)"),
        ] {
            let failure = check_grammar(&bad, &prompt, &tokenizer).unwrap_err();
            assert_eq!(failure.code, ErrorCode::InvalidRequest);
            assert_eq!(failure.param.as_deref(), Some("response_format"));
            assert!(failure.message.contains(place), "{failure}");
        }
    }
}
