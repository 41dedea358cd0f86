//! All integration tests in one binary, so that linking stays cheap. One module per room or surface.

mod api_search;
mod auth_browser;
mod auth_oidc;
mod auth_support;
mod config_file;
mod contracts;
mod demo_outbox;
mod floors;
mod indexing;
mod itip;
mod itip_properties;
mod journey;
mod kill;
mod mail_snapshots;
mod notify_cases;
mod notify_consumers;
mod notify_support;
mod proxy_bodies;
mod proxy_failures;
mod proxy_headers;
mod proxy_support;
mod radicale;
mod serve;
mod services;
mod webadmin;
mod world;
