//! What real clients send, played through the public port with a mail address and a password, and nothing else known.
//!
//! Each file of `tests/data/clients` is one client: a sequence of requests, written after its public code and what people
//! published of its traffic, with what it looks at in each answer. Every file is a test.
//!
//! A request is a line `METHOD path`, header lines, an empty line and a body, which ends at the first line that begins
//! with `%%`. `{name}` stands for what was saved under that name. Properties carry the prefixes of our answers, and `a` for
//! Apple's. The lines with `%%` say what must be in the answer:
//!
//! ```text
//! %% 207                             the status
//! %% header NAME TEXT                the header is there and contains the text
//! %% 200 HREF PROPERTY…              the resource has these properties, with this status
//! %% value HREF PROPERTY = TEXT      the property's text is this
//! %% gone HREF                       the resource is answered with 404
//! %% hrefs HREF…                     the resources of the answer are these, in any order
//! %% contains TEXT, %% lacks TEXT    the body
//! %% save NAME header HEADER         keeps the path that a header holds
//! %% save NAME HREF PROPERTY         keeps the first address in a property, or its text
//! %% save NAME sync-token            keeps the token that the whole answer names
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use convoke::dav::xml::{APPLE, CALDAV, CALENDARSERVER, CARDDAV, DAV, Element, SABRE, XmlLimits, parse};
use http::header::AUTHORIZATION;
use http::{Request, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::world::{ALICE, World};

/// One request with what must come back.
#[derive(Debug, Default)]
struct Exchange {
    line: usize,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
    expected: Vec<(usize, String)>,
}

fn read(text: &str) -> Vec<Exchange> {
    enum Part {
        Between,
        Headers,
        Body,
    }
    let mut exchanges: Vec<Exchange> = Vec::new();
    let mut part = Part::Between;
    for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line)) {
        let is_blank = line.trim().is_empty();
        if let Some(expected) = line.strip_prefix("%%") {
            let exchange = exchanges.last_mut().unwrap_or_else(|| panic!("line {number}: no request before"));
            exchange.expected.push((number, expected.trim().to_owned()));
            part = Part::Between;
            continue;
        }
        match part {
            Part::Between if is_blank || line.starts_with('#') => {}
            Part::Between => {
                let (method, path) = line.split_once(' ').unwrap_or_else(|| panic!("line {number}: no request line"));
                let (method, path) = (method.to_owned(), path.trim().to_owned());
                exchanges.push(Exchange { line: number, method, path, ..Exchange::default() });
                part = Part::Headers;
            }
            Part::Headers if is_blank => part = Part::Body,
            Part::Headers => {
                let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("line {number}: no header"));
                let header = (name.trim().to_owned(), value.trim().to_owned());
                exchanges.last_mut().unwrap().headers.push(header);
            }
            Part::Body => {
                let body = &mut exchanges.last_mut().unwrap().body;
                body.push_str(line);
                body.push_str("\r\n");
            }
        }
    }
    exchanges
}

/// Names that were saved, by what they stand for.
#[derive(Default)]
struct Known(BTreeMap<String, String>);

impl Known {
    fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
    }
}

/// An answer as the lines of a file look at it.
struct Answer {
    response: Response<Bytes>,
    body: String,
    multistatus: Option<Element>,
}

fn namespace(prefix: &str) -> &'static str {
    match prefix {
        "d" => DAV,
        "cal" => CALDAV,
        "card" => CARDDAV,
        "cs" => CALENDARSERVER,
        "s" => SABRE,
        "a" => APPLE,
        other => panic!("unknown prefix {other:?}"),
    }
}

impl Answer {
    fn read(response: Response<Bytes>) -> Self {
        let body = String::from_utf8(response.body().to_vec()).unwrap();
        let limits = XmlLimits { bytes: 4 << 20, depth: 32 };
        let multistatus = (response.status() == 207).then(|| parse(body.as_bytes(), limits).unwrap().unwrap());
        Self { response, body, multistatus }
    }

