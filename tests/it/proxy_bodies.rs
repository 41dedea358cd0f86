//! Bodies through the proxy: streamed, bounded, and never read as another request.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use http::Response;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::proxy_support::*;

const PIECE: usize = 64 << 10;

/// A body of so many pieces, made as they are taken.
fn pieces(count: usize) -> Body {
    let piece = Bytes::from(vec![b'x'; PIECE]);
    Body::from_stream(stream::repeat(piece).take(count).map(Ok::<_, std::io::Error>))
}

/// Octets of memory this process holds.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[tokio::test]
async fn half_a_gigabyte_goes_up_and_down_in_flat_memory() {
    const COUNT: usize = 8 << 10;
    let behind = Behind::answering(|_| Response::new(pieces(COUNT))).await;
    let mut config = config(&behind.url());
    config.proxy.body_bytes = u64::MAX;
    let front = proxy(&config).await;
    let before = resident();
    let response = ask("PUT", &front.url("/dav/calendars/a/b.ics"), &[], pieces(COUNT)).await;
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    let (mut octets, mut most) = (0, resident());
    while let Some(frame) = body.frame().await {
        octets += frame.unwrap().data_ref().map_or(0, Bytes::len);
        if octets % (64 << 20) < PIECE {
            most = most.max(resident());
        }
    }
    assert_eq!(octets, COUNT * PIECE);
    let seen = behind.last();
    assert_eq!((seen.octets, seen.complete), ((COUNT * PIECE) as u64, true));
    // Other tests run in this process too: a few dozen megabytes are noise, a gathered body would be half a thousand.
    assert!(most < before + (256 << 20), "{} MiB more", (most - before) >> 20);
}

#[tokio::test]
async fn an_answer_streams_before_it_is_complete() {
    let behind = Behind::answering(|_| {
        let first = stream::once(async { Ok::<_, std::io::Error>(Bytes::from_static(b"first")) });
        Response::new(Body::from_stream(first.chain(stream::pending())))
    })
    .await;
    let front = proxy(&config(&behind.url())).await;
    let mut body = ask("REPORT", &front.url("/dav/calendars/a"), &[], Body::empty()).await.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "first");
}

#[tokio::test]
async fn more_than_the_limit_is_refused_whether_declared_or_not() {
    let behind = Behind::agreeing().await;
    let mut config = config(&behind.url());
    config.proxy.body_bytes = 100_000;
    let front = proxy(&config).await;
    let declared = ask("PUT", &front.url("/dav/calendars/a/b.ics"), &[], vec![b'x'; 100_001]).await;
    assert_eq!(declared.status(), 413);
    assert!(text(declared).await.contains("<s:message>the request body is larger than 100000 bytes</s:message>"));
    assert!(behind.seen().is_empty(), "a declared excess goes nowhere");

    let head = "PUT /dav/calendars/a/b.ics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice\r\n\
                Accept: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut sent = head.as_bytes().to_vec();
    for _ in 0..11 {
        sent.extend_from_slice(format!("{:x}\r\n{}\r\n", 10_000, "x".repeat(10_000)).as_bytes());
    }
    sent.extend_from_slice(b"0\r\n\r\n");
    let answer = raw(front.addr, &sent).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("\"type\":\"PayloadTooLarge\""), "{answer}");
    eventually("the server notices", || behind.seen().last().is_some_and(|s| !s.complete)).await;

    let whole = ask("PUT", &front.url("/dav/calendars/a/b.ics"), &[], vec![b'x'; 100_000]).await;
    assert_eq!(whole.status(), 200);
}

#[tokio::test]
async fn a_body_that_stops_coming_is_given_up() {
    let behind = Behind::agreeing().await;
    let mut config = config(&behind.url());
    config.proxy.idle_timeout_s = 1;
    let front = proxy(&config).await;
    let mut stream = TcpStream::connect(front.addr).await.unwrap();
    let head = "PUT /dav/calendars/a/b.ics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice\r\nContent-Length: 9\r\n\r\nhalf";
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = read_until(&mut stream, |t| t.contains("\r\n\r\n"), Duration::from_secs(10)).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    eventually("the server notices", || behind.seen().last().is_some_and(|s| !s.complete)).await;
}

