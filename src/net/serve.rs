//! The one way to serve HTTP: HTTP/1.1 and HTTP/2 (with prior knowledge) on a listener, bounded in time and size, with a
//! request id, an access log and metrics around every request, and an orderly end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::ConnectInfo;
use futures_util::FutureExt as _;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower::Service;
use tracing::Instrument as _;

use super::stall::StallGuard;
use crate::clock::Env;
use crate::config;

/// Tells an answer's request id, for people who report a failure.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a listener and its connections may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServeLimits {
    /// Time for a request's head, and without a request on an open connection.
    pub head_timeout: Duration,
    /// Octets of a request's head; HTTP/1 buffers hold at least 8 KiB.
    pub head_bytes: usize,
    /// Fields of a request's head.
    pub head_fields: usize,
    /// Time in which a client must take at least one octet of an answer.
    pub stall_timeout: Duration,
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// Time to finish what is under way at shutdown.
    pub grace: Duration,
}

impl From<&config::Server> for ServeLimits {
    fn from(server: &config::Server) -> Self {
        Self {
            head_timeout: Duration::from_secs(server.head_timeout_s),
            head_bytes: server.head_bytes.max(8 << 10),
            head_fields: server.head_fields,
            stall_timeout: Duration::from_secs(server.stall_timeout_s),
            connections: server.connections.clamp(1, Semaphore::MAX_PERMITS),
            grace: Duration::from_secs(server.shutdown_grace_s),
        }
    }
}

/// Names one request in logs, errors and answers. Made here; a client's own is never believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId(u64);

impl RequestId {
    fn new(env: &Env) -> Self {
        let mut bytes = [0; 8];
        env.fill(&mut bytes);
        Self(u64::from_be_bytes(bytes))
    }
}

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Drained {
    /// Connections that were cut because they did not finish within the grace period.
    pub cut: usize,
}

/// Serves `app` until `stop` resolves: then no connection is accepted any more, requests under way may finish within
/// the grace period, and what is left is cut.
///
/// A connection that becomes a WebSocket is no connection of this listener any more: whoever took it over counts it and
/// ends it.
///
/// Each request carries [`ConnectInfo`] with the peer's address and a [`RequestId`] among its extensions. `surface`
/// names the listener in logs and metrics. A panic of the app is answered with 500 and ends nothing else.
pub async fn serve<S>(
    listener: TcpListener,
    surface: &'static str,
    app: S,
    limits: ServeLimits,
    env: Env,
    stop: impl Future<Output = ()>,
) -> Drained
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    let scene = Arc::new(Scene { app, surface, env, figures: Figures::of(surface) });
    let http = Arc::new(protocol(&limits));
    let seats = Arc::new(Semaphore::new(limits.connections));
    let (stopping, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            _ = connections.join_next(), if !connections.is_empty() => continue,
            accepted = accept(&listener, &seats, surface) => accepted,
        };
        let Some((stream, peer, seat)) = accepted else { continue };
        let (http, scene, stopped) = (http.clone(), scene.clone(), stopped.clone());
        connections.spawn(async move {
            attend(http, stream, peer, scene, limits, stopped).await;
            drop(seat);
        });
    }
    drop(listener);
    drop(stopped);
    stopping.send_replace(());
    let drained = tokio::time::timeout(limits.grace, async { while connections.join_next().await.is_some() {} });
    let _ = drained.await;
    let cut = connections.len();
    connections.shutdown().await;
    Drained { cut }
}

fn protocol(limits: &ServeLimits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(limits.head_bytes)
        .max_headers(limits.head_fields);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(limits.head_timeout)
        .keep_alive_timeout(limits.head_timeout);
    builder
}

/// Waits for a free seat and a connection; `None` after a failure to accept one.
async fn accept(
    listener: &TcpListener,
    seats: &Arc<Semaphore>,
    surface: &'static str,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let seat = seats.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            // Answers are written in whole; waiting for more to send only delays them.
            let _ = stream.set_nodelay(true);
            Some((stream, peer, seat))
        }
        Err(error) => {
            // A connection that broke before it was accepted costs nothing; running out of descriptors takes a while.
            use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
            if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
                tracing::error!(surface, %error, "cannot accept connections");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            None
        }
    }
}

