//! Where a request comes from.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use tower::{Service, ServiceExt};

use crate::places::Place;

/// The other end of a connection; an extension of each of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caller(IpAddr);

impl Caller {
    pub(crate) fn new(ip: IpAddr) -> Self {
        Self(ip.to_canonical())
    }

    /// Its address if it is another computer. Who asks this computer by its address on the network counts as one too:
    /// only the system knows which addresses are its own.
    pub(crate) fn elsewhere(&self) -> Option<IpAddr> {
        (!self.0.is_loopback()).then_some(self.0)
    }

    /// The routes with this as the caller of every request. The connection has its place as long as these routes or a
    /// request is there.
    pub(crate) fn asks(
        self,
        routes: Router,
        place: Place,
    ) -> impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send>
    + Clone
    + Send {
        let place = Arc::new(place);
        routes.map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(self);
            request.extensions_mut().insert(Arc::clone(&place));
            request
        })
    }
}
