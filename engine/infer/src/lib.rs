//! Which tokens run in the next step, and which token comes out of it.
//!
//! Pure: a step plan goes out, logits come back. Never: MLX, a thread, a clock, a socket.

mod adjustment;
pub mod backend;
mod constraint;
mod containment;
mod draft;
mod drafter;
mod embedding;
pub mod fake;
pub mod logprobs;
pub mod prefix;
pub mod sampler;
pub mod scheduler;

pub use backend::{
    Backend, BackendError, LayerPart, Logits, Outputs, Recall, Row, SlotId, StepOutput, StepPlan,
};
pub use constraint::{MaskDone, MaskJob};
pub use containment::is_contained;
pub use drafter::{DRAFT_TOKENS_MAX, DraftAsk, Drafter, Drafts};
pub use scheduler::{Limits, Load, Scheduler, Submitted};
