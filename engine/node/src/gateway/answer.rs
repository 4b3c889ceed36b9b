//! From tokens to what a client is told: text, log-probabilities, the echoed prompt, the end.

use std::collections::VecDeque;
use std::sync::Arc;

use base::{
    EchoedPrompt, Failure, FinishReason, GenerateEvent, Piece, ScoredToken, TokenEvent, TokenId,
    TokenLogprob, Usage,
};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use text::answer::AnswerParser;
use text::{TextStream, Tokenizer};

use super::generation::Generation;

/// What of an answer the client wants to see.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// The model's own name.
    pub(crate) model: String,
    /// The prompt as text, if it is to be given back.
    pub(crate) echo: Option<String>,
    /// Tokens with their log-probabilities.
    pub(crate) scored: bool,
}

/// Turns the events of one request into events for the client. Pure.
pub(crate) struct Teller {
    tokenizer: Arc<Tokenizer>,
    text: Option<TextStream>,
    /// Tells what is said from what is thought and called; without it all is said.
    parser: Option<AnswerParser>,
    wanted: Wanted,
    prompt: Vec<TokenId>,
    stop_tokens: Vec<TokenId>,
    /// The prompt's tokens so far, while they are collected.
    echoed: Vec<ScoredToken>,
    /// Tokens of the prompt that were computed before.
    recalled: u32,
    generated: u32,
    /// Those of them that the model thought.
    reasoned: u32,
    /// Tokens of the prediction that were right, and those that were not.
    predicted: [u32; 2],
}

impl Teller {
    /// For a request that was just made: `text` is fresh, and the stop tokens are those that the worker obeys.
    pub(crate) fn new(
        tokenizer: Arc<Tokenizer>,
        text: TextStream,
        parser: Option<AnswerParser>,
        wanted: Wanted,
        request: &base::TokenRequest,
    ) -> Self {
        Self {
            tokenizer,
            text: Some(text),
            parser,
            wanted,
            prompt: request.prompt.clone(),
            stop_tokens: request.stop_tokens.clone(),
            echoed: Vec::new(),
            recalled: 0,
            generated: 0,
            reasoned: 0,
            predicted: [0, 0],
        }
    }

    /// What is known before anything is computed.
    pub(crate) fn begin(&mut self) -> Vec<GenerateEvent> {
        let mut events = vec![GenerateEvent::Started {
            model: self.wanted.model.clone(),
            prompt_tokens: self.prompt.len() as u32,
        }];
        let first = self.prompt.first().copied();
        match (&self.wanted.echo, self.wanted.scored, first) {
            (Some(_), true, Some(token)) => {
                // No token comes before the first, so nothing says how likely it is.
                self.echoed.push(ScoredToken {
                    token,
                    bytes: self.tokenizer.bytes_of(token).to_vec(),
                    logprob: None,
                    top: Vec::new(),
                });
                events.extend(self.echo_if_whole());
            }
            (Some(text), _, _) => events.push(GenerateEvent::Prompt(EchoedPrompt {
                text: text.clone(),
                tokens: Vec::new(),
            })),
            (None, _, _) => {}
        }
        events
    }

    /// What an event of the worker tells the client; the last one is `Finished`, and after it nothing more is asked.
    pub(crate) fn tell(&mut self, event: TokenEvent) -> Result<Vec<GenerateEvent>, Failure> {
        match event {
            TokenEvent::Recalled { tokens } => {
                self.recalled = tokens;
                Ok(Vec::new())
            }
            TokenEvent::Predicted { accepted, rejected } => {
                for (sum, more) in self.predicted.iter_mut().zip([accepted, rejected]) {
                    *sum = sum.saturating_add(more);
                }
                Ok(Vec::new())
            }
            TokenEvent::Prompt(scored) => {
                if self.wanted.echo.is_some() && self.wanted.scored {
                    let scored = scored.into_iter().map(|one| self.scored(one));
                    let scored: Vec<ScoredToken> = scored.collect();
                    self.echoed.extend(scored);
                }
                Ok(self.echo_if_whole().into_iter().collect())
            }
            TokenEvent::Token { token, logprob } => Ok(self.token(token, logprob)),
            TokenEvent::Accepted { position } => Ok(vec![GenerateEvent::Queued { position }]),
            // A vector is not asked for here.
            TokenEvent::Embedding(_) => Ok(Vec::new()),
            TokenEvent::Finished(reason) => Ok(self.finish(reason)),
            TokenEvent::Failed(failure) => Err(failure),
        }
    }

