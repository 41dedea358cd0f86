//! All integration tests in one binary, so that linking stays cheap. One module per room or surface.

mod config_file;
mod contracts;
mod floors;
mod itip;
mod kill;
mod mail_snapshots;
mod proxy_bodies;
mod proxy_failures;
mod proxy_headers;
mod proxy_support;
mod serve;
