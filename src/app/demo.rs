//! The demo: everything embedded in one folder, with an OpenID provider and a page that shows the mails.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use axum::Router;

use crate::accounts::{Account, Accounts, AccountsFile};
use crate::clock::Env;
use crate::config::{Config, I18n, Upstream};
use crate::demo::{outbox, provider::Provider};
use crate::net::ServeLimits;

use super::engines::{Engines, StartError, outbox_folder};
use super::running::{Running, listen, local, start_on};

/// What can be chosen about the demo.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// Folder that keeps everything.
    pub data: PathBuf,
    /// Accounts file instead of the three embedded people.
    pub accounts: Option<PathBuf>,
    /// Address of the public port.
    pub listen: SocketAddr,
    /// Address of the administration port.
    pub admin_listen: SocketAddr,
    /// Address of the provider and of the mail page.
    pub demo_listen: SocketAddr,
    /// Another DAV server than the built-in one.
    pub upstream: Option<Upstream>,
}

/// A demo at work.
pub struct Demo {
    running: Running,
    provider: SocketAddr,
    issuer: String,
    data: PathBuf,
    accounts: Vec<Account>,
}
