//! The rooms, connected and at work.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::accounts::Accounts;
use crate::auth::{Authenticator, PasswordGate, RequireUser, Surface};
use crate::clock::Env;
use crate::config::Config;
use crate::dav::{self, Upstream};
use crate::net::{Client, ClientLimits, ServeLimits, serve};
use crate::notify::{Invitations, ItipDelivery, Outbox};
use crate::queue;
use crate::{api, indexing, proxy, webadmin};

use super::engines::{Engines, StartError};

/// A program at work.
pub struct Running {
    public: SocketAddr,
    admin: SocketAddr,
    engines: Engines,
    stop: watch::Sender<bool>,
    work: JoinSet<()>,
    listeners: JoinSet<()>,
}

/// The bound ports of a program.
#[derive(Debug)]
pub struct Ports {
    /// REST and DAV.
    pub public: TcpListener,
    /// Administration.
    pub admin: TcpListener,
}

impl Ports {
    /// Binds the addresses of the configuration.
    ///
    /// # Errors
    /// [`StartError::Listen`] with the key that is at fault.
    pub async fn bind(config: &Config) -> Result<Self, StartError> {
        Ok(Self {
            public: listen("server.listen", config.server.listen).await?,
            admin: listen("webadmin.listen", config.webadmin.listen).await?,
        })
    }
}

/// Binds an address; `key` is where it is configured.
pub(super) async fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| StartError::Listen { key, address, error })
}

/// Connects the rooms on these engines and begins to work on these ports.
///
/// # Errors
/// [`StartError`] with what is at fault. Nothing runs then.
pub async fn start(engines: Engines, ports: Ports, config: Config, env: Env) -> Result<Running, StartError> {
    let upstream = upstream(&engines, &config, &env)?;
    let accounts = Accounts::new(
        engines.directory.clone(),
        (config.upstream.url == "builtin").then(|| engines.dav.clone()),
        config.i18n.clone(),
        env.clone(),
    );
    let authenticator = authenticator(&engines, &accounts, &config, &env)?;

    let (stop, stopped) = watch::channel(false);
    let mut running = Running {
        public: addresses.0,
        admin: addresses.1,
        engines: engines.clone(),
        stop,
        work: JoinSet::new(),
        listeners: JoinSet::new(),
    };
    running.consume(&accounts, &upstream, &config, &env, &stopped).await?;

    let public_app = Router::new()
        .merge(api::router(&engines.directory, &engines.dav, &engines.index, &authenticator, &config))
        .merge(proxy::router(
            upstream.clone(),
            RequireUser::new(authenticator, Surface::Dav),
            &config,
        ));
    let admin_app = webadmin::router(&engines.directory, &engines.queue, checks(&engines, &upstream), &config);
    let limits = ServeLimits::from(&config.server);
    running.serve(public, "public", public_app, limits, &env, &stopped);
    running.serve(admin, "webadmin", admin_app, limits, &env, &stopped);
    Ok(running)
}

impl Running {
    /// Address of the public port.
    pub fn public(&self) -> SocketAddr {
        self.public
    }

    /// Address of the administration port.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Stops in order: accepts nothing new, finishes what is under way, hands back what consumers hold, closes the files.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.listeners.join_next().await.is_some() {}
        while self.work.join_next().await.is_some() {}
        self.engines.close().await;
    }

    async fn consume(
        &mut self,
        accounts: &Accounts,
        upstream: &Upstream,
        config: &Config,
        env: &Env,
        stopped: &watch::Receiver<bool>,
    ) -> Result<(), StartError> {
        let _ = (accounts, upstream, config, env, stopped);
        Ok(())
    }

    pub(super) fn serve(
        &mut self,
        listener: TcpListener,
        surface: &'static str,
        app: Router,
        limits: ServeLimits,
        env: &Env,
        stopped: &watch::Receiver<bool>,
    ) {
        let (env, mut stopped) = (env.clone(), stopped.clone());
        self.listeners.spawn(async move {
            let stop = async move {
                let _ = stopped.wait_for(|stop| *stop).await;
            };
            let drained = serve(listener, surface, app, limits, env, stop).await;
            if drained.cut > 0 {
                tracing::warn!(surface, connections = drained.cut, "cut at the end of the grace period");
            }
        });
    }
}
