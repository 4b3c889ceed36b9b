//! The `OpenAPI` document: made of what stands beside each handler and of the structs that are read and written, so that no
//! route is without it. What all routes of a dialect have in common (how they fail, who may ask) is added here.

pub(crate) mod page;
pub(crate) mod shape;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use axum::response::{IntoResponse, Response};
use base::ErrorCode;
use http::header;
use utoipa::ToSchema;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    Components, ContentBuilder, Info, OpenApi, Paths, ResponseBuilder, tag::TagBuilder,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::status::status_of;
use crate::{admin, anthropic, dashboard, models, ollama, openai, router};

/// Routes with what is said of them.
pub(crate) type Routes = OpenApiRouter<Arc<App>>;

const ABOUT: &str = "From this computer nothing needs a key, and no web page elsewhere may ask. From other computers every \
    request needs one, if they may ask at all: `Authorization: Bearer KEY` or `x-api-key: KEY`. The schema of \
    `text/event-stream` is that of one event, whose data is JSON; that of `application/x-ndjson` is that of one line.";

/// All routes there are.
pub(crate) fn routes() -> Routes {
    let own = Routes::default()
        .routes(routes!(document))
        .merge(router::own_routes())
        .merge(dashboard::routes());
    let admin = admin::routes().routes(routes!(page::show));
    Routes::default()
        .merge(of_group::<openai::Envelope>("OpenAI", openai::routes()))
        .merge(of_group::<models::AnyError>("Models", models::routes()))
        .merge(of_group::<anthropic::Envelope>(
            "Anthropic",
            anthropic::routes(),
        ))
        .merge(of_group::<ollama::Envelope>("Ollama", ollama::routes()))
        .merge(of_group::<admin::Envelope>("Admin", admin))
        .merge(of_group::<openai::Envelope>("Node", own))
}

/// This document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    responses((status = 200, description = "The document.", body = Object)),
)]
async fn document() -> Response {
    static JSON: LazyLock<String> = LazyLock::new(|| {
        let json = whole().to_json();
        json.expect("a document is strings, numbers and lists of them")
    });
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, JSON.as_str()).into_response()
}

/// The document of all routes.
fn whole() -> OpenApi {
    let mut whole = routes().into_openapi();
    whole.info = Info::new("Espalier", env!("CARGO_PKG_VERSION"));
    whole.info.description = Some(ABOUT.to_owned());
    whole.paths = plain(whole.paths);
    let tags = [
        ("OpenAI", "As OpenAI's clients speak."),
        (
            "Models",
            "The path that OpenAI's and Anthropic's clients share.",
        ),
        ("Anthropic", "As Anthropic's clients speak."),
        ("Ollama", "As Ollama's clients speak."),
        ("Admin", "The cluster, its models and the node."),
        ("Node", "The server itself."),
    ];
    let tags = tags.map(|(name, about)| {
        let tag = TagBuilder::new().name(name);
        tag.description(Some(about)).build()
    });
    whole.tags = Some(tags.to_vec());
    let none: [&str; 0] = [];
    let keys = ["bearer", "x-api-key"].map(|key| SecurityRequirement::new(key, none));
    let security = [SecurityRequirement::default()].into_iter().chain(keys);
    whole.security = Some(security.collect());
    let components = whole.components.get_or_insert_default();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    let header = ApiKey::Header(ApiKeyValue::new("x-api-key"));
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    components.add_security_scheme("x-api-key", SecurityScheme::ApiKey(header));
    whole
}

/// The document knows no wildcards: what stands for several parts of a path is a parameter like others.
fn plain(paths: Paths) -> Paths {
    let mut plain = Paths::new();
    for (path, item) in paths.paths {
        plain.paths.insert(path.replace("{*", "{"), item);
    }
    plain
}

/// Says of each route in which group it is, and how it fails: in the envelope `E`.
fn of_group<E: ToSchema>(group: &str, mut routes: Routes) -> Routes {
    let document = routes.get_openapi_mut();
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            operation.tags = Some(vec![group.to_owned()]);
            operation.operation_id = Some(name(method, path));
            fails_as::<E>(operation);
        }
    }
    let components: &mut Components = document.components.get_or_insert_default();
    let mut schemas = Vec::new();
    shape::collect::<E>(&mut schemas);
    components.schemas.extend(schemas);
    routes
}

/// Its methods, and what each does.
pub(crate) fn operations(
    item: &mut PathItem,
) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let all = [
        ("get", &mut item.get),
        ("put", &mut item.put),
        ("post", &mut item.post),
        ("delete", &mut item.delete),
        ("options", &mut item.options),
        ("head", &mut item.head),
        ("patch", &mut item.patch),
        ("trace", &mut item.trace),
    ];
    all.into_iter()
        .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// A name that no other operation has.
fn name(method: &str, path: &str) -> String {
    let words = path.split(|letter: char| !letter.is_ascii_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    words.fold(method.to_owned(), |name, word| name + "_" + word)
}

/// Adds the statuses of failures, by the one table that there is.
fn fails_as<E: ToSchema>(operation: &mut Operation) {
    let takes_input = operation.request_body.is_some()
        || operation
            .parameters
            .as_ref()
            .is_some_and(|all| !all.is_empty());
    let mut codes: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for code in ErrorCode::ALL {
        if takes_input || is_anybodys(code) {
            let status = status_of(code).as_u16();
            codes.entry(status).or_default().push(code.name());
        }
    }
    // A request with another method is another operation's.
    codes.remove(&405);
    for (status, codes) in codes {
        let said = ContentBuilder::new().schema(Some(shape::of::<E>())).build();
        let response = ResponseBuilder::new()
            .description(codes.join(", "))
            .content("application/json", said);
        let all = &mut operation.responses.responses;
        all.entry(status.to_string())
            .or_insert_with(|| response.build().into());
    }
}

/// Whether a request that says nothing may fail so.
fn is_anybodys(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::Unauthenticated
            | ErrorCode::Forbidden
            | ErrorCode::Overloaded
            | ErrorCode::TimedOut
            | ErrorCode::Internal
    )
}

#[cfg(test)]
mod tests;
