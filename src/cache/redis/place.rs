//! Where Redis is: from the configuration to a connection with whichever server takes writes at that moment.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection, PubSub};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo, SingleNodeRoutingInfo};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue, IntoConnectionInfo,
    Pipeline, RedisConnectionInfo, RedisError, RedisFuture, ServerErrorKind, TlsCertificates, Value,
};

use crate::config::{Redis as Config, RedisTopology};

/// Redis cannot be used as configured. The message begins with the key that is at fault.
#[derive(Debug, thiserror::Error)]
#[error("redis.{key}: {problem}")]
pub struct RedisConfigError {
    /// Key of `[redis]`.
    pub key: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

/// Why there is no connection; nothing secret.
pub(super) type Why = String;

/// The servers, and how to reach them.
pub(super) struct Place {
    kind: Kind,
    /// The servers; the sentinels, where there are sentinels.
    nodes: Vec<Client>,
    /// The one to try first.
    first: AtomicUsize,
    connect: Duration,
    response: Duration,
    tls: Option<TlsCertificates>,
}

enum Kind {
    /// The servers themselves.
    Servers,
    /// Sentinels, which know the server.
    Sentinels { master: String, login: RedisConnectionInfo },
    /// A cluster.
    Cluster(Box<ClusterClient>),
}

/// A connection for commands. Cheap to clone; commands of all clones share it.
#[derive(Clone)]
pub(super) enum Wire {
    /// To one server.
    One(MultiplexedConnection),
    /// To all masters of a cluster.
    Cluster(ClusterConnection),
}

impl Place {
    /// # Errors
    /// [`RedisConfigError`] when the configuration cannot mean any place. Nothing is connected to yet.
    pub fn new(config: &Config) -> Result<Self, RedisConfigError> {
        crate::net::use_ring();
        let tls = certificates(config)?;
        let (connect, response) =
            (Duration::from_millis(config.connect_timeout_ms), Duration::from_millis(config.response_timeout_ms));
        let mut infos = config.urls.iter().map(|url| info(url)).collect::<Result<Vec<_>, _>>()?;
        let own = infos.first().ok_or_else(|| wrong("urls", "found none, expected at least one"))?;
        let servers = login(own.redis_settings().clone(), config.username.as_deref(), config.password.as_deref());
        let kind = match config.topology {
            RedisTopology::Standalone | RedisTopology::MasterReplica => Kind::Servers,
            RedisTopology::Sentinel => {
                let master = config.sentinel_master.clone();
                let master = master.ok_or_else(|| wrong("sentinel_master", "required with sentinels"))?;
                // What the URLs say of a user is of the sentinels.
                let servers = RedisConnectionInfo::default().set_db(own.redis_settings().db());
                let servers = login(servers, config.username.as_deref(), config.password.as_deref());
                Kind::Sentinels { master, login: servers }
            }
            RedisTopology::Cluster => {
                infos = infos.into_iter().map(|info| info.set_redis_settings(servers.clone())).collect();
                Kind::Cluster(Box::new(cluster(infos.clone(), tls.clone(), connect, response)?))
            }
        };
        let infos = infos.into_iter().map(|info| match &kind {
            Kind::Sentinels { .. } => {
                let own = info.redis_settings().clone().set_db(0);
                info.set_redis_settings(login(own, None, config.sentinel_password.as_deref()))
            }
            _ => {
                let own = info.redis_settings().clone();
                info.set_redis_settings(login(own, config.username.as_deref(), config.password.as_deref()))
            }
        });
        let nodes = infos.map(|info| client(info, tls.as_ref())).collect::<Result<Vec<_>, _>>();
        let nodes = nodes.map_err(|e| wrong("urls", e))?;
        Ok(Self { kind, nodes, first: AtomicUsize::new(0), connect, response, tls })
    }

    /// Time for an answer.
    pub fn response(&self) -> Duration {
        self.response
    }

    /// Whether it is a cluster: commands about several keys are several commands.
    pub fn is_cluster(&self) -> bool {
        matches!(self.kind, Kind::Cluster(_))
    }

    /// Time for a question that nobody waits for.
    pub fn patience(&self) -> Duration {
        self.connect.max(self.response)
    }

    /// What it is, for people.
    pub fn kind(&self) -> String {
        match &self.kind {
            Kind::Servers => "a master".to_owned(),
            Kind::Sentinels { master, .. } => format!("the master {master} that sentinels know"),
            Kind::Cluster(_) => "a whole cluster".to_owned(),
        }
    }

    /// The authorities to trust, where they are not those of the system.
    pub fn authority(&self) -> Option<&[u8]> {
        self.tls.as_ref()?.root_cert.as_deref()
    }

