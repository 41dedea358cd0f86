//! Programs of the platform that act on behalf of others, on the DAV paths only (dav §2): a side service that knows the
//! administrator's password acts as any person, resource or team (`admin&alice@example.org`); a technical token acts for
//! a whole domain. Neither is there unless it is configured.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::header::{ACCEPT, AUTHORIZATION};
use http::request::Parts;
use http::{HeaderName, Request, StatusCode};
use moka::sync::Cache;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::basic::{Basic, decode};
use super::gate::{PasswordGate, PasswordVerifier, VerifierError};
use super::single_flight::SingleFlight;
use super::{AuthError, Credentials};
use crate::clock::Env;
use crate::config;
use crate::ids::{DomainId, Email};
use crate::net::Client;

const TWAKE_CALENDAR_TOKEN: HeaderName = HeaderName::from_static("twakecalendartoken");
/// Carries the token to whoever issued it.
const X_TECHNICAL_TOKEN: HeaderName = HeaderName::from_static("x-technical-token");
/// Tokens remembered at once, and octets of one at most.
const TOKENS: u64 = 1_000;
const MAX_TOKEN_BYTES: usize = 4 << 10;
/// The one account behind all log-ins on behalf of somebody, as the gate counts their failures.
const ADMINISTRATOR: &str = "administrator@convoke.invalid";

/// On whose behalf a program acts. Only [`super::RequireUser`] makes one for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// A person, a resource or a team, with no more rights than theirs.
    ActsAs(Email),
    /// All of a domain.
    ForDomain(DomainId),
}

/// Recognises programs. Clones share everything.
#[derive(Clone)]
pub struct Programs(Arc<Inner>);

struct Inner {
    administrator: Option<Administrator>,
    tokens: Option<TokenDesk>,
}

/// Who may act as anybody.
struct Administrator {
    /// What the user name begins with: the name and `&`.
    prefix: String,
    account: Email,
    passwords: PasswordGate,
}

/// Where technical tokens are known.
struct TokenDesk {
    url: String,
    client: Client,
    known: Cache<[u8; 32], Program>,
    flights: SingleFlight<[u8; 32], Result<Program, AuthError>>,
}

impl Programs {
    /// The programs that the configuration knows; `None` where it knows none.
    pub fn from_config(config: &config::Auth, client: Client, env: Env) -> Option<Self> {
        let programs = &config.programs;
        let administrator = programs.password.as_deref().filter(|password| !password.is_empty()).and_then(|password| {
            let verifier = Arc::new(OnePassword(Sha256::digest(password).into()));
            Some(Administrator {
                prefix: format!("{}&", programs.user),
                account: ADMINISTRATOR.parse().ok()?,
                passwords: PasswordGate::new(config, verifier, env),
            })
        });
        let tokens = (!programs.introspection_url.is_empty()).then(|| TokenDesk {
            url: programs.introspection_url.clone(),
            client,
            known: Cache::builder()
                .max_capacity(TOKENS)
                .time_to_live(Duration::from_secs(programs.token_cache_s.min(86_400)))
                .build(),
            flights: SingleFlight::new(),
        });
        (administrator.is_some() || tokens.is_some()).then(|| Self(Arc::new(Inner { administrator, tokens })))
    }

    /// The program that sent a request with this head; `None` where it is not one. Bearer tokens are people's, and come
    /// first (dav §2).
    ///
    /// # Errors
    /// [`AuthError::WrongPassword`] and [`AuthError::InvalidToken`]; [`AuthError::Unavailable`] where it cannot be told.
    pub(super) async fn identify(&self, head: &Parts) -> Result<Option<Program>, AuthError> {
        let credentials = Credentials::of(head)?;
        if head.headers.contains_key(AUTHORIZATION) && credentials.with_scheme(Basic::SCHEME).is_none() {
            return Ok(None);
        }
        let mut tokens = head.headers.get_all(TWAKE_CALENDAR_TOKEN).iter();
        if let (Some(desk), Some(token)) = (&self.0.tokens, tokens.next()) {
            if tokens.next().is_some() || token.len() > MAX_TOKEN_BYTES {
                return Err(AuthError::Malformed("more than one technical token, or one that is too long"));
            }
            let token = token.to_str().map_err(|_| AuthError::InvalidToken("a technical token is text"))?;
            return desk.holder_of(token).await.map(Some);
        }
        match (&self.0.administrator, credentials.with_scheme(Basic::SCHEME)) {
            (Some(administrator), Some(encoded)) => administrator.acts_as(encoded).await,
            _ => Ok(None),
        }
    }
}

impl Administrator {
    /// Whom a Basic log-in is to act as; `None` where it is one of somebody else.
    async fn acts_as(&self, encoded: &str) -> Result<Option<Program>, AuthError> {
        let (name, password) = decode(encoded)?;
        let Some(person) = name.strip_prefix(&self.prefix) else { return Ok(None) };
        // The password first: whether the rest is an address is nobody else's to know.
        self.passwords.check(&self.account, &password).await?;
        let person = super::authenticator::user_name(person).ok_or(AuthError::WrongPassword)?;
        Ok(Some(Program::ActsAs(person)))
    }
}

/// The digest of the one password there is.
struct OnePassword([u8; 32]);

#[async_trait]
impl PasswordVerifier for OnePassword {
    async fn verify(&self, user: &Email, password: &str) -> Result<Option<Email>, VerifierError> {
        let digest: [u8; 32] = Sha256::digest(password).into();
        Ok(bool::from(digest.ct_eq(&self.0)).then(|| user.clone()))
    }
}

/// What is known of a token (auth §10.1).
#[derive(Debug, Deserialize)]
struct Introspection {
    #[serde(rename = "domainId")]
    domain_id: DomainId,
    #[serde(default)]
    email: Option<Email>,
    #[serde(default)]
    user_type: Option<String>,
}

impl TokenDesk {
    async fn holder_of(&self, token: &str) -> Result<Program, AuthError> {
        let key: [u8; 32] = Sha256::digest(token).into();
        if let Some(known) = self.known.get(&key) {
            return Ok(known);
        }
        let (url, client, token) = (self.url.clone(), self.client.clone(), token.to_owned());
        let program = self.flights.run(key, || async move { ask(&client, &url, &token).await }.boxed()).await?;
        self.known.insert(key, program.clone());
        Ok(program)
    }
}

async fn ask(client: &Client, url: &str, token: &str) -> Result<Program, AuthError> {
    let request = Request::get(url).header(ACCEPT, "application/json").header(X_TECHNICAL_TOKEN, token);
    let request = request.body(Bytes::new()).map_err(AuthError::unavailable)?;
    let answer = client.fetch(request).await.map_err(AuthError::unavailable)?;
    match answer.status() {
        StatusCode::OK => {}
        status if status.is_server_error() => {
            return Err(AuthError::unavailable(format!("the technical token cannot be checked: {status}")));
        }
        _ => return Err(AuthError::InvalidToken("the technical token is not known")),
    }
    let known: Introspection = serde_json::from_slice(answer.body())
        .map_err(|_| AuthError::InvalidToken("the technical token belongs to no domain"))?;
    match (known.user_type.as_deref(), known.email) {
        (None | Some("technical"), _) => Ok(Program::ForDomain(known.domain_id)),
        (Some(_), Some(person)) => Ok(Program::ActsAs(person)),
        (Some(_), None) => Err(AuthError::InvalidToken("the technical token belongs to nobody")),
    }
}
