//! The one HTTP client: pooled, bounded in time and size, TLS by rustls.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection, or it broke before the answer's head.
    #[error("cannot reach {host}: {reason}")]
    Unreachable {
        /// Host and port.
        host: String,
        /// What the connection said.
        reason: String,
    },
    /// No complete answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The answer's body broke off or is larger than allowed.
    #[error("the answer cannot be read: {0}")]
    Body(String),
}

/// What one exchange may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientLimits {
    /// Time to connect.
    pub connect: Duration,
    /// Time until the answer's head; with [`Client::fetch`] until its end.
    pub answer: Duration,
    /// Octets of an answer that [`Client::fetch`] reads.
    pub body: usize,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), answer: Duration::from_secs(10), body: 1 << 20 }
    }
}

/// A pooled HTTP/1.1 client; clones share the pool.
#[derive(Debug, Clone)]
pub struct Client {
    inner: HyperClient<HttpsConnector<HttpConnector>, Body>,
    limits: ClientLimits,
}

impl Client {
    /// A client with the system's trust anchors.
    ///
    /// # Errors
    /// When the system has no readable trust anchors.
    pub fn new(limits: ClientLimits) -> std::io::Result<Self> {
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.set_connect_timeout(Some(limits.connect));
        http.enforce_http(false);
        let https = hyper_rustls::HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())?
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let inner = HyperClient::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(60))
            .build(https);
        Ok(Self { inner, limits })
    }

    /// The limits it was made with.
    pub fn limits(&self) -> ClientLimits {
        self.limits
    }

    /// Sends a request and gives the answer as soon as its head is there; both bodies stream.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] and [`ClientError::TimedOut`].
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Body>, ClientError> {
        let host = request.uri().authority().map_or_else(String::new, ToString::to_string);
        match tokio::time::timeout(self.limits.answer, self.inner.request(request)).await {
            Ok(Ok(response)) => Ok(response.map(Body::new)),
            Ok(Err(e)) => Err(ClientError::Unreachable { host, reason: with_causes(&e) }),
            Err(_) => Err(ClientError::TimedOut(self.limits.answer)),
        }
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// As [`Client::send`], and [`ClientError::Body`].
    pub async fn fetch(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ClientError> {
        let whole = async {
            let (head, body) = self.send(request.map(Body::from)).await?.into_parts();
            let body = Limited::new(body, self.limits.body).collect().await;
            let body = body.map_err(|e| ClientError::Body(e.to_string()))?.to_bytes();
            Ok(Response::from_parts(head, body))
        };
        match tokio::time::timeout(self.limits.answer, whole).await {
            Ok(result) => result,
            Err(_) => Err(ClientError::TimedOut(self.limits.answer)),
        }
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(e) = cause {
        text.push_str(": ");
        text.push_str(&e.to_string());
        cause = e.source();
    }
    text
}
