//! Says once when a server goes away and once when it is back, however many calls fail in between.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use mongodb::error::{Error, ErrorKind};
use mongodb::event::EventHandler;
use mongodb::event::sdam::SdamEvent;

/// Hears of every heartbeat.
pub(super) fn handler() -> EventHandler<SdamEvent> {
    let away: Mutex<HashSet<String>> = Mutex::default();
    EventHandler::callback(move |event| {
        let mut away = away.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            // The connection was closed on this side.
            SdamEvent::ServerHeartbeatFailed(failed) if is_ours(&failed.failure) => {}
            SdamEvent::ServerHeartbeatFailed(failed) => {
                let server = failed.server_address.to_string();
                if away.insert(server.clone()) {
                    metrics::counter!("convoke_mongodb_outages_total").increment(1);
                    tracing::warn!(server, reason = %super::Failure::from(failed.failure), "MongoDB is away");
                }
            }
            SdamEvent::ServerHeartbeatSucceeded(succeeded) => {
                let server = succeeded.server_address.to_string();
                if away.remove(&server) {
                    tracing::info!(server, "MongoDB is back");
                }
            }
            SdamEvent::ServerClosed(closed) => {
                away.remove(&closed.address.to_string());
            }
            _ => {}
        }
    })
}

/// Whether a heartbeat failed because this program does not want any more: the driver's way to say so.
fn is_ours(error: &Error) -> bool {
    match error.kind.as_ref() {
        ErrorKind::Shutdown => true,
        ErrorKind::Internal { message, .. } => message == "server closed",
        _ => false,
    }
}
