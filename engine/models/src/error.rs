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
    /// The shard asked for is impossible for this model.
    #[error("{0}")]
    Shard(String),
    /// MLX refused.
    #[error("MLX: {0}")]
    Device(String),
}

impl From<mlx_rs::error::Exception> for LoadError {
    fn from(error: mlx_rs::error::Exception) -> Self {
        Self::Device(said(&error).to_string())
    }
}

/// What MLX said, without where in its sources: mlx-c adds that (`... at /a/build/folder/ops.cpp:12`).
pub(crate) fn said(error: &mlx_rs::error::Exception) -> &str {
    without_place(error.what())
}

fn without_place(what: &str) -> &str {
    let is_line = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match (what.rfind(" at /"), what.rsplit_once(':')) {
        (Some(place), Some((_, line))) if is_line(line.trim_end()) => &what[..place],
        _ => what,
    }
}

/// The group of ranks could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the group of ranks could not be made: {0}")]
pub struct GroupError(pub String);

#[cfg(test)]
mod tests {
    use super::without_place;

    #[test]
    fn only_the_place_in_the_sources_goes() {
        let what = "[matmul] 3 and 4 do not fit. at /home/a b/mlx-c/mlx/c/ops.cpp:12";
        assert_eq!(without_place(what), "[matmul] 3 and 4 do not fit.");
        for whole in ["no file at /models/x", "[ring] lost: 5", ""] {
            assert_eq!(without_place(whole), whole);
        }
    }
}
