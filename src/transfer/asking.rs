//! Requests to a server and its answers, read whole. A server elsewhere may be busy, tell to come back later, or drop a
//! connection: it is asked again with patience, for a copy of many thousand objects should not end at one of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chrono::DateTime;
use http::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tower::ServiceExt as _;

use super::TransferError;
use super::answers::{ANSWER, DEPTH, refusal};
use crate::dav::path::MOUNT;
use crate::dav::xml::{DAV, Element, Members, XmlLimits};
use crate::dav::{Actor, Body, BoxError, Imported, Upstream, UpstreamError};

const DEPTH_HEADER: HeaderName = HeaderName::from_static("depth");

/// Times that a request is sent at most.
const TRIES: u32 = 7;
/// Before the second try; doubled before each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause, whatever a server asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// A request that can be sent again.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Asked {
    pub(super) fn new(method: Method, path: &str) -> Self {
        Self { method, path: path.to_owned(), headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// With an XML body.
    pub(super) fn xml(method: Method, path: &str, body: String) -> Self {
        let asked = Self { body: Bytes::from(body), ..Self::new(method, path) };
        asked.with(CONTENT_TYPE, HeaderValue::from_static("application/xml; charset=utf-8"))
    }

    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Whether a second time does what the first did, if that came through.
    fn is_repeatable(&self) -> bool {
        !matches!(self.method.as_str(), "MKCALENDAR" | "MKCOL")
    }
}

/// Who is asked.
#[derive(Clone)]
pub(super) struct Server {
    upstream: Upstream,
    /// On whose behalf; nobody where the upstream itself is signed in.
    actor: Option<Actor>,
    /// Whether it ever answered: a wrong host name should be told at once.
    answered: Arc<AtomicBool>,
}

impl Server {
    pub(super) fn new(upstream: Upstream, actor: Option<Actor>) -> Self {
        Self { upstream, actor, answered: Arc::default() }
    }

    /// Whether it is the server behind us, rather than one elsewhere.
    pub(super) fn is_ours(&self) -> bool {
        self.actor.is_some()
    }

    /// The `response` elements of a multistatus.
    pub(super) async fn multistatus(
        &self,
        method: &str,
        path: &str,
        depth: &'static str,
        body: String,
    ) -> Result<Vec<Element>, TransferError> {
        self.each_response(method, path, depth, body, Some).await
    }

    /// What `read` makes of each `response` of a multistatus. The elements are dropped on the way: those of a calendar with very
    /// many events would take ten times the memory of their text.
    pub(super) async fn each_response<T>(
        &self,
        method: &str,
        path: &str,
        depth: &'static str,
        body: String,
        read: impl Fn(Element) -> Option<T>,
    ) -> Result<Vec<T>, TransferError> {
        let name = Method::from_bytes(method.as_bytes()).unwrap_or_default();
        let asked = Asked::xml(name, path, body).with(DEPTH_HEADER, HeaderValue::from_static(depth));
        let answer = self.ask(&asked).await?;
        if answer.status() != StatusCode::MULTI_STATUS {
            return Err(refusal(method, path, &answer));
        }
        let limits = XmlLimits { bytes: ANSWER, depth: DEPTH };
        let wrong =
            |e: crate::dav::xml::ReadError| TransferError::Answer { path: path.to_owned(), reason: e.to_string() };
        let mut all = Vec::new();
        for member in Members::new(&answer.body()[..], limits) {
            let member = member.map_err(wrong)?;
            all.extend(Some(member).filter(|member| member.name.is(DAV, "response")).and_then(&read));
        }
        Ok(all)
    }

    /// The answer, whatever its status; what may pass by itself is tried again where the server is elsewhere.
    pub(super) async fn ask(&self, asked: &Asked) -> Result<Response<Bytes>, TransferError> {
        let mut tried = 1;
        loop {
            let outcome = self.ask_once(asked).await;
            self.answered.fetch_or(outcome.is_ok(), Ordering::Relaxed);
            let may_ask_again = !self.is_ours() && tried < TRIES && self.answered.load(Ordering::Relaxed);
            let pause = if may_ask_again { pause(asked, &outcome, tried) } else { None };
            let Some(pause) = pause else { return outcome };
            let why = outcome.map_or_else(|error| error.to_string(), |answer| answer.status().to_string());
            tracing::info!(method = %asked.method, path = asked.path, why, ?pause, "the other server is asked again");
            tokio::time::sleep(pause).await;
            tried += 1;
        }
    }

    async fn ask_once(&self, asked: &Asked) -> Result<Response<Bytes>, TransferError> {
        let wrong = |reason: String| TransferError::Answer { path: asked.path.clone(), reason };
        let mut request = Request::new(Body::from(asked.body.clone()));
        *request.method_mut() = asked.method.clone();
        *request.uri_mut() =
            self.inside(&asked.path).parse().map_err(|e: http::uri::InvalidUri| wrong(e.to_string()))?;
        *request.headers_mut() = asked.headers.clone();
        if let Some(actor) = &self.actor {
            request.extensions_mut().insert(actor.clone());
            // What is put was made elsewhere.
            request.extensions_mut().insert(Imported);
        }
        let (head, body) = self.upstream.clone().oneshot(request).await?.into_parts();
        match Limited::new(body, ANSWER).collect().await {
            Ok(body) => Ok(Response::from_parts(head, body.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => Err(wrong("the answer is too large".to_owned())),
            Err(error) => {
                let broken = BoxError::from(format!("its answer broke off: {error}"));
                Err(TransferError::Upstream(UpstreamError::Unreachable(broken)))
            }
        }
    }

    /// The server behind us may name its paths as clients of the proxy see them.
    fn inside<'p>(&self, path: &'p str) -> &'p str {
        let below = path.strip_prefix(MOUNT).filter(|below| self.is_ours() && below.starts_with('/'));
        below.unwrap_or(path)
    }
}

/// How long to wait before the next try; nothing where the answer stands.
fn pause(asked: &Asked, outcome: &Result<Response<Bytes>, TransferError>, tried: u32) -> Option<Duration> {
    let doubled = FIRST_PAUSE * 2_u32.saturating_pow(tried - 1);
    match outcome {
        Ok(answer) => match answer.status() {
            // Refused before it was looked at (RFC 6585 §4, RFC 9110 §15.6.4).
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Some(retry_after(answer.headers()).unwrap_or(doubled).max(doubled).min(LONGEST_PAUSE))
            }
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT if asked.is_repeatable() => Some(doubled),
            // Either something that is over the next moment, or a defect that stays.
            StatusCode::INTERNAL_SERVER_ERROR if asked.is_repeatable() && tried < 3 => Some(doubled),
            _ => None,
        },
        Err(TransferError::Upstream(UpstreamError::Unreachable(_) | UpstreamError::TimedOut(_))) => {
            asked.is_repeatable().then_some(doubled)
        }
        Err(_) => None,
    }
}