/// Serves one connection to its end.
async fn attend<S>(
    http: Arc<auto::Builder<TokioExecutor>>,
    stream: TcpStream,
    peer: SocketAddr,
    scene: Arc<Scene<S>>,
    limits: ServeLimits,
    mut stopped: watch::Receiver<()>,
) where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    let activity = Arc::new(Activity::default());
    let service = {
        let activity = activity.clone();
        service_fn(move |request| answer(scene.clone(), activity.clone(), peer, request))
    };
    let io = TokioIo::new(StallGuard::new(stream, limits.stall_timeout));
    let mut connection = pin!(http.serve_connection_with_upgrades(io, service));
    let mut look = tokio::time::interval(limits.head_timeout.max(Duration::from_millis(1)));
    look.reset();
    let mut seen = 0;
    let mut leaving = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%peer, %error, "connection ended");
                }
                return;
            }
            _ = stopped.changed(), if !leaving => {
                leaving = true;
                connection.as_mut().graceful_shutdown();
            }
            // Neither a preface that never comes nor an HTTP/2 connection without requests holds a seat for ever.
            _ = look.tick(), if !leaving => {
                if activity.is_quiet(&mut seen) {
                    leaving = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

/// What happens on one connection.
#[derive(Debug, Default)]
struct Activity {
    begun: AtomicU64,
    under_way: AtomicUsize,
}

impl Activity {
    /// No request is under way, and none has begun since the last look.
    fn is_quiet(&self, seen: &mut u64) -> bool {
        let begun = self.begun.load(Ordering::Relaxed);
        let quiet = begun == *seen && self.under_way.load(Ordering::Relaxed) == 0;
        *seen = begun;
        quiet
    }
}

/// Counts a request as under way while it lives, also when it is dropped half-way.
struct UnderWay<'a, S> {
    activity: &'a Activity,
    scene: &'a Scene<S>,
}

impl<'a, S> UnderWay<'a, S> {
    fn begin(activity: &'a Activity, scene: &'a Scene<S>) -> Self {
        activity.begun.fetch_add(1, Ordering::Relaxed);
        activity.under_way.fetch_add(1, Ordering::Relaxed);
        scene.figures.under_way.increment(1.0);
        Self { activity, scene }
    }
}

impl<S> Drop for UnderWay<'_, S> {
    fn drop(&mut self) {
        self.activity.under_way.fetch_sub(1, Ordering::Relaxed);
        self.scene.figures.under_way.decrement(1.0);
    }
}

/// Everything a request needs besides itself.
struct Scene<S> {
    app: S,
    surface: &'static str,
    env: Env,
    figures: Figures,
}

/// Rate, errors and duration of a surface.
struct Figures {
    by_class: [metrics::Counter; 5],
    duration: metrics::Histogram,
    under_way: metrics::Gauge,
    panics: metrics::Counter,
}

impl Figures {
    fn of(surface: &'static str) -> Self {
        let class = |class: &'static str| metrics::counter!("http_requests", "surface" => surface, "status" => class);
        Self {
            by_class: [class("1xx"), class("2xx"), class("3xx"), class("4xx"), class("5xx")],
            duration: metrics::histogram!("http_request_duration_seconds", "surface" => surface),
            under_way: metrics::gauge!("http_requests_under_way", "surface" => surface),
            panics: metrics::counter!("http_panics", "surface" => surface),
        }
    }

    fn record(&self, status: StatusCode, duration: Duration) {
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        self.by_class[class].increment(1);
        self.duration.record(duration);
    }
}

/// One request: named, answered, counted and logged. The log has neither query nor headers nor bodies: they hold secrets.
async fn answer<S>(
    scene: Arc<Scene<S>>,
    activity: Arc<Activity>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    let began = Instant::now();
    let _under_way = UnderWay::begin(&activity, &scene);
    let id = RequestId::new(&scene.env);
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let span = tracing::info_span!("request", surface = scene.surface, %id, user = tracing::field::Empty);

    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    request.extensions_mut().insert(id);
    let mut app = scene.app.clone();
    let outcome = async {
        let ready = std::future::poll_fn(|cx| app.poll_ready(cx)).await;
        let Ok(()) = ready;
        app.call(request).await
    };
    let mut response = match AssertUnwindSafe(outcome).catch_unwind().instrument(span.clone()).await {
        Ok(Ok(response)) => response,
        Err(_panic) => {
            scene.figures.panics.increment(1);
            tracing::error!(parent: &span, %method, path = uri.path(), "the request made the program panic");
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    };
    if let Ok(value) = HeaderValue::try_from(id.to_string()) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }

    let took = began.elapsed();
    scene.figures.record(response.status(), took);
    tracing::info!(
        target: "access",
        parent: &span,
        %method,
        path = uri.path(),
        status = response.status().as_u16(),
        duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        %peer,
    );
    Ok(response)
}