    /// Whether one of the addresses answers, by its number.
    pub async fn answers(&self, node: usize) -> Result<(), Why> {
        let mut connection = self.open(&self.nodes[node]).await?;
        within(self.connect, redis::cmd("PING").exec_async(&mut connection)).await
    }

    /// The configured addresses, as `host:port`.
    pub fn addresses(&self) -> impl Iterator<Item = &ConnectionAddr> {
        self.nodes.iter().map(|node| node.get_connection_info().addr())
    }

    /// Connects to whichever server takes writes, or to a cluster all of whose slots are served.
    pub async fn connect(&self) -> Result<Wire, Why> {
        if let Kind::Cluster(cluster) = &self.kind {
            let mut wire = Wire::Cluster(within(self.connect, cluster.get_async_connection()).await?);
            within(self.response, wire.ping()).await?;
            return Ok(wire);
        }
        self.some_node(async |node: usize| {
            let connection = self.open(&self.server(node).await?).await?;
            self.master(connection).await.map(Wire::One)
        })
        .await
    }

    /// Connects to a server on which the messages of all are heard: to the same one, or to any of a cluster.
    pub async fn listen(&self) -> Result<PubSub, Why> {
        self.some_node(async |node: usize| {
            let server = self.server(node).await?;
            if !self.is_cluster() {
                // A replica would do, but not one that is cut off from its master.
                self.master(self.open(&server).await?).await?;
            }
            within(self.connect, server.get_async_pubsub()).await
        })
        .await
    }

    /// The first success with one of the nodes, by their numbers, beginning with the one that it succeeded with before.
    async fn some_node<T, Attempt>(&self, attempt: impl Fn(usize) -> Attempt) -> Result<T, Why>
    where
        Attempt: Future<Output = Result<T, Why>>,
    {
        let first = self.first.load(Ordering::Relaxed);
        let mut why = Vec::new();
        for i in (0..self.nodes.len()).map(|i| (first + i) % self.nodes.len()) {
            match attempt(i).await {
                Ok(success) => {
                    self.first.store(i, Ordering::Relaxed);
                    return Ok(success);
                }
                Err(e) => why.push(format!("{}: {e}", self.nodes[i].get_connection_info().addr())),
            }
        }
        Err(why.join("; "))
    }

    /// The server behind a node: itself, or the master that it knows as a sentinel.
    async fn server(&self, node: usize) -> Result<Client, Why> {
        let node = &self.nodes[node];
        let Kind::Sentinels { master, login } = &self.kind else { return Ok(node.clone()) };
        let mut sentinel = self.open(node).await?;
        let question = redis::cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(master).to_owned();
        let known: Option<(String, u16)> = within(self.response, question.query_async(&mut sentinel)).await?;
        let (host, port) = known.ok_or_else(|| format!("the sentinel knows no master {master:?}"))?;
        let addr = match node.get_connection_info().addr() {
            ConnectionAddr::TcpTls { .. } => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
            _ => ConnectionAddr::Tcp(host, port),
        };
        let info = addr.into_connection_info().map_err(|e| e.to_string())?.set_redis_settings(login.clone());
        client(info, self.tls.as_ref()).map_err(|e| e.to_string())
    }

    async fn open(&self, client: &Client) -> Result<MultiplexedConnection, Why> {
        let times = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect))
            .set_response_timeout(Some(self.response));
        within(self.connect, client.get_multiplexed_async_connection_with_config(&times)).await
    }

    /// The connection, if it is to a master that has read its data.
    async fn master(&self, mut connection: MultiplexedConnection) -> Result<MultiplexedConnection, Why> {
        let role: Result<Vec<Value>, RedisError> =
            tokio::time::timeout(self.response, redis::cmd("ROLE").query_async(&mut connection))
                .await
                .map_err(|_| "no answer in time".to_owned())?;
        match role.as_deref() {
            Ok([Value::BulkString(role), ..]) if role != b"master" => {
                Err(format!("it is a {}, not a master", String::from_utf8_lossy(role)))
            }
            Ok(_) => Ok(connection),
            // A user who may not ask. Whether writes are taken will be seen.
            Err(e) if e.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) => Ok(connection),
            Err(e) => Err(e.to_string()),
        }
    }
}

fn any_master() -> RoutingInfo {
    RoutingInfo::SingleNode(SingleNodeRoutingInfo::RandomPrimary)
}

/// The answers come as a map by address.
fn every_master() -> RoutingInfo {
    RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None))
}

async fn within<T>(time: Duration, attempt: impl Future<Output = Result<T, RedisError>>) -> Result<T, Why> {
    match tokio::time::timeout(time, attempt).await {
        Ok(outcome) => outcome.map_err(|e| e.to_string()),
        Err(_) => Err(format!("no answer within {} ms", time.as_millis())),
    }
}

fn wrong(key: &'static str, problem: impl std::fmt::Display) -> RedisConfigError {
    RedisConfigError { key, problem: problem.to_string() }
}

