//! How the families of models write the calls of tools: marks and their order, as data. Reading, writing and grammars
//! all go by it.
//!
//! Which one a model writes is seen in its template, because a template renders the calls of earlier turns. A family that
//! is to be added is one file here and one line in [`FAMILIES`].

mod deepseek;
mod dsml;
mod glm;
mod harmony;
mod hermes;
mod kimi;
mod llama;
mod minimax;
mod mistral;
mod qwen_coder;
mod seed;

pub use harmony::{Heading, heading};
pub use hermes::{HERMES, nothing};

/// How calls are written.
#[derive(Debug)]
pub struct Syntax {
    /// Words that are all in a template which renders such calls.
    pub shown_by: &'static [&'static str],
    /// Around all calls of an answer.
    pub section: Option<Pair>,
    /// Around each call. Without a closing mark a call ends with its JSON.
    pub call: Pair,
    /// What is between.
    pub body: Body,
    /// Between two calls.
    pub gap: &'static str,
    /// Between the marks of the section and the calls in it.
    pub section_break: &'static str,
    /// White space and these stand between calls without a meaning.
    pub separators: &'static str,
    /// Where JSON alone is a call.
    pub bare: Bare,
    /// A call ends what is thought, though nothing says that it is over.
    pub ends_thought: bool,
    /// Marks within calls that are tokens of some tokenizers.
    pub tokens: &'static [&'static str],
    /// Special tokens that end an answer, whether or not the model's configuration says so.
    pub ends: &'static [&'static str],
}

/// What stands before and after something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// Before.
    pub open: &'static str,
    /// After; often empty.
    pub close: &'static str,
}

/// What stands between the marks of a call.
#[derive(Debug)]
pub enum Body {
    /// The arguments are JSON.
    Json {
        /// What is written around the arguments, marks and all; `$name` stands for the tool's name, `$index` for the call's number.
        written: Pair,
        /// What is before the first brace.
        head: fn(&str) -> Head<'_>,
    },
    /// Each argument has tags of its own.
    Tagged(Tags),
    /// Parts of an answer have headings, which say whom they are for; so a call ends the answer.
    Headed {
        /// As above.
        written: Pair,
    },
}

/// What the text before the first brace of a call says, when it is whole or while it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head<'a> {
    /// The name: the brace begins the arguments.
    Name(&'a str),
    /// Nothing: the brace begins an object that has name and arguments.
    Object,
    /// More must come first.
    Open,
    /// It is no call.
    None,
}

/// Arguments between tags.
#[derive(Debug)]
pub struct Tags {
    /// Around the tool's name. Without a closing mark it ends where its line or the next tag does.
    pub name: Pair,
    /// Around an argument's name.
    pub key: Pair,
    /// Around its value.
    pub value: Pair,
    /// After the last argument, before the call's own mark.
    pub end: &'static str,
    /// A line break after the opening and before the closing tag of a value is not part of it.
    pub is_padded: bool,
    /// The opening tag says whether a value is text.
    pub says_kind: bool,
    /// White space that is written after the name, after a key and after a value.
    pub breaks: [&'static str; 3],
}

/// Where JSON alone is a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bare {
    /// Nowhere.
    Never,
    /// After another call.
    AfterCall,
    /// There, and at the beginning of an answer.
    AtEdges,
}

/// Those that are known, the more special before the more general.
const FAMILIES: [&Syntax; 14] = [
    &harmony::HARMONY,
    &dsml::DEEPSEEK_V3_2,
    &dsml::DEEPSEEK_V4,
    &deepseek::DEEPSEEK_V3,
    &deepseek::DEEPSEEK_V3_1,
    &kimi::KIMI,
    &minimax::MINIMAX,
    &seed::SEED,
    &glm::GLM,
    &qwen_coder::QWEN_CODER,
    &mistral::MISTRAL,
    &mistral::MISTRAL_LIST,
    &hermes::HERMES,
    &llama::LLAMA,
];

impl Syntax {
    /// Those that a template may show, the likeliest first.
    pub fn shown_in(source: &str) -> impl Iterator<Item = &'static Self> {
        let shown = |syntax: &&Self| syntax.shown_by.iter().all(|word| source.contains(word));
        FAMILIES.into_iter().filter(shown)
    }

    /// Whether a character between calls means nothing.
    pub fn is_gap(&self, character: char) -> bool {
        character.is_whitespace() || self.separators.contains(character)
    }

    /// All its marks.
    pub fn marks(&self) -> Vec<&'static str> {
        let mut marks = self.tokens.to_vec();
        marks.extend([self.call.open, self.call.close]);
        marks.extend(self.section.iter().flat_map(|pair| [pair.open, pair.close]));
        if let Body::Tagged(tags) = &self.body {
            let pairs = [tags.name, tags.key, tags.value];
            marks.extend(pairs.iter().flat_map(|pair| [pair.open, pair.close]));
            marks.push(tags.end);
        }
        marks.retain(|mark| !mark.is_empty());
        marks
    }
}
