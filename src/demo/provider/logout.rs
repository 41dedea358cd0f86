//! Logout started by the application (OpenID Connect RP-Initiated Logout).

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use http::{HeaderMap, Method, StatusCode};
use url::Url;

use super::authorize::{BROWSER, SESSION, redirect, set_cookie};
use super::clients::{PUBLIC_CLIENT, is_loopback_url};
use super::pages::{Answer, confirm_logout, logged_out, problem};
use super::params::Params;
use super::{Inner, Provider, cookie};

/// `GET /logout`.
pub(super) async fn by_query(State(provider): State<Provider>, headers: HeaderMap, query: RawQuery) -> Answer {
    log_out(&provider.0, &Method::GET, &headers, query.0.unwrap_or_default().as_bytes())
}

/// `POST /logout`.
pub(super) async fn by_form(State(provider): State<Provider>, headers: HeaderMap, form: Bytes) -> Answer {
    log_out(&provider.0, &Method::POST, &headers, &form)
}

/// Ends the session at once when the application shows an ID token of it, or when the person confirmed on our page; else
/// asks.
fn log_out(inner: &Inner, method: &Method, headers: &HeaderMap, encoded: &[u8]) -> Answer {
    let Ok(params) = Params::parse(encoded) else {
        return problem(StatusCode::BAD_REQUEST, "The application's request has a parameter twice.");
    };
    let hint = params.get("id_token_hint").and_then(|token| inner.keys.session_of(token, &inner.issuer));
    let client_known = hint.is_some() || params.get("client_id") == Some(PUBLIC_CLIENT);
    let back = params.get("post_logout_redirect_uri");
    if back.is_some_and(|uri| !client_known || !is_loopback_url(uri)) {
        return problem(StatusCode::BAD_REQUEST, "The application's address after logging out is not known here.");
    }
    let session = inner.session(headers);
    let shown = session.as_ref().zip(hint.as_ref()).is_some_and(|(session, sid)| session.sid == *sid);
    let confirmed = method == Method::POST && inner.confirms(headers, &params);
    if session.is_some() && !shown && !confirmed {
        return inner.ask(headers, &params);
    }
    if let Some(sid) = session.map(|session| session.sid).or(hint) {
        inner.sessions.drop_where(|login| login.sid == sid);
        inner.tokens.drop_where(|token| token.sid == sid);
    }
    match back.and_then(|uri| Url::parse(uri).ok()) {
        Some(mut url) => {
            if let Some(state) = params.get("state") {
                url.query_pairs_mut().append_pair("state", state);
            }
            redirect(&url)
        }
        None => logged_out(),
    }
}

impl Inner {
    /// Shows the page that asks, with the browser's name in it: only a page of ours knows it.
    fn ask(&self, headers: &HeaderMap, params: &Params) -> Answer {
        let known = cookie(headers, BROWSER).map(str::to_owned);
        let browser = known.clone().unwrap_or_else(|| self.env.token(128));
        let kept = ["client_id", "id_token_hint", "post_logout_redirect_uri", "state"];
        let kept = kept.into_iter().filter_map(|name| Some((name, params.get(name)?)));
        let fields: Vec<_> = kept.chain([("browser", browser.as_str())]).collect();
        let mut response = confirm_logout(&fields, params.get("post_logout_redirect_uri"));
        if known.is_none() {
            set_cookie(&mut response, BROWSER, &browser);
        }
        response
    }

    fn confirms(&self, headers: &HeaderMap, params: &Params) -> bool {
        let names = cookie(headers, BROWSER).zip(params.get("browser"));
        cookie(headers, SESSION).is_some() && names.is_some_and(|(cookie, field)| cookie == field)
    }
}
