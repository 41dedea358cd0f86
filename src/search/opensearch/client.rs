//! One exchange with the cluster: nodes, time limits, what an answer's status means, metrics, and one word in the log when
//! it goes away and one when it is back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use opensearch::auth::Credentials;
use opensearch::cert::{Certificate, CertificateValidation};
pub(super) use opensearch::http::Method;
use opensearch::http::headers::{CONTENT_TYPE, HeaderMap, HeaderValue};
use opensearch::http::transport::{Connection, ConnectionPool, Transport, TransportBuilder};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::config;
use crate::net::use_ring;
use crate::search::SearchError;

/// The longest wait before another attempt.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A URL is none.
    #[error("opensearch.urls: {url:?}: {reason}")]
    Url {
        /// What is configured.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate authority cannot be read.
    #[error("opensearch.ca_file: {0}")]
    Authority(String),
    /// No client can be made.
    #[error("opensearch: {0}")]
    Client(String),
}

/// Why an exchange gave no good answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// No node answers, or those that do say that the cluster cannot work.
    #[error("{0}")]
    Away(String),
    /// The cluster has too much to do.
    #[error("too busy: {0}")]
    Busy(String),
    /// The index or the alias is not there.
    #[error("{0}")]
    NoIndex(String),
    /// Not for us, or not now: a login that is wrong, an index that is read-only.
    #[error("{0}")]
    Denied(String),
    /// It makes no sense to the cluster.
    #[error("{0}")]
    Refused(String),
}

impl Fault {
    /// Whether the same may succeed in a moment.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Away(_) | Self::Busy(_))
    }

    /// What a status and a reason say.
    pub(super) fn of(status: u16, kind: &str, reason: &str) -> Self {
        // What follows quotes the document.
        let reason = reason.split(" Preview of field's value").next().unwrap_or_default();
        let text = format!("{status} {kind}: {}", reason.chars().take(300).collect::<String>());
        match status {
            429 => Self::Busy(text),
            404 if kind == "index_not_found_exception" => Self::NoIndex(text),
            401 | 403 => Self::Denied(text),
            500.. => Self::Away(text),
            _ => Self::Refused(text),
        }
    }
}

impl From<Fault> for SearchError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused(text) => Self::Refused(text),
            fault => Self::Unavailable(fault.to_string()),
        }
    }
}

/// A question to the cluster.
pub(super) struct Question<'a> {
    /// What it is for, a label of the metrics.
    pub operation: &'static str,
    pub method: Method,
    /// Path below the root; the names in it need no escaping.
    pub path: String,
    pub query: &'a [(&'a str, &'a str)],
    /// JSON, or lines of it.
    pub body: Option<Bytes>,
    pub timeout: Duration,
}

/// A pooled client of the nodes of one cluster.
#[derive(Debug)]
pub(super) struct Client {
    transport: Transport,
    nodes: Nodes,
    away: AtomicBool,
    retries: u32,
    first_wait: Duration,
}

impl Client {
    pub(super) fn new(config: &config::OpenSearch) -> Result<Self, SetupError> {
        use_ring();
        let nodes = Nodes::new(&config.urls)?;
        let mut builder = TransportBuilder::new(nodes.clone())
            // Only the hosts of the configuration.
            .disable_proxy()
            .timeout(Duration::from_millis(config.request_timeout_ms));
        if let (Some(user), Some(password)) = (&config.username, &config.password) {
            builder = builder.auth(Credentials::Basic(user.clone(), password.clone()));
        }
        if let Some(file) = &config.ca_file {
            let wrong = |e: &dyn std::fmt::Display| SetupError::Authority(format!("{}: {e}", file.display()));
            let pem = std::fs::read(file).map_err(|e| wrong(&e))?;
            let authority = Certificate::from_pem(&pem).map_err(|e| wrong(&e))?;
            builder = builder.cert_validation(CertificateValidation::Full(authority));
        }
        Ok(Self {
            transport: builder.build().map_err(|e| SetupError::Client(e.to_string()))?,
            nodes,
            away: AtomicBool::new(false),
            retries: config.retries,
            first_wait: Duration::from_millis(config.retry_wait_ms),
        })
    }

    /// Asks, and once more on each other node when one does not answer. Everything that we ask may be asked twice.
    pub(super) async fn ask<T: DeserializeOwned>(&self, question: &Question<'_>) -> Result<T, Fault> {
        let (status, body) = self.exchange(question).await?;
        if !(200..300).contains(&status) {
            let error = serde_json::from_slice::<Failed>(&body).unwrap_or_default().error;
            return Err(Fault::of(status, &error.kind, &error.reason));
        }
        serde_json::from_slice(&body).map_err(|e| Fault::Away(format!("the answer makes no sense: {e}")))
    }

    /// Whether there is something at a path.
    pub(super) async fn exists(&self, question: &Question<'_>) -> Result<bool, Fault> {
        match self.exchange(question).await? {
            (200..300, _) => Ok(true),
            (404, _) => Ok(false),
            (status, _) => Err(Fault::of(status, "", "")),
        }
    }

