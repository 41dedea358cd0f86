//! Request bodies on their way through: bounded in size and in patience, never gathered.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request};
use http_body::{Frame, SizeHint};

use crate::dav::options::Area;
use crate::net::{BodyError, IdleTimeout};

/// How far a body may go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Octets of a request body.
    pub(super) octets: u64,
    /// Octets of one that is a plain file.
    pub(super) file_octets: u64,
    /// Octets of one that becomes a managed attachment (RFC 8607).
    pub(super) attachment_octets: u64,
    /// Time without a piece of it.
    pub(super) idle: Duration,
}

impl Bounds {
    /// Octets that the body of this request may have.
    pub(super) fn of<B>(&self, request: &Request<B>) -> u64 {
        let attaches =
            |pair: &str| pair.strip_prefix("action=").is_some_and(|action| action.starts_with("attachment-"));
        if Area::of(request.uri().path()) == Area::Files {
            self.file_octets
        } else if request.method() == Method::POST
            && request.uri().query().is_some_and(|query| query.split('&').any(attaches))
        {
            self.attachment_octets
        } else {
            self.octets
        }
    }
}

/// Why a request body was broken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BrokenOff {
    /// More octets than allowed.
    TooLarge,
    /// The client sent nothing for too long.
    Idle,
    /// The client went away.
    Gone,
}

/// What became of a request body; seen from outside while the body is on its way.
#[derive(Debug, Clone, Default)]
pub(super) struct Fate(Arc<AtomicU8>);

impl Fate {
    fn set(&self, why: BrokenOff) {
        let code = match why {
            BrokenOff::TooLarge => 1,
            BrokenOff::Idle => 2,
            BrokenOff::Gone => 3,
        };
        self.0.store(code, Ordering::Relaxed);
    }

    /// Why the body was broken off, if it was.
    pub(super) fn broken_off(&self) -> Option<BrokenOff> {
        match self.0.load(Ordering::Relaxed) {
            1 => Some(BrokenOff::TooLarge),
            2 => Some(BrokenOff::Idle),
            3 => Some(BrokenOff::Gone),
            _ => None,
        }
    }
}

/// A request body that ends with an error where it leaves its [`Bounds`].
pub(super) struct BoundedBody {
    inner: IdleTimeout<Body>,
    left: u64,
    fate: Fate,
}

impl BoundedBody {
    /// The body within its bounds, and how to learn of its fate.
    pub(super) fn new(body: Body, octets: u64, idle: Duration) -> (Self, Fate) {
        let fate = Fate::default();
        (Self { inner: IdleTimeout::new(body, idle), left: octets, fate: fate.clone() }, fate)
    }
}

/// The request body was broken off.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestBodyError {
    #[error("the request body is larger than allowed")]
    TooLarge,
    #[error(transparent)]
    Ended(#[from] BodyError),
}

impl http_body::Body for BoundedBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                let idle = matches!(error, BodyError::Idle(_));
                self.fate.set(if idle { BrokenOff::Idle } else { BrokenOff::Gone });
                return Poll::Ready(Some(Err(error.into())));
            }
            None => return Poll::Ready(None),
        };
        // Trailers belong to the connection and end here.
        let Ok(data) = frame.into_data() else { return Poll::Ready(None) };
        match self.left.checked_sub(data.len() as u64) {
            Some(left) => {
                self.left = left;
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            None => {
                self.fate.set(BrokenOff::TooLarge);
                Poll::Ready(Some(Err(RequestBodyError::TooLarge)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
