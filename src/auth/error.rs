//! Why somebody was not let in, and how that is said on each surface (auth §13).

use std::time::Duration;

use axum::body::Body;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use serde_json::json;

/// Credentials were not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The request is not one: several `Authorization` headers, or one that is too long.
    #[error("{0}")]
    Malformed(&'static str),
    /// No credentials that apply.
    #[error("credentials are required")]
    Missing,
    /// A bearer token that is not accepted, and why.
    #[error("{0}")]
    InvalidToken(&'static str),
    /// A wrong user name or password; which of the two is not told.
    #[error("wrong user name or password")]
    WrongPassword,
    /// The credentials are genuine, but this person has no place here. Logging in again would not help.
    #[error("{0}")]
    Forbidden(String),
    /// Nobody can tell at the moment. Worth a retry.
    #[error("authentication is temporarily unavailable")]
    Unavailable {
        /// What is away; for logs.
        reason: String,
        /// When to try again.
        retry_after: Duration,
    },
}

impl AuthError {
    pub(crate) fn unavailable(reason: impl std::fmt::Display) -> Self {
        Self::Unavailable { reason: reason.to_string(), retry_after: Duration::from_secs(5) }
    }

    /// The status of the answer. An outage is never a 401: the web client would send people to log in again (auth §4.7).
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Missing | Self::InvalidToken(_) | Self::WrongPassword => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The outcome's name in logs and metrics.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Missing => "missing",
            Self::InvalidToken(_) => "invalid-token",
            Self::WrongPassword => "wrong-password",
            Self::Forbidden(_) => "forbidden",
            Self::Unavailable { .. } => "unavailable",
        }
    }

    /// Writes the refusal into the log; never the credentials.
    pub(super) fn log(&self) {
        match self {
            Self::Missing => tracing::debug!(outcome = self.name(), "not authenticated"),
            Self::Unavailable { reason, .. } => tracing::warn!(outcome = self.name(), reason, "cannot authenticate"),
            error => tracing::info!(outcome = self.name(), reason = %error, "not authenticated"),
        }
    }

    /// The value of `type` in the REST error body (rest-api §1.7).
    const fn kind(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "BadRequest",
            Self::Missing | Self::InvalidToken(_) | Self::WrongPassword => "Unauthorized",
            Self::Forbidden(_) => "Forbidden",
            Self::Unavailable { .. } => "ServiceUnavailable",
        }
    }

    /// The name of the exception in the DAV error body, as sabre/dav clients know it.
    const fn exception(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "Sabre\\DAV\\Exception\\BadRequest",
            Self::Missing | Self::InvalidToken(_) | Self::WrongPassword => "Sabre\\DAV\\Exception\\NotAuthenticated",
            Self::Forbidden(_) => "Sabre\\DAV\\Exception\\Forbidden",
            Self::Unavailable { .. } => "Sabre\\DAV\\Exception\\ServiceUnavailable",
        }
    }

    /// The answer to a request that was not let in.
    pub fn into_response(self, challenges: &Challenges, request_headers: &HeaderMap) -> Response<Body> {
        let (content_type, body) = match challenges.surface {
            Surface::Rest => ("application/json; charset=utf-8", self.json_body()),
            Surface::Tickets => ("application/json", self.problem_body()),
            Surface::Dav => ("application/xml; charset=utf-8", self.xml_body()),
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        for challenge in challenges.of(&self, request_headers) {
            headers.append(WWW_AUTHENTICATE, challenge);
        }
        if let Self::Unavailable { retry_after, .. } = &self {
            headers.insert(RETRY_AFTER, HeaderValue::from(retry_after.as_secs().max(1)));
        }
        response
    }

    fn json_body(&self) -> String {
        let status = self.status();
        let error = json!({
            "code": status.as_u16(),
            "type": self.kind(),
            "message": status.canonical_reason().unwrap_or_default(),
            "details": self.to_string(),
        });
        json!({ "error": error }).to_string()
    }

    fn problem_body(&self) -> String {
        json!({ "type": "about:blank", "status": self.status().as_u16(), "detail": self.to_string() }).to_string()
    }

    fn xml_body(&self) -> String {
        let message = self.to_string();
        let message = quick_xml::escape::escape(message.as_str());
        format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<d:error xmlns:d=\"DAV:\" \
             xmlns:s=\"http://sabredav.org/ns\"><s:exception>{}</s:exception><s:message>{message}</s:message></d:error>",
            self.exception()
        )
    }
}

/// Which kind of clients a port speaks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// The web client and scripts: JSON bodies.
    Rest,
    /// The web client on its way to a WebSocket: JSON bodies of another shape (auth §11).
    Tickets,
    /// Calendar programs: DAV error bodies, and a Basic challenge, which they need before they send a password.
    Dav,
}

/// What clients of a surface are told to log in with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Challenges {
    /// The surface.
    pub surface: Surface,
    /// Whether Basic credentials are accepted at all.
    pub basic: bool,
}

