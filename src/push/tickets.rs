//! Tickets: who may open a WebSocket, once and within a minute (messaging §5.1, rest-api §14.1).

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::{ConnectInfo, Path, State};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, SubsecRound as _, TimeDelta, Utc};
use http::header::{CACHE_CONTROL, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Room;
use crate::auth::Session;
use crate::store::{StoreError, Ticket};

/// How long a ticket is good for.
const VALIDITY: TimeDelta = TimeDelta::minutes(1);

/// Why a request about tickets has no better answer. The body is a problem document, unlike that of other routes (auth §11).
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    /// The value is no ticket's.
    #[error("the ticket is not a UUID")]
    NoUuid,
    /// The ticket does not exist, or is somebody else's: which of the two is not told.
    #[error("there is no such ticket of yours")]
    NotYours,
    /// The user asked for more than anybody needs.
    #[error("too many tickets in this minute")]
    TooMany,
    /// No such route.
    #[error("no such route")]
    NotFound,
    /// The store is away; the same request may succeed later.
    #[error("temporarily unavailable")]
    Unavailable(String),
    /// Something broke.
    #[error("internal error")]
    Broken(String),
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::Unavailable(error.to_string()),
            _ => Self::Broken(error.to_string()),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        if let Self::Unavailable(cause) | Self::Broken(cause) = &self {
            tracing::error!(%cause, "a request about tickets failed");
        }
        let (status, retry_after) = match self {
            Self::NoUuid => (StatusCode::BAD_REQUEST, None),
            Self::NotYours => (StatusCode::FORBIDDEN, None),
            Self::TooMany => (StatusCode::TOO_MANY_REQUESTS, Some(60)),
            Self::NotFound => (StatusCode::NOT_FOUND, None),
            Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, Some(5)),
            Self::Broken(_) => (StatusCode::INTERNAL_SERVER_ERROR, None),
        };
        let body = json!({ "type": "about:blank", "status": status.as_u16(), "detail": self.to_string() });
        let mut response = (status, Json(body)).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// `POST /ws/ticket`: a new ticket for the caller.
pub(super) async fn issue(
    State(room): State<Arc<Room>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    session: Session,
) -> Result<impl IntoResponse, Problem> {
    let now = room.env.now().trunc_subsecs(3);
    if !room.issued.one_more(session.email(), now) {
        return Err(Problem::TooMany);
    }
    let ticket = Ticket {
        value: room.env.uuid(),
        user: session.email().clone(),
        client_address: peer.ip().to_canonical().to_string(),
        generated: now,
        valid_until: now + VALIDITY,
    };
    room.tickets.put_ticket(&ticket).await?;
    Ok(([(CACHE_CONTROL, "no-store")], Json(shown(&ticket))))
}

fn shown(ticket: &Ticket) -> Value {
    let instant = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    json!({
        "clientAddress": ticket.client_address,
        "value": ticket.value.to_string(),
        "generatedOn": instant(ticket.generated),
        "validUntil": instant(ticket.valid_until),
        "username": ticket.user,
    })
}

/// `DELETE /ws/ticket/{value}`: the caller does not need it after all.
pub(super) async fn revoke(
    State(room): State<Arc<Room>>,
    Path(value): Path<String>,
    session: Session,
) -> Result<StatusCode, Problem> {
    let value: Uuid = value.parse().map_err(|_| Problem::NoUuid)?;
    let ticket = room.tickets.ticket(value).await?;
    ticket.filter(|ticket| ticket.user == *session.email()).ok_or(Problem::NotYours)?;
    room.tickets.take_ticket(value).await?.ok_or(Problem::NotYours)?;
    Ok(StatusCode::NO_CONTENT)
}

/// `OPTIONS` that is no preflight: browsers' are answered before.
pub(super) async fn allowed() -> StatusCode {
    StatusCode::OK
}

/// Methods and paths that are not served.
pub(super) async fn not_found() -> Problem {
    Problem::NotFound
}
