//! Whose a request is, how urgent and for how long: what requests of all dialects may say beside what they ask for.
//!
//! Callers share the time of a model evenly. From this computer they are told apart by the key that they send, though none
//! is needed, by the program that asks and by the user that it names; from elsewhere by address and key alone, so that
//! nobody takes many shares by naming many users.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use axum::extract::Request;
use base::{ClientId, ErrorCode, Failure, Priority, Standing};
use bytes::Bytes;
use http::header::{AUTHORIZATION, USER_AGENT};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::body;
use crate::guard::Caller;

/// Longer than any answer is waited for; beyond it nobody means it.
const TIME_LIMIT_MAX: Duration = Duration::from_hours(24);

/// A request's JSON, and how it stands.
pub(crate) async fn read(request: Request) -> Result<(Bytes, Standing), Failure> {
    let asker = Asker::of(&request);
    let json = body::read(request).await?;
    let standing = asker.standing(&json)?;
    Ok((json, standing))
}

/// The same, whatever the request says of its body; see [`body::read_any`].
pub(crate) async fn read_any(request: Request) -> Result<(Bytes, Standing), Failure> {
    let asker = Asker::of(&request);
    let json = body::read_any(request).await?;
    let standing = asker.standing(&json)?;
    Ok((json, standing))
}

/// Who sent a request, as far as its headers say.
#[derive(Clone)]
pub(crate) struct Asker {
    hash: DefaultHasher,
    is_here: bool,
}

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = StandingFields)]
pub(crate) struct Fields {
    /// `OpenAI`'s older and newer names of a caller's user.
    #[schema(value_type = Option<String>)]
    user: Option<Value>,
    #[schema(value_type = Option<String>)]
    safety_identifier: Option<Value>,
    /// Anthropic has it inside of this, as `user_id`.
    metadata: Option<Value>,
    /// As `OpenAI` has it: `flex` is cheaper and slower, `priority` dearer and faster.
    #[schema(value_type = Option<String>)]
    service_tier: Option<Value>,
    /// As vLLM has it: the lower, the earlier.
    #[schema(value_type = Option<i64>)]
    priority: Option<Value>,
    /// In seconds; an hour if it is left out.
    #[schema(value_type = Option<f64>, exclusive_minimum = 0, maximum = 86400)]
    timeout: Option<Value>,
}

impl Asker {
    /// Of a request.
    pub(crate) fn of(request: &Request) -> Self {
        let caller: Option<&Caller> = request.extensions().get();
        let elsewhere = caller.and_then(Caller::elsewhere);
        let headers = request.headers();
        let mut hash = DefaultHasher::new();
        elsewhere.hash(&mut hash);
        for name in [AUTHORIZATION.as_str(), "x-api-key"] {
            headers.get(name).map(AsRef::<[u8]>::as_ref).hash(&mut hash);
        }
        if elsewhere.is_none() {
            let agent = headers.get(USER_AGENT);
            agent.map(AsRef::<[u8]>::as_ref).hash(&mut hash);
        }
        Self {
            hash,
            is_here: elsewhere.is_none(),
        }
    }

    /// The standing of its request, with what the body says.
    pub(crate) fn standing(mut self, body: &[u8]) -> Result<Standing, Failure> {
        let fields: Fields = crate::json::parse(body)?;
        if self.is_here {
            let metadata = fields.metadata.as_ref();
            let users = [
                fields.user.as_ref(),
                fields.safety_identifier.as_ref(),
                metadata.and_then(|metadata| metadata.get("user_id")),
            ];
            users
                .map(|user| user.and_then(Value::as_str))
                .hash(&mut self.hash);
        }
        Ok(Standing {
            client: ClientId(self.hash.finish()),
            priority: priority(fields.priority.as_ref(), fields.service_tier.as_ref())?,
            time_limit: fields.timeout.as_ref().map_or(Ok(None), time_limit)?,
        })
    }
}

fn priority(priority: Option<&Value>, tier: Option<&Value>) -> Result<Priority, Failure> {
    let number = match priority {
        None | Some(Value::Null) => 0,
        Some(value) => whole(value).ok_or_else(|| {
            wrong(
                "priority",
                "must be a whole number",
                "the lower, the earlier; 0 is usual",
            )
        })?,
    };
    Ok(match (number, tier.and_then(Value::as_str)) {
        (..0, _) | (0, Some("priority")) => Priority::Urgent,
        (1.., _) | (0, Some("flex")) => Priority::Patient,
        (0, _) => Priority::Usual,
    })
}