impl Challenges {
    /// `WWW-Authenticate` values (RFC 9110 §11.6.1). None for requests of a browser's page: a Basic challenge would open
    /// a dialog over the web client, which looks at the status only.
    fn of(&self, error: &AuthError, request_headers: &HeaderMap) -> Vec<HeaderValue> {
        if error.status() != StatusCode::UNAUTHORIZED || is_from_a_page(request_headers) {
            return Vec::new();
        }
        let basic = (self.surface == Surface::Dav && self.basic)
            .then(|| HeaderValue::from_static("Basic realm=\"convoke\", charset=\"UTF-8\""));
        let bearer = match error {
            AuthError::InvalidToken(_) => "Bearer realm=\"convoke\", error=\"invalid_token\"",
            _ => "Bearer realm=\"convoke\"",
        };
        let ticket = (self.surface == Surface::Tickets).then(|| HeaderValue::from_static("Ticket realm=\"ws\""));
        basic.into_iter().chain([HeaderValue::from_static(bearer)]).chain(ticket).collect()
    }
}

/// Whether a page asks, and not a person who opens an address: by typing it (`Sec-Fetch-Site: none`, as Thunderbird sends too),
/// or by following a link, which no script of a page can look like.
fn is_from_a_page(headers: &HeaderMap) -> bool {
    let is = |name: &'static str, value: &str| headers.get(name).is_some_and(|v| v == value);
    let is_opened = is("sec-fetch-mode", "navigate") && is("sec-fetch-dest", "document");
    let from_elsewhere = headers.contains_key("sec-fetch-site") && !is("sec-fetch-site", "none");
    headers.contains_key(ORIGIN) || (from_elsewhere && !is_opened)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn answer(error: AuthError, surface: Surface, headers: &HeaderMap) -> (StatusCode, Vec<String>, String) {
        let response = error.into_response(&Challenges { surface, basic: true }, headers);
        let challenges = response.headers().get_all(WWW_AUTHENTICATE).iter();
        let challenges = challenges.map(|v| v.to_str().unwrap().to_owned()).collect();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, challenges, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_rest_client_gets_the_json_error_and_no_basic_challenge() {
        let (status, challenges, body) =
            answer(AuthError::InvalidToken("the token has expired"), Surface::Rest, &HeaderMap::new()).await;
        assert_eq!(status, 401);
        assert_eq!(challenges, ["Bearer realm=\"convoke\", error=\"invalid_token\""]);
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        let expected = json!({"error": {"code": 401, "type": "Unauthorized", "message": "Unauthorized", "details": "the token has expired"}});
        assert_eq!(body, expected);
    }

    #[tokio::test]
    async fn who_asks_for_a_ticket_gets_a_problem_document() {
        let (status, challenges, body) = answer(AuthError::Missing, Surface::Tickets, &HeaderMap::new()).await;
        assert_eq!(status, 401);
        assert_eq!(challenges, ["Bearer realm=\"convoke\"", "Ticket realm=\"ws\""]);
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body, json!({"type": "about:blank", "status": 401, "detail": "credentials are required"}));
    }

    #[tokio::test]
    async fn a_calendar_program_is_asked_for_a_password() {
        let (status, challenges, body) = answer(AuthError::Missing, Surface::Dav, &HeaderMap::new()).await;
        assert_eq!(status, 401);
        assert_eq!(challenges, ["Basic realm=\"convoke\", charset=\"UTF-8\"", "Bearer realm=\"convoke\""]);
        assert!(body.contains("<s:exception>Sabre\\DAV\\Exception\\NotAuthenticated</s:exception>"), "{body}");
    }

    #[tokio::test]
    async fn a_page_never_gets_a_challenge_that_would_open_a_dialog() {
        let headers = HeaderMap::from_iter([(ORIGIN, HeaderValue::from_static("https://calendar.example.org"))]);
        let (_, challenges, _) = answer(AuthError::Missing, Surface::Dav, &headers).await;
        assert!(challenges.is_empty());
    }

    #[tokio::test]
    async fn somebody_who_follows_a_link_is_asked_for_a_password() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "navigate")] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        for (dest, count) in [("document", 2), ("iframe", 0)] {
            headers.insert("sec-fetch-dest", HeaderValue::from_static(dest));
            let (_, challenges, _) = answer(AuthError::Missing, Surface::Dav, &headers).await;
            assert_eq!(challenges.len(), count, "{dest}");
        }
    }

    #[tokio::test]
    async fn an_outage_says_when_to_come_back_and_not_what_broke() {
        let error = AuthError::unavailable("sso.internal:8443 refused the connection");
        let response =
            error.clone().into_response(&Challenges { surface: Surface::Rest, basic: true }, &HeaderMap::new());
        assert_eq!(response.headers()[RETRY_AFTER], "5");
        let (status, challenges, body) = answer(error, Surface::Rest, &HeaderMap::new()).await;
        assert_eq!((status.as_u16(), challenges.len()), (503, 0));
        assert!(!body.contains("sso.internal"), "{body}");
    }

    #[tokio::test]
    async fn text_from_outside_cannot_break_the_body() {
        let forbidden = || AuthError::Forbidden("\"</s:message>&\"".to_owned());
        let (_, _, xml) = answer(forbidden(), Surface::Dav, &HeaderMap::new()).await;
        assert!(xml.contains("&lt;/s:message&gt;&amp;"), "{xml}");
        let (_, _, json) = answer(forbidden(), Surface::Rest, &HeaderMap::new()).await;
        assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
    }
}
