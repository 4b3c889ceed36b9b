//! `POST /v1/embeddings`: texts or tokens to vectors.

mod answer;
mod convert;
mod routes;

pub(super) use routes::routes;
