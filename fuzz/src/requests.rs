//! Whole requests, to a server with one calendar, one book and one folder: a line `METHOD path`, headers, an empty line, the
//! body. Several of them one after the other, with a line of `%%` between them.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use convoke::clock::{CountingEntropy, Env, ManualClock};
use convoke::config::{Durability, Limits};
use convoke::dav::server::{Server, Settings};
use convoke::dav::xml::{XmlLimits, parse};
use convoke::dav::{Actor, Body, Upstream};
use convoke::store::sqlite::Sqlite;
use convoke::store::{DirectoryStore as _, Domain, User};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

const ALICE: &str = "65aa00000000000000000001";
const DOMAIN: &str = "65dd00000000000000000001";
/// Requests of one input at most.
const MOST: usize = 8;
/// Octets of an answer at most: far more than these few objects can give.
const MOST_OCTETS: usize = 32 << 20;

pub fn check(data: &[u8]) {
    let requests: Vec<_> = split(data).into_iter().take(MOST).filter_map(read).collect();
    if requests.is_empty() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("no runtime: {error}"));
    runtime.block_on(async {
        let world = World::new().await;
        for request in requests {
            world.ask(request).await;
        }
    });
}

fn split(data: &[u8]) -> Vec<&[u8]> {
    const MARK: &[u8] = b"\n%%\n";
    let (mut parts, mut rest) = (Vec::new(), data);
    while let Some(at) = rest.windows(MARK.len()).position(|w| w == MARK) {
        parts.push(&rest[..at]);
        rest = &rest[at + MARK.len()..];
    }
    parts.push(rest);
    parts
}

fn read(data: &[u8]) -> Option<Request<Body>> {
    let end = data.windows(2).position(|w| w == b"\n\n").unwrap_or(data.len());
    let head = std::str::from_utf8(&data[..end]).ok()?;
    let body = data.get(end + 2..).unwrap_or_default();
    let mut lines = head.lines();
    let (method, path) = lines.next()?.split_once(' ')?;
    let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).ok()?).uri(path);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        request = request.header(name, value.trim());
    }
    request.body(Body::from(body.to_vec())).ok()
}

struct World {
    upstream: Upstream,
    _dir: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        Self::try_new().await.unwrap_or_else(|error| panic!("no server: {error}"))
    }

    async fn try_new() -> Result<Self, Box<dyn std::error::Error>> {
        let shm = std::path::Path::new("/dev/shm");
        let dir = if shm.is_dir() { tempfile::tempdir_in(shm)? } else { tempfile::tempdir()? };
        let env =
            Env::new(ManualClock::at("2026-11-21T06:20:15Z".parse::<DateTime<Utc>>()?), CountingEntropy::default());
        let sqlite = Sqlite::open(&dir.path().join("convoke.db"), Durability::Normal, env.clone())?;
        sqlite.add_domain(&Domain { id: DOMAIN.parse()?, name: "example.org".parse()? }).await?;
        for (id, name) in [(ALICE, "alice"), ("65aa00000000000000000002", "bob")] {
            let emails = vec![format!("{name}@example.org").parse()?];
            let (domain, firstname) = (DOMAIN.parse()?, name.to_owned());
            sqlite.add_user(&User { id: id.parse()?, domain, emails, firstname, lastname: String::new() }).await?;
        }
        let limits = Limits { object_lines: 2_000, occurrences: 500, expansion_bytes: 256 << 10, ..Limits::default() };
        let settings = Settings { limits, ..Settings::default() };
        let server = Server::new(Arc::new(sqlite.clone()), Arc::new(sqlite.clone()), env, settings);
        let upstream = server.with_files(Arc::new(sqlite)).into_upstream();
        Ok(Self { upstream, _dir: dir })
    }

    /// Whatever is asked, the answer is one that a client can do something with.
    async fn ask(&self, mut request: Request<Body>) {
        let what = format!("{} {}", request.method(), request.uri());
        let is_head = request.method() == Method::HEAD;
        let takes_gzip = request.headers().contains_key(http::header::ACCEPT_ENCODING);
        if let Ok(email) = "alice@example.org".parse() {
            request.extensions_mut().insert(Actor::User(email));
        }
        let answer = self.upstream.clone().oneshot(request).await;
        let (head, body) = answer.unwrap_or_else(|error| panic!("{what}: {error}")).into_parts();
        let known = [StatusCode::NOT_IMPLEMENTED, StatusCode::INSUFFICIENT_STORAGE];
        assert!(!head.status.is_server_error() || known.contains(&head.status), "{what}: {}", head.status);
        let body = body.collect().await.unwrap_or_else(|error| panic!("{what}: broke off: {error}")).to_bytes();
        assert!(body.len() <= MOST_OCTETS, "{what}: {} octets", body.len());
        assert!(!is_head || body.is_empty(), "{what}: a body");
        if head.status == StatusCode::MULTI_STATUS && !takes_gzip {
            let limits = XmlLimits { bytes: MOST_OCTETS, depth: 128 };
            let text = String::from_utf8_lossy(&body);
            let read = parse(&body, limits).unwrap_or_else(|error| panic!("{what}: {error}:\n{text}"));
            assert!(read.is_some_and(|root| root.name.is("DAV:", "multistatus")), "{what}:\n{text}");
        }
    }
}
