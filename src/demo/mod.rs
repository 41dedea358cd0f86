//! The demo's own pages: a small OpenID provider and the mails that were sent, on loopback only.

pub mod outbox;
pub mod provider;
