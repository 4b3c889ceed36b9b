//! The vocabulary every other crate shares: ids, model cards, shard plans, requests, events, failures, records.
//!
//! Plain data and small pure functions. Never: tokio, I/O, a clock, a wire format.

pub mod card;
pub mod condition;
pub mod conversation;
pub mod derived;
pub mod embed;
pub mod failure;
pub mod files;
pub mod generate;
pub mod ids;
pub mod quantize;
pub mod record;
pub mod shape;
pub mod shard;
pub mod standing;
pub mod tokens;
pub mod window;

pub use card::{DraftCost, LayerCost, ModelCard};
pub use condition::{InstanceActivity, Level, LinkKind, Pressure};
pub use conversation::{Conversation, Effort, Grammar, Message, Role, Tool, ToolCall, ToolChoice};
pub use derived::{DerivedModel, Parameters};
pub use embed::{EmbedInput, EmbedRequest, Embedded, Pooling};
pub use failure::{ErrorCode, Failure};
pub use files::{BytesAsked, HeldFile, HeldFiles, HubRevision, header_name, named_by_header};
pub use generate::{
    AskedSampling, EchoedPrompt, FinishReason, GenerateEvent, GenerateRequest, KeepAlive,
    Penalties, Piece, Prompt, Sampling, ScoredToken, Usage,
};
pub use ids::{Fingerprint, InstanceId, ModelId, NodeId, RequestId, TokenId};
pub use quantize::{CacheBits, QuantizedBits};
pub use record::{
    DraftModel, InstancePhase, InstanceRecord, Link, LocalShard, NodeRecord, Secret, ShardStatus,
};
pub use shape::{ModelShape, TensorInfo};
pub use shard::{Shard, ShardPlan, ShardSpec, Sharding, ShardingChoice, TensorSlice};
pub use standing::{ClientId, Priority, Standing};
pub use tokens::{TokenEvent, TokenLogprob, TokenRequest};
pub use window::CacheWindow;
