//! The same API without a socket, for the app's own window: what a port would answer, for callers in this process.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::Request;
use tokio::sync::watch;
use tower::ServiceExt;

use crate::app::App;
use crate::openai::Responses;
use crate::router::router;
use crate::{Gateway, Metrics};

/// All routes. Cheap to clone.
#[derive(Clone)]
pub struct InProcess {
    router: Router,
    /// Streams without an end end when this is dropped.
    _stopping: Arc<watch::Sender<bool>>,
}

impl InProcess {
    /// Routes in front of a gateway. `metrics` may be a server's too: it counts both.
    pub fn new(gateway: Arc<dyn Gateway>, metrics: Metrics) -> Self {
        let (stopping, stops) = watch::channel(false);
        let app = App {
            gateway,
            metrics,
            door: None,
            responses: Responses::default(),
            stopping: stops,
        };
        Self {
            router: router(Arc::new(app)),
            _stopping: Arc::new(stopping),
        }
    }

    /// Answers a request. Dropping the answer's body hangs up.
    pub async fn call(&self, request: Request<Body>) -> Response {
        match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}