    /// [`Client::ask`], again after growing waits while the fault may pass.
    pub(super) async fn insist<T: DeserializeOwned>(&self, question: &Question<'_>) -> Result<T, Fault> {
        let mut waits = self.waits();
        loop {
            match self.ask(question).await {
                Err(fault) if fault.is_passing() => match waits.next() {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => return Err(fault),
                },
                outcome => return outcome,
            }
        }
    }

    /// The waits before further attempts.
    pub(super) fn waits(&self) -> impl Iterator<Item = Duration> + use<> {
        let first = self.first_wait;
        (0..self.retries).map(move |n| first.saturating_mul(1 << n.min(16)).min(LONGEST_WAIT))
    }

    /// The root URL that is asked first.
    pub(super) fn first_url(&self) -> &url::Url {
        &self.nodes.urls[0]
    }

    async fn exchange(&self, question: &Question<'_>) -> Result<(u16, Bytes), Fault> {
        let began = Instant::now();
        let mut outcome = self.exchange_once(question).await;
        for _ in 1..self.nodes.urls.len() {
            let Err(Fault::Away(_)) = &outcome else { break };
            self.nodes.turn();
            outcome = self.exchange_once(question).await;
        }
        let operation = question.operation;
        metrics::counter!("convoke_opensearch_requests_total", "operation" => operation).increment(1);
        metrics::histogram!("convoke_opensearch_seconds", "operation" => operation).record(began.elapsed());
        if !matches!(&outcome, Ok((200..300 | 404, _))) {
            metrics::counter!("convoke_opensearch_errors_total", "operation" => operation).increment(1);
        }
        self.note(&outcome);
        outcome
    }

    async fn exchange_once(&self, question: &Question<'_>) -> Result<(u16, Bytes), Fault> {
        let mut headers = HeaderMap::new();
        if question.operation == "bulk" {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        }
        let Question { method, path, query, body, timeout, .. } = question;
        let sent = self.transport.send(*method, path, headers, Some(query), body.clone(), Some(*timeout)).await;
        let response = sent.map_err(|e| Fault::Away(chain(&e)))?;
        let status = response.status_code().as_u16();
        let body = response.bytes().await.map_err(|e| Fault::Away(chain(&e)))?;
        match status {
            502..=504 if body.is_empty() => Err(Fault::Away(format!("status {status}"))),
            _ => Ok((status, body)),
        }
    }

    /// One word when it goes away, one when it is back.
    fn note(&self, outcome: &Result<(u16, Bytes), Fault>) {
        match outcome {
            Err(fault) if !self.away.swap(true, Ordering::Relaxed) => {
                tracing::warn!(%fault, "OpenSearch is away");
            }
            Ok(_) if self.away.swap(false, Ordering::Relaxed) => tracing::info!("OpenSearch is back"),
            _ => {}
        }
    }
}

/// An error with its causes: what the library says itself is only that something went wrong.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// The error of an answer.
#[derive(Default, Deserialize)]
struct Failed {
    #[serde(default)]
    error: Cause,
}

#[derive(Default, Deserialize)]
#[serde(from = "Told")]
struct Cause {
    kind: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Told {
    Text(String),
    Cause {
        #[serde(rename = "type", default)]
        kind: String,
        #[serde(default)]
        reason: Option<String>,
        #[serde(default)]
        root_cause: Vec<Root>,
    },
}

#[derive(Deserialize)]
struct Root {
    #[serde(default)]
    reason: Option<String>,
}

impl From<Told> for Cause {
    fn from(told: Told) -> Self {
        match told {
            Told::Text(reason) => Self { kind: String::new(), reason },
            Told::Cause { kind, reason, root_cause } => {
                let root = root_cause.into_iter().find_map(|root| root.reason).filter(|r| Some(r) != reason.as_ref());
                let reason = [reason, root].into_iter().flatten().collect::<Vec<_>>().join(": ");
                Self { kind, reason }
            }
        }
    }
}

/// The nodes of the configuration; one of them is asked until it fails to answer.
#[derive(Debug, Clone)]
struct Nodes {
    urls: Arc<[url::Url]>,
    current: Arc<AtomicUsize>,
}

impl Nodes {
    fn new(urls: &[String]) -> Result<Self, SetupError> {
        let parse = |url: &String| {
            url.parse::<url::Url>().map_err(|e| SetupError::Url { url: url.clone(), reason: e.to_string() })
        };
        let urls = urls.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        if urls.is_empty() {
            return Err(SetupError::Url { url: String::new(), reason: "at least one is needed".to_owned() });
        }
        Ok(Self { urls: urls.into(), current: Arc::default() })
    }

    fn turn(&self) {
        self.current.fetch_add(1, Ordering::Relaxed);
    }
}

impl ConnectionPool for Nodes {
    fn next(&self) -> Connection {
        let current = self.current.load(Ordering::Relaxed) % self.urls.len();
        Connection::new(self.urls[current].clone())
    }
}
