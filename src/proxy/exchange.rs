//! One exchange with the DAV server: bodies bounded, every failure an answer.

use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode};
use http_body::Body as _;
use tower::{Layer, Service};

use super::body::{BoundedBody, Bounds, BrokenOff, Fate};
use super::error::{Caller, ProxyError};
use crate::dav::UpstreamError;

/// Answers whatever happens: with what the server says, or with why it says nothing.
#[derive(Debug, Clone)]
pub(super) struct AnswerFailures(pub(super) Bounds);

impl<S> Layer<S> for AnswerFailures {
    type Service = Exchange<S>;

    fn layer(&self, inner: S) -> Exchange<S> {
        Exchange { inner, bounds: self.0 }
    }
}

/// Marks a request of a program, which itself says on whose behalf it is, to the built-in server.
#[derive(Debug, Clone, Copy)]
pub(super) struct ByProgram;

/// The service that [`AnswerFailures`] makes.
#[derive(Debug, Clone)]
pub(super) struct Exchange<S> {
    inner: S,
    bounds: Bounds,
}

impl<S> Service<Request<Body>> for Exchange<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = UpstreamError> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Asked below, so that "not ready, ever" is an answer too.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let mut upstream = self.inner.clone();
        let bounds = self.bounds;
        Box::pin(async move {
            let began = Instant::now();
            let caller = Caller::of(request.headers());
            let octets = bounds.of(&request);
            let by_program = request.extensions().get::<ByProgram>().is_some();
            let (request, fate) = bound(request, octets, bounds.idle);
            let outcome = match std::future::poll_fn(|cx| upstream.poll_ready(cx)).await {
                Ok(()) => upstream.call(request).await,
                Err(error) => Err(error),
            };
            // Storage §10 calls this timer so.
            metrics::histogram!("davProxy").record(began.elapsed());
            Ok(match judge(outcome, fate.as_ref().and_then(Fate::broken_off), octets) {
                // Nobody has the address that the program named.
                Err(ProxyError::NotImpersonated) if by_program => ProxyError::Nobody.into_response(caller),
                Ok(response) => response,
                Err(error) => error.into_response(caller),
            })
        })
    }
}

fn bound(request: Request<Body>, octets: u64, idle: Duration) -> (Request<Body>, Option<Fate>) {
    if request.body().is_end_stream() {
        return (request, None);
    }
    let (head, body) = request.into_parts();
    let (body, fate) = BoundedBody::new(body, octets, idle);
    (Request::from_parts(head, Body::new(body)), Some(fate))
}

/// The server's answer counts, unless it is only the echo of a request body that we broke off, or a login of its own.
fn judge(
    outcome: Result<Response<Body>, UpstreamError>,
    broken_off: Option<BrokenOff>,
    octets: u64,
) -> Result<Response<Body>, ProxyError> {
    let failed = match &outcome {
        Ok(response) => !response.status().is_success(),
        Err(_) => true,
    };
    match broken_off {
        Some(BrokenOff::TooLarge) if failed => return Err(ProxyError::TooLarge(octets)),
        Some(BrokenOff::Idle) if failed => return Err(ProxyError::BodyIdle),
        Some(BrokenOff::Gone) if failed => return Err(ProxyError::BodyGone),
        _ => {}
    }
    let response = outcome?;
    match response.status() {
        StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => Err(ProxyError::NotImpersonated),
        _ => Ok(response),
    }
}
