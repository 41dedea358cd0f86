//! `GET /ws?ticket=`: from a ticket to a connection (messaging §5.2).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{RawQuery, State, WebSocketUpgrade};
use axum::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use uuid::Uuid;

use super::Room;
use super::admission::Seat;
use super::connection::{Who, attend};
use crate::store::StoreError;

/// Buffers of a connection begin with this size: frames are small, and connections many.
const BUFFER_BYTES: usize = 4 << 10;
/// What is written and not yet taken by the network, at most, besides the answer to the longest frame of a client. Frames
/// wait in the queue, so this is one frame and the control frames behind it.
const UNSENT_BYTES: usize = 1 << 20;
/// An answer is longer than what it answers by less than this factor.
const ANSWER_GROWTH: usize = 8;

/// Why somebody does not come in. Empty bodies: browsers show their pages none of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// No ticket, or one that was used, has ended, or never was. Which of them is not told.
    #[error("no valid ticket")]
    Ticket,
    /// A ticket, but no WebSocket handshake.
    #[error("{0}")]
    NoHandshake(WebSocketUpgradeRejection),
    /// As many connections as there may be, or the program is about to end.
    #[error("no connection is free")]
    Full,
    /// This user has as many as one may have.
    #[error("too many connections of one user")]
    UserFull,
    /// The store cannot be asked. Never a 401: that would send people to log in again.
    #[error("the store failed: {0}")]
    Store(#[from] StoreError),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        metrics::counter!("convoke_push_refused_total", "reason" => self.name()).increment(1);
        match &self {
            Self::Store(cause) => tracing::error!(%cause, "a live connection is refused"),
            reason => tracing::info!(%reason, "a live connection is refused"),
        }
        let (status, retry) = match self {
            Self::NoHandshake(rejection) => return rejection.into_response(),
            Self::Ticket => (StatusCode::UNAUTHORIZED, false),
            Self::UserFull => (StatusCode::TOO_MANY_REQUESTS, true),
            Self::Full | Self::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, true),
        };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        if retry {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

impl Refusal {
    const fn name(&self) -> &'static str {
        match self {
            Self::Ticket => "ticket",
            Self::NoHandshake(_) => "no-handshake",
            Self::Full => "full",
            Self::UserFull => "user-full",
            Self::Store(_) => "store",
        }
    }
}

/// `GET /ws?ticket=`. The ticket is used up as late as possible, and whatever follows.
pub(super) async fn open(
    State(room): State<Arc<Room>>,
    RawQuery(query): RawQuery,
    handshake: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refusal> {
    let value = ticket_of(query.as_deref().unwrap_or_default()).ok_or(Refusal::Ticket)?;
    let handshake = handshake.map_err(Refusal::NoHandshake)?;
    let (who, seat) = admit(&room, value).await?;
    let bytes = room.config.frame_bytes;
    Ok(handshake
        .max_frame_size(bytes)
        .max_message_size(bytes)
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_write_buffer_size(bytes.saturating_mul(ANSWER_GROWTH).saturating_add(UNSENT_BYTES))
        .on_failed_upgrade(|error| tracing::debug!(%error, "a WebSocket handshake was not completed"))
        .on_upgrade(move |socket| async move {
            attend(room, who, socket).await;
            drop(seat);
        }))
}

/// Takes the ticket and a seat.
async fn admit(room: &Room, value: Uuid) -> Result<(Who, Seat), Refusal> {
    if *room.stop.borrow() {
        return Err(Refusal::Full);
    }
    let seat = room.seats.take().ok_or(Refusal::Full)?;
    let ticket = room.tickets.take_ticket(value).await?.filter(|ticket| ticket.valid_until > room.env.now());
    let user = ticket.ok_or(Refusal::Ticket)?.user;
    // Others tell of a person by the main address, whatever address they signed in with.
    let known = room.directory.user_by_email(&user).await?;
    let main = known.map_or_else(|| user.clone(), |known| known.email().clone());
    let seat = seat.of(&main).ok_or(Refusal::UserFull)?;
    Ok((Who { user, main }, seat))
}

/// The ticket in a query; `None` when there is none or more than one.
fn ticket_of(query: &str) -> Option<Uuid> {
    let mut tickets = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "ticket");
    let ticket = tickets.next()?.1.parse().ok();
    ticket.filter(|_| tickets.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_ticket_is_read_and_nothing_else() {
        let value = "7d1b6a52-4a40-4f57-8b22-0c6a1f5d9e10";
        let expected = value.parse().ok();
        assert_eq!(ticket_of(&format!("ticket={value}")), expected);
        assert_eq!(ticket_of(&format!("x=1&ticket={value}&y")), expected);
        for query in ["", "ticket", "ticket=", "ticket=x", "tickets=1"] {
            assert_eq!(ticket_of(query), None, "{query}");
        }
        assert_eq!(ticket_of(&format!("ticket={value}&ticket={value}")), None);
    }
}
