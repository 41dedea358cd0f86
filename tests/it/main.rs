//! All integration tests in one binary, so that linking stays cheap. One module per room or surface.

mod accounts;
mod auth_browser;
mod auth_demo;
mod auth_oidc;
mod auth_scripted;
mod auth_support;
mod auth_surfaces;
mod auth_tokens;
mod config_file;
mod contracts;
mod floors;
mod kill;
mod services;
