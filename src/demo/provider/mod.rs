//! The demo's OpenID provider: small and correct, for the accounts that convoke keeps itself.
//!
//! Authorization code flow with PKCE (OpenID Connect Core §3.1, RFC 7636), access tokens as JWT (RFC 9068) or opaque,
//! userinfo, introspection (RFC 7662), logout by the relying party, key rotation. It listens on loopback only, which
//! [`Provider::open`] insists on, and answers only requests that name it by a loopback host. Keys and the client secret are
//! kept in the data folder; sessions, codes and tokens only in memory. It checks passwords where everybody does
//! ([`PasswordGate`]) and never keeps one.

mod authorize;
mod clients;
mod keys;
mod login;
mod logout;
mod pages;
mod params;
mod resource;
mod shelf;
mod token;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::routing::{get, post};
use chrono::{DateTime, Duration, Utc};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, Method};
use tower_http::cors::{Any, CorsLayer};

use self::authorize::AuthorizationRequest;
use self::clients::Secret;
use self::keys::KeyRing;
use self::shelf::Shelf;
use crate::accounts::Accounts;
use crate::auth::PasswordGate;
use crate::clock::Env;
use crate::config;
use crate::ids::Email;

pub use clients::{PUBLIC_CLIENT, RESOURCE_CLIENT};

/// Octets of a form.
const FORM_BYTES: usize = 64 << 10;
/// Log-in pages, codes and sessions that are remembered at once.
const REMEMBERED: usize = 10_000;

/// The provider cannot start or cannot sign.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It would be reachable from elsewhere.
    #[error("the demo provider listens on loopback only, not on {0}")]
    NotLoopback(SocketAddr),
    /// The issuer is not an address of this machine.
    #[error("the demo provider's issuer must be a loopback URL without a trailing \"/\", not {0:?}")]
    Issuer(String),
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A key cannot be made, read or used.
    #[error("signing key: {0}")]
    Key(String),
}

/// What access tokens look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccessTokens {
    /// JWT with the address, so that nobody need ask who it is.
    #[default]
    Signed,
    /// JWT without claims about the person.
    SignedWithoutClaims,
    /// A random text.
    Opaque,
}

/// How long things last, and what tokens look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// What access tokens look like.
    pub access_tokens: AccessTokens,
    /// Life of access and ID tokens, in seconds.
    pub token_s: u32,
    /// Life of a code, in seconds.
    pub code_s: u32,
    /// Life of a log-in page, in seconds.
    pub login_s: u32,
    /// Life of a session in the browser, in seconds.
    pub session_s: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { access_tokens: AccessTokens::Signed, token_s: 3_600, code_s: 60, login_s: 600, session_s: 8 * 3_600 }
    }
}

/// The provider. Clones share everything.
#[derive(Clone)]
pub struct Provider(Arc<Inner>);

struct Inner {
    listen: SocketAddr,
    issuer: String,
    settings: Settings,
    keys: KeyRing,
    secret: Secret,
    accounts: Accounts,
    passwords: Arc<PasswordGate>,
    env: Env,
    /// Log-in pages that are shown.
    pending: Shelf<Pending>,
    /// Sessions of browsers.
    sessions: Shelf<Login>,
    /// Codes, also those that were used.
    codes: Shelf<Code>,
    /// Access tokens.
    tokens: Shelf<Issued>,
}

/// A log-in page that is shown in a browser.
#[derive(Debug, Clone)]
struct Pending {
    request: AuthorizationRequest,
    /// The browser's cookie: a form that another site sends does not come from the page we showed.
    browser: String,
}

/// Somebody who logged in.
#[derive(Debug, Clone)]
struct Login {
    mail: Email,
    sid: String,
    since: DateTime<Utc>,
}

/// What a code is good for.
#[derive(Debug, Clone)]
struct Grant {
    id: String,
    login: Login,
    request: AuthorizationRequest,
}

#[derive(Debug, Clone)]
enum Code {
    Fresh(Box<Grant>),
    /// Used before, for this grant.
    Spent(String),
}

/// An access token that was given out.
#[derive(Debug, Clone)]
struct Issued {
    grant: String,
    mail: Email,
    sid: String,
    scope: String,
    issued: DateTime<Utc>,
    expires: DateTime<Utc>,
}

