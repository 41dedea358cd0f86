//! The rooms, connected and at work.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::accounts::Accounts;
use crate::api::{Api, OwnCalendars};
use crate::auth::{Authenticator, PasswordGate, Programs, RequireUser, Surface};
use crate::clock::Env;
use crate::config::Config;
use crate::dav::server::check::Check;
use crate::dav::server::{Server, Settings};
use crate::dav::{self, Upstream};
use crate::health::HealthCheck;
use crate::ical::Limits;
use crate::ids::HomeId;
use crate::indexing::Indexing;
use crate::mail::render::Renderer;
use crate::net::{Client, ClientLimits, ServeLimits, serve};
use crate::nodes::alone;
use crate::notify::{Composer, Invitations, ItipDelivery, Outbox, SharedPeople};
use crate::proxy;
use crate::push::{self, Push};
use crate::queue::{ConsumerSpec, Delivery, Failure, relay, run as consume};
use crate::store::HomeRoom;
use crate::tidying::{self, Tidying};
use crate::webadmin::{DavAnswers, Metrics, Started, WebAdmin};

use super::engines::{Engines, StartError};

/// A program at work.
pub struct Running {
    public: SocketAddr,
    admin: SocketAddr,
    engines: Engines,
    started: Arc<Started>,
    push: Push,
    grace: Duration,
    stop: watch::Sender<bool>,
    listeners: JoinSet<()>,
    consumers: JoinSet<()>,
    relay: JoinSet<()>,
    /// Nothing is written any more.
    quiet: watch::Sender<bool>,
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

/// Where a listener listens; differs from the configuration when that names port 0.
pub(super) fn address(listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|e| StartError::engine("listener", e))
}

/// Connects the rooms on these engines and begins to work on these ports.
///
/// # Errors
/// [`StartError`] with what is at fault. Nothing runs then.
pub async fn start(
    engines: Engines,
    identity: Identity,
    ports: Ports,
    config: Config,
    env: Env,
) -> Result<Running, StartError> {
    // First: what counts keeps the recorder that was there when it was made.
    let metrics = Metrics::install().map_err(|e| StartError::engine("metrics", e))?;
    let rooms = Rooms::connect(&engines, identity, &config, &env)?;
    let started = Arc::new(Started::default());
    let mut running = Running {
        public: address(&ports.public)?,
        admin: address(&ports.admin)?,
        engines: engines.clone(),
        started: started.clone(),
        push: rooms.push.clone(),
        grace: Duration::from_secs(config.server.shutdown_grace_s),
        stop: watch::Sender::new(false),
        listeners: JoinSet::new(),
        consumers: JoinSet::new(),
        relay: JoinSet::new(),
        quiet: watch::Sender::new(false),
    };
    rooms.start_consumers(&mut running, &engines, &config, &env).await?;
    engines.consumers_are_bound().await?;
    if config.upstream.url == "builtin" {
        running.tidy(&engines, &config, &env);
    }
    // After the consumers are bound, so that nothing that waited passes them by.
    if let Some(outgoing) = engines.outgoing.clone() {
        let mut end = running.quiet.subscribe();
        running.relay.spawn(relay(outgoing, engines.queue.clone(), async move {
            let _ = end.wait_for(|quiet| *quiet).await;
        }));
    }

    let webadmin = WebAdmin {
        directory: engines.directory.clone(),
        accounts: rooms.identity.accounts.clone(),
        queue: engines.queue.clone(),
        checks: checks(&engines, &rooms.upstream, started.clone(), &config),
        metrics,
        env: env.clone(),
    };
    let admin_app = webadmin.router(&config.webadmin);
    let public_app = rooms.public_app(&engines, &config);
    let limits = ServeLimits::from(&config.server);
    running.serve(ports.public, "public", public_app, limits, &env);
    running.serve(ports.admin, "webadmin", admin_app, limits, &env);
    started.set(true);
    Ok(running)
}

/// A look at everything that the built-in server stores, or at one home (`convoke dav check`).
pub fn check(engines: &Engines, config: &Config, env: &Env, only: Option<HomeId>) -> Check {
    let limits = &config.limits;
    let limits = Limits { bytes: limits.object_bytes, depth: limits.object_depth, lines: limits.object_lines };
    Check::new(engines.dav.clone(), env.clone(), limits, only)
}

/// The consumers of the program.
pub(super) fn consumers(config: &Config) -> Vec<&'static str> {
    let queue = &config.queue;
    let mut specs = vec![ItipDelivery::spec(queue), Invitations::spec(queue), Outbox::spec(queue)];
    specs.extend(Indexing::specs(queue));
    specs.extend(Push::specs(queue));
    specs.into_iter().map(|spec| spec.name).collect()
}

