//! HTTP connections, in and out: the one client and the one way to serve. Knows bytes, not calendars.

mod certificate;
mod client;
mod cors;
mod examine;
mod idle;
mod provider;
mod serve;
mod stall;

use std::time::Duration;

pub use certificate::{Opening, ShownCertificate, certificate_end, shown_certificate};
pub use client::{Client, ClientError, ClientLimits};
pub use cors::{Cors, CorsLayer, CorsService};
pub use examine::{examine_certificate, examine_clock, is_loopback};
pub use idle::IdleTimeout;
pub use provider::use_ring;
pub use serve::{Drained, RequestId, ServeLimits, X_REQUEST_ID, serve};

/// Why a streamed body ended early.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Its connection broke.
    #[error("the body broke off: {0}")]
    Broken(String),
    /// Nothing of it came in time.
    #[error("nothing of the body came within {0:?}")]
    Idle(Duration),
}
