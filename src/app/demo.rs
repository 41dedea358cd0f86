//! The demo: everything embedded in one folder, with an OpenID provider and a page that shows the mails.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;

use crate::accounts::{Account, Accounts, AccountsFile};
use crate::clock::Env;
use crate::config::{Config, Upstream};
use crate::demo::outbox;
use crate::demo::provider::Provider;
use crate::mail::folder::OutboxFolder;
use crate::net::ServeLimits;

use super::engines::{Engines, StartError, outbox_folder};
use super::running::{Identity, Ports, Running, address, listen, start};

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

impl Demo {
    /// Opens or makes the folder, takes in the accounts, and starts everything.
    ///
    /// # Errors
    /// [`StartError`] with the file, the key or the address that is at fault.
    pub async fn start(options: DemoOptions, env: Env) -> Result<Self, StartError> {
        let addresses = [
            ("--listen", options.listen),
            ("--admin-listen", options.admin_listen),
            ("--demo-listen", options.demo_listen),
        ];
        if let Some((key, address)) = addresses.into_iter().find(|(_, address)| !address.ip().is_loopback()) {
            return Err(StartError::NotLoopback { key, address });
        }
        let people = match &options.accounts {
            Some(path) => AccountsFile::read(path).map_err(|e| StartError::Accounts(e.to_string()))?,
            None => Accounts::demo(),
        };
        let mut config = Config::default();
        config.data.dir.clone_from(&options.data);
        config.server.listen = options.listen;
        config.webadmin.listen = options.admin_listen;
        if let Some(upstream) = options.upstream {
            config.upstream = upstream;
        }
        let ports = Ports::bind(&config).await?;
        let pages = listen("--demo-listen", options.demo_listen).await?;
        let provider_address = address(&pages)?;
        config.server.public_url = format!("http://{}", address(&ports.public)?);
        config.spa.calendar_url.clone_from(&config.server.public_url);

        let engines = Engines::open(&config, &env).await?;
        let identity = Identity::new(&engines, &config, &env);
        let Identity { accounts, passwords } = identity.clone();
        accounts.apply(&people).await.map_err(|e| StartError::Accounts(e.to_string()))?;
        let issuer = format!("http://{provider_address}");
        let provider = Provider::open(&config.data.dir, &issuer, provider_address, passwords, accounts, env.clone())
            .map_err(|e| StartError::engine("OpenID provider", e))?;
        config.auth.oidc.push(provider.oidc_config());

        let folder = outbox_folder(&config);
        let archive = OutboxFolder::open(&folder, env.clone())
            .map_err(|e| StartError::engine(format!("mail.folder {}", folder.display()), e))?;
        let limits = ServeLimits::from(&config.server);
        let mut running = start(engines, identity, ports, config, env.clone()).await?;
        let app = Router::new().merge(outbox::router(Arc::new(archive))).merge(provider.router());
        running.serve(pages, "demo", app, limits, &env);
        Ok(Self { running, provider: provider_address, issuer, data: options.data, accounts: people.accounts })
    }

    /// Address of the public port.
    pub fn public(&self) -> SocketAddr {
        self.running.public()
    }

    /// Address of the administration port.
    pub fn admin(&self) -> SocketAddr {
        self.running.admin()
    }

    /// Address of the provider and of the mail page (`/mails/`).
    pub fn provider(&self) -> SocketAddr {
        self.provider
    }

    /// The provider's issuer.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The folder that keeps everything.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Who can sign in.
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// Stops in order and closes the files.
    pub async fn stop(self) {
        self.running.stop().await;
    }
}
