//! How a command fails: one line for a person, a hint, an exit code for a script.

use std::fmt;

use base::Failure;

/// Why a command did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CommandFailure {
    /// There is no node to talk to.
    NoNode {
        /// The port that was tried.
        port: u16,
    },
    /// Anything else.
    Other {
        /// What happened.
        message: String,
        /// What to do next.
        hint: Option<String>,
    },
}

impl CommandFailure {
    pub(crate) fn other(message: impl Into<String>) -> Self {
        Self::Other {
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn with_hint(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Other {
            message: message.into(),
            hint: Some(hint.into()),
        }
    }

    /// 2 is what clap exits with when it did not understand.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::NoNode { .. } => 3,
            Self::Other { .. } => 1,
        }
    }
}

impl From<Failure> for CommandFailure {
    fn from(failure: Failure) -> Self {
        Self::Other {
            message: failure.message,
            hint: failure.hint,
        }
    }
}

impl fmt::Display for CommandFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNode { port } => write!(
                f,
                "no node answers on 127.0.0.1:{port}\nhint: start one with `espalier serve`, or name its port with --port"
            ),
            Self::Other { message, hint } => match hint {
                Some(hint) => write!(f, "{message}\nhint: {hint}"),
                None => f.write_str(message),
            },
        }
    }
}
