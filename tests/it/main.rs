//! All integration tests in one binary, so that linking stays cheap. One module per room or surface.

mod config_file;
mod contracts;
mod demo_outbox;
mod floors;
mod indexing;
mod kill;
mod mail_snapshots;
mod notify_cases;
mod notify_consumers;
mod notify_support;
