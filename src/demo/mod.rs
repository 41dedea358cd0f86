//! The demo: a small OpenID provider and a page with the mails that were sent, on loopback only.

pub mod outbox;
