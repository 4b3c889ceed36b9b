//! `OpenAI`'s Responses: `/v1/responses`. Answers are items with ids of their own, told in numbered events, and kept, so that a
//! later request goes on from one. They are kept in memory, the newest only, and gone when the node ends.

mod compact;
mod convert;
mod described;
mod events;
mod input;
mod kept;
mod model;
mod record;
mod repeat;
mod routes;
mod run;
mod socket;
mod tools;

pub(crate) use kept::Responses;
pub(super) use routes::routes;
