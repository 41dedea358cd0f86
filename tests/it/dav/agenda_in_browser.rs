//! The agenda in a real browser: what it blocks, where things end up on the screen, what it makes of them on paper.
//!
//! Runs where a Chromium is found: `CONVOKE_CHROMIUM` names one, else the usual names are tried. `scripts/page-check` keeps the
//! pictures in a folder to look at (`CONVOKE_PAGE_PICTURES`).

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use axum::Router;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use convoke::dav::server::Settings;
use convoke::dav::{Actor, Body};
use futures_util::{SinkExt as _, StreamExt as _};
use http::Request;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tower::ServiceExt as _;

use super::{ALICE, CALENDAR, World, calendar, root};
use crate::proxy_support::{Served, limits};

const PATIENCE: Duration = Duration::from_secs(60);
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// A browser with one page open.
struct Browser {
    _process: Child,
    _profile: tempfile::TempDir,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    session: Option<String>,
    last: u64,
    /// What the page complained of: things that were blocked or failed.
    complaints: Vec<String>,
}

fn program() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("CONVOKE_CHROMIUM").filter(|name| !name.is_empty()) {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH")?;
    let mut places = std::env::split_paths(&path).flat_map(|folder| NAMES.map(|name| folder.join(name)));
    places.find(|place| place.is_file())
}

impl Browser {
    /// Starts the browser, if there is one.
    async fn start() -> Option<Self> {
        let Some(program) = program() else {
            eprintln!("SKIPPED: no Chromium is found; CONVOKE_CHROMIUM names one");
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        let mut process = Command::new(program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--remote-debugging-port=0",
            ])
            .args(["--no-first-run", "--hide-scrollbars", "--force-color-profile=srgb", "about:blank"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = tokio::time::timeout(PATIENCE, async {
            loop {
                let line = lines.next_line().await.unwrap().expect("the browser ended");
                if let Some(address) = line.strip_prefix("DevTools listening on ") {
                    return address.to_owned();
                }
            }
        })
        .await
        .expect("the browser starts");
        // Somebody has to read what it says.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let (socket, _) = connect_async(address).await.unwrap();
        let mut browser =
            Self { _process: process, _profile: profile, socket, session: None, last: 0, complaints: Vec::new() };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"})).await;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", attach).await;
        browser.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            browser.call(domain, json!({})).await;
        }
        Some(browser)
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let id = self.last;
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.socket.send(Message::text(message.to_string())).await.unwrap();
        loop {
            let answer = self.receive().await;
            if answer["id"] == json!(id) {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    async fn receive(&mut self) -> Value {
        let message = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("an answer").unwrap().unwrap();
        let Message::Text(text) = message else { return Value::Null };
        let value: Value = serde_json::from_str(&text).unwrap();
        if value["method"] == "Log.entryAdded" {
            self.complaints.push(value["params"]["entry"].to_string());
        }
        value
    }

    /// Opens an address on a screen of that size.
    async fn open(&mut self, url: &str, width: u32, height: u32, dark: bool) {
        let screen = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", screen).await;
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", features).await;
        // The page asks for nothing else, so that it is there when the address is.
        self.call("Page.navigate", json!({"url": url})).await;
        while self.evaluate("document.readyState").await != "complete" {}
        assert_eq!(self.evaluate("location.href").await, url);
    }

    async fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true});
        let result = self.call("Runtime.evaluate", params).await;
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// Keeps a picture of the whole page, if pictures are wanted.
    async fn picture(&mut self, name: &str) {
        let Some(folder) = std::env::var_os("CONVOKE_PAGE_PICTURES").map(PathBuf::from) else { return };
        let shot = self.call("Page.captureScreenshot", json!({"format": "png", "captureBeyondViewport": true})).await;
        let png = STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), png).unwrap();
    }

    /// The page on paper, with a picture of what is printed.
    async fn print(&mut self, name: &str) -> Vec<u8> {
        self.call("Emulation.setEmulatedMedia", json!({"media": "print"})).await;
        self.picture(name).await;
        self.call("Emulation.setEmulatedMedia", json!({"media": ""})).await;
        let printed = self.call("Page.printToPDF", json!({"preferCSSPageSize": true, "printBackground": false})).await;
        let pdf = STANDARD.decode(printed["data"].as_str().unwrap()).unwrap();
        if let Some(folder) = std::env::var_os("CONVOKE_PAGE_PICTURES").map(PathBuf::from) {
            std::fs::write(folder.join(format!("{name}.pdf")), &pdf).unwrap();
        }
        pdf
    }
}

