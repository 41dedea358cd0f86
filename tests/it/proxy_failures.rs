//! What clients of the proxy get when the server behind it is slow, broken or away.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::proxy_support::*;

const JSON: (&str, &str) = ("accept", "application/json");

#[tokio::test]
async fn a_server_that_is_away_is_a_bad_gateway() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let front = proxy(&config(&format!("http://{nobody}"))).await;
    let response = ask("PROPFIND", &front.url("/dav/calendars/a"), &[], "<propfind/>").await;
    assert_eq!(response.status(), 502);
    assert_eq!(response.headers()["content-type"], "application/xml; charset=utf-8");
    let body = text(response).await;
    assert!(body.contains("<s:message>the DAV server cannot be reached</s:message>"), "{body}");
    assert!(!body.contains("127.0.0.1"), "clients do not learn where the server is");

    let response = ask("GET", &front.url("/dav/calendars/a.json"), &[JSON], Body::empty()).await;
    assert_eq!(response.status(), 502);
    let error: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
    let expected = serde_json::json!({"error": {"code": 502, "type": "ServerError", "message": "Bad Gateway",
        "details": "the DAV server cannot be reached"}});
    assert_eq!(error, expected);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_a_gateway_timeout() {
    let silent = odd_server(|mut stream| {
        async move {
            let mut piece = [0; 4096];
            while stream.read(&mut piece).await.is_ok_and(|n| n > 0) {}
        }
        .boxed()
    })
    .await;
    let mut config = config(&format!("http://{silent}"));
    config.upstream.timeout_ms = 100;
    let front = proxy(&config).await;
    for (method, body) in [("GET", Body::empty()), ("PUT", Body::from("BEGIN:VCALENDAR"))] {
        let response = ask(method, &front.url("/dav/calendars/a"), &[], body).await;
        assert_eq!(response.status(), 504, "{method}");
        assert!(text(response).await.contains("did not answer in time"));
    }
}

#[tokio::test]
async fn a_slow_upload_is_not_a_slow_server() {
    let behind = Behind::agreeing().await;
    let mut config = config(&behind.url());
    config.upstream.timeout_ms = 300;
    let front = proxy(&config).await;
    let pieces = futures_util::stream::unfold(0, |n| async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        (n < 8).then_some((Ok::<_, std::io::Error>("piece"), n + 1))
    });
    let response = ask("PUT", &front.url("/dav/calendars/a/b.ics"), &[], Body::from_stream(pieces)).await;
    assert_eq!(response.status(), 200);
    assert_eq!(behind.last().octets, 40);
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_a_bad_gateway() {
    for answer in
        ["", "HTTP/1.1 200 OK\r\nContent-Le", "SSH-2.0-OpenSSH\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"]
    {
        let broken = odd_server(move |mut stream| {
            async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
            .boxed()
        })
        .await;
        let front = proxy(&config(&format!("http://{broken}"))).await;
        let response = ask("GET", &front.url("/dav/calendars/a"), &[], Body::empty()).await;
        assert_eq!(response.status(), 502, "{answer:?}");
    }
}

/// A client that gets half of an answer must be able to tell.
#[tokio::test]
async fn an_answer_that_breaks_off_is_not_whole() {
    for framing in ["Content-Length: 10\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"] {
        let broken = odd_server(move |mut stream| {
            async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n{framing}").as_bytes()).await;
            }
            .boxed()
        })
        .await;
        let front = proxy(&config(&format!("http://{broken}"))).await;
        let response = ask("GET", &front.url("/dav/calendars/a"), &[], Body::empty()).await;
        assert_eq!(response.status(), 200);
        assert!(response.into_body().collect().await.is_err(), "{framing:?}");
    }
}

#[tokio::test]
async fn an_answer_that_stops_coming_is_given_up() {
    let stuck = odd_server(|mut stream| {
        async move {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
            let _ = stream.read(&mut [0; 4096]).await;
        }
        .boxed()
    })
    .await;
    let mut config = config(&format!("http://{stuck}"));
    config.proxy.idle_timeout_s = 1;
    let front = proxy(&config).await;
    let response = ask("GET", &front.url("/dav/calendars/a"), &[], Body::empty()).await;
    assert!(response.into_body().collect().await.is_err());
}

/// A server that answers once per connection and closes it when the next request has arrived.
async fn forgetful() -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let arrived = Arc::new(AtomicUsize::new(0));
    let count = arrived.clone();
    let addr = odd_server(move |mut stream| {
        let count = count.clone();
        async move {
            for nth in 0..2 {
                let request = read_until(&mut stream, |t| t.contains("\r\n\r\n"), Duration::from_secs(10)).await;
                if request.is_empty() {
                    return;
                }
                count.fetch_add(1, Ordering::SeqCst);
                if nth == 0 {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
                }
            }
        }
        .boxed()
    })
    .await;
    (addr, arrived)
}

#[tokio::test]
async fn a_pooled_connection_that_just_closed_is_noticed_by_nobody_who_only_reads() {
    let (addr, arrived) = forgetful().await;
    let front = proxy(&config(&format!("http://{addr}"))).await;
    for _ in 0..4 {
        let response = ask("PROPFIND", &front.url("/dav/calendars/a"), &[], Body::empty()).await;
        assert_eq!(response.status(), 200);
        assert_eq!(text(response).await, "ok");
    }
    // The first took one attempt, each later one found the connection closing and took a second.
    assert_eq!(arrived.load(Ordering::SeqCst), 7);
}

#[tokio::test]
async fn what_may_have_been_done_is_not_done_twice() {
    for (method, body) in [("DELETE", Body::empty()), ("POST", Body::empty()), ("PUT", Body::from("x"))] {
        let (addr, arrived) = forgetful().await;
        let front = proxy(&config(&format!("http://{addr}"))).await;
        text(ask("GET", &front.url("/dav/calendars/a"), &[], Body::empty()).await).await;
        let response = ask(method, &front.url("/dav/calendars/a"), &[], body).await;
        assert_eq!(response.status(), 502, "{method}");
        assert_eq!(arrived.load(Ordering::SeqCst), 2, "{method}");
    }
}
