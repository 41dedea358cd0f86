//! The error shape of the administration port (webadmin §1.5).

use axum::body::Body;
use axum::response::IntoResponse;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde_json::json;

use crate::accounts::AccountsError;
use crate::queue::QueueError;
use crate::store::StoreError;

/// An answer that says what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AdminError {
    status: StatusCode,
    kind: &'static str,
    message: String,
    details: Option<String>,
}

impl AdminError {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>, details: Option<String>) -> Self {
        Self { status, kind, message: message.into(), details }
    }

    /// There is nothing of that name.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "notFound", message, None)
    }

    /// Something that the request builds on is not there; some routes say it in this way.
    pub(super) fn unknown(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "InvalidArgument", message, None)
    }

    /// A parameter is wrong.
    pub(super) fn argument(details: impl Into<String>) -> Self {
        let message = "Invalid arguments supplied in the user request";
        Self::new(StatusCode::BAD_REQUEST, "InvalidArgument", message, Some(details.into()))
    }

    /// A parameter is wrong, said in the route's own words.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidArgument", message, None)
    }

    /// The body is not the JSON that is expected.
    pub(super) fn json(details: impl std::fmt::Display) -> Self {
        let message = "JSON payload of the request is not valid";
        Self::new(StatusCode::BAD_REQUEST, "InvalidArgument", message, Some(details.to_string()))
    }

    /// There is one already.
    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "InvalidArgument", message, None)
    }

    fn server(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(error = %cause, "an administrator's request failed");
        let message = "WebAdmin encountered an unexpected internal error";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "ServerError", message, Some(cause.to_string()))
    }
}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> Self {
        Self::server(&error)
    }
}

impl From<QueueError> for AdminError {
    fn from(error: QueueError) -> Self {
        Self::server(&error)
    }
}

impl From<AccountsError> for AdminError {
    fn from(error: AccountsError) -> Self {
        Self::server(&error)
    }
}

impl IntoResponse for AdminError {
    fn into_response(self) -> Response<Body> {
        let body = json!({
            "statusCode": self.status.as_u16(),
            "type": self.kind,
            "message": self.message,
            "details": self.details,
        });
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}
