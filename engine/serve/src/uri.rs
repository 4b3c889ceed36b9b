//! What the path and the query of a request say, with errors that any dialect can put in its envelope.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query};
use base::{ErrorCode, Failure};

/// A part of the path that names something.
pub(crate) type Named = Result<Path<String>, PathRejection>;

/// A query, as far as it can be read.
pub(crate) type Asked<T> = Result<Query<T>, QueryRejection>;

/// The name. What is no text names nothing.
pub(crate) fn name(named: Named) -> String {
    named.map_or_else(|_| String::new(), |Path(name)| name)
}

/// The query.
pub(crate) fn query<T>(asked: Asked<T>) -> Result<T, Failure> {
    let Query(asked) = asked.map_err(|error| {
        let message = format!("the query cannot be read: {}", error.body_text());
        Failure::new(ErrorCode::InvalidRequest, message)
    })?;
    Ok(asked)
}
