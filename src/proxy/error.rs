//! What a client gets when the proxy itself answers: the DAV error body (dav §1.3), or the REST one for callers that ask
//! for JSON.

use axum::body::Body;
use http::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use serde_json::json;

use super::path::PathError;
use crate::dav::UpstreamError;
use crate::dav::error::DavError;

/// Why the proxy did not pass on a request, or has no answer to it.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// A path or `Destination` that is not sent on.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A method that would show a client what we say to the server.
    #[error("this method is not passed on")]
    Method,
    /// More octets than `[proxy] body_bytes`.
    #[error("the request body is larger than {0} bytes")]
    TooLarge(u64),
    /// The client stopped sending.
    #[error("nothing of the request body came in time")]
    BodyIdle,
    /// The client went away in the middle of its body.
    #[error("the request body broke off")]
    BodyGone,
    /// The DAV server gave no answer.
    #[error("{}", outside(.0))]
    Upstream(#[from] UpstreamError),
    /// The DAV server did not take our word for the user: its 401 is not the client's to answer.
    #[error("the DAV server did not accept the request on behalf of this user")]
    NotImpersonated,
    /// A program acts as somebody who is nobody here.
    #[error("nobody here has that address")]
    Nobody,
}

/// What is said of a failing server to those outside: not where it is.
fn outside(error: &UpstreamError) -> &'static str {
    match error {
        UpstreamError::Unreachable(_) => "the DAV server cannot be reached",
        UpstreamError::TimedOut(_) => "the DAV server did not answer in time",
        UpstreamError::NoActor => "the request names nobody to act as",
        UpstreamError::CannotActAs { .. } => "the DAV server cannot be asked on behalf of this user",
    }
}

impl ProxyError {
    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Path(PathError::ForeignDestination) => StatusCode::FORBIDDEN,
            Self::Path(_) | Self::BodyGone => StatusCode::BAD_REQUEST,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyIdle => StatusCode::REQUEST_TIMEOUT,
            Self::Nobody => StatusCode::UNAUTHORIZED,
            Self::Upstream(UpstreamError::TimedOut(_)) => StatusCode::GATEWAY_TIMEOUT,
            Self::Upstream(UpstreamError::NoActor) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Upstream(UpstreamError::Unreachable(_) | UpstreamError::CannotActAs { .. })
            | Self::NotImpersonated => StatusCode::BAD_GATEWAY,
        }
    }

    /// `type` of the REST error (rest-api §1.7) and class of the DAV one (dav §1.3).
    fn names(&self) -> (&'static str, &'static str) {
        match self.status() {
            StatusCode::BAD_REQUEST => ("BadRequest", "Sabre\\DAV\\Exception\\BadRequest"),
            StatusCode::UNAUTHORIZED => ("Unauthorized", "Sabre\\DAV\\Exception\\NotAuthenticated"),
            StatusCode::FORBIDDEN => ("Forbidden", "Sabre\\DAV\\Exception\\Forbidden"),
            StatusCode::METHOD_NOT_ALLOWED => ("MethodNotAllowed", "Sabre\\DAV\\Exception\\MethodNotAllowed"),
            StatusCode::PAYLOAD_TOO_LARGE => ("PayloadTooLarge", "Sabre\\DAV\\Exception\\TooLarge"),
            StatusCode::REQUEST_TIMEOUT => ("RequestTimeout", "Sabre\\DAV\\Exception"),
            _ => ("ServerError", "Sabre\\DAV\\Exception"),
        }
    }

    /// The answer.
    pub(super) fn into_response(self, caller: Caller) -> Response<Body> {
        let status = self.status();
        if status.is_server_error() {
            tracing::warn!(error = %self, cause = ?self, status = status.as_u16(), "no answer from the DAV server");
        }
        let (kind, exception) = self.names();
        let message = self.to_string();
        let mut response = match caller {
            Caller::Json => json_error(status, kind, &message),
            Caller::Dav => DavError::new(status, exception, message).into_response(),
        };
        if matches!(self, Self::Method) {
            response.headers_mut().insert(ALLOW, ALLOWED);
        }
        response
    }
}

/// Methods that make sense on some resource of the DAV server.
const ALLOWED: HeaderValue = HeaderValue::from_static(
    "OPTIONS, GET, HEAD, POST, PUT, PATCH, DELETE, PROPFIND, PROPPATCH, MKCOL, MKCALENDAR, COPY, MOVE, REPORT, ACL, ITIP",
);

fn json_error(status: StatusCode, kind: &str, details: &str) -> Response<Body> {
    let message = status.canonical_reason().unwrap_or_default();
    let error = json!({ "code": status.as_u16(), "type": kind, "message": message, "details": details });
    let mut response = Response::new(Body::from(json!({ "error": error }).to_string()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// Which kind of body a caller understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// A calendar program.
    Dav,
    /// The web client.
    Json,
}

impl Caller {
    /// Those who ask for JSON of whatever kind (dav §1.2) get it.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let asks = |value: &HeaderValue| value.as_bytes().windows(4).any(|w| w.eq_ignore_ascii_case(b"json"));
        if headers.get_all(ACCEPT).iter().any(asks) { Self::Json } else { Self::Dav }
    }
}
