//! The one HTTP client: pooled, bounded in time and size, TLS by rustls.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::idle::IdleTimeout;

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
    /// Time until the answer's head, counted from when the last octet of the request was taken; with
    /// [`Client::fetch`] until its end.
    pub answer: Duration,
    /// Time without an octet of the answer's body.
    pub idle: Duration,
    /// Octets of an answer that [`Client::fetch`] reads.
    pub body: usize,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            body: 1 << 20,
        }
    }
}

/// A pooled HTTP/1.1 client; clones share the pool. It follows no redirects.
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
    /// A safe request without a body is sent once more when its connection breaks before the answer: most likely the
    /// server closed a pooled connection at that moment (RFC 9110 §9.2.2).
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] and [`ClientError::TimedOut`].
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Body>, ClientError> {
        if !request.body().is_end_stream() {
            return self.send_streaming(request).await;
        }
        let again = is_safe(request.method()).then(|| copy_head(&request));
        let exchange = async {
            match (self.exchange(request).await, again) {
                (Err(Broken { connected: true, .. }), Some(again)) => self.exchange(again).await,
                (outcome, _) => outcome,
            }
        };
        match tokio::time::timeout(self.limits.answer, exchange).await {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Err(ClientError::TimedOut(self.limits.answer)),
        }
    }

    /// With a body the clock starts anew whenever the server takes a piece of it: a large upload may take its time.
    async fn send_streaming(&self, request: Request<Body>) -> Result<Response<Body>, ClientError> {
        let taken = Arc::new(AtomicU64::new(0));
        let request = request.map(|inner| Body::new(Progress { inner, taken: taken.clone() }));
        let mut exchange = std::pin::pin!(self.exchange(request));
        let mut seen = 0;
        loop {
            match tokio::time::timeout(self.limits.answer, exchange.as_mut()).await {
                Ok(outcome) => return Ok(outcome?),
                Err(_) => match taken.load(Ordering::Relaxed) {
                    now if now > seen => seen = now,
                    _ => return Err(ClientError::TimedOut(self.limits.answer)),
                },
            }
        }
    }

    async fn exchange(&self, request: Request<Body>) -> Result<Response<Body>, Broken> {
        let uri = request.uri().clone();
        match self.inner.request(request).await {
            Ok(response) => Ok(response.map(|body| match body.is_end_stream() {
                true => Body::empty(),
                false => Body::new(IdleTimeout::new(body, self.limits.idle)),
            })),
            Err(error) => Err(Broken {
                connected: !error.is_connect(),
                host: uri.authority().map_or_else(String::new, ToString::to_string),
                reason: with_causes(&error),
            }),
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

/// An exchange that ended before the answer's head.
struct Broken {
    /// There was a connection.
    connected: bool,
    host: String,
    reason: String,
}

impl From<Broken> for ClientError {
    fn from(broken: Broken) -> Self {
        Self::Unreachable { host: broken.host, reason: broken.reason }
    }
}

/// Methods that change nothing (RFC 9110 §9.2.1; RFC 4918 §9.1; RFC 3253 §3.6).
fn is_safe(method: &Method) -> bool {
    matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS" | "PROPFIND" | "REPORT")
}

fn copy_head(request: &Request<Body>) -> Request<Body> {
    let mut copy = Request::new(Body::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// A request body that counts the pieces that were taken from it.
struct Progress {
    inner: Body,
    taken: Arc<AtomicU64>,
}

impl http_body::Body for Progress {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(cx);
        if frame.is_ready() {
            self.taken.fetch_add(1, Ordering::Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
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
