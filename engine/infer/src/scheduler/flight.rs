//! The steps under way, and what each does for its sequences.

use super::pace::Work;
use crate::backend::{LayerPart, Outputs};

/// Names the time that a sequence has a slot: the slot may be another's, and the sequence in another, before a step that
/// is under way comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stay(pub u64);

/// A step under way.
pub struct Step {
    pub flights: Vec<Flight>,
    pub work: Work,
}

/// What a step does for a sequence.
pub struct Flight {
    pub stay: Stay,
    pub does: Does,
}

/// What that is.
#[derive(Debug, Clone, Copy)]
pub enum Does {
    /// Looks for its beginning.
    Recall,
    /// Computes tokens.
    Row {
        tokens: usize,
        /// If not all.
        layers: Option<LayerPart>,
        outputs: Outputs,
    },
}

impl Does {
    /// Whether its tokens have layers left to go through after it.
    pub fn goes_on(&self) -> bool {
        let layers = match self {
            Self::Recall => None,
            Self::Row { layers, .. } => *layers,
        };
        layers.is_some_and(LayerPart::goes_on)
    }

    /// Tokens that are computed; of those that go through some of the layers, that part.
    pub fn tokens(&self) -> f64 {
        match self {
            Self::Recall => 0.0,
            Self::Row { tokens, layers, .. } => {
                *tokens as f64 * layers.map_or(1.0, LayerPart::share)
            }
        }
    }
}