/// What is made of the engines and used by several surfaces and consumers.
struct Rooms {
    upstream: Upstream,
    identity: Identity,
    authenticator: Authenticator,
    programs: Option<Programs>,
    push: Push,
}

impl Rooms {
    fn connect(engines: &Engines, identity: Identity, config: &Config, env: &Env) -> Result<Self, StartError> {
        let client = Client::new(ClientLimits::default()).map_err(|e| StartError::engine("trust anchors", e))?;
        let authenticator = Authenticator::from_config(
            &config.auth,
            identity.passwords.clone(),
            Arc::new(identity.accounts.clone()),
            engines.tokens.clone(),
            client.clone(),
            env.clone(),
        );
        let programs = Programs::from_config(&config.auth, client, env.clone());
        // Clients see the server where the proxy shows it.
        let base = if config.proxy.at_root { String::new() } else { proxy::MOUNT.to_owned() };
        let upstream = upstream_at(base, engines, config, env)?;
        let ports = push::Ports {
            tickets: engines.tickets.clone(),
            directory: engines.directory.clone(),
            upstream: upstream.clone(),
            bus: engines.bus.clone(),
        };
        let push = Push::new(ports, config, env.clone());
        Ok(Self { upstream, identity, authenticator, programs, push })
    }

    fn public_app(&self, engines: &Engines, config: &Config) -> Router {
        let api = Api {
            directory: engines.directory.clone(),
            calendars: Arc::new(OwnCalendars { dav: engines.dav.clone(), directory: engines.directory.clone() }),
            index: engines.index.clone(),
            config: config.clone(),
        };
        let require = |surface| RequireUser::new(self.authenticator.clone(), surface);
        let require_dav = require(Surface::Dav).or_programs(self.programs.clone());
        proxy::router(self.upstream.clone(), require_dav, config)
            .merge(self.push.router(&require(Surface::Tickets)))
            .merge(api.router(&require(Surface::Rest)))
    }

    async fn start_consumers(
        &self,
        running: &mut Running,
        engines: &Engines,
        config: &Config,
        env: &Env,
    ) -> Result<(), StartError> {
        let people: SharedPeople = Arc::new(self.identity.accounts.clone());
        let delivery = Arc::new(ItipDelivery::new(
            engines.queue.clone(),
            self.upstream.clone(),
            engines.directory.clone(),
            people.clone(),
            env.clone(),
        ));
        running
            .consume(ItipDelivery::spec(&config.queue), move |d| {
                let delivery = delivery.clone();
                async move { delivery.handle(d).await }
            })
            .await?;
        let composer = Composer::new(Renderer::new(), env.clone(), &config.spa);
        let invitations = Arc::new(Invitations::new(engines.queue.clone(), people, composer, &config.mail));
        running
            .consume(Invitations::spec(&config.queue), move |d| {
                let invitations = invitations.clone();
                async move { invitations.handle(d).await }
            })
            .await?;
        let outbox = Arc::new(Outbox::new(engines.transport.clone(), &config.mail));
        running
            .consume(Outbox::spec(&config.queue), move |d| {
                let outbox = outbox.clone();
                async move { outbox.handle(d).await }
            })
            .await?;
        let indexing = Arc::new(Indexing::new(engines.index.clone()));
        for spec in Indexing::specs(&config.queue) {
            let indexing = indexing.clone();
            running
                .consume(spec, move |d| {
                    let indexing = indexing.clone();
                    async move { indexing.handle(d).await }
                })
                .await?;
        }
        for spec in Push::specs(&config.queue) {
            let push = self.push.clone();
            running
                .consume(spec, move |d| {
                    let push = push.clone();
                    async move { push.handle(d).await }
                })
                .await?;
        }
        Ok(())
    }
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
        self.started.set(false);
        self.stop.send_replace(true);
        // Connections that became WebSockets are no longer the listeners'.
        let cut = self.push.close(self.grace).await;
        if cut > 0 {
            tracing::warn!(surface = "push", connections = cut, "cut at the end of the grace period");
        }
        while self.listeners.join_next().await.is_some() {}
        let draining = async { while self.consumers.join_next().await.is_some() {} };
        if tokio::time::timeout(self.grace, draining).await.is_err() {
            tracing::warn!(consumers = self.consumers.len(), "cut at the end of the grace period");
            self.consumers.shutdown().await;
        }
        // Nobody writes any more: what was written goes out, as far as there is time.
        self.quiet.send_replace(true);
        while self.relay.join_next().await.is_some() {}
        self.engines.close().await;
    }

    /// Forgets from time to time what need not be kept any more, on one node.
    fn tidy(&mut self, engines: &Engines, config: &Config, env: &Env) {
        let tidying = Tidying::new(engines.dav.clone(), engines.files.clone(), &config.dav, env.clone());
        let (leases, node, stopping) = (engines.leases.clone(), engines.node.clone(), self.stopping());
        self.consumers.spawn(async move {
            let work = |stop| tidying.from_time_to_time(stop);
            alone(leases, tidying::LEASE, node, tidying::LEASE_TTL, stopping, work).await;
        });
    }

    fn stopping(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut stop = self.stop.subscribe();
        async move {
            // An error means that the program is gone: time to stop, too.
            let _ = stop.wait_for(|stop| *stop).await;
        }
    }

    /// Binds a consumer, so that nothing published from now on passes it by, and lets it work.
    async fn consume<H, F>(&mut self, spec: ConsumerSpec, handler: H) -> Result<(), StartError>
    where
        H: Fn(Delivery) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        self.engines.queue.bind(&spec).await.map_err(|e| StartError::engine(spec.name, e))?;
        self.consumers.spawn(consume(self.engines.queue.clone(), spec, handler, self.stopping()));
        Ok(())
    }

    /// Serves one more port until the program stops.
    pub(super) fn serve(
        &mut self,
        listener: TcpListener,
        surface: &'static str,
        app: Router,
        limits: ServeLimits,
        env: &Env,
    ) {
        let (env, stopping) = (env.clone(), self.stopping());
        self.listeners.spawn(async move {
            let drained = serve(listener, surface, app, limits, env, stopping).await;
            if drained.cut > 0 {
                tracing::warn!(surface, connections = drained.cut, "cut at the end of the grace period");
            }
        });
    }
}

