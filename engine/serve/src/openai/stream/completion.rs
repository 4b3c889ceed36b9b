//! Plain completions: a choice for each prompt, in the order of the prompts.

use base::{GenerateEvent, Piece, ScoredToken};

use super::token::{TextOffset, add_completion_logprobs};
use super::{AnswerHead, Chunks, Whole, finish_reason};
use crate::openai::convert::Best;
use crate::openai::model::{
    CompletionAnswer, CompletionChoice, CompletionLogprobs, Head, UsageOut, UsageSlot,
};

/// What the client wants besides text.
#[derive(Debug, Clone, Copy)]
pub(in crate::openai) struct Extras {
    /// How many choices there are.
    pub(in crate::openai) choices: usize,
    /// How many of them in a row answer the same prompt.
    pub(in crate::openai) answers: usize,
    /// Alternatives with each token; `None` for no log-probabilities at all.
    pub(in crate::openai) logprobs: Option<u32>,
    /// Whether a stream ends with what it took.
    pub(in crate::openai) include_usage: bool,
    /// Which answers are given, if not all are; only of a whole answer.
    pub(in crate::openai) best: Option<Best>,
}

impl Extras {
    fn lists(&self) -> Option<CompletionLogprobs> {
        self.logprobs.map(|top| CompletionLogprobs {
            top_logprobs: (top > 0).then(Vec::new),
            ..CompletionLogprobs::default()
        })
    }

    fn add(
        &self,
        lists: &mut Option<CompletionLogprobs>,
        tokens: Vec<ScoredToken>,
        offset: &mut TextOffset,
    ) {
        if let (Some(lists), Some(top)) = (lists, self.logprobs) {
            add_completion_logprobs(lists, tokens, offset, top > 0);
        }
    }
}

/// Makes chunks.
pub(in crate::openai) struct CompletionStream {
    head: Head,
    extras: Extras,
    /// Of each prompt.
    offsets: Vec<TextOffset>,
    usage: UsageOut,
}

impl CompletionStream {
    pub(in crate::openai) fn new(head: AnswerHead, extras: Extras) -> Self {
        Self {
            head: head.head("text_completion"),
            extras,
            offsets: std::iter::repeat_with(TextOffset::default)
                .take(extras.choices)
                .collect(),
            usage: UsageOut::default(),
        }
    }

    fn chunk(
        &mut self,
        index: usize,
        text: String,
        tokens: Vec<ScoredToken>,
        end: Option<&'static str>,
    ) -> CompletionAnswer {
        let mut logprobs = self.extras.lists().filter(|_| !tokens.is_empty());
        self.extras
            .add(&mut logprobs, tokens, &mut self.offsets[index]);
        CompletionAnswer {
            head: self.head.clone(),
            choices: vec![CompletionChoice {
                text,
                index,
                logprobs,
                finish_reason: end,
            }],
            usage: UsageSlot::before_the_end(self.extras.include_usage),
        }
    }
}

impl Chunks for CompletionStream {
    type Chunk = CompletionAnswer;

    fn tell(&mut self, index: usize, event: GenerateEvent) -> Vec<CompletionAnswer> {
        match event {
            GenerateEvent::Started { model, .. } => {
                self.head.model = model;
                Vec::new()
            }
            GenerateEvent::Queued { .. } => Vec::new(),
            GenerateEvent::Prompt(prompt) => {
                vec![self.chunk(index, prompt.text, prompt.tokens, None)]
            }
            GenerateEvent::Delta { piece, tokens } => {
                let text = plain(piece);
                if text.is_empty() && tokens.is_empty() {
                    return Vec::new();
                }
                vec![self.chunk(index, text, tokens, None)]
            }
            GenerateEvent::Finished { reason, usage, .. } => {
                self.usage
                    .add_answer(usage, index % self.extras.answers.max(1));
                let end = Some(finish_reason(reason));
                vec![self.chunk(index, String::new(), Vec::new(), end)]
            }
        }
    }

    fn end(&mut self) -> Option<CompletionAnswer> {
        self.extras.include_usage.then(|| CompletionAnswer {
            head: self.head.clone(),
            choices: Vec::new(),
            usage: UsageSlot::Known(self.usage),
        })
    }
}

/// Makes a whole answer.
pub(in crate::openai) struct CompletionWhole {
    head: Head,
    extras: Extras,
    choices: Vec<(CompletionChoice, TextOffset)>,
    usage: UsageOut,
}

impl CompletionWhole {
    pub(in crate::openai) fn new(head: AnswerHead, extras: Extras) -> Self {
        let choice = |index| CompletionChoice {
            text: String::new(),
            index,
            logprobs: extras.lists(),
            finish_reason: None,
        };
        let choices = (0..extras.choices).map(|index| (choice(index), TextOffset::default()));
        Self {
            head: head.head("text_completion"),
            choices: choices.collect(),
            extras,
            usage: UsageOut::default(),
        }
    }
}

impl Whole for CompletionWhole {
    type Answer = CompletionAnswer;

    fn hear(&mut self, index: usize, event: GenerateEvent) {
        let (choice, offset) = &mut self.choices[index];
        let mut add = |text: &str, tokens| {
            choice.text.push_str(text);
            self.extras.add(&mut choice.logprobs, tokens, offset);
        };
        match event {
            GenerateEvent::Started { model, .. } => self.head.model = model,
            GenerateEvent::Queued { .. } => {}
            GenerateEvent::Prompt(prompt) => add(&prompt.text, prompt.tokens),
            GenerateEvent::Delta { piece, tokens } => add(&plain(piece), tokens),
            GenerateEvent::Finished { reason, usage, .. } => {
                choice.finish_reason = Some(finish_reason(reason));
                self.usage
                    .add_answer(usage, index % self.extras.answers.max(1));
            }
        }
    }

    fn answer(self) -> CompletionAnswer {
        let mut choices: Vec<CompletionChoice> =
            self.choices.into_iter().map(|(choice, _)| choice).collect();
        if let Some(best) = self.extras.best {
            choices = likeliest(choices, self.extras.answers, best);
        }
        CompletionAnswer {
            head: self.head,
            choices,
            usage: UsageSlot::Known(self.usage),
        }
    }
}

/// Of every `answers` in a row the best, and numbered anew.
fn likeliest(choices: Vec<CompletionChoice>, answers: usize, best: Best) -> Vec<CompletionChoice> {
    let mut given: Vec<CompletionChoice> = Vec::new();
    let mut rest = choices;
    while !rest.is_empty() {
        let after = rest.split_off(answers.clamp(1, rest.len()));
        rest.sort_by(|one, other| likelihood(other).total_cmp(&likelihood(one)));
        given.extend(rest.into_iter().take(best.given));
        rest = after;
    }
    for (index, choice) in given.iter_mut().enumerate() {
        choice.index = index;
        choice.logprobs = choice.logprobs.take().filter(|_| best.scored);
    }
    given
}

/// The log-probability of an answer for each of its tokens.
fn likelihood(choice: &CompletionChoice) -> f32 {
    let tokens = choice
        .logprobs
        .iter()
        .flat_map(|lists| &lists.token_logprobs);
    let (mut sum, mut count) = (0.0, 0);
    for logprob in tokens.flatten() {
        sum += logprob;
        count += 1;
    }
    if count == 0 {
        f32::MIN
    } else {
        sum / count as f32
    }
}

/// The text of a plain completion, which has nothing else.
fn plain(piece: Piece) -> String {
    match piece {
        Piece::Text(text) | Piece::Reasoning(text) => text,
        Piece::ToolCall { .. } | Piece::Arguments { .. } => String::new(),
    }
}
