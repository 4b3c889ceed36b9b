//! What can go wrong before the first step: reading a model's files, and joining the group of ranks.

use std::path::PathBuf;

/// A model's folder could not be read or used. Every variant names the file, and the tensor where there is one.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file is missing or unreadable.
    #[error("{}: {source}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file's contents contradict themselves or another file.
    #[error("{}: {problem}", file.display())]
    Damaged {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A tensor is missing or is not what the configuration says.
    #[error("tensor {tensor}: {problem}")]
    Tensor {
        /// Which.
        tensor: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The architecture, a data type or a setting is not supported.
    #[error("{0}")]
    Unsupported(String),
    /// The files are not the ones the placement was made for.
    #[error("the model's files are not the same as on the node that placed it")]
    OtherFiles,
    /// The shard asked for is impossible for this model.
    #[error("{0}")]
    Shard(String),
    /// MLX refused.
    #[error("MLX: {0}")]
    Device(String),
}

impl From<mlx_rs::error::Exception> for LoadError {
    fn from(error: mlx_rs::error::Exception) -> Self {
        Self::Device(error.what().to_string())
    }
}

/// The group of ranks could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the group of ranks could not be made: {0}")]
pub struct GroupError(pub String);
