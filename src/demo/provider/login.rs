//! Where the log-in form goes.

use axum::body::Bytes;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use subtle::ConstantTimeEq as _;

use super::authorize::{BROWSER, SESSION, set_cookie};
use super::pages::{Answer, LoginPage, problem};
use super::params::Params;
use super::{Inner, Login, Pending, Provider, cookie};
use crate::auth::AuthError;
use crate::ids::Email;

/// The same for an unknown address and for a wrong password.
const WRONG: &str = "Wrong e-mail address or password.";
const LATER: &str = "Logging in is not possible at the moment. Please try again in a few seconds.";

/// `POST /login`.
pub(super) async fn submit(State(provider): State<Provider>, headers: HeaderMap, form: Bytes) -> Answer {
    let inner = &provider.0;
    let params = Params::parse(&form).unwrap_or_default();
    let ticket = params.get("ticket").unwrap_or_default();
    let Some(pending) = inner.shown_to(&headers, ticket) else {
        let text = "This log-in page is too old, or not from here. Go back to the application and log in again.";
        return problem(StatusCode::BAD_REQUEST, text);
    };
    let mail = params.get("mail").unwrap_or_default();
    match inner.check(mail, params.get("password").unwrap_or_default()).await {
        Ok(mail) => inner.log_in(ticket, mail),
        Err(text) => {
            let redirect_uri = &pending.request.redirect_uri;
            LoginPage { ticket, mail, problem: Some(text), redirect_uri }.render()
        }
    }
}

impl Inner {
    /// The page that the form is from, if this browser was shown it.
    fn shown_to(&self, headers: &HeaderMap, ticket: &str) -> Option<Pending> {
        let browser = cookie(headers, BROWSER)?;
        let pending = self.pending.get(ticket, self.now())?;
        bool::from(pending.browser.as_bytes().ct_eq(browser.as_bytes())).then_some(pending)
    }

    async fn check(&self, mail: &str, password: &str) -> Result<Email, &'static str> {
        let mail = mail.parse::<Email>().map_err(|_| WRONG)?;
        self.passwords.check(&mail, password).await.map_err(|e| match e {
            AuthError::Unavailable { .. } => LATER,
            _ => WRONG,
        })
    }

    /// Begins a session with a new name, so that nobody can have known it before, and goes on to the application.
    fn log_in(&self, ticket: &str, mail: Email) -> Answer {
        let now = self.now();
        // Taken, so that the page works once.
        let Some(pending) = self.pending.take(ticket, now) else {
            return problem(StatusCode::BAD_REQUEST, "This log-in page was used before.");
        };
        let login = Login { mail, sid: self.env.token(128), since: now };
        let session = self.env.token(256);
        self.sessions.put(&session, login.clone(), self.in_seconds(self.settings.session_s), now);
        let mut response = self.grant(pending.request, login);
        set_cookie(&mut response, SESSION, &session);
        response
    }
}
