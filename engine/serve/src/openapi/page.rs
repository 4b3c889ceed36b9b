//! `/admin/openapi`: the document as a page for people. It loads nothing and runs nothing.

use std::fmt::Write;
use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::header;
use utoipa::openapi::OpenApi;

use super::{operations, whole};

/// Only the few styles that it has in itself.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";
const HEAD: &str = include_str!("page/head.html");

/// This document as a page.
#[utoipa::path(
    get,
    path = "/admin/openapi",
    responses((status = 200, description = "The page.", body = String, content_type = "text/html")),
)]
pub(super) async fn show() -> Response {
    static PAGE: LazyLock<String> = LazyLock::new(|| page(whole()));
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ];
    (headers, PAGE.as_str()).into_response()
}

fn page(document: OpenApi) -> String {
    let mut paths = document.paths.paths;
    let mut html = HEAD.to_owned();
    for tag in document.tags.unwrap_or_default() {
        let about = tag.description.unwrap_or_default();
        row(
            &mut html,
            format_args!(
                "<h2>{}</h2><p>{}</p><dl>",
                escaped(&tag.name),
                escaped(&about)
            ),
        );
        for (path, item) in &mut paths {
            for (method, operation) in operations(item) {
                let is_its = operation
                    .tags
                    .iter()
                    .flatten()
                    .any(|name| *name == tag.name);
                if is_its {
                    let summary = operation.summary.as_deref().unwrap_or_default();
                    let (path, summary) = (escaped(path), escaped(summary));
                    row(
                        &mut html,
                        format_args!("<dt><code>{method} {path}</code></dt><dd>{summary}</dd>"),
                    );
                }
            }
        }
        row(&mut html, format_args!("</dl>"));
    }
    html.push_str("</main></html>\n");
    html
}

fn row(html: &mut String, text: std::fmt::Arguments<'_>) {
    // A string takes whatever is written.
    let _ = writeln!(html, "{text}");
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;")
}