#[tokio::test]
async fn a_client_that_leaves_half_way_leaves_no_whole_body_behind() {
    let behind = Behind::agreeing().await;
    let front = proxy(&config(&behind.url())).await;
    for framing in ["Content-Length: 9\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"] {
        let before = behind.seen().len();
        let mut stream = TcpStream::connect(front.addr).await.unwrap();
        let head = "PUT /dav/calendars/a/b.ics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice\r\n";
        stream.write_all(format!("{head}{framing}").as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(stream);
        eventually("the server hears of it", || behind.seen().len() > before).await;
        assert!(!behind.last().complete, "{framing:?}");
    }
}

#[tokio::test]
async fn the_body_is_asked_for_only_after_the_login() {
    let behind = Behind::agreeing().await;
    let front = proxy(&config(&behind.url())).await;
    let head = |token: &str| {
        format!(
            "PUT /dav/calendars/a/b.ics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
             Expect: 100-continue\r\nContent-Length: 4\r\n\r\n"
        )
    };
    let mut stream = TcpStream::connect(front.addr).await.unwrap();
    stream.write_all(head("alice").as_bytes()).await.unwrap();
    let interim = read_until(&mut stream, |t| t.ends_with("\r\n\r\n"), Duration::from_secs(5)).await;
    assert_eq!(interim, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"body").await.unwrap();
    let answer = read_until(&mut stream, |t| t.ends_with("agreed"), Duration::from_secs(5)).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(behind.last().octets, 4);
    assert!(behind.last().header("expect").is_none());

    let refused = raw(front.addr, head("mallory").as_bytes()).await;
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    assert_eq!(behind.seen().len(), 1);
}

/// Each of these has been read as one request by one program and as two by another.
#[tokio::test]
async fn a_second_request_cannot_be_smuggled_inside_the_first() {
    let behind = Behind::agreeing().await;
    let front = proxy(&config(&behind.url())).await;
    let hidden = "DELETE /dav/calendars/victim HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer bob\r\n\r\n";
    let start = "POST /dav/calendars/a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice\r\n";
    let chunked = format!("0\r\n\r\n{hidden}");
    let length = hidden.len();
    let attempts = [
        (
            "length, then chunked",
            format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}", chunked.len()),
        ),
        (
            "chunked, then length",
            format!("Transfer-Encoding: chunked\r\nContent-Length: {}\r\n\r\n{chunked}", chunked.len()),
        ),
        ("two lengths", format!("Content-Length: 0\r\nContent-Length: {length}\r\n\r\n{hidden}")),
        ("a list of lengths", format!("Content-Length: 0, {length}\r\n\r\n{hidden}")),
        ("a signed length", format!("Content-Length: +0\r\n\r\n{hidden}")),
        ("a negative length", format!("Content-Length: -1\r\n\r\n{hidden}")),
        ("an odd coding", format!("Transfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\n{hidden}")),
        ("chunked is not last", format!("Transfer-Encoding: chunked, identity\r\nContent-Length: 0\r\n\r\n{hidden}")),
        ("two codings", format!("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n{chunked}")),
        ("a space before the colon", format!("Transfer-Encoding : chunked\r\nContent-Length: 0\r\n\r\n{hidden}")),
        ("a folded coding", format!("Transfer-Encoding:\r\n chunked\r\nContent-Length: 0\r\n\r\n{hidden}")),
        ("a bare line feed", format!("Content-Length: 0\nTransfer-Encoding: chunked\r\n\r\n{chunked}")),
        ("a chunk size that overflows", format!("Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n{hidden}")),
        ("a chunk size with a sign", format!("Transfer-Encoding: chunked\r\n\r\n-0\r\n\r\n{hidden}")),
        (
            "an HTTP/1.0 coding",
            format!("X: y\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}").replace("X: y", "X: 1.0"),
        ),
    ];
    for (name, rest) in attempts {
        let start = if name == "an HTTP/1.0 coding" { start.replace("HTTP/1.1", "HTTP/1.0") } else { start.to_owned() };
        let before = behind.seen().len();
        let answer = raw(front.addr, format!("{start}{rest}").as_bytes()).await;
        let through = &behind.seen()[before..];
        let stolen = through.iter().any(|s| s.method == "DELETE");
        assert!(!stolen, "{name}: {answer}");
        assert!(through.len() <= 1, "{name}: {through:?}");
        assert_eq!(answer.matches("HTTP/1.").count(), 1, "{name}: {answer}");
    }
}

#[tokio::test]
async fn header_lines_cannot_be_smuggled_inside_a_value() {
    let behind = Behind::agreeing().await;
    let front = proxy(&config(&behind.url())).await;
    for bad in ["Depth: 1\r\r\nX-Remote-User: bob", "Depth: 1\0", "De pth: 1", "Depth\0: 1"] {
        let head = format!("GET /dav/calendars/a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice\r\n{bad}\r\n\r\n");
        let answer = raw(front.addr, head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{bad:?}: {answer}");
    }
    assert!(behind.seen().is_empty());
}

/// The answer of a server that frames badly must not become two answers for the client.
#[tokio::test]
async fn an_answer_with_two_framings_is_one_answer() {
    let addr = odd_server(|mut stream| {
        async move {
            let _ = stream.read(&mut [0; 4096]).await;
            let forged = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
            let answer =
                format!("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{forged}");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
        .boxed()
    })
    .await;
    let front = proxy(&config(&format!("http://{addr}"))).await;
    let head = "GET /dav/calendars/a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice\r\n\r\n";
    let answer = raw(front.addr, head.as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
}
