//! Step plans as data, so that they can be handed to another process, and what came out of them.

use infer::{Backend, LayerPart, Outputs, Recall, Row, SlotId, StepPlan};
use models::MlxBackend;
use serde::{Deserialize, Serialize};

/// Plans for the backend, in order.
pub type Script = Vec<Step>;
/// For each step, for each of its rows with outputs, the logits; then the same with hidden states.
pub type Logits = Vec<Vec<Vec<f32>>>;

/// A step plan.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Step {
    pub free: Vec<u32>,
    /// Slots, and the beginnings that they are to find whole.
    pub recalls: Vec<(u32, Vec<u32>)>,
    pub rows: Vec<Piece>,
}

/// A row of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Piece {
    pub slot: u32,
    pub start: u32,
    pub tokens: Vec<u32>,
    pub wanted: Wanted,
    /// From which layer to which, of how many; all if there is nothing.
    pub layers: Option<[u32; 3]>,
}

/// Its outputs.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum Wanted {
    None,
    Last,
    All,
    Guessed(u32),
    HiddenLast,
    HiddenSum,
}

/// A row, briefly.
pub fn piece(slot: u32, start: usize, tokens: &[u32], wanted: Wanted) -> Piece {
    Piece {
        slot,
        start: start as u32,
        tokens: tokens.to_vec(),
        wanted,
        layers: None,
    }
}

/// The same in several steps, through so many layers in each, of so many.
pub fn through(piece: &Piece, each: u32, of: u32) -> impl Iterator<Item = Piece> {
    (0..of).step_by(each as usize).map(move |from| {
        let to = (from + each).min(of);
        Piece {
            wanted: if to < of { Wanted::None } else { piece.wanted },
            layers: Some([from, to, of]),
            ..piece.clone()
        }
    })
}

/// A step of these rows.
pub fn step(rows: Vec<Piece>) -> Step {
    Step {
        rows,
        ..Step::default()
    }
}

/// Tokens of a made-up text.
pub fn tokens(count: usize) -> Vec<u32> {
    (0..count as u32)
        .map(|index| (index * 37 + 11) % 96)
        .collect()
}

/// One sequence in pieces of `chunk` tokens, logits of every position.
pub fn in_chunks(slot: u32, text: &[u32], chunk: usize) -> Script {
    let pieces = text.chunks(chunk).enumerate();
    let row = |(index, tokens): (usize, &[u32])| {
        step(vec![piece(slot, index * chunk, tokens, Wanted::All)])
    };
    pieces.map(row).collect()
}

impl Step {
    pub fn plan(&self) -> StepPlan {
        let row = |piece: &Piece| Row {
            slot: SlotId(piece.slot),
            start: piece.start,
            tokens: piece.tokens.clone(),
            layers: piece
                .layers
                .map(|[from, to, of]| LayerPart { from, to, of }),
            outputs: match piece.wanted {
                Wanted::None => Outputs::None,
                Wanted::Last => Outputs::Last,
                Wanted::All => Outputs::All,
                Wanted::Guessed(count) => Outputs::Guessed(count),
                Wanted::HiddenLast => Outputs::HiddenLast,
                Wanted::HiddenSum => Outputs::HiddenSum,
            },
        };
        let recall = |(slot, tokens): &(u32, Vec<u32>)| Recall {
            slot: SlotId(*slot),
            tokens: tokens.clone(),
        };
        StepPlan {
            recalls: self.recalls.iter().map(recall).collect(),
            free: self.free.iter().copied().map(SlotId).collect(),
            rows: self.rows.iter().map(row).collect(),
        }
    }
}

/// Runs a script to its end.
pub fn run(backend: &mut MlxBackend, script: &[Step]) -> Logits {
    let step = |step: &Step| {
        let output = backend.step(&step.plan()).unwrap();
        let logits = output.logits.into_iter().map(|logits| logits.values);
        logits.chain(output.hidden).collect()
    };
    script.iter().map(step).collect()
}

/// All numbers of a run, in order.
pub fn flat(logits: &Logits) -> Vec<f32> {
    logits.iter().flatten().flatten().copied().collect()
}

/// Fails unless both are the same up to `tolerance`, in logits.
pub fn assert_close(ours: &[f32], theirs: &[f32], tolerance: f32) {
    assert_eq!(ours.len(), theirs.len());
    let differences = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs());
    let largest = differences.fold(0.0, f32::max);
    assert!(ours.iter().all(|value| value.is_finite()));
    assert!(largest <= tolerance, "differ by {largest}");
}