    fn token(&mut self, token: TokenId, logprob: Option<TokenLogprob>) -> Vec<GenerateEvent> {
        self.generated += 1;
        if self.stop_tokens.contains(&token) {
            // It ends the answer and is no part of it; `Finished` follows.
            return Vec::new();
        }
        let Some(text) = &mut self.text else {
            return Vec::new();
        };
        let added = text.push(token);
        let tokens: Vec<ScoredToken> = match logprob {
            Some(logprob) if self.wanted.scored => vec![self.scored(logprob)],
            Some(_) | None => Vec::new(),
        };
        let thought_before = self.is_reasoning();
        let pieces = self.pieces(added.text);
        self.reasoned += u32::from(thought_before || self.is_reasoning());
        let mut events = deltas(pieces, tokens);
        let called = self.parser.as_ref().is_some_and(AnswerParser::is_over);
        if added.stopped || called {
            // The worker sees the same stop string and says so; there is no need to wait for it.
            events.extend(self.finish(FinishReason::Stop));
        }
        events
    }

    fn is_reasoning(&self) -> bool {
        self.parser.as_ref().is_some_and(AnswerParser::is_reasoning)
    }

    fn pieces(&mut self, text: String) -> Vec<Piece> {
        match &mut self.parser {
            Some(parser) => parser.push(&text),
            None => vec![Piece::Text(text)],
        }
    }

    fn finish(&mut self, reason: FinishReason) -> Vec<GenerateEvent> {
        let mut stop = None;
        let mut pieces = Vec::new();
        if let Some(text) = self.text.take() {
            stop = text.stop().map(str::to_owned);
            pieces = self.pieces(text.finish());
        }
        let held = self.parser.take().map(AnswerParser::finish);
        pieces.extend(held.unwrap_or_default());
        let mut events = deltas(pieces, Vec::new());
        let [accepted, rejected] = self.predicted;
        events.push(GenerateEvent::Finished {
            reason,
            stop,
            usage: Usage {
                prompt_tokens: self.prompt.len() as u32,
                cached_tokens: self.recalled,
                completion_tokens: self.generated,
                reasoning_tokens: self.reasoned,
                accepted_prediction_tokens: accepted,
                rejected_prediction_tokens: rejected,
            },
        });
        events
    }

    fn echo_if_whole(&mut self) -> Option<GenerateEvent> {
        let whole = !self.echoed.is_empty() && self.echoed.len() == self.prompt.len();
        let text = self.wanted.echo.clone().filter(|_| whole)?;
        Some(GenerateEvent::Prompt(EchoedPrompt {
            text,
            tokens: std::mem::take(&mut self.echoed),
        }))
    }

    fn scored(&self, scored: TokenLogprob) -> ScoredToken {
        let bytes = |token: TokenId| self.tokenizer.bytes_of(token).to_vec();
        let top = scored.top.into_iter();
        ScoredToken {
            token: scored.token,
            bytes: bytes(scored.token),
            logprob: Some(scored.logprob),
            top: top
                .map(|(token, logprob)| (token, bytes(token), logprob))
                .collect(),
        }
    }
}

/// What pieces tell, the tokens behind them with the first.
fn deltas(pieces: Vec<Piece>, tokens: Vec<ScoredToken>) -> Vec<GenerateEvent> {
    let mut pieces: Vec<Piece> = pieces
        .into_iter()
        .filter(|piece| !is_empty(piece))
        .collect();
    if pieces.is_empty() && !tokens.is_empty() {
        pieces.push(Piece::Text(String::new()));
    }
    let mut tokens = Some(tokens);
    let delta = |piece| GenerateEvent::Delta {
        piece,
        tokens: tokens.take().unwrap_or_default(),
    };
    pieces.into_iter().map(delta).collect()
}

fn is_empty(piece: &Piece) -> bool {
    match piece {
        Piece::Text(text) | Piece::Reasoning(text) | Piece::Arguments { text, .. } => {
            text.is_empty()
        }
        Piece::ToolCall { .. } => false,
    }
}

/// The client's stream. Dropping it cancels the generation.
pub(crate) fn answer(
    generation: Generation,
    mut teller: Teller,
) -> BoxStream<'static, Result<GenerateEvent, Failure>> {
    let answer = Answer {
        pending: teller.begin().into(),
        generation,
        teller,
        over: false,
    };
    stream::unfold(answer, |mut answer| async move {
        let event = answer.next().await?;
        Some((event, answer))
    })
    .boxed()
}

struct Answer {
    generation: Generation,
    teller: Teller,
    pending: VecDeque<GenerateEvent>,
    over: bool,
}

impl Answer {
    async fn next(&mut self) -> Option<Result<GenerateEvent, Failure>> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                self.over |= matches!(event, GenerateEvent::Finished { .. });
                return Some(Ok(event));
            }
            if self.over {
                return None;
            }
            let event = self.generation.next().await;
            match self.teller.tell(event) {
                Ok(events) => self.pending.extend(events),
                Err(failure) => {
                    self.over = true;
                    return Some(Err(failure));
                }
            }
        }
    }
}
