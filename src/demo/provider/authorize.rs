//! The authorization endpoint (OpenID Connect Core §3.1.2).

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use chrono::Duration;
use http::header::{CACHE_CONTROL, HeaderValue, LOCATION, SET_COOKIE};
use http::{HeaderMap, Response, StatusCode};
use url::Url;

use super::clients::{PUBLIC_CLIENT, is_loopback_url};
use super::pages::{Answer, LoginPage, problem};
use super::params::Params;
use super::{Code, Grant, Inner, Login, Pending, Provider, cookie};

/// Cookie that tells browsers apart before anybody logged in.
pub(super) const BROWSER: &str = "convoke_demo_browser";
/// Cookie of a session.
pub(super) const SESSION: &str = "convoke_demo_session";

/// What an application asks for.
#[derive(Debug, Clone)]
pub(super) struct AuthorizationRequest {
    pub(super) redirect_uri: String,
    pub(super) state: Option<String>,
    pub(super) nonce: Option<String>,
    /// PKCE challenge, S256.
    pub(super) challenge: String,
    pub(super) scope: String,
    prompt: Prompt,
    max_age: Option<i64>,
    login_hint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prompt {
    /// Ask people who are not logged in.
    WhenNeeded,
    /// Never show a page.
    Never,
    /// Ask everybody.
    Always,
}

/// Why a request is not granted, in the words of RFC 6749 §4.1.2.1.
#[derive(Debug)]
struct Refusal {
    error: &'static str,
    description: &'static str,
}

/// `GET /authorize`.
pub(super) async fn by_query(State(provider): State<Provider>, headers: HeaderMap, query: RawQuery) -> Answer {
    authorize(&provider, &headers, query.0.unwrap_or_default().as_bytes()).await
}

/// `POST /authorize`.
pub(super) async fn by_form(State(provider): State<Provider>, headers: HeaderMap, form: Bytes) -> Answer {
    authorize(&provider, &headers, &form).await
}

async fn authorize(provider: &Provider, headers: &HeaderMap, encoded: &[u8]) -> Answer {
    let inner = &provider.0;
    let Ok(params) = Params::parse(encoded) else {
        return problem(StatusCode::BAD_REQUEST, "The application's request has a parameter twice.");
    };
    if params.get("client_id") != Some(PUBLIC_CLIENT) {
        return problem(StatusCode::BAD_REQUEST, "The application is not known here.");
    }
    // Before this is known, nobody is sent anywhere.
    let Some(redirect_uri) = params.get("redirect_uri").filter(|uri| is_loopback_url(uri)) else {
        return problem(StatusCode::BAD_REQUEST, "The application does not say where on this machine to return to.");
    };
    let state = params.get("state");
    let request = match AuthorizationRequest::read(&params, redirect_uri) {
        Ok(request) => request,
        Err(refusal) => return inner.send_back(redirect_uri, &refusal.params(), state),
    };
    match inner.session(headers).filter(|login| request.is_served_by(login, inner)) {
        Some(login) => inner.grant(request, login),
        None if request.prompt == Prompt::Never => {
            let refusal = Refusal { error: "login_required", description: "nobody is logged in" };
            inner.send_back(redirect_uri, &refusal.params(), state)
        }
        None => inner.show_login(headers, request),
    }
}

impl AuthorizationRequest {
    fn read(params: &Params, redirect_uri: &str) -> Result<Self, Refusal> {
        let refuse = |error, description| Err(Refusal { error, description });
        if params.get("request").is_some() {
            return refuse("request_not_supported", "request objects are not supported");
        }
        if params.get("request_uri").is_some() {
            return refuse("request_uri_not_supported", "request objects are not supported");
        }
        if params.get("response_type") != Some("code") {
            return refuse("unsupported_response_type", "response_type must be code");
        }
        if params.get("response_mode").is_some_and(|mode| mode != "query") {
            return refuse("invalid_request", "response_mode must be query");
        }
        let scope = params.get("scope").unwrap_or_default();
        if !has_scope(scope, "openid") {
            return refuse("invalid_scope", "scope must contain openid");
        }
        let challenge = params.get("code_challenge").unwrap_or_default();
        if params.get("code_challenge_method") != Some("S256") || !is_pkce_text(challenge) {
            return refuse("invalid_request", "PKCE with code_challenge_method S256 is required");
        }
        let prompt = match params.get("prompt") {
            None => Prompt::WhenNeeded,
            Some("none") => Prompt::Never,
            Some(prompts) if has_scope(prompts, "none") => return refuse("invalid_request", "none stands alone"),
            Some(prompts) if has_scope(prompts, "login") || has_scope(prompts, "select_account") => Prompt::Always,
            Some(_) => Prompt::WhenNeeded,
        };
        let max_age = match params.get("max_age").map(str::parse::<u32>) {
            None => None,
            Some(Ok(seconds)) => Some(i64::from(seconds)),
            Some(Err(_)) => return refuse("invalid_request", "max_age must be a number of seconds"),
        };
        let owned = |name: &str| params.get(name).map(str::to_owned);
        Ok(Self {
            redirect_uri: redirect_uri.to_owned(),
            state: owned("state"),
            nonce: owned("nonce"),
            challenge: challenge.to_owned(),
            scope: scope.to_owned(),
            prompt,
            max_age,
            login_hint: owned("login_hint"),
        })
    }

