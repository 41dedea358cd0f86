//! All integration tests in one binary, so that linking stays cheap. One module per room or surface.

mod auth_browser;
mod auth_oidc;
mod auth_support;
mod config_file;
mod contracts;
mod floors;
mod kill;
mod services;
