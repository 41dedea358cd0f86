//! A step of the stack that lets a request through, changed or not, or answers with why not.

use std::task::{Context, Poll};

use axum::body::Body;
use futures_util::future::{Either, Ready, ready};
use http::{Request, Response};
use tower::{Layer, Service};

use super::error::{Caller, ProxyError};

/// Lets requests through that the rule has nothing against; its error is the answer to others.
#[derive(Debug, Clone)]
pub(super) struct Gate<R>(pub(super) R);

impl<R: Clone, S> Layer<S> for Gate<R> {
    type Service = Gated<R, S>;

    fn layer(&self, inner: S) -> Gated<R, S> {
        Gated { rule: self.0.clone(), inner }
    }
}

/// A service behind a [`Gate`].
#[derive(Debug, Clone)]
pub(super) struct Gated<R, S> {
    rule: R,
    inner: S,
}

impl<R, S> Service<Request<Body>> for Gated<R, S>
where
    R: Fn(&mut Request<Body>) -> Result<(), ProxyError>,
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        match (self.rule)(&mut request) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(error) => Either::Right(ready(Ok(error.into_response(Caller::of(request.headers()))))),
        }
    }
}
