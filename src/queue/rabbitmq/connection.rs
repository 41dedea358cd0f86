//! Connections that come back: one is made when it is asked for, kept while it works, and made anew, with growing pauses,
//! when it is lost. An outage is told once, and so is its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties, Error};

use super::RabbitMqError;
use crate::clock::Env;
use crate::config;

/// Pause after the first attempt that failed; doubled each time, shortened by chance so that nodes do not come in step.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_MOST: Duration = Duration::from_secs(10);

/// Where the broker is and how it is spoken to.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) uri: AMQPUri,
    pub(super) tls: OwnedTLSConfig,
    pub(super) connect: Duration,
    pub(super) operation: Duration,
}

impl Endpoint {
    pub(super) fn new(config: &config::RabbitMq) -> Result<Self, RabbitMqError> {
        let wrong = |key: &str, problem: String| RabbitMqError::Configuration(format!("rabbitmq.{key}: {problem}"));
        let mut uri: AMQPUri = config.url.parse().map_err(|e| wrong("url", e))?;
        // The parser takes an IPv6 address for no host at all, and a final slash for a vhost without a name.
        if let Ok(url) = config.url.parse::<url::Url>()
            && let Some(url::Host::Ipv6(address)) = url.host()
        {
            uri.authority.host = address.to_string();
        }
        if uri.vhost.is_empty() {
            uri.vhost = "/".to_owned();
        }
        uri.query.heartbeat.get_or_insert(config.heartbeat_s);
        let connect = Duration::from_millis(config.connect_timeout_ms);
        uri.query.connection_timeout.get_or_insert(config.connect_timeout_ms);
        let read = |key: &str, path: &std::path::Path| {
            std::fs::read_to_string(path).map_err(|e| wrong(key, format!("cannot read {}: {e}", path.display())))
        };
        let cert_chain = config.ca_file.as_deref().map(|path| read("ca_file", path)).transpose()?;
        let identity = config.client_certificate_file.as_deref();
        let identity = identity.map(|path| read("client_certificate_file", path)).transpose()?;
        let identity = identity.map(|pem| OwnedIdentity::PKCS8 { pem: pem.clone().into(), key: pem.into() });
        Ok(Self {
            uri,
            tls: OwnedTLSConfig { identity, cert_chain },
            connect,
            operation: Duration::from_millis(config.operation_timeout_ms),
        })
    }

    /// The address without secrets.
    pub(super) fn shown(&self) -> String {
        let AMQPUri { scheme, authority, vhost, .. } = &self.uri;
        format!("{scheme}://{}:{}, vhost {vhost}", authority.host, authority.port)
    }

    async fn connect(&self, name: &str) -> Result<Connection, RabbitMqError> {
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let runtime = lapin::runtime::default_runtime()?;
        let connecting = Connection::connect_uri_with_config(self.uri.clone(), properties, self.tls.clone(), runtime);
        match tokio::time::timeout(self.connect, connecting).await {
            Ok(connected) => Ok(connected?),
            Err(_) => Err(RabbitMqError::Away(format!("no connection within {:?}", self.connect))),
        }
    }
}

/// A connection that was made.
pub(super) struct Session {
    pub(super) connection: Connection,
    /// Which it is of those that this link made, from 1.
    pub(super) number: u64,
}

impl Session {
    pub(super) fn works(&self) -> bool {
        self.connection.status().connected()
    }
}

/// One connection to the broker, again and again.
pub(super) struct Link {
    endpoint: Endpoint,
    name: String,
    env: Env,
    made: AtomicU64,
    state: tokio::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    session: Option<Arc<Session>>,
    outage: Option<Outage>,
    closed: bool,
}

/// Since the connection was lost.
struct Outage {
    since: Instant,
    /// No attempt before.
    next: Instant,
    pause: Duration,
    error: RabbitMqError,
}

