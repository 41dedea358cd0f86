//! The error body of the REST API (rest-api §1.7).

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

use crate::search::SearchError;
use crate::store::StoreError;

/// Why a request has no better answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// A parameter or the body is wrong.
    #[error("{0}")]
    BadRequest(String),
    /// There is no such thing, or the caller may not know of it.
    #[error("{0}")]
    NotFound(String),
    /// The body is larger than `[limits] json_bytes`.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// An engine is away; the same request may succeed later.
    #[error("temporarily unavailable")]
    Unavailable(String),
    /// Something broke.
    #[error("internal error")]
    Server(String),
}

impl ApiError {
    fn status_and_type(&self) -> (StatusCode, &'static str) {
        match self {
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "BadRequest"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "NotFound"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLarge"),
            Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
            Self::Server(_) => (StatusCode::INTERNAL_SERVER_ERROR, "ServerError"),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::Unavailable(error.to_string()),
            _ => Self::Server(error.to_string()),
        }
    }
}

impl From<SearchError> for ApiError {
    fn from(error: SearchError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        // What broke is for the log; those outside learn that something did.
        if let Self::Unavailable(cause) | Self::Server(cause) = &self {
            tracing::error!(%cause, "a request failed");
        }
        let (status, kind) = self.status_and_type();
        let message = status.canonical_reason().unwrap_or_default();
        let error = json!({ "code": status.as_u16(), "type": kind, "message": message, "details": self.to_string() });
        (status, Json(json!({ "error": error }))).into_response()
    }
}
