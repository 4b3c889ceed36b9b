//! What is said to a model: turns, the tools it may call, how much it should think.

/// A conversation that the model is to go on with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conversation {
    /// The turns so far, oldest first.
    pub messages: Vec<Message>,
    /// What the model may call.
    pub tools: Vec<Tool>,
    /// Whether it must.
    pub tool_choice: ToolChoice,
    /// Whether it may make several calls in one answer.
    pub parallel_tool_calls: bool,
    /// How much it thinks before it answers; `None` leaves it to the model. Models that cannot be told ignore it.
    pub effort: Option<Effort>,
    /// Whether a model that does not think refuses.
    pub must_think: bool,
}

impl Conversation {
    /// The tools of which one must be called; none where the model may choose not to.
    pub fn must_call(&self) -> impl Iterator<Item = &Tool> {
        self.tools.iter().filter(|tool| match &self.tool_choice {
            ToolChoice::Auto | ToolChoice::None => false,
            ToolChoice::Required => true,
            ToolChoice::Named(name) => tool.name == *name,
        })
    }
}

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
    /// What the model thought before; only of [`Role::Assistant`]. Empty if nothing is known of it.
    pub reasoning: String,
    /// What it called; only of [`Role::Assistant`].
    pub tool_calls: Vec<ToolCall>,
    /// Which call this answers; only of [`Role::Tool`].
    pub tool_call_id: Option<String>,
    /// The speaker's name, or that of the tool.
    pub name: Option<String>,
}

impl Message {
    /// A turn of plain words.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self {
            role,
            content: content.into(),
            reasoning: String::new(),
            tool_calls: Vec::new(),
            tool_call_id: None,
            name: None,
        }
    }
}

/// Who speaks in a [`Message`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Instructions (`developer` counts as this).
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// What a tool that the model called gave back.
    Tool,
}

/// Something that the model may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// Its name: letters, digits, `_`, `-` and `.`, 1 to 128 of them.
    pub name: String,
    /// What it does, for the model.
    pub description: Option<String>,
    /// A JSON Schema of its arguments: the text of a JSON object.
    pub parameters: String,
    /// Whether arguments that the schema does not allow must be impossible, even where the model may choose to call.
    pub strict: bool,
}

/// A call that the model made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// Names the call in the tool's answer.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The text of a JSON object.
    pub arguments: String,
}

/// Whether the model calls a tool.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ToolChoice {
    /// As it sees fit.
    #[default]
    Auto,
    /// It does not.
    None,
    /// It calls at least one.
    Required,
    /// It calls this one.
    Named(String),
}

/// How much a model thinks before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Not at all.
    Off,
    /// A little.
    Low,
    /// As its makers think right.
    Medium,
    /// A lot.
    High,
}

/// What an answer's text must be. Whatever the model wanted to say, nothing else can come out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grammar {
    /// JSON that is valid under this JSON Schema, given as text.
    JsonSchema(String),
    /// What this regular expression matches as a whole, in the syntax of Rust's `regex` crate.
    Regex(String),
    /// What this grammar derives, in `llguidance`'s variant of Lark's syntax.
    Lark(String),
}