    /// Whether an earlier log-in will do.
    fn is_served_by(&self, login: &Login, inner: &Inner) -> bool {
        let fresh = self.max_age.is_none_or(|most| inner.now() - login.since <= Duration::seconds(most));
        fresh && self.prompt != Prompt::Always
    }
}

impl Refusal {
    fn params(&self) -> [(&'static str, &'static str); 2] {
        [("error", self.error), ("error_description", self.description)]
    }
}

impl Inner {
    /// Who is logged in with this browser.
    pub(super) fn session(&self, headers: &HeaderMap) -> Option<Login> {
        self.sessions.get(cookie(headers, SESSION)?, self.now())
    }

    /// Sends the browser back to the application with a code.
    pub(super) fn grant(&self, request: AuthorizationRequest, login: Login) -> Answer {
        let code = self.env.token(256);
        let (redirect_uri, state) = (request.redirect_uri.clone(), request.state.clone());
        let grant = Grant { id: self.env.token(128), login, request };
        let until = self.in_seconds(self.settings.code_s);
        self.codes.put(&code, Code::Fresh(Box::new(grant)), until, self.now());
        self.send_back(&redirect_uri, &[("code", &code)], state.as_deref())
    }

    /// Shows the log-in page to the browser, which gets a name if it has none.
    fn show_login(&self, headers: &HeaderMap, request: AuthorizationRequest) -> Answer {
        let known = cookie(headers, BROWSER).map(str::to_owned);
        let browser = known.clone().unwrap_or_else(|| self.env.token(128));
        let ticket = self.env.token(128);
        let mail = request.login_hint.clone().unwrap_or_default();
        let page = LoginPage { ticket: &ticket, mail: &mail, problem: None, redirect_uri: &request.redirect_uri };
        let mut response = page.render();
        if known.is_none() {
            set_cookie(&mut response, BROWSER, &browser);
        }
        let until = self.in_seconds(self.settings.login_s);
        self.pending.put(&ticket, Pending { request, browser }, until, self.now());
        response
    }

    /// Redirects to the application, with who answered (RFC 9207).
    fn send_back(&self, redirect_uri: &str, params: &[(&str, &str)], state: Option<&str>) -> Answer {
        let Ok(mut url) = Url::parse(redirect_uri) else {
            return problem(StatusCode::BAD_REQUEST, "The application's address is none.");
        };
        let answer = params.iter().copied().chain(state.map(|state| ("state", state)));
        url.query_pairs_mut().extend_pairs(answer).append_pair("iss", &self.issuer);
        redirect(&url)
    }
}

/// A GET follows, whatever this answers.
pub(super) fn redirect(url: &Url) -> Answer {
    let mut response = Response::new(axum::body::Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(location) = HeaderValue::from_str(url.as_str()) {
        headers.insert(LOCATION, location);
    }
    response
}

/// Sets a cookie of the browser's session that scripts and other sites do not see. Without `Secure`: loopback is plain
/// HTTP.
pub(super) fn set_cookie(response: &mut Answer, name: &str, value: &str) {
    if let Ok(cookie) = HeaderValue::from_str(&format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax")) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}

/// Whether a list separated by spaces has this word.
pub(super) fn has_scope(list: &str, word: &str) -> bool {
    list.split(' ').any(|w| w == word)
}

/// A verifier or challenge (RFC 7636 §4.1, §4.2).
pub(super) fn is_pkce_text(text: &str) -> bool {
    (43..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
}
