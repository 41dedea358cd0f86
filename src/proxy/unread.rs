//! Answers that come before the request was read to its end: a redirect, a 401. Programs that know no better send head and
//! body in two pieces, and the next request on the same connection; where the body is not read the connection closes under
//! their hands, and what they asked last is lost. So a short body is read to its end, and thrown away.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::middleware::Next;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, EXPECT, HeaderMap};
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;

/// Octets of a body that is worth reading for nothing.
const SHORT: u64 = 64 << 10;
/// How long its end is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// A body that is read by whoever answers, and by us after them.
#[derive(Clone)]
struct Shared(Arc<Mutex<Body>>);

impl Shared {
    fn body(&self) -> MutexGuard<'_, Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl http_body::Body for Shared {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut *self.body()).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body().size_hint()
    }
}

/// Reads what is left of a short request after an answer that did not need it.
pub(super) async fn finish(request: Request<Body>, next: Next) -> Response<Body> {
    if !is_short(request.headers()) {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    let mut shared = Shared(Arc::new(Mutex::new(body)));
    let response = next.run(Request::from_parts(head, Body::new(shared.clone()))).await;
    let status = response.status();
    // What is answered with success was read by whoever did it, or still is.
    if status.is_redirection() || status.is_client_error() {
        let rest = async { while let Some(Ok(_)) = shared.frame().await {} };
        if tokio::time::timeout(PATIENCE, rest).await.is_err() {
            tracing::debug!("a short request does not end");
        }
    }
    response
}

/// Whether the body is short, and on its way without being asked for (RFC 9110 §10.1.1).
fn is_short(headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    length.is_some_and(|length| (1..=SHORT).contains(&length)) && !headers.contains_key(EXPECT)
}
