//! The page with the mails, over HTTP: what it shows, and that a hostile mail stays in its cage.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use convoke::clock::{CountingEntropy, Env, ManualClock};
use convoke::demo::outbox;
use convoke::mail::folder::OutboxFolder;
use convoke::mail::{OutgoingMail, Transport};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;

struct Page {
    app: Router,
    folder: OutboxFolder,
    _data: tempfile::TempDir,
}

impl Page {
    fn open() -> Self {
        let data = tempfile::tempdir().unwrap();
        let now = "2026-03-05T13:00:00Z".parse().unwrap();
        let folder =
            OutboxFolder::open(data.path(), Env::new(ManualClock::at(now), CountingEntropy::default())).unwrap();
        std::fs::write(data.path().join("secret.txt"), "secret").unwrap();
        let app = outbox::router(Arc::new(folder.clone()));
        Self { app, folder, _data: data }
    }

    async fn holds(&self, number: u32, subject: &str, html: &str) {
        let mime = format!(
            "Message-ID: <{number}@example.org>\r\nDate: Thu, 5 Mar 2026 13:{:02}:{:02} +0000\r\n\
             From: Alice <alice@example.org>\r\nTo: bob@example.org\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nplain words\r\n\
             --b\r\nContent-Type: text/html\r\n\r\n{html}\r\n--b\r\n\
             Content-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\n\
             UID:1\r\nSUMMARY:Planning\r\nDTSTART:20260305T130000Z\r\nATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:bob@example.org\r\n\
             END:VEVENT\r\nEND:VCALENDAR\r\n--b--\r\n",
            number / 60,
            number % 60
        );
        let (from, to) = (Some("alice@example.org".parse().unwrap()), "bob@example.org".parse().unwrap());
        self.folder.send(&OutgoingMail { message_id: format!("{number}@example.org"), from, to, mime }).await.unwrap();
    }

    async fn get(&self, path: &str) -> (Response<()>, String) {
        let response = self.app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (Response::from_parts(head, ()), String::from_utf8_lossy(&body).into_owned())
    }

    /// The address of the first mail on the list.
    async fn first(&self) -> String {
        let (_, list) = self.get("/mails/").await;
        let href = list.split("<td><a href=\"").nth(1).unwrap().split('"').next().unwrap();
        format!("/mails/{href}")
    }
}

fn header<'a>(response: &'a Response<()>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn mails_are_listed_newest_first_page_by_page() {
    let page = Page::open();
    assert!(page.get("/mails/").await.1.contains("No mails yet"));
    for number in 0..60 {
        page.holds(number, &format!("Mail number {number}."), "<p>x</p>").await;
    }
    let (response, list) = page.get("/mails/").await;
    assert_eq!(response.status(), StatusCode::OK);
    let at = |text: &str| list.find(text);
    assert!(at("Mail number 59.") < at("Mail number 58."));
    assert!(at("Mail number 10.").is_some() && at("Mail number 9.").is_none());
    assert!(list.contains("?page=1") && list.contains("60 mails"));
    let (_, older) = page.get("/mails/?page=1").await;
    assert!(older.contains("Mail number 9.") && !older.contains("Mail number 10."));
    assert!(older.contains("?page=0") && !older.contains("?page=2"));
}

#[tokio::test]
async fn the_address_without_a_slash_leads_to_the_list() {
    let page = Page::open();
    let (response, _) = page.get("/mails").await;
    assert_eq!(response.status(), StatusCode::PERMANENT_REDIRECT);
    assert_eq!(header(&response, "location"), "/mails/");
}

#[tokio::test]
async fn a_mail_is_shown_with_its_parts() {
    let page = Page::open();
    page.holds(1, "Planning", "<p>rich words</p>").await;
    let mail = page.first().await;
    let (_, shown) = page.get(&mail).await;
    for part in [
        "Alice &lt;alice@example.org&gt;",
        "plain words",
        "Calendar part: REQUEST",
        "mailto:bob@example.org NEEDS-ACTION",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert!(!shown.contains("rich words"), "HTML only in the frame");
    let (response, html) = page.get(&format!("{mail}html")).await;
    assert_eq!((header(&response, "content-type"), html.as_str()), ("text/html; charset=utf-8", "<p>rich words</p>"));
    let (response, raw) = page.get(&format!("{mail}raw")).await;
    assert!(header(&response, "content-disposition").starts_with("attachment; filename=\"20260305T130001-"));
    assert!(raw.starts_with("Message-ID: <1@example.org>\r\n"));
}

#[tokio::test]
async fn a_hostile_mail_stays_in_its_cage() {
    let page = Page::open();
    page.holds(1, "<script>alert(1)</script>", "<script>alert(2)</script><img src=//elsewhere.example/x>").await;
    let mail = page.first().await;
    for path in ["/mails/", mail.as_str()] {
        let (response, shown) = page.get(path).await;
        assert!(!shown.contains("<script"), "{path}");
        let policy = header(&response, "content-security-policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("script-src"), "{policy}");
    }
    assert!(page.get(&mail).await.1.contains("<iframe src=\"html\" sandbox "));
    let (response, _) = page.get(&format!("{mail}html")).await;
    let policy = header(&response, "content-security-policy");
    assert!(policy.starts_with("sandbox; default-src 'none'"), "{policy}");
    assert_eq!(header(&response, "x-content-type-options"), "nosniff");
}

#[tokio::test]
async fn nothing_but_mails_can_be_read() {
    let page = Page::open();
    for name in
        ["secret.txt", "..%2fsecret.txt", "..%2f..%2fetc%2fpasswd", "%2e%2e", "20260305T130001-0000.eml", "a%00b"]
    {
        for end in ["", "/", "/html", "/raw"] {
            let (response, body) = page.get(&format!("/mails/{name}{end}")).await;
            assert!(!response.status().is_success(), "{name}{end}");
            assert!(!body.contains("secret\n") && body != "secret", "{name}{end}");
        }
    }
}
