//! Plain files through the proxy and real sockets, as a WebDAV program sees them.

use axum::body::Body;
use bytes::Bytes;
use convoke::auth::Surface;
use convoke::dav::server::Settings;
use futures_util::{StreamExt as _, stream};
use http_body_util::BodyExt as _;

use super::files::at;
use super::{CALENDAR, World, event};
use crate::proxy_support::{Served, ask, config, limits, raw, require_user, text};

const PIECE: usize = 64 << 10;

/// A server behind the proxy, with paths as clients see them.
async fn served(world: &World, change: impl FnOnce(&mut convoke::config::Config)) -> Served {
    let mut config = config("builtin");
    change(&mut config);
    let router = convoke::proxy::router(world.upstream.clone(), require_user(Surface::Dav), &config);
    Served::router(router, limits()).await
}

#[tokio::test]
async fn a_file_is_locked_written_and_moved_below_the_mount_and_at_the_root() {
    let world = World::with(Settings { base: "/dav".to_owned(), ..Settings::default() }).await;
    let front = served(&world, |_| {}).await;
    let url = |path: &str| front.url(&format!("/dav{}", at(path)));
    let info = "<lockinfo xmlns='DAV:'><lockscope><exclusive/></lockscope><locktype><write/></locktype></lockinfo>";
    let locked = ask("LOCK", &url("f"), &[("timeout", "Second-60"), ("depth", "0")], info).await;
    assert_eq!(locked.status(), 201);
    let token = locked.headers()["lock-token"].to_str().unwrap().to_owned();
    assert!(text(locked).await.contains(&format!("<d:lockroot><d:href>/dav{}</d:href>", at("f"))));
    assert_eq!(ask("PUT", &url("f"), &[], "x").await.status(), 423);
    let tagged = format!("<{}> ({token})", url("f"));
    assert_eq!(ask("PUT", &url("f"), &[("if", &tagged)], "text").await.status(), 204);
    let moved = ask("MOVE", &url("f"), &[("if", &tagged), ("destination", &url("g"))], "").await;
    assert_eq!(moved.status(), 201);
    assert_eq!(text(ask("GET", &front.url(&at("g")), &[("range", "bytes=1-2")], "").await).await, "ex");
    let options = ask("OPTIONS", &url("g"), &[("authorization", "Bearer nobody")], "").await;
    assert!(options.headers()["dav"].to_str().unwrap().starts_with("1, 2, 3"));
    let elsewhere = ask("OPTIONS", &front.url("/dav/calendars/"), &[("authorization", "Bearer nobody")], "").await;
    assert!(elsewhere.headers()["dav"].to_str().unwrap().starts_with("1, 3"));
}

#[tokio::test]
async fn an_attachment_goes_through_the_proxy_and_may_be_larger_than_other_bodies() {
    let world = World::with(Settings { base: "/dav".to_owned(), ..Settings::default() }).await;
    let front = served(&world, |config| {
        config.proxy.body_bytes = 1000;
        config.files.attachment_bytes = 2000;
    })
    .await;
    let path = front.url(&format!("/dav{CALENDAR}a.ics"));
    assert_eq!(ask("PUT", &path, &[], event("a", "20300101T090000Z")).await.status(), 201);
    let named = [("content-type", "text/csv"), ("content-disposition", "attachment; filename=\"data.json\"")];
    let add = format!("{path}?action=attachment-add");
    assert_eq!(ask("POST", &add, &named, "x".repeat(2001)).await.status(), 413);
    assert_eq!(ask("POST", &path, &named, "x".repeat(1001)).await.status(), 413);
    let added = ask("POST", &add, &named, "x".repeat(2000)).await;
    assert_eq!(added.status(), 201);
    let url = added.headers()["location"].to_str().unwrap().to_owned();
    let at = url.strip_prefix("http://127.0.0.1:8080/dav").unwrap();
    for url in [front.url(at), front.url(&format!("/dav{at}"))] {
        let read = ask("GET", &url, &[], "").await;
        assert_eq!((read.status().as_u16(), &read.headers()["content-type"]), (200, &"text/csv".parse().unwrap()));
        assert!(read.headers()["content-disposition"].to_str().unwrap().contains("filename=\"data.json\""));
        assert_eq!(text(read).await.len(), 2000);
    }
}

#[tokio::test]
async fn a_file_may_be_larger_than_any_other_body() {
    let world = World::new().await;
    let front = served(&world, |config| {
        config.proxy.body_bytes = 100_000;
        config.files.file_bytes = 40 * PIECE as u64;
    })
    .await;
    let body = |count: usize| {
        let piece = Bytes::from(vec![b'x'; PIECE]);
        Body::from_stream(stream::repeat(piece).take(count).map(Ok::<_, std::io::Error>))
    };
    assert_eq!(ask("PUT", &front.url(&at("f")), &[], body(40)).await.status(), 201);
    let read = ask("GET", &front.url(&at("f")), &[], "").await;
    assert_eq!(read.headers()["content-length"], (40 * PIECE).to_string().as_str());
    assert_eq!(read.into_body().collect().await.unwrap().to_bytes().len(), 40 * PIECE);
    assert_eq!(ask("PUT", &front.url(&at("f")), &[], body(41)).await.status(), 413);
    let calendar = format!("/calendars/{0}/{0}/x.ics", super::ALICE);
    assert_eq!(ask("PUT", &front.url(&calendar), &[], body(2)).await.status(), 413);
}

#[tokio::test]
async fn a_body_is_asked_for_only_where_it_is_wanted() {
    let world = World::new().await;
    let front = served(&world, |_| {}).await;
    let put = |path: &str| {
        format!(
            "PUT {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice\r\nContent-Length: 4\r\n\
             Expect: 100-continue\r\nConnection: close\r\n\r\n",
            at(path)
        )
    };
    let wanted = raw(front.addr, put("f").as_bytes()).await;
    assert!(wanted.starts_with("HTTP/1.1 100"), "{wanted}");
    let refused = raw(front.addr, put("nowhere/f").as_bytes()).await;
    assert!(refused.starts_with("HTTP/1.1 409"), "{refused}");
}