impl Link {
    pub(super) fn new(endpoint: Endpoint, name: String, env: Env) -> Self {
        Self { endpoint, name, env, made: AtomicU64::new(0), state: tokio::sync::Mutex::default() }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The connection, made anew where it was lost; then `greet` is given it first, and it counts only when that succeeds.
    /// Fails at once while it is too early for another attempt.
    pub(super) async fn session<F>(&self, greet: impl FnOnce(Arc<Session>) -> F) -> Result<Arc<Session>, RabbitMqError>
    where
        F: Future<Output = Result<(), RabbitMqError>>,
    {
        let mut state = self.state.lock().await;
        if state.closed {
            return Err(RabbitMqError::Away("it is closed".to_owned()));
        }
        if let Some(session) = state.session.as_ref().filter(|s| s.works()) {
            return Ok(Arc::clone(session));
        }
        state.session = None;
        if let Some(outage) = state.outage.as_ref().filter(|o| Instant::now() < o.next) {
            return Err(outage.error.clone());
        }
        match self.make(greet).await {
            Ok(session) => {
                if let Some(outage) = state.outage.take() {
                    let away_s = outage.since.elapsed().as_secs();
                    tracing::info!(broker = self.endpoint.shown(), connection = self.name, away_s, "RabbitMQ is back");
                }
                state.session = Some(Arc::clone(&session));
                Ok(session)
            }
            Err(error) => {
                self.note(&mut state, error.clone());
                Err(error)
            }
        }
    }

    async fn make<F>(&self, greet: impl FnOnce(Arc<Session>) -> F) -> Result<Arc<Session>, RabbitMqError>
    where
        F: Future<Output = Result<(), RabbitMqError>>,
    {
        metrics::counter!("convoke_rabbitmq_connects_total").increment(1);
        let connection = self.endpoint.connect(&self.name).await?;
        let session = Arc::new(Session { connection, number: self.made.fetch_add(1, Ordering::Relaxed) + 1 });
        // As long as it takes to declare everything, on a broker that is busy after its start.
        let limit = self.endpoint.operation * 3;
        match tokio::time::timeout(limit, greet(Arc::clone(&session))).await {
            Ok(greeted) => greeted.map(|()| session),
            Err(_) => Err(RabbitMqError::Away(format!("no answer within {limit:?}"))),
        }
    }

    fn note(&self, state: &mut State, error: RabbitMqError) {
        metrics::counter!("convoke_rabbitmq_connect_errors_total").increment(1);
        let now = Instant::now();
        if state.outage.is_none() {
            tracing::warn!(broker = self.endpoint.shown(), connection = self.name, %error, "RabbitMQ is away");
        }
        let pause = state.outage.as_ref().map_or(PAUSE_FIRST, |o| (o.pause * 2).min(PAUSE_MOST));
        let since = state.outage.as_ref().map_or(now, |o| o.since);
        state.outage = Some(Outage { since, next: now + self.jittered(pause), pause, error });
    }

    /// Between half of the time and all of it.
    fn jittered(&self, pause: Duration) -> Duration {
        let mut chance = [0; 1];
        self.env.fill(&mut chance);
        pause / 2 + pause / 2 * u32::from(chance[0]) / 255
    }

    /// Ends the connection for good.
    pub(super) async fn close(&self) {
        let session = {
            let mut state = self.state.lock().await;
            state.closed = true;
            state.session.take()
        };
        if let Some(session) = session {
            let closing = session.connection.close(200, "bye".into());
            if let Ok(Err(error)) = tokio::time::timeout(self.endpoint.operation, closing).await {
                tracing::debug!(%error, "the connection was gone before it was closed");
            }
        }
    }
}

/// What the broker did not do in time, or what it said.
pub(super) async fn within<T>(
    limit: Duration,
    what: &str,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, RabbitMqError> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(RabbitMqError::Away(format!("no answer to {what} within {limit:?}"))),
    }
}