/// A month as people have it: two calendars, days, series, overlaps, guests, languages of both directions.
async fn furnish(world: &World) {
    let client = world.alice();
    let work = format!("/calendars/{ALICE}/work/");
    let props = "<d:displayname>Work</d:displayname><a:calendar-color>#E6553FFF</a:calendar-color>";
    let body = format!("{}<d:set><d:prop>{props}</d:prop></d:set></cal:mkcalendar>", root("cal:mkcalendar"));
    client.send("MKCALENDAR", &work, &[], &body).await.expect(201);
    let zone = "<d:set><d:prop><cal:calendar-timezone-id>Europe/Paris</cal:calendar-timezone-id></d:prop></d:set>";
    let body = format!("{}{zone}</d:propertyupdate>", root("d:propertyupdate"));
    client.send("PROPPATCH", CALENDAR, &[], &body).await.expect(207);
    let guests = [
        "ORGANIZER;CN=Alice Martin:mailto:alice@example.org",
        "ATTENDEE;CN=Alice Martin;PARTSTAT=ACCEPTED:mailto:alice@example.org",
        "ATTENDEE;CN=Bob Durand;PARTSTAT=TENTATIVE:mailto:bob@elsewhere.example",
        "ATTENDEE;CN=Carol;ROLE=OPT-PARTICIPANT:mailto:carol@elsewhere.example",
    ];
    let text = "DESCRIPTION:Agenda:\\n1. figures of October\\n2. plans for the winter\\nPlease read the report before.";
    let mut review = vec![
        "DTSTART;TZID=Europe/Paris:20261118T100000",
        "DURATION:PT1H30M",
        "SUMMARY:Quarterly review with the whole team and all of its guests",
        "LOCATION:Room 4.12\\, second floor",
        "URL:https://example.org/review",
        "CATEGORIES:Review,Figures",
        text,
    ];
    review.extend(guests);
    let objects: Vec<(&str, &str, Vec<&str>)> = vec![
        (CALENDAR, "review", review),
        (
            CALENDAR,
            "lunch",
            vec!["DTSTART;TZID=Europe/Paris:20261118T110000", "DURATION:PT2H", "SUMMARY:Lunch with Bob"],
        ),
        (&work, "call", vec!["DTSTART;TZID=Europe/Paris:20261118T104500", "DURATION:PT15M", "SUMMARY:Call"]),
        (
            &work,
            "standup",
            vec![
                "DTSTART;TZID=Europe/Paris:20260105T091500",
                "DURATION:PT15M",
                "RRULE:FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR",
                "SUMMARY:Stand-up",
            ],
        ),
        (
            &work,
            "fair",
            vec!["DTSTART;VALUE=DATE:20261112", "DTEND;VALUE=DATE:20261118", "SUMMARY:Book fair in Frankfurt"],
        ),
        (CALENDAR, "birthday", vec!["DTSTART;VALUE=DATE:19900521", "RRULE:FREQ=MONTHLY", "SUMMARY:Rent"]),
        (
            CALENDAR,
            "leave",
            vec!["DTSTART;VALUE=DATE:20261120", "DTEND;VALUE=DATE:20261124", "SUMMARY:Long weekend", "CLASS:PRIVATE"],
        ),
        (
            CALENDAR,
            "night",
            vec![
                "DTSTART;TZID=Europe/Paris:20261119T220000",
                "DURATION:PT4H",
                "SUMMARY:Maintenance",
                "STATUS:TENTATIVE",
            ],
        ),
        (
            CALENDAR,
            "off",
            vec!["DTSTART;TZID=Europe/Paris:20261117T140000", "DURATION:PT1H", "SUMMARY:Dentist", "STATUS:CANCELLED"],
        ),
        (
            &work,
            "hebrew",
            vec!["DTSTART;TZID=Europe/Paris:20261117T160000", "DURATION:PT1H", "SUMMARY:פגישה עם Alice (תכנון)"],
        ),
        (&work, "arabic", vec!["DTSTART;TZID=Europe/Paris:20261120T150000", "DURATION:PT1H", "SUMMARY:اجتماع الفريق"]),
        (&work, "many1", vec!["DTSTART;TZID=Europe/Paris:20261120T090000", "DURATION:PT1H", "SUMMARY:Interview 1"]),
        (&work, "many2", vec!["DTSTART;TZID=Europe/Paris:20261120T100000", "DURATION:PT1H", "SUMMARY:Interview 2"]),
        (&work, "many3", vec!["DTSTART;TZID=Europe/Paris:20261120T110000", "DURATION:PT1H", "SUMMARY:Interview 3"]),
    ];
    for (place, uid, lines) in objects {
        client.put(&format!("{place}{uid}.ics"), &calendar("VEVENT", uid, &lines)).await.expect(201);
    }
    let task = calendar("VTODO", "task", &["DUE;TZID=Europe/Paris:20261119T170000", "SUMMARY:Send the report"]);
    client.put(&format!("{CALENDAR}task.ics"), &task).await.expect(201);
}