fn certificates(config: &Config) -> Result<Option<TlsCertificates>, RedisConfigError> {
    let Some(file) = &config.ca_file else { return Ok(None) };
    let pem = std::fs::read(file).map_err(|e| wrong("ca_file", format!("cannot read {}: {e}", file.display())))?;
    if !pem.windows(BEGIN.len()).any(|w| w == BEGIN) {
        return Err(wrong("ca_file", format!("{}: expected a PEM file with a certificate", file.display())));
    }
    Ok(Some(TlsCertificates { client_tls: None, root_cert: Some(pem) }))
}

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// The errors of the library do not repeat the URL, which may hold a password.
fn info(url: &str) -> Result<ConnectionInfo, RedisConfigError> {
    let info = url.into_connection_info().map_err(|e| wrong("urls", e))?;
    match info.addr() {
        ConnectionAddr::TcpTls { insecure: true, .. } => Err(wrong("urls", "certificates are always checked")),
        _ => Ok(info),
    }
}

/// What is configured beside the URL, over what the URL says.
fn login(mut own: RedisConnectionInfo, username: Option<&str>, password: Option<&str>) -> RedisConnectionInfo {
    if let Some(username) = username {
        own = own.set_username(username);
    }
    if let Some(password) = password {
        own = own.set_password(password);
    }
    own.set_lib_name("convoke", env!("CARGO_PKG_VERSION"))
}

fn client(info: ConnectionInfo, tls: Option<&TlsCertificates>) -> Result<Client, RedisError> {
    match (info.addr(), tls) {
        (ConnectionAddr::TcpTls { .. }, Some(tls)) => Client::build_with_tls(info, tls.clone()),
        _ => Client::open(info),
    }
}

fn cluster(
    nodes: Vec<ConnectionInfo>,
    tls: Option<TlsCertificates>,
    connect: Duration,
    response: Duration,
) -> Result<ClusterClient, RedisConfigError> {
    let mut builder = ClusterClient::builder(nodes)
        .connection_timeout(connect)
        .response_timeout(response)
        .retries(2)
        .max_retry_wait(100);
    if let Some(tls) = tls {
        builder = builder.certs(tls);
    }
    builder.build().map_err(|e| wrong("urls", e))
}

impl Wire {
    /// Whether the server answers; of a cluster, whether all masters do and no slot is without one. The cluster's library
    /// leaves out servers that it has lost.
    pub async fn ping(&mut self) -> Result<(), RedisError> {
        redis::cmd("PING").exec_async(self).await?;
        let Self::Cluster(cluster) = self else { return Ok(()) };
        let question = redis::cmd("CLUSTER").arg("INFO").to_owned();
        let infos = match cluster.route_command(question, every_master()).await {
            Ok(infos) => HashMap::<String, String>::from_redis_value(infos),
            // A user who may not ask. What is missing will be seen.
            Err(e) if e.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) => return Ok(()),
            Err(e) => return Err(e),
        };
        // A master that has just come back refuses for a while, which it says itself only.
        let whole = |info: &String| info.contains("cluster_state:ok") && info.contains("cluster_slots_ok:16384");
        match infos {
            Ok(infos) if !infos.values().all(whole) => Err((ErrorKind::Io, "a part of the cluster is down").into()),
            // Those that may not be asked answer with an error of their own.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// What a server says of itself; of a cluster, one of the masters.
    pub async fn info(&mut self) -> Result<String, RedisError> {
        let answer = match self {
            Self::One(one) => one.send_packed_command(&redis::cmd("INFO")).await?,
            Self::Cluster(cluster) => cluster.route_command(redis::cmd("INFO"), any_master()).await?,
        };
        Ok(String::from_redis_value(answer)?)
    }

    /// Several commands, which may be about keys anywhere, and an answer to each in order.
    pub async fn each<T: FromRedisValue>(&mut self, commands: Vec<Cmd>) -> Result<Vec<T>, RedisError> {
        match self {
            Self::One(one) => {
                let mut pipeline = Pipeline::with_capacity(commands.len());
                for command in commands {
                    pipeline.add_command(command);
                }
                pipeline.query_async(one).await
            }
            Self::Cluster(cluster) => {
                let answers = commands.into_iter().map(|command| {
                    let mut cluster = cluster.clone();
                    async move { command.query_async(&mut cluster).await }
                });
                futures_util::future::try_join_all(answers).await
            }
        }
    }
}

impl ConnectionLike for Wire {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(one) => one.req_packed_command(command),
            Self::Cluster(cluster) => cluster.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(one) => one.req_packed_commands(pipeline, offset, count),
            Self::Cluster(cluster) => cluster.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(one) => one.get_db(),
            Self::Cluster(cluster) => cluster.get_db(),
        }
    }
}