    fn responses(&self) -> impl Iterator<Item = (String, &Element)> {
        let root = self.multistatus.as_ref().unwrap_or_else(|| panic!("no multistatus: {}", self.body));
        root.children(DAV, "response").map(|r| (r.child(DAV, "href").unwrap().text(), r))
    }

    fn about(&self, href: &str) -> &Element {
        let found = self.responses().find(|(found, _)| found == href);
        found.unwrap_or_else(|| panic!("nothing about {href} in {}", self.body)).1
    }

    /// The property of a resource, where the resource has it with this status.
    fn property(&self, href: &str, status: &str, name: &str) -> Option<&Element> {
        let (prefix, local) = name.split_once(':').unwrap_or_else(|| panic!("{name} needs a prefix"));
        let with_status = self.about(href).children(DAV, "propstat").filter(|propstat| {
            propstat.child(DAV, "status").is_some_and(|s| s.text().split(' ').nth(1) == Some(status))
        });
        let mut props = with_status.flat_map(|propstat| propstat.children(DAV, "prop"));
        props.find_map(|prop| prop.child(namespace(prefix), local))
    }

    /// Checks one line, and keeps what it saves.
    fn check(&self, expected: &str, known: &mut Known) -> Result<(), String> {
        let words: Vec<&str> = expected.split_whitespace().collect();
        let rest = |from: usize| words[from..].join(" ");
        let held = match words[..] {
            [status] if status.parse::<u16>().is_ok() => self.response.status().as_str() == status,
            ["header", name, ..] => {
                let mut values = self.response.headers().get_all(name).iter();
                values.any(|value| value.to_str().unwrap().contains(&rest(2)))
            }
            ["contains", ..] => self.body.contains(&rest(1)),
            ["lacks", ..] => !self.body.contains(&rest(1)),
            ["value", href, name, "=", ..] => {
                self.property(href, "200", name).is_some_and(|found| found.text().trim() == rest(4))
            }
            ["gone", href] => {
                let status = self.about(href).child(DAV, "status").map(Element::text);
                status.is_some_and(|status| status.contains(" 404 "))
            }
            ["hrefs", ..] => {
                let found: BTreeSet<String> = self.responses().map(|(href, _)| href).collect();
                found == words[1..].iter().map(|href| (*href).to_owned()).collect()
            }
            ["save", name, "header", header] => {
                let value = self.response.headers().get(header).map(|v| v.to_str().unwrap().to_owned());
                value.map(|value| known.0.insert(name.to_owned(), value)).is_some()
            }
            ["save", name, "sync-token"] => {
                let token = self.multistatus.as_ref().and_then(|root| root.child(DAV, "sync-token"));
                token.map(|token| known.0.insert(name.to_owned(), token.text())).is_some()
            }
            ["save", name, href, property] => match self.property(href, "200", property) {
                Some(found) => {
                    let value = found.child(DAV, "href").unwrap_or(found).text();
                    known.0.insert(name.to_owned(), value);
                    true
                }
                None => false,
            },
            [status, href, ..] if status.len() == 3 => {
                let missing: Vec<_> =
                    words[2..].iter().filter(|name| self.property(href, status, name).is_none()).collect();
                if !missing.is_empty() {
                    return Err(format!("{missing:?} not {status} at {href}"));
                }
                true
            }
            _ => panic!("what is {expected:?}?"),
        };
        if held { Ok(()) } else { Err(format!("not so: {expected}")) }
    }
}