/// Who the people are, and the one place where their passwords are checked.
#[derive(Clone)]
pub struct Identity {
    /// The accounts. Homes are ours to make only when the DAV server is the built-in one.
    pub accounts: Accounts,
    /// Checks, damps and remembers passwords.
    pub passwords: Arc<PasswordGate>,
}

impl Identity {
    /// The people in the directory of these engines.
    pub fn new(engines: &Engines, config: &Config, env: &Env) -> Self {
        let homes = (config.upstream.url == "builtin").then(|| engines.dav.clone());
        let files = homes.is_some().then(|| engines.files.clone());
        let accounts =
            Accounts::new(engines.directory.clone(), homes, config.i18n.clone(), env.clone()).with_files(files);
        let passwords = Arc::new(PasswordGate::new(&config.auth, Arc::new(accounts.clone()), env.clone()));
        Self { accounts, passwords }
    }
}

/// The DAV server that the configuration names, with paths as they are below its root.
///
/// # Errors
/// [`StartError`] with what is at fault.
pub fn upstream(engines: &Engines, config: &Config, env: &Env) -> Result<Upstream, StartError> {
    upstream_at(String::new(), engines, config, env)
}

/// The same with the paths of the built-in server below `base`.
fn upstream_at(base: String, engines: &Engines, config: &Config, env: &Env) -> Result<Upstream, StartError> {
    if config.upstream.url == "builtin" {
        let settings = server_settings(base, config);
        let server = Server::new(engines.dav.clone(), engines.directory.clone(), env.clone(), settings)
            .with_files(engines.files.clone());
        return Ok(server.into_upstream());
    }
    let idle = Duration::from_secs(config.proxy.idle_timeout_s);
    dav::client::remote(&config.upstream, idle, None).map_err(|e| StartError::engine("upstream", e))
}

fn server_settings(base: String, config: &Config) -> Settings {
    Settings {
        base,
        public_url: config.server.public_url.clone(),
        limits: config.limits.clone(),
        files: config.files.clone(),
        guard_attendee_changes: config.dav.guard_attendee_changes,
        principal_privacy: config.dav.principal_privacy,
        reply_propagation: config.dav.reply_propagation,
        members_book: config.dav.members_book,
        organizer_validation: config.dav.organizer_validation,
        inline_attachments: config.dav.inline_attachments,
        immediate_deliveries: config.dav.immediate_deliveries,
        trash_days: config.dav.trash_days,
        room: HomeRoom {
            octets: some(config.dav.quota_bytes),
            objects: some(config.dav.quota_objects),
            collections: some(config.dav.quota_collections),
        },
        unique_card_uids: config.dav.unique_card_uids,
    }
}

/// A limit, where there is one.
fn some(limit: u64) -> Option<u64> {
    (limit > 0).then_some(limit)
}

fn checks(engines: &Engines, upstream: &Upstream, started: Arc<Started>, config: &Config) -> Vec<Arc<dyn HealthCheck>> {
    let mut checks: Vec<Arc<dyn HealthCheck>> = vec![started];
    checks.extend(engines.health.iter().cloned());
    checks.push(Arc::new(DavAnswers { upstream: upstream.clone(), asker: config.mail.sender.clone() }));
    checks
}
