//! The proxy between real sockets: a server on each side that tests look into.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use convoke::auth::{AuthError, Authenticator, Credentials, Identity, RequireUser, Strategy, Surface, Via};
use convoke::clock::Env;
use convoke::config::{self, Config};
use convoke::net::{Client, ClientLimits, Drained, ServeLimits, serve};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower::service_fn;

/// Something that listens on loopback until it is dropped or stopped.
pub struct Served {
    pub addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    done: JoinHandle<Drained>,
}

impl Served {
    pub async fn router(router: Router, limits: ServeLimits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopped = stopped.map(|_| ());
        let done = tokio::spawn(serve(listener, "test", router, limits, Env::system(), stopped));
        Self { addr, stop: Some(stop), done }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub fn begin_to_stop(&mut self) {
        self.stop = None;
    }

    pub async fn stopped(mut self) -> Drained {
        self.stop = None;
        self.done.await.unwrap()
    }
}

pub fn limits() -> ServeLimits {
    ServeLimits::from(&config::Server::default())
}

/// What reached the server behind the proxy.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: Method,
    pub target: String,
    pub headers: HeaderMap,
    pub octets: u64,
    /// The body came to its regular end.
    pub complete: bool,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|v| v.to_str().unwrap())
    }
}

type Answer = dyn Fn(&Seen) -> Response<Body> + Send + Sync;

/// A server behind the proxy that counts bodies instead of keeping them.
pub struct Behind {
    pub served: Served,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Behind {
    pub async fn answering(answer: impl Fn(&Seen) -> Response<Body> + Send + Sync + 'static) -> Self {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (log, answer): (_, Arc<Answer>) = (seen.clone(), Arc::new(answer));
        let app = service_fn(move |request: Request<Body>| {
            let (log, answer) = (log.clone(), answer.clone());
            async move {
                let (head, mut body) = request.into_parts();
                let (mut octets, mut complete) = (0, true);
                while let Some(frame) = body.frame().await {
                    match frame {
                        Ok(frame) => octets += frame.data_ref().map_or(0, |d| d.len() as u64),
                        Err(_) => {
                            complete = false;
                            break;
                        }
                    }
                }
                let target = head.uri.to_string();
                let one = Seen { method: head.method, target, headers: head.headers, octets, complete };
                log.lock().unwrap().push(one.clone());
                Ok::<_, Infallible>(answer(&one))
            }
        });
        Self { served: Served::router(Router::new().fallback_service(app), limits()).await, seen }
    }

    pub async fn agreeing() -> Self {
        Self::answering(|_| Response::new(Body::from("agreed"))).await
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn last(&self) -> Seen {
        self.seen().pop().expect("a request came through")
    }

    pub fn url(&self) -> String {
        self.served.url("")
    }
}

/// Knows people by the token that is their name.
struct ByName;

#[async_trait]
impl Strategy for ByName {
    fn scheme(&self) -> &'static str {
        "Basic"
    }

    async fn identify(&self, credentials: &Credentials<'_>) -> Result<Option<Identity>, AuthError> {
        let Some(name) = credentials.with_scheme("Bearer") else { return Ok(None) };
        match name {
            "alice" | "bob" => {
                let email = format!("{name}@example.org").parse().unwrap();
                Ok(Some(Identity { email, via: Via::Bearer, sid: None }))
            }
            _ => Err(AuthError::InvalidToken("unknown")),
        }
    }
}

pub fn require_user(surface: Surface) -> RequireUser {
    RequireUser::new(Authenticator::new(vec![Arc::new(ByName)]), surface)
}

pub fn config(upstream: &str) -> Config {
    let mut config = Config::default();
    config.server.public_url = "https://calendar.example.org".to_owned();
    config.upstream.url = upstream.to_owned();
    config.upstream.admin_password = "s3cret".to_owned();
    config
}

/// The proxy, configured, on a socket.
pub async fn proxy(config: &Config) -> Served {
    proxy_within(config, limits()).await
}

pub async fn proxy_within(config: &Config, limits: ServeLimits) -> Served {
    let idle = Duration::from_secs(config.proxy.idle_timeout_s);
    let upstream = convoke::dav::client::remote(&config.upstream, idle, None).unwrap();
    Served::router(convoke::proxy::router(upstream, require_user(Surface::Dav), config), limits).await
}

pub fn client() -> Client {
    Client::new(ClientLimits::default()).unwrap()
}

/// A request of alice.
pub fn request(method: &str, url: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(url);
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
        request = request.header("authorization", "Bearer alice");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.into()).unwrap()
}

pub async fn ask(method: &str, url: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Response<Body> {
    client().send(request(method, url, headers, body)).await.unwrap()
}

pub async fn text(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// Octets over TCP, as they are, and everything that comes back until the other side closes or is silent.
pub async fn raw(addr: SocketAddr, octets: &[u8]) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(octets).await.unwrap();
    read_until(&mut stream, |_| false, Duration::from_millis(700)).await
}

/// Reads until the text is as wanted, the stream ends, or nothing comes any more.
pub async fn read_until(stream: &mut TcpStream, enough: impl Fn(&str) -> bool, silence: Duration) -> String {
    let mut all = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match tokio::time::timeout(silence, stream.read(&mut piece)).await {
            Ok(Ok(0)) | Ok(Err(_)) | Err(_) => break,
            Ok(Ok(n)) => all.extend_from_slice(&piece[..n]),
        }
        if enough(&String::from_utf8_lossy(&all)) {
            break;
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// A server that treats each connection as the test says.
pub async fn odd_server<F>(treat: F) -> SocketAddr
where
    F: Fn(TcpStream) -> BoxFuture<'static, ()> + Send + Sync + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(treat(stream));
        }
    });
    addr
}

/// Waits until the condition holds.
pub async fn eventually(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..400 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}
