//! The DAV server behind us, near or far: one type, so that nobody above knows which it is.

use http::{Request, Response};
use tower::util::BoxCloneSyncService;

use crate::ids::{DomainId, Email};

/// A streamed HTTP body.
pub type Body = axum::body::Body;
/// Any error of a body or a lower layer.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// On whose behalf a DAV request is made. Every request to an [`Upstream`] carries one among its extensions; the upstream
/// turns it into credentials (remote) or takes it as it is (built-in). Credentials in the headers are never looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A user, resource or team calendar, by address.
    User(Email),
    /// The program itself on behalf of a domain: all of that domain and nothing else (dav §2).
    Technical(DomainId),
}

/// Marks a request among its extensions: what it writes was made elsewhere and is carried in. The built-in server says so to
/// the rest of the program; a server elsewhere hears nothing of it.
#[derive(Debug, Clone, Copy)]
pub struct Imported;

/// The upstream gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No connection, or it broke before the answer.
    #[error("the DAV server cannot be reached: {0}")]
    Unreachable(#[source] BoxError),
    /// No answer in time.
    #[error("the DAV server did not answer within {0:?}")]
    TimedOut(std::time::Duration),
    /// The request carried no [`Actor`]: a bug of the caller, answered like a failure.
    #[error("the request names nobody to act as")]
    NoActor,
    /// This server cannot be told to act as the request's [`Actor`].
    #[error("the DAV server cannot be asked on behalf of {actor}: {reason}")]
    CannotActAs {
        /// Who was to act.
        actor: String,
        /// What is missing.
        reason: &'static str,
    },
}

/// A DAV server: a pooled hyper client or the built-in server. Paths start at the server's root (`/calendars/…`).
pub type Upstream = BoxCloneSyncService<Request<Body>, Response<Body>, UpstreamError>;
