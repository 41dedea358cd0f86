//! What the proxy adds: the same requests to a small upstream, called directly and through the proxy, over loopback with
//! one connection. The difference of the medians is the overhead.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use convoke::auth::{AuthError, Authenticator, Credentials, Identity, RequireUser, Strategy, Surface, Via};
use convoke::clock::Env;
use convoke::config::{self, Config};
use convoke::net::{Client, ClientLimits, ServeLimits, serve};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tower::service_fn;

/// Everybody with a token is alice: what is measured is the proxy, not a login.
struct Alice;

#[async_trait]
impl Strategy for Alice {
    fn scheme(&self) -> &'static str {
        "Bearer"
    }

    async fn identify(&self, credentials: &Credentials<'_>) -> Result<Option<Identity>, AuthError> {
        let email = "alice@example.org".parse().map_err(|_| AuthError::Missing)?;
        Ok(credentials.with_scheme("Bearer").map(|_| Identity { email, via: Via::Bearer, sid: None }))
    }
}

async fn listen(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("a bound socket");
    let limits = ServeLimits::from(&config::Server::default());
    tokio::spawn(async move {
        let _ = serve(listener, "bench", router, limits, Env::system(), std::future::pending()).await;
    });
    addr
}

/// Answers at once: 1 KiB for GET, about 200 kB for PROPFIND, nothing but the status for PUT.
async fn upstream() -> SocketAddr {
    let event = Bytes::from(vec![b'x'; 1 << 10]);
    let multistatus = Bytes::from(vec![b'x'; 200_000]);
    let app = service_fn(move |request: Request<Body>| {
        let (event, multistatus) = (event.clone(), multistatus.clone());
        async move {
            let (head, body) = request.into_parts();
            let _ = body.collect().await;
            let (status, body) = match head.method.as_str() {
                "GET" => (200, Body::from(event)),
                "PROPFIND" => (207, Body::from(multistatus)),
                _ => (204, Body::empty()),
            };
            let response = Response::builder().status(status).header("etag", "\"1\"").body(body);
            Ok::<_, Infallible>(response.expect("a valid answer"))
        }
    });
    listen(Router::new().fallback_service(app)).await
}

async fn proxy(upstream: SocketAddr) -> SocketAddr {
    let mut config = Config::default();
    config.upstream.url = format!("http://{upstream}");
    config.upstream.admin_password = "s3cret".to_owned();
    let remote = convoke::dav::client::remote(&config.upstream, Duration::from_secs(60), None).expect("a valid server");
    let require_user = RequireUser::new(Authenticator::new(vec![Arc::new(Alice)]), Surface::Dav);
    listen(convoke::proxy::router(remote, require_user, &config)).await
}

async fn ask(client: &Client, method: &str, url: &str, body: &Bytes) {
    let request = Request::builder()
        .method(method)
        .uri(url)
        .header("authorization", "Bearer 8f2c")
        .header("depth", "1")
        .header("accept", "*/*")
        .header("user-agent", "bench")
        .body(Body::from(body.clone()))
        .expect("a valid request");
    let response = client.send(request).await.expect("an answer");
    assert!(response.status().is_success());
    response.into_body().collect().await.expect("a whole answer");
}

fn overhead(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let (direct, proxied) = runtime.block_on(async {
        let upstream = upstream().await;
        (upstream, proxy(upstream).await)
    });
    let client = Client::new(ClientLimits::default()).expect("trust anchors");
    for (method, body, octets) in [("GET", 0, 1 << 10), ("PUT", 1 << 10, 1 << 10), ("PROPFIND", 0, 200_000)] {
        let body = Bytes::from(vec![b'x'; body]);
        let mut group = criterion.benchmark_group(format!("proxy/{method}"));
        group.throughput(Throughput::Bytes(octets));
        let paths = [
            ("direct", format!("http://{direct}/calendars/a/b.ics")),
            ("proxied", format!("http://{proxied}/dav/calendars/a/b.ics")),
        ];
        for (name, url) in paths {
            group.bench_function(name, |bencher| bencher.iter(|| runtime.block_on(ask(&client, method, &url, &body))));
        }
        group.finish();
    }
}

criterion_group!(benches, overhead);
criterion_main!(benches);
