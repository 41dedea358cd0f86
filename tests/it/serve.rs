//! The one way to serve HTTP, seen from outside: bounded, observable, and with an orderly end.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{any, get};
use convoke::net::{RequestId, ServeLimits};
use http::{Request, Response, Version};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::proxy_support::*;

async fn slow() -> &'static str {
    tokio::time::sleep(Duration::from_millis(300)).await;
    "at last"
}

async fn never() -> &'static str {
    std::future::pending().await
}

#[expect(clippy::panic, reason = "the point of it")]
async fn panics() -> &'static str {
    panic!("on purpose")
}

async fn endless() -> Response<Body> {
    Response::new(Body::from_stream(futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>("x".repeat(4096)))))
}

fn app() -> Router {
    Router::new()
        .route("/", any(async |request: Request<Body>| request.extensions().get::<RequestId>().unwrap().to_string()))
        .route("/slow", get(slow))
        .route("/never", get(never))
        .route("/panics", get(panics))
        .route("/endless", get(endless))
}

fn impatient() -> ServeLimits {
    ServeLimits { head_timeout: Duration::from_millis(200), ..limits() }
}

#[tokio::test]
async fn each_request_has_an_id_of_our_own() {
    let served = Served::router(app(), limits()).await;
    let theirs = [("x-request-id", "forged")];
    let one = ask("GET", &served.url("/"), &theirs, Body::empty()).await;
    let id = one.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert_eq!(text(one).await, id);
    assert_eq!(id.len(), 16);
    let other = ask("GET", &served.url("/"), &theirs, Body::empty()).await;
    assert_ne!(other.headers()["x-request-id"], id.as_str());
}

#[tokio::test]
async fn a_panic_is_one_failed_answer() {
    let served = Served::router(app(), limits()).await;
    let client = client();
    for _ in 0..3 {
        let failed = client.send(request("GET", &served.url("/panics"), &[], Body::empty())).await.unwrap();
        assert_eq!(failed.status(), 500);
        let fine = client.send(request("GET", &served.url("/"), &[], Body::empty())).await.unwrap();
        assert_eq!(fine.status(), 200);
    }
}

#[tokio::test]
async fn those_who_only_hold_a_connection_lose_it() {
    let served = Served::router(app(), impatient()).await;
    for sent in ["", "P", "PRI * HTTP/2.0\r\n", "GET / HTTP/1.1\r\nHost: x\r\nX-Slow"] {
        let mut stream = TcpStream::connect(served.addr).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "{sent:?} holds its connection");
    }
}

#[tokio::test]
async fn a_request_that_takes_long_is_not_cut() {
    let served = Served::router(app(), impatient()).await;
    assert_eq!(text(ask("GET", &served.url("/slow"), &[], Body::empty()).await).await, "at last");
}

#[tokio::test]
async fn a_client_that_takes_nothing_loses_its_connection() {
    let served = Served::router(app(), ServeLimits { stall_timeout: Duration::from_millis(200), ..limits() }).await;
    let mut stream = TcpStream::connect(served.addr).await.unwrap();
    stream.write_all(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    // What was sent is still there to read, and then there is an end.
    let drained = async {
        let mut piece = vec![0; 1 << 20];
        while stream.read(&mut piece).await.is_ok_and(|n| n > 0) {}
    };
    tokio::time::timeout(Duration::from_secs(5), drained).await.expect("the connection is closed");
}

#[tokio::test]
async fn heads_are_bounded() {
    let served = Served::router(app(), ServeLimits { head_bytes: 8 << 10, head_fields: 20, ..limits() }).await;
    let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "x".repeat(20 << 10));
    let answer = raw(served.addr, long.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-Many: x\r\n".repeat(21));
    let answer = raw(served.addr, many.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn more_connections_than_allowed_wait_their_turn() {
    let served = Served::router(app(), ServeLimits { connections: 1, ..impatient() }).await;
    let first = TcpStream::connect(served.addr).await.unwrap();
    let answer = raw(served.addr, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    // The first says nothing, loses its connection, and so makes room.
    assert!(answer.await.starts_with("HTTP/1.1 200 "));
    drop(first);
}

async fn http2(served: &Served) -> hyper::client::conn::http2::SendRequest<Empty<bytes::Bytes>> {
    let stream = TcpStream::connect(served.addr).await.unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    sender
}

fn http2_request(served: &Served, path: &str) -> Request<Empty<bytes::Bytes>> {
    Request::builder().version(Version::HTTP_2).uri(served.url(path)).body(Empty::new()).unwrap()
}

#[tokio::test]
async fn http2_is_served_on_the_same_port_and_not_held_for_ever() {
    let served = Served::router(app(), impatient()).await;
    let mut sender = http2(&served).await;
    let response = sender.send_request(http2_request(&served, "/slow")).await.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "at last");
    for _ in 0..400 {
        if sender.is_closed() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("an idle HTTP/2 connection stays open");
}

#[tokio::test]
async fn what_is_under_way_finishes_at_shutdown() {
    let mut served = Served::router(app(), limits()).await;
    let url = served.url("/slow");
    let under_way = tokio::spawn(async move { text(ask("GET", &url, &[], Body::empty()).await).await });
    let mut sender = http2(&served).await;
    let also = sender.send_request(http2_request(&served, "/slow"));
    let idle = TcpStream::connect(served.addr).await.unwrap();
    let also = tokio::spawn(also);
    tokio::time::sleep(Duration::from_millis(100)).await;
    served.begin_to_stop();
    let addr = served.addr;
    let drained = served.stopped().await;
    assert_eq!(drained.cut, 0);
    assert_eq!(under_way.await.unwrap(), "at last");
    assert_eq!(also.await.unwrap().unwrap().status(), 200);
    assert!(TcpStream::connect(addr).await.is_err(), "nobody is accepted any more");
    drop(idle);
}

#[tokio::test]
async fn what_does_not_finish_is_cut_after_the_grace_period() {
    let served = Served::router(app(), ServeLimits { grace: Duration::from_millis(100), ..limits() }).await;
    let mut stream = TcpStream::connect(served.addr).await.unwrap();
    stream.write_all(b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(served.stopped().await.cut, 1);
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap_or(0), 0);
}
