//! What every route can reach.

use std::sync::Arc;

use base::Failure;
use tokio::sync::watch;

use crate::guard::Door;
use crate::openai::{Fresh, Responses};
use crate::{Gateway, Metrics};

/// One for each server.
pub(crate) struct App {
    pub(crate) gateway: Arc<dyn Gateway>,
    pub(crate) metrics: Metrics,
    /// Who may ask; `None` if nobody outside this process can.
    pub(crate) door: Option<Door>,
    /// Answers that later requests go on from.
    pub(crate) responses: Responses,
    /// Turns true when the server stops: streams without an end end then.
    pub(crate) stopping: watch::Receiver<bool>,
}

impl App {
    /// Random numbers for one request.
    pub(crate) fn fresh(&self) -> Result<Fresh, Failure> {
        self.gateway.random().map(Fresh::new)
    }
}