/// Plays a file against the whole program.
async fn play(file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/clients").join(file);
    let exchanges = read(&std::fs::read_to_string(path).unwrap());
    assert!(!exchanges.is_empty());
    let world = World::start().await;
    let credentials = format!("Basic {}", BASE64_STANDARD.encode(format!("{}:{}", ALICE.mail, ALICE.password)));
    let mut known = Known::default();
    known.0.insert("mail".to_owned(), ALICE.mail.to_owned());
    for exchange in exchanges {
        let url = format!("{}{}", world.public(), known.fill(&exchange.path));
        let mut request = Request::builder().method(exchange.method.as_str()).uri(url);
        for (name, value) in &exchange.headers {
            request = request.header(name.as_str(), known.fill(value));
        }
        if !exchange.headers.iter().any(|(name, _)| name == "X-Without-Credentials") {
            request = request.header(AUTHORIZATION, &credentials);
        }
        let body = Bytes::from(known.fill(&exchange.body));
        let response = world.http.fetch(request.body(body).unwrap()).await.unwrap();
        let answer = Answer::read(response);
        for (line, expected) in &exchange.expected {
            let expected = known.fill(expected);
            if let Err(wrong) = answer.check(&expected, &mut known) {
                let (status, headers) = (answer.response.status(), answer.response.headers());
                panic!(
                    "{file}:{line}: {wrong}\nrequest at line {}: {} {}\n{status} {headers:#?}\n{}",
                    exchange.line,
                    exchange.method,
                    known.fill(&exchange.path),
                    answer.body
                );
            }
        }
    }
    world.demo.stop().await;
}

/// The clients, each a test of its own; [`every_file_is_played`] sees to it that none is forgotten.
macro_rules! clients {
    ($($name:ident: $file:literal),* $(,)?) => {
        const FILES: &[&str] = &[$($file),*];

        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                play($file).await;
            }
        )*
    };
}

clients! {
    apple_calendar_sets_up_an_account_and_synchronises: "apple-calendar.http",
    apple_calendar_invites_moves_and_looks_who_is_free: "apple-calendar-scheduling.http",
    apple_contacts_sets_up_an_account_and_synchronises: "apple-contacts.http",
    davx5_synchronises_in_parts_and_from_scratch: "davx5-sync.http",
    davx5_sets_up_an_account_and_synchronises: "davx5.http",
    anybody_finds_the_way_from_the_host_name: "discovery.http",
    evolution_sets_up_an_account_and_synchronises: "evolution.http",
    evolution_synchronises_contacts: "evolution-contacts.http",
    thunderbird_invites_and_meets_conflicts: "thunderbird-scheduling.http",
    thunderbird_sets_up_calendars_and_synchronises: "thunderbird-calendar.http",
    thunderbird_sets_up_address_books_and_synchronises: "thunderbird-contacts.http",
}

/// Programs that send the body after the head get an answer before they have sent it, and ask on.
#[tokio::test(flavor = "multi_thread")]
async fn an_early_answer_leaves_the_connection_usable() {
    let world = World::start().await;
    let address = world.public().strip_prefix("http://").unwrap().to_owned();
    let body = "<d:propfind xmlns:d=\"DAV:\"><d:prop><d:current-user-principal/></d:prop></d:propfind>";
    for (path, status) in [("/.well-known/caldav", "301"), ("/", "401"), ("/dav/", "401")] {
        let mut connection = tokio::net::TcpStream::connect(&address).await.unwrap();
        for attempt in 0..3 {
            let head = format!("PROPFIND {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
            connection.write_all(head.as_bytes()).await.unwrap();
            connection.flush().await.unwrap();
            // The head is on its way by itself: what matters is that the body comes in a piece of its own.
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            connection.write_all(body.as_bytes()).await.unwrap();
            let mut answer = String::new();
            while !answer.contains("\r\n\r\n") {
                let mut piece = [0; 4096];
                let read = connection.read(&mut piece).await.unwrap();
                assert!(read > 0, "{path}: closed at request {attempt}");
                answer.push_str(std::str::from_utf8(&piece[..read]).unwrap());
            }
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
            let (head, start) = answer.split_once("\r\n\r\n").unwrap();
            let length =
                head.lines().find_map(|l| l.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
            let mut rest = vec![0; length - start.len()];
            connection.read_exact(&mut rest).await.unwrap();
        }
    }
    world.demo.stop().await;
}

#[test]
fn every_file_is_played() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/clients");
    let files: BTreeSet<String> =
        std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(files, FILES.iter().map(|file| (*file).to_owned()).collect());
}