/// JSON has one kind of number: 2.0 is as whole as 2.
fn whole(value: &Value) -> Option<i64> {
    let number = value.as_f64().filter(|number| number.fract() == 0.0);
    let near = number.filter(|number| number.abs() < 1e9);
    value.as_i64().or(near.map(|number| number as i64))
}

fn time_limit(timeout: &Value) -> Result<Option<Duration>, Failure> {
    if timeout.is_null() {
        return Ok(None);
    }
    let seconds = timeout.as_f64().filter(|seconds| *seconds > 0.0);
    let limit = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let limit = limit.filter(|limit| *limit <= TIME_LIMIT_MAX);
    limit.map(Some).ok_or_else(|| {
        let most = TIME_LIMIT_MAX.as_secs();
        wrong(
            "timeout",
            &format!("must be more than 0 and at most {most} seconds"),
            "leave it out for an hour",
        )
    })
}

fn wrong(param: &str, what: &str, hint: &str) -> Failure {
    Failure::new(ErrorCode::InvalidRequest, format!("{param} {what}"))
        .hint(hint)
        .param(param)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn standing(from: &str, headers: &[(&str, &str)], body: &str) -> Result<Standing, Failure> {
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        request
            .extensions_mut()
            .insert(Caller::new(from.parse().unwrap()));
        Asker::of(&request).standing(body.as_bytes())
    }

    fn client(from: &str, headers: &[(&str, &str)], body: &str) -> ClientId {
        standing(from, headers, body).unwrap().client
    }

    #[test]
    fn callers_are_told_apart_and_recognized() {
        let (here, there) = ("127.0.0.1", "192.168.1.7");
        let nobody = client(here, &[], "{}");
        assert_eq!(client(here, &[], r#"{"model": "m"}"#), nobody);
        assert_eq!(client("::1", &[], "{}"), nobody);
        let key = [("authorization", "Bearer a")];
        for (from, headers, body) in [
            (here, &key[..], "{}"),
            (here, &[("x-api-key", "a")], "{}"),
            (here, &[("user-agent", "a")], "{}"),
            (here, &[], r#"{"user": "a"}"#),
            (here, &[], r#"{"safety_identifier": "a"}"#),
            (here, &[], r#"{"metadata": {"user_id": "a"}}"#),
            (there, &[], "{}"),
        ] {
            let other = client(from, headers, body);
            assert_ne!(other, nobody, "{from} {headers:?} {body}");
            assert_eq!(client(from, headers, body), other);
        }
        // One key from elsewhere is one caller.
        let one = client(there, &key, "{}");
        assert_eq!(client(there, &key, r#"{"user": "b"}"#), one);
        assert_ne!(client("192.168.1.8", &key, "{}"), one);
    }

    #[test]
    fn urgency_is_said_in_the_ways_of_several_servers() {
        let of = |body: &str| standing("127.0.0.1", &[], body).map(|standing| standing.priority);
        for (body, priority) in [
            ("{}", Priority::Usual),
            (
                r#"{"priority": null, "service_tier": "auto"}"#,
                Priority::Usual,
            ),
            (r#"{"priority": -3}"#, Priority::Urgent),
            (r#"{"priority": 3}"#, Priority::Patient),
            (r#"{"service_tier": "flex"}"#, Priority::Patient),
            (r#"{"service_tier": "priority"}"#, Priority::Urgent),
            (r#"{"service_tier": 7}"#, Priority::Usual),
        ] {
            assert_eq!(of(body), Ok(priority), "{body}");
        }
        for wrong in ["0.5", "\"high\"", "[]", "99999999999999999999"] {
            let failure = of(&format!("{{\"priority\": {wrong}}}")).unwrap_err();
            assert_eq!(failure.param.as_deref(), Some("priority"));
        }
    }

    #[test]
    fn a_time_limit_is_some_time() {
        let of = |value: &str| {
            let body = format!("{{\"timeout\": {value}}}");
            standing("127.0.0.1", &[], &body).map(|standing| standing.time_limit)
        };
        assert_eq!(of("2.5"), Ok(Some(Duration::from_millis(2500))));
        assert_eq!(of("null"), Ok(None));
        for wrong in ["0", "-1", "1e300", "\"5\"", "86401"] {
            assert_eq!(of(wrong).unwrap_err().param.as_deref(), Some("timeout"));
        }
    }
}
