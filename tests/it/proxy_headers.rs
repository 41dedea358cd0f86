//! Which headers and paths pass through the proxy, and which never do.

use axum::body::Body;
use base64::Engine as _;
use convoke::config::Impersonation;
use http::Response;

use crate::proxy_support::*;

fn basic(pair: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

#[tokio::test]
async fn a_caller_acts_as_themselves_whatever_they_send() {
    let behind = Behind::agreeing().await;
    let front = proxy(&config(&behind.url())).await;
    let spoofed = [
        ("x-remote-user", "bob@example.org"),
        ("x-forwarded-user", "bob@example.org"),
        ("remote-user", "bob@example.org"),
        ("twakecalendartoken", "forged"),
        ("x-script-name", "/elsewhere"),
        ("cookie", "sabre=bob"),
        ("proxy-authorization", "Basic Ym9iOnA="),
        ("x-forwarded-for", "10.1.2.3"),
        ("forwarded", "for=10.1.2.3;host=evil.example"),
        ("connection", "authorization"),
    ];
    let response = ask("PROPFIND", &front.url("/dav/calendars/a"), &spoofed, Body::empty()).await;
    assert_eq!(response.status(), 200);
    let seen = behind.last();
    assert_eq!(seen.header("authorization").unwrap(), basic("admin&alice@example.org:s3cret"));
    let mut names: Vec<_> = seen.headers.keys().map(|n| n.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["authorization", "host"]);
}

#[tokio::test]
async fn the_user_header_carries_the_caller_and_nobody_else() {
    let behind = Behind::agreeing().await;
    let mut config = config(&behind.url());
    config.upstream.impersonation = Impersonation::Header;
    config.upstream.script_name = Some("/dav".to_owned());
    let front = proxy(&config).await;
    let spoofed = [("X-Remote-User", "bob@example.org"), ("x-remote-user", "carol@example.org")];
    ask("GET", &front.url("/dav/alice/work/"), &spoofed, Body::empty()).await;
    let seen = behind.last();
    let users: Vec<_> = seen.headers.get_all("x-remote-user").iter().collect();
    assert_eq!(users, ["alice@example.org"]);
    assert_eq!(seen.header("x-script-name"), Some("/dav"));
    assert!(seen.header("authorization").is_none());

    let moved = [("destination", "https://calendar.example.org/dav/alice/home/1.ics")];
    ask("MOVE", &front.url("/dav/alice/work/1.ics"), &moved, Body::empty()).await;
    let expected = format!("{}/dav/alice/home/1.ics", behind.url());
    assert_eq!(behind.last().header("destination"), Some(expected.as_str()));

    let found = ask("PROPFIND", &front.url("/.well-known/caldav"), &[], Body::empty()).await;
    assert_eq!(found.headers()["location"], "/dav/");
}

#[tokio::test]
async fn nobody_gets_through_unnamed() {
    let behind = Behind::agreeing().await;
    let front = proxy(&config(&behind.url())).await;
    let program = ask("PUT", &front.url("/dav/calendars/a/b.ics"), &[("authorization", "Bearer mallory")], "x").await;
    assert_eq!(program.status(), 401);
    assert!(program.headers().contains_key("www-authenticate"));
    assert!(text(program).await.contains("<s:exception>Sabre\\DAV\\Exception\\NotAuthenticated</s:exception>"));

    let page = [("authorization", "Digest x"), ("origin", "https://calendar.example.org")];
    let page = ask("GET", &front.url("/dav/calendars/a"), &page, Body::empty()).await;
    assert_eq!(page.status(), 401);
    assert!(!page.headers().contains_key("www-authenticate"), "a dialog would open over the page");
    assert_eq!(page.headers()["access-control-allow-origin"], "*", "the page must be able to read the status");
    assert!(behind.seen().is_empty());
}

#[tokio::test]
async fn conditions_and_representations_pass_both_ways() {
    let behind = Behind::answering(|_| {
        Response::builder()
            .status(201)
            .header("etag", "\"2\"")
            .header("schedule-tag", "\"s\"")
            .header("dav", "1, 3, calendar-access")
            .header("server", "sabre")
            .header("set-cookie", "sid=1")
            .header("www-authenticate", "Basic realm=\"sabre\"")
            .header("access-control-allow-origin", "https://sabre.example.org")
            .header("access-control-allow-credentials", "true")
            .header("connection", "x-internal")
            .header("x-internal", "1")
            .body(Body::empty())
            .unwrap()
    })
    .await;
    let front = proxy(&config(&behind.url())).await;
    let sent = [
        ("if-match", "\"1\""),
        ("if-none-match", "\"9\""),
        ("if", "(<urn:uuid:1>)"),
        ("if-schedule-tag-match", "\"s\""),
        ("overwrite", "F"),
        ("depth", "infinity"),
        ("prefer", "return=minimal"),
        ("prefer", "handling=strict"),
        ("brief", "t"),
        ("timeout", "Second-60"),
        ("lock-token", "<urn:uuid:2>"),
        ("schedule-reply", "F"),
        ("range", "bytes=0-9"),
        ("accept", "text/calendar"),
        ("accept-language", "fr"),
        ("content-type", "text/calendar; charset=utf-8"),
        ("user-agent", "DAVx5/4.4"),
        ("x-http-method-override", "ITIP"),
        ("origin", "https://calendar.example.org"),
    ];
    let response = ask("POST", &front.url("/dav/calendars/a/b.ics?x=1%202"), &sent, "BEGIN:VCALENDAR").await;
    let seen = behind.last();
    assert_eq!(seen.target, "/calendars/a/b.ics?x=1%202");
    for (name, value) in sent {
        let all: Vec<_> = seen.headers.get_all(name).iter().map(|v| v.to_str().unwrap()).collect();
        assert_eq!(all.contains(&value), name != "origin", "{name}: {all:?}");
    }
    assert_eq!(seen.header("content-length"), Some("15"));
    assert!(seen.header("transfer-encoding").is_none());

    assert_eq!(response.status(), 201);
    for (name, value) in [("etag", "\"2\""), ("schedule-tag", "\"s\""), ("dav", "1, 3, calendar-access")] {
        assert_eq!(response.headers()[name], value);
    }
    let allowed: Vec<_> = response.headers().get_all("access-control-allow-origin").iter().collect();
    assert_eq!(allowed, ["*"]);
    for gone in ["set-cookie", "www-authenticate", "x-internal", "connection", "access-control-allow-credentials"] {
        assert!(!response.headers().contains_key(gone), "{gone}");
    }
}

#[tokio::test]
async fn every_method_passes_but_those_that_echo() {
    let behind = Behind::agreeing().await;
    let front = proxy(&config(&behind.url())).await;
    for method in ["GET", "PROPFIND", "PROPPATCH", "REPORT", "MKCALENDAR", "MOVE", "ACL", "ITIP", "SEARCH", "M-ODD"] {
        ask(method, &front.url("/dav/calendars/a"), &[], Body::empty()).await;
        assert_eq!(behind.last().method.as_str(), method);
    }
    let before = behind.seen().len();
    for (method, headers) in [("TRACE", &[][..]), ("TRACK", &[]), ("POST", &[("x-http-method-override", "trace")])] {
        let response = ask(method, &front.url("/dav/calendars/a"), headers, Body::empty()).await;
        assert_eq!(response.status(), 405, "{method}");
        assert!(response.headers()["allow"].to_str().unwrap().contains("PROPFIND"));
    }
    assert_eq!(behind.seen().len(), before);
}

#[tokio::test]
async fn a_destination_is_a_path_of_the_server_or_refused() {
    let behind = Behind::agreeing().await;
    let front = proxy(&config(&behind.url())).await;
    let here = front.url("/dav/calendars/a/b.ics");
    let expected = format!("{}/calendars/a/b.ics", behind.url());
    for ours in [
        "https://calendar.example.org/dav/calendars/a/b.ics",
        "https://calendar.example.org/calendars/a/b.ics",
        "/calendars/a/b.ics",
        "/dav/calendars/a/b.ics",
        here.as_str(),
    ] {
        let response = ask("MOVE", &front.url("/dav/calendars/a/a.ics"), &[("destination", ours)], Body::empty()).await;
        assert_eq!(response.status(), 200, "{ours}");
        assert_eq!(behind.last().header("destination"), Some(expected.as_str()), "{ours}");
    }
    let before = behind.seen().len();
    for (foreign, status) in [
        ("https://elsewhere.example/dav/calendars/a/b.ics", 403),
        ("https://calendar.example.org@elsewhere.example/x", 403),
        ("//elsewhere.example/x", 400),
        ("https://calendar.example.org/dav/../../x", 400),
        ("nonsense", 400),
    ] {
        let response =
            ask("COPY", &front.url("/dav/calendars/a/a.ics"), &[("destination", foreign)], Body::empty()).await;
        assert_eq!(response.status(), status, "{foreign}");
        assert!(text(response).await.contains("<s:message>"));
    }
    let two = [("destination", "/calendars/a/b.ics"), ("destination", "/calendars/a/c.ics")];
    assert_eq!(ask("MOVE", &front.url("/dav/calendars/a/a.ics"), &two, Body::empty()).await.status(), 400);
    assert_eq!(behind.seen().len(), before);
}

#[tokio::test]
async fn ambiguous_paths_are_refused_in_the_callers_language() {
    let behind = Behind::agreeing().await;
    let front = proxy(&config(&behind.url())).await;
    for path in ["/dav/../calendars", "/dav/a/%2e%2e/b", "/dav/a%2Fb", "/dav/a%00b", "/dav/a%zz"] {
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = raw(front.addr, head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{path}: {answer}");
        assert!(answer.contains("application/xml") && answer.contains("BadRequest</s:exception>"), "{answer}");
    }
    let accept = [("accept", "application/json, text/plain, */*")];
    let json = text(ask("GET", &front.url("/dav/a%2Fb"), &accept, Body::empty()).await).await;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["error"]["code"], 400);
    assert_eq!(json["error"]["type"], "BadRequest");
    assert!(behind.seen().is_empty());

    ask("GET", &front.url("/dav//calendars//a"), &[], Body::empty()).await;
    assert_eq!(behind.last().target, "/calendars/a");
}

#[tokio::test]
async fn calendar_programs_find_their_way() {
    let behind = Behind::answering(|seen| {
        if seen.target.ends_with("/moved") {
            let to = format!("http://{}/calendars/b/", seen.header("host").unwrap());
            return Response::builder().status(301).header("location", to).body(Body::empty()).unwrap();
        }
        Response::new(Body::empty())
    })
    .await;
    let mut config = config(&behind.url());
    let front = proxy(&config).await;
    for (method, path) in [("GET", "/.well-known/caldav"), ("PROPFIND", "/.well-known/carddav/")] {
        let response = ask(method, &front.url(path), &[("authorization", "none")], Body::empty()).await;
        assert_eq!((response.status().as_u16(), &response.headers()["location"]), (301, &"/".parse().unwrap()));
    }
    for path in [
        "/",
        "/principals/users/a",
        "/calendars",
        "/calendars.json",
        "/calendars/a/",
        "/addressbooks.json",
        "/addressbooks/a/contacts/",
        "/query",
        "/query.json",
        "/itip",
    ] {
        ask("PROPFIND", &front.url(path), &[], Body::empty()).await;
        assert_eq!(behind.last().target, path);
    }
    let elsewhere = ask("PROPFIND", &front.url("/elsewhere"), &[], Body::empty()).await;
    assert_eq!(elsewhere.status(), 404);
    let moved = ask("GET", &front.url("/calendars/moved"), &[], Body::empty()).await;
    assert_eq!(moved.headers()["location"], "/calendars/b/");

    config.proxy.at_root = false;
    let front = proxy(&config).await;
    let response = ask("GET", &front.url("/.well-known/caldav"), &[], Body::empty()).await;
    assert_eq!(response.headers()["location"], "/dav/");
    assert_eq!(ask("PROPFIND", &front.url("/calendars/a"), &[], Body::empty()).await.status(), 404);
    let moved = ask("GET", &front.url("/dav/calendars/moved"), &[], Body::empty()).await;
    assert_eq!(moved.headers()["location"], "/dav/calendars/b/");
}

#[tokio::test]
async fn preflights_need_no_login_and_reach_nobody() {
    let behind = Behind::agreeing().await;
    let front = proxy(&config(&behind.url())).await;
    let preflight = [
        ("authorization", "none"),
        ("origin", "https://calendar.example.org"),
        ("access-control-request-method", "PROPPATCH"),
        ("access-control-request-headers", "authorization,depth"),
    ];
    let response = ask("OPTIONS", &front.url("/dav/calendars/a"), &preflight, Body::empty()).await;
    assert_eq!(response.status(), 204);
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    assert!(response.headers()["access-control-allow-methods"].to_str().unwrap().contains("PROPPATCH"));
    assert!(behind.seen().is_empty());

    // A calendar program's own OPTIONS is the server's to answer.
    ask("OPTIONS", &front.url("/dav/calendars/a"), &[], Body::empty()).await;
    assert_eq!(behind.last().method, "OPTIONS");
}

#[tokio::test]
async fn options_need_no_login() {
    let behind = Behind::agreeing().await;
    let front = proxy(&config(&behind.url())).await;
    let response = ask("OPTIONS", &front.url("/dav/calendars/"), &[("authorization", "none")], Body::empty()).await;
    assert_eq!(response.status(), 200);
    assert!(response.headers()["allow"].to_str().unwrap().contains("REPORT"));
    assert!(response.headers()["dav"].to_str().unwrap().contains("calendar-access"));
    assert!(behind.seen().is_empty());
    let refused = ask("PROPFIND", &front.url("/dav/calendars/"), &[("authorization", "none")], Body::empty()).await;
    assert_eq!(refused.status(), 401);
}

#[tokio::test]
async fn a_login_of_the_server_is_not_the_callers() {
    let behind = Behind::answering(|_| {
        Response::builder().status(401).header("www-authenticate", "Basic realm=\"sabre\"").body(Body::empty()).unwrap()
    })
    .await;
    let front = proxy(&config(&behind.url())).await;
    let response = ask("GET", &front.url("/dav/calendars/a"), &[], Body::empty()).await;
    assert_eq!(response.status(), 502);
    assert!(!response.headers().contains_key("www-authenticate"));
    assert!(text(response).await.contains("did not accept the request on behalf of this user"));
}
