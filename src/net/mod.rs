//! HTTP connections, in and out: the one client and the one way to serve. Knows bytes, not calendars.

mod client;

pub use client::{Client, ClientError, ClientLimits};
