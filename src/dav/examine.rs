//! A close look at the DAV server behind the proxy, for `convoke doctor`: whether it answers, what it can do, whether it
//! takes us for whom we act as, its clock and its certificate.

use std::time::Duration;

use async_trait::async_trait;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use tower::ServiceExt as _;
use url::Url;

use super::{Actor, Body, Upstream};
use crate::clock::Env;
use crate::config::{self, Impersonation};
use crate::health::{Examine, Finding};
use crate::ids::Email;
use crate::net::{Opening, examine_certificate, examine_clock, is_loopback};

/// Octets of an answer that are looked at.
const ANSWER: usize = 64 << 10;
const DEPTH: HeaderName = HeaderName::from_static("depth");
/// Who am I? (RFC 5397 §3)
const WHO_AM_I: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\
    <propfind xmlns=\"DAV:\"><prop><current-user-principal/></prop></propfind>";

/// The server of `[upstream]`.
pub struct DavUpstream {
    /// How it is configured.
    pub config: config::Upstream,
    /// The server itself.
    pub upstream: Upstream,
    /// Whom to act as. Somebody who has an account there, where it is known.
    pub somebody: Email,
    /// Whether that is known.
    pub has_account: bool,
    /// The time.
    pub env: Env,
    /// Time for a look at the certificate.
    pub time: Duration,
}

#[async_trait]
impl Examine for DavUpstream {
    fn engine(&self) -> String {
        format!("DAV server {}", self.config.url)
    }

    async fn examine(&self) -> Vec<Finding> {
        let mut found = self.connection().await;
        let (asked, options) = (self.env.now(), self.ask(Method::OPTIONS, &HeaderMap::new(), "").await);
        let head = match options {
            Ok((head, _)) => head,
            Err(error) => {
                let advice = "is the server up, does this machine reach it, and is upstream.url right?";
                found.push(Finding::bad("answers", error, advice));
                return found;
            }
        };
        found.extend(examine_clock(&head.headers, asked, self.env.now()));
        found.push(features(&head));
        found.push(self.impersonation().await);
        found
    }
}

impl DavUpstream {
    async fn connection(&self) -> Vec<Finding> {
        let Ok(url) = Url::parse(&self.config.url) else { return Vec::new() };
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return Vec::new() };
        match url.scheme() {
            "https" => {
                let now = self.env.now();
                vec![examine_certificate(host, port, Opening::Tls, None, now, self.time).await]
            }
            _ if is_loopback(host) => Vec::new(),
            _ => vec![Finding::doubtful(
                "encryption",
                "the administrator's password and all calendars go in plain text",
                "let nobody else into the network between the two, or give the server TLS",
            )],
        }
    }

    /// Acts as somebody and asks who that is.
    async fn impersonation(&self) -> Finding {
        let mut headers = HeaderMap::new();
        headers.insert(DEPTH, HeaderValue::from_static("0"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        let propfind = Method::from_bytes(b"PROPFIND").unwrap_or_default();
        let (head, body) = match self.ask(propfind, &headers, WHO_AM_I).await {
            Ok(answer) => answer,
            Err(error) => return Finding::bad("acts for others", error, "look at the server's logs"),
        };
        let somebody = &self.somebody;
        match head.status {
            StatusCode::MULTI_STATUS if body.contains("unauthenticated") => Finding::bad(
                "acts for others",
                format!("the server does not know that we act as {somebody}"),
                self.advice(),
            ),
            StatusCode::MULTI_STATUS => Finding::good("acts for others", format!("as {somebody}")),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if self.has_account => {
                Finding::bad("acts for others", format!("not as {somebody}: {}", head.status), self.advice())
            }
            // esn-sabre says the same of people that it does not know.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Finding::doubtful(
                "acts for others",
                format!("not as {somebody}: {}, which may be because nobody there has this address", head.status),
                "name somebody who has a calendar there: `convoke doctor --as alice@example.org`",
            ),
            status => Finding::doubtful(
                "acts for others",
                format!("PROPFIND as {somebody} answers {status}"),
                "is upstream.url the root of the DAV server? Look at the server's logs",
            ),
        }
    }

    fn advice(&self) -> &'static str {
        match self.config.impersonation {
            Impersonation::Admin => {
                "compare upstream.admin_user and upstream.admin_password with the server's (SABRE_ADMIN_LOGIN, \
                 SABRE_ADMIN_PASSWORD), and let it allow impersonation (SABRE_IMPERSONATION_ENABLED)"
            }
            Impersonation::Header => {
                "let the server trust the header in upstream.user_header (Radicale: type = http_x_remote_user)"
            }
        }
    }

    async fn ask(
        &self,
        method: Method,
        headers: &HeaderMap,
        body: &'static str,
    ) -> Result<(http::response::Parts, String), String> {
        let mut request = Request::new(Body::from(body));
        *request.method_mut() = method;
        *request.headers_mut() = headers.clone();
        request.extensions_mut().insert(Actor::User(self.somebody.clone()));
        let answer: Response<Body> = self.upstream.clone().oneshot(request).await.map_err(|e| with_causes(&e))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER).collect().await.map_err(|e| e.to_string())?.to_bytes();
        Ok((head, String::from_utf8_lossy(&body).into_owned()))
    }
}

/// What the server says it can do (RFC 4918 §10.1, RFC 4791 §5.1).
fn features(head: &http::response::Parts) -> Finding {
    if head.status.is_server_error() {
        return Finding::bad("answers", head.status.to_string(), "look at the server's logs");
    }
    let values = head.headers.get_all(super::options::DAV);
    let features: Vec<&str> =
        values.iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).map(str::trim).collect();
    let lacks: Vec<&str> =
        ["calendar-access", "addressbook"].into_iter().filter(|wanted| !features.contains(wanted)).collect();
    match (features.is_empty(), lacks.as_slice()) {
        (true, _) => Finding::doubtful(
            "answers",
            format!("{} without a word about DAV", head.status),
            "is upstream.url the root of a DAV server, and not of a page before it?",
        ),
        (false, []) => Finding::good("answers", "CalDAV and CardDAV"),
        (false, lacks) => Finding::doubtful(
            "answers",
            format!("without {}", lacks.join(", ")),
            "clients miss what the server cannot do; is upstream.url its root?",
        ),
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |e| e.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
