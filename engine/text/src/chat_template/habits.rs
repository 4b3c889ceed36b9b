//! How a template wants a conversation to be, found out by giving it small ones: templates differ in what they take, and
//! say so by failing, or by leaving out what they do not know.

use base::{Conversation, Effort, Message, Role, Tool, ToolCall};

use super::ChatTemplate;

/// What a template does with a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Habits {
    /// It says what tools there are.
    pub tools: bool,
    /// How it takes the calls of earlier turns; `None` if it does not.
    pub calls: Option<CallHabits>,
    /// It takes messages of the system.
    pub(super) has_system: bool,
    /// Where it looks for what was thought.
    pub(super) thoughts: Thoughts,
    /// What it calls no effort at all.
    pub(super) no_effort: Option<&'static str>,
}

/// How a template takes calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallHabits {
    /// Arguments as text instead of an object.
    pub(super) is_text: bool,
    /// Without words the content is null.
    pub(super) is_content_null: bool,
    /// Not more than one in a turn.
    pub(super) is_one_a_turn: bool,
    pub(super) ids: Ids,
}

/// Ids of calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Ids {
    /// As they are.
    #[default]
    Any,
    /// Nine letters and digits.
    Nine,
    /// The tool's name and a number, counted through the conversation.
    Counted,
    /// The same, counted through each turn.
    CountedByTurn,
}

/// What a message says of what was thought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thoughts {
    /// A field of its own.
    Field(&'static str),
    /// The same, but a call comes with thoughts or with words, not with both.
    InsteadOfContent(&'static str),
    /// A part of the content.
    Block,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            tools: false,
            calls: None,
            has_system: true,
            thoughts: Thoughts::Field("reasoning_content"),
            no_effort: None,
        }
    }
}

/// Words that no template has.
const WORD: &str = "quorvex";
/// The tool that is called in examples.
pub const CALLED: &str = "zelbar";
const OTHER: &str = "dumfrin";
const KEY: &str = "plinth_q";
const ID: &str = "functions.zelbar:7";

impl Habits {
    /// Those of a template.
    pub(super) fn of(template: &ChatTemplate) -> Self {
        let probe = Probe(template);
        let mut habits = Self::default();
        if !probe.shows(&habits, &[system(), user()], &[WORD]) {
            let without = Self {
                has_system: false,
                ..habits
            };
            habits.has_system = !probe.shows(&without, &[system(), user()], &[WORD]);
        }
        let source = template.source();
        let quoted = |word: &str| {
            source.contains(&format!("'{word}'")) || source.contains(&format!("\"{word}\""))
        };
        habits.tools = probe.shows_tools(&habits);
        habits.calls = probe.calls(habits, &source);
        habits.thoughts = probe.thoughts(habits);
        if source.contains("reasoning_effort") {
            let words = ["no_think", "none", "minimal"];
            let shown = words.into_iter().find(|word| quoted(word));
            habits.no_effort = shown.or(probe.cannot_stop(&habits).then_some("low"));
        }
        habits
    }

    /// What it calls an amount of thinking; nothing where its own default is meant.
    pub(super) fn effort_name(&self, effort: Effort) -> Option<&'static str> {
        match effort {
            Effort::Off => self.no_effort,
            Effort::Low => Some("low"),
            Effort::Medium => None,
            Effort::High => Some("high"),
        }
    }
}

/// See [`ChatTemplate::example`].
pub fn example(template: &ChatTemplate) -> Option<String> {
    let conversation = Conversation {
        messages: vec![user(), calling(&[CALLED]), result(ID)],
        ..Conversation::default()
    };
    template.render(&conversation, 0).ok()
}

/// A template that is asked.
struct Probe<'a>(&'a ChatTemplate);