impl Provider {
    /// A provider for these accounts, behind a listener that is bound to `listen`, with keys and secret in the folder
    /// `openid` of `dir`. Making the keys takes a good part of a second the first time.
    ///
    /// # Errors
    /// [`ProviderError::NotLoopback`] when others than this machine could reach it; [`ProviderError::Issuer`],
    /// [`ProviderError::File`] and [`ProviderError::Key`].
    pub fn open(
        dir: &Path,
        issuer: &str,
        listen: SocketAddr,
        passwords: Arc<PasswordGate>,
        accounts: Accounts,
        env: Env,
    ) -> Result<Self, ProviderError> {
        Self::open_with(dir, issuer, listen, passwords, accounts, env, Settings::default())
    }

    /// As [`Provider::open`], with settings.
    ///
    /// # Errors
    /// As [`Provider::open`].
    pub fn open_with(
        dir: &Path,
        issuer: &str,
        listen: SocketAddr,
        passwords: Arc<PasswordGate>,
        accounts: Accounts,
        env: Env,
        settings: Settings,
    ) -> Result<Self, ProviderError> {
        if !listen.ip().is_loopback() {
            return Err(ProviderError::NotLoopback(listen));
        }
        if !clients::is_loopback_url(issuer) || issuer.ends_with('/') {
            return Err(ProviderError::Issuer(issuer.to_owned()));
        }
        let dir = dir.join("openid");
        keys::make_secret_dir(&dir)?;
        Ok(Self(Arc::new(Inner {
            listen,
            issuer: issuer.to_owned(),
            settings,
            keys: KeyRing::open(&dir, env.clone())?,
            secret: Secret::open(&dir, &env)?,
            accounts,
            passwords,
            env,
            pending: Shelf::new(REMEMBERED),
            sessions: Shelf::new(REMEMBERED),
            codes: Shelf::new(REMEMBERED),
            tokens: Shelf::new(REMEMBERED),
        })))
    }

    /// The issuer, also the address of the start page.
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// The configuration with which `auth` accepts its tokens.
    pub fn oidc_config(&self) -> config::Oidc {
        config::Oidc {
            client_id: Some(RESOURCE_CLIENT.to_owned()),
            client_secret: Some(self.0.secret.as_str().to_owned()),
            ..config::Oidc::new(self.issuer(), vec![RESOURCE_CLIENT.to_owned()])
        }
    }

    /// Makes a new key to sign with; tokens of the keys before it stay good. Takes a good part of a second, so call it
    /// where that blocks nobody.
    ///
    /// # Errors
    /// [`ProviderError::File`] and [`ProviderError::Key`].
    pub fn rotate_keys(&self) -> Result<(), ProviderError> {
        self.0.keys.rotate()
    }

    /// All its routes.
    pub fn router(&self) -> Router {
        let cors = CorsLayer::new()
            .allow_origin(Any)
            .allow_methods([Method::GET, Method::POST])
            .allow_headers([AUTHORIZATION, CONTENT_TYPE]);
        let for_scripts = Router::new()
            .route("/.well-known/openid-configuration", get(resource::discovery))
            .route("/jwks", get(resource::jwks))
            .route("/token", post(token::exchange))
            .route("/userinfo", get(resource::userinfo).post(resource::userinfo))
            .layer(cors);
        Router::new()
            .route("/", get(pages::start))
            .route("/style.css", get(pages::style))
            .route("/authorize", get(authorize::by_query).post(authorize::by_form))
            .route("/login", post(login::submit))
            .route("/introspect", post(resource::introspect))
            .route("/logout", get(logout::by_query).post(logout::by_form))
            .merge(for_scripts)
            .layer(DefaultBodyLimit::max(FORM_BYTES))
            .layer(from_fn_with_state(self.clone(), only_for_this_machine))
            .with_state(self.clone())
    }
}

impl Inner {
    fn now(&self) -> DateTime<Utc> {
        self.env.now()
    }

    fn in_seconds(&self, seconds: u32) -> DateTime<Utc> {
        self.now() + Duration::seconds(i64::from(seconds))
    }
}

/// A page elsewhere whose name was made to point here (DNS rebinding) gets nothing.
async fn only_for_this_machine(State(provider): State<Provider>, request: Request, next: Next) -> pages::Answer {
    let port = provider.0.listen.port();
    let host = request.headers().get(HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
    let known = ["127.0.0.1", "localhost", "[::1]"].map(|name| format!("{name}:{port}"));
    if known.iter().any(|k| k == host) || host == provider.0.listen.to_string() {
        next.run(request).await
    } else {
        pages::problem(http::StatusCode::MISDIRECTED_REQUEST, "This address is for this machine only.")
    }
}

/// The value of a cookie.
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let cookies = headers.get_all(http::header::COOKIE).iter().filter_map(|v| v.to_str().ok());
    let mut pairs = cookies.flat_map(|v| v.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
}
