//! What went wrong, in the words of the user. Each API dialect has its own envelope around it.

use std::fmt;
use std::time::Duration;

/// The kind of a failure. One table in `serve` turns it into an HTTP status; nobody matches on messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The request is malformed or asks for what cannot be.
    InvalidRequest,
    /// The prompt and the answer asked for do not fit the model's context.
    ContextTooLong,
    /// No such model here.
    ModelNotFound,
    /// The model's architecture or format is not supported.
    ModelUnsupported,
    /// A file of the model is missing, truncated or contradicts another.
    ModelDamaged,
    /// No placement fits the memory of the nodes that are here.
    NotEnoughMemory,
    /// The sharding asked for is impossible for this model or this number of nodes.
    PlacementImpossible,
    /// The caller is not a member or not allowed.
    Forbidden,
    /// No such thing (route, instance, node).
    NotFound,
    /// The route exists, the method does not.
    MethodNotAllowed,
    /// The body or frame is larger than the cap.
    TooLarge,
    /// The queue is full; try again later.
    Overloaded,
    /// Something that should have answered did not in time.
    TimedOut,
    /// A worker or node was lost and could not be replaced.
    WorkerLost,
    /// The client or the operator cancelled it.
    Cancelled,
    /// A defect of ours.
    Internal,
    /// Who asks from elsewhere has to show a key, and has none that counts.
    Unauthenticated,
}

impl ErrorCode {
    /// Every code, in declaration order. The position of a code is its number on the wire.
    pub const ALL: [Self; 17] = [
        Self::InvalidRequest,
        Self::ContextTooLong,
        Self::ModelNotFound,
        Self::ModelUnsupported,
        Self::ModelDamaged,
        Self::NotEnoughMemory,
        Self::PlacementImpossible,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::TooLarge,
        Self::Overloaded,
        Self::TimedOut,
        Self::WorkerLost,
        Self::Cancelled,
        Self::Internal,
        Self::Unauthenticated,
    ];

    /// The stable `snake_case` name that JSON carries.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::ContextTooLong => "context_length_exceeded",
            Self::ModelNotFound => "model_not_found",
            Self::ModelUnsupported => "model_unsupported",
            Self::ModelDamaged => "model_damaged",
            Self::NotEnoughMemory => "not_enough_memory",
            Self::PlacementImpossible => "placement_impossible",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::TooLarge => "too_large",
            Self::Overloaded => "overloaded",
            Self::TimedOut => "timed_out",
            Self::WorkerLost => "worker_lost",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal_error",
            Self::Unauthenticated => "invalid_api_key",
        }
    }
}

/// A failure that reaches a user: what happened, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The kind.
    pub code: ErrorCode,
    /// What happened, one sentence without a final stop.
    pub message: String,
    /// What to do next, one sentence without a final stop.
    pub hint: Option<String>,
    /// The request field at fault, for example `messages[0].role`.
    pub param: Option<String>,
    /// When it is worth trying again, if that is known.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
            param: None,
            retry_after: None,
        }
    }

    /// The same failure with what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same failure with the request field at fault.
    #[must_use]
    pub fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// The same failure with when it is worth trying again.
    #[must_use]
    pub fn retry_after(mut self, pause: Duration) -> Self {
        self.retry_after = Some(pause);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " (hint: {hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}