impl Probe<'_> {
    fn render(&self, habits: &Habits, conversation: &Conversation) -> Option<String> {
        self.0.render_as(conversation, habits, 0).ok()
    }

    /// Whether all words are in what it makes of messages.
    fn shows(&self, habits: &Habits, messages: &[Message], words: &[&str]) -> bool {
        let conversation = Conversation {
            messages: messages.to_vec(),
            ..Conversation::default()
        };
        let rendered = self.render(habits, &conversation);
        rendered.is_some_and(|text| words.iter().all(|word| text.contains(word)))
    }

    fn shows_tools(&self, habits: &Habits) -> bool {
        let conversation = Conversation {
            messages: vec![user()],
            tools: vec![tool()],
            ..Conversation::default()
        };
        let rendered = self.render(habits, &conversation);
        rendered.is_some_and(|text| text.contains(CALLED) && text.contains(KEY))
    }

    /// Whether it thinks though it was told not to.
    fn cannot_stop(&self, habits: &Habits) -> bool {
        let told = |effort: Option<Effort>| Conversation {
            messages: vec![user()],
            effort,
            ..Conversation::default()
        };
        self.render(habits, &told(Some(Effort::Off))) == self.render(habits, &told(None))
    }

    fn calls(&self, habits: Habits, source: &str) -> Option<CallHabits> {
        let one = [user(), calling(&[CALLED]), result(ID)];
        let tried = |is_text: bool, is_content_null: bool, ids: Ids| CallHabits {
            is_text,
            is_content_null,
            is_one_a_turn: false,
            ids,
        };
        let ways = [Ids::Any, Ids::Nine].into_iter().flat_map(|ids| {
            [(false, false), (false, true), (true, false), (true, true)]
                .map(|(is_text, is_null)| tried(is_text, is_null, ids))
        });
        let with = |calls: CallHabits| Self::with(habits, calls);
        let mut found = ways.into_iter().find(|calls| {
            let shown = self.shows(&with(*calls), &one, &[CALLED, KEY, WORD]);
            // Neither text within text nor an object as Python prints it.
            let garbled = ["\\\"", "'plinth_q'"];
            shown
                && !garbled
                    .iter()
                    .any(|word| self.shows(&with(*calls), &one, &[word]))
        })?;
        let two = [user(), calling(&[CALLED, OTHER]), result(ID), result("b")];
        found.is_one_a_turn = !self.shows(&with(found), &two, &[CALLED, OTHER]);
        if source.contains("functions.") && source.contains("tool_call_argument_begin") {
            // It counts by itself, or takes what it is given.
            let counts = self.shows(&with(found), &one, &["functions.zelbar:0", ID]);
            found.ids = if counts {
                Ids::CountedByTurn
            } else {
                Ids::Counted
            };
        }
        Some(found)
    }

    fn with(habits: Habits, calls: CallHabits) -> Habits {
        Habits {
            calls: Some(calls),
            ..habits
        }
    }

    fn thoughts(&self, habits: Habits) -> Thoughts {
        let mut thinking = calling(&[CALLED]);
        thinking.reasoning.push_str("brintel");
        let mut both = thinking.clone();
        both.content.push_str("words");
        let ways = ["reasoning_content", "thinking", "reasoning"].map(Thoughts::Field);
        let mut ways = ways.into_iter().chain([Thoughts::Block]);
        let with = |thoughts: Thoughts| Habits { thoughts, ..habits };
        let shown = |thoughts: &Thoughts| {
            let conversation = [user(), thinking.clone(), result(ID)];
            self.shows(&with(*thoughts), &conversation, &["brintel"])
                // A part of the content that is not understood is printed as it is.
                && !self.shows(&with(*thoughts), &conversation, &["type", "brintel"])
        };
        match ways.find(shown) {
            Some(Thoughts::Field(field))
                if !self.shows(
                    &with(Thoughts::Field(field)),
                    &[user(), both, result(ID)],
                    &["brintel"],
                ) =>
            {
                Thoughts::InsteadOfContent(field)
            }
            Some(thoughts) => thoughts,
            None => habits.thoughts,
        }
    }
}

fn system() -> Message {
    Message::new(Role::System, WORD)
}

fn user() -> Message {
    Message::new(Role::User, "Hi")
}

fn calling(names: &[&str]) -> Message {
    let mut message = Message::new(Role::Assistant, "");
    let ids = [ID, "b"];
    let calls = names.iter().zip(ids).map(|(name, id)| ToolCall {
        id: id.to_owned(),
        name: (*name).to_owned(),
        arguments: format!("{{\"{KEY}\": \"v\"}}"),
    });
    message.tool_calls = calls.collect();
    message
}

fn result(id: &str) -> Message {
    let mut message = Message::new(Role::Tool, WORD);
    message.tool_call_id = Some(id.to_owned());
    message
}

fn tool() -> Tool {
    Tool {
        name: CALLED.to_owned(),
        description: Some("It does.".to_owned()),
        parameters: format!(
            r#"{{"type": "object", "properties": {{"{KEY}": {{"type": "string", "description": "One."}}}}, "required": ["{KEY}"]}}"#
        ),
        strict: false,
    }
}
