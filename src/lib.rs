//! convoke: a calendar side service and proxy that speaks CalDAV and iTIP.
//!
//! The rooms stand on floors; a room uses only rooms below its own (`docs/architecture.md`, kept by `tests/it/floors.rs`).
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod accounts;
pub mod api;
pub mod app;
pub mod auth;
pub mod cache;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dav;
pub mod demo;
pub mod doctor;
pub mod events;
pub mod health;
pub mod ical;
pub mod ids;
pub mod indexing;
pub mod itip;
pub mod mail;
pub mod mongo;
pub mod net;
pub mod nodes;
pub mod notify;
pub mod proxy;
pub mod push;
pub mod queue;
pub mod search;
pub mod sqlite;
pub mod store;
pub mod transfer;
pub mod vcard;
pub mod webadmin;
pub mod wording;