/// What `Retry-After` asks for, in seconds or until a time, which is compared with the server's own clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let until = text(RETRY_AFTER)?;
    if let Ok(seconds) = until.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let [until, now] = [until, text(DATE)?].map(DateTime::parse_from_rfc2822);
    until.ok()?.signed_duration_since(now.ok()?).to_std().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(HeaderName, &'static str)]) -> Result<Response<Bytes>, TransferError> {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        for (name, value) in headers {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        Ok(response)
    }

    #[test]
    fn a_server_says_when_to_come_back() {
        let get = Asked::new(Method::GET, "/a");
        let seconds = |outcome, tried| pause(&get, &outcome, tried).map(|pause| pause.as_secs_f64());
        assert_eq!(seconds(answer(429, &[(RETRY_AFTER, "20")]), 1), Some(20.0));
        assert_eq!(seconds(answer(503, &[]), 1), Some(0.5));
        assert_eq!(seconds(answer(503, &[]), 4), Some(4.0));
        let date = (DATE, "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(seconds(answer(429, &[(RETRY_AFTER, "Sun, 06 Nov 1994 08:50:07 GMT"), date]), 1), Some(30.0));
        // Not for hours, not into the past, and not for nonsense.
        assert_eq!(seconds(answer(429, &[(RETRY_AFTER, "99999999")]), 1), Some(300.0));
        assert_eq!(seconds(answer(429, &[(RETRY_AFTER, "0")]), 2), Some(1.0));
        assert_eq!(seconds(answer(429, &[(RETRY_AFTER, "soon")]), 1), Some(0.5));
        for status in [200, 207, 400, 401, 403, 404, 412, 501, 507] {
            assert_eq!(seconds(answer(status, &[]), 1), None, "{status}");
        }
    }

    #[test]
    fn what_may_have_happened_is_not_done_twice() {
        let make = Asked::new(Method::from_bytes(b"MKCALENDAR").unwrap(), "/a/");
        let get = Asked::new(Method::GET, "/a");
        let broken = || Err(TransferError::Upstream(UpstreamError::TimedOut(Duration::from_secs(1))));
        assert!(pause(&get, &broken(), 1).is_some() && pause(&make, &broken(), 1).is_none());
        assert!(pause(&get, &answer(502, &[]), 1).is_some() && pause(&make, &answer(502, &[]), 1).is_none());
        assert!(pause(&make, &answer(429, &[]), 1).is_some());
        assert!(pause(&get, &answer(500, &[]), 2).is_some() && pause(&get, &answer(500, &[]), 3).is_none());
    }
}
