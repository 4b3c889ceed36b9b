//! What goes wrong in a worker, in the words of the user.

use base::{ErrorCode, Failure};
use infer::BackendError;
use models::{GroupError, LoadError};

/// The node said something that it must not say.
pub fn protocol(what: &str) -> Failure {
    Failure::new(
        ErrorCode::Internal,
        format!("the worker was told something it does not understand: {what}"),
    )
    .hint("the node and its worker are of different versions; install Espalier again")
}

/// The link to another rank is of no use.
pub fn link(what: impl std::fmt::Display) -> Failure {
    Failure::new(
        ErrorCode::WorkerLost,
        format!("the link between the model's workers failed: {what}"),
    )
}

/// A model could not be read.
pub fn load(error: &LoadError) -> Failure {
    let (code, hint) = match error {
        LoadError::File { .. } | LoadError::Damaged { .. } | LoadError::Tensor { .. } => (
            ErrorCode::ModelDamaged,
            "download the model again, or copy it whole from another machine",
        ),
        LoadError::Unsupported(_) => (
            ErrorCode::ModelUnsupported,
            "choose a model of a supported architecture",
        ),
        LoadError::Shard(_) => (
            ErrorCode::PlacementImpossible,
            "choose another sharding or another number of nodes",
        ),
        LoadError::Device(_) => (
            ErrorCode::NotEnoughMemory,
            "close other programs, or spread the model over more nodes",
        ),
    };
    Failure::new(code, error.to_string()).hint(hint)
}

/// The same of a model that was to draft.
pub fn draft(failure: &Failure) -> Failure {
    let mut failure = failure.clone();
    failure.message = format!("the draft model: {}", failure.message);
    failure
}

/// A draft model must forget what was wrong.
pub fn keeps_a_state() -> Failure {
    Failure::new(
        ErrorCode::ModelUnsupported,
        "the draft model keeps a state, which takes no wrong guess back",
    )
    .hint("open the model with another draft model, or without one")
}

/// The group of ranks could not be made.
pub fn group(error: &GroupError) -> Failure {
    Failure::new(ErrorCode::WorkerLost, error.to_string())
}

/// A step failed.
pub fn step(error: &BackendError) -> Failure {
    let code = match error {
        BackendError::Plan(_) | BackendError::Device(_) => ErrorCode::Internal,
        BackendError::Group(_) => ErrorCode::WorkerLost,
    };
    Failure::new(code, error.to_string())
}