/// The server behind a real socket, for somebody who has signed in.
async fn served(world: &World) -> Served {
    let upstream = world.upstream.clone();
    let router = Router::new().fallback(move |mut request: Request<Body>| {
        request.extensions_mut().insert(Actor::User("alice@example.org".parse().unwrap()));
        let upstream = upstream.clone();
        async move { upstream.oneshot(request).await.unwrap() }
    });
    Served::router(router, limits()).await
}

/// Whether the page is wider than the screen, and pairs of events or buttons that cover each other.
const MISPLACED: &str = "(() => {
  const found = [];
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > wide) found.push('the page is ' + document.documentElement.scrollWidth + ' wide');
  for (const group of document.querySelectorAll('.week .times, .week .days, .month td, .bar')) {
    const rects = [...group.querySelectorAll('.block, li.event, a.button, .views, h2')].map(e => [e.textContent, e.getBoundingClientRect()]);
    rects.forEach(([a, p], n) => rects.slice(n + 1).forEach(([b, q]) => {
      if (p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 1 && q.top < p.bottom - 1) found.push(a + ' covers ' + b);
    }));
  }
  return found;
})()";

/// Texts whose contrast with what is behind them is below 4.5 (WCAG 2.2 §1.4.3).
const PALE: &str = "(() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const paint = (colour, under) => {
    canvas.fillStyle = under; canvas.fillRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = canvas.getImageData(0, 0, 1, 1).data;
    return 'rgb(' + r + ',' + g + ',' + b + ')';
  };
  const light = c => {
    const [r, g, b] = c.match(/\\d+/g).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = e => e ? paint(getComputedStyle(e).backgroundColor, behind(e.parentElement)) : 'rgb(255,255,255)';
  const found = [];
  for (const e of document.querySelectorAll('body *')) {
    const text = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!text || !e.checkVisibility() || e.closest('svg, .outside, .vh')) continue;
    const back = behind(e), front = paint(getComputedStyle(e).color, back);
    const [a, b] = [light(back), light(front)].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) found.push(e.textContent.trim().slice(0, 40) + ' ' + front + ' on ' + back);
  }
  return found;
})()";

#[tokio::test]
async fn the_agenda_is_right_on_screens_and_on_paper() {
    let Some(mut browser) = Browser::start().await else { return };
    let settings = Settings { public_url: "https://calendar.example.org".to_owned(), ..Settings::default() };
    let world = World::with(settings).await;
    furnish(&world).await;
    let front = served(&world).await;
    let home = format!("/calendars/{ALICE}/");
    for (view, place) in [("month", home.as_str()), ("week", &home), ("list", CALENDAR)] {
        let url = front.url(&format!("{place}?view={view}&date=2026-11-18"));
        for (screen, width, height, dark) in [
            ("desk", 1280, 900, false),
            ("dark", 1280, 900, true),
            ("phone", 390, 844, false),
            ("small", 320, 568, true),
        ] {
            browser.open(&url, width, height, dark).await;
            browser.picture(&format!("{view}-{screen}")).await;
            assert_eq!(browser.evaluate(MISPLACED).await, json!([]), "{view} {screen}");
            assert_eq!(browser.evaluate(PALE).await, json!([]), "{view} {screen}");
        }
        browser.open(&url, 1280, 900, false).await;
        let styled = "getComputedStyle(document.querySelector('.views [aria-current]')).backgroundColor";
        assert_eq!(browser.evaluate(styled).await, "rgb(26, 95, 208)", "the style sheet is allowed");
        assert!(browser.print(&format!("{view}-paper")).await.starts_with(b"%PDF"));
    }
    // The way of a reader: from an event of the week to its details, by the link alone.
    browser.open(&front.url(&format!("{home}?view=week&date=2026-11-18")), 1280, 900, false).await;
    let link = "[...document.querySelectorAll('.block a')].find(a => a.textContent.includes('Quarterly')).href";
    let link = browser.evaluate(link).await;
    browser.open(link.as_str().unwrap(), 1280, 900, false).await;
    browser.picture("details").await;
    let open = browser.evaluate("document.querySelector(':target details[open] .lines').checkVisibility()").await;
    assert_eq!(open, true);
    assert_eq!(browser.complaints, [""; 0]);
}
