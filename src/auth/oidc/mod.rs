//! Access tokens of OpenID providers (auth §4).
//!
//! A signed token (a JWT) is verified here with the provider's keys; an opaque one is introspected, and its bearer's claims
//! are read from userinfo. Where a signed token lacks the claim that holds the user name, or does not say that it is an
//! access token, userinfo decides too. What a provider vouched for is cached by the token's hash until the token ends, at
//! the latest; refusals are not cached.

mod admission;
mod claims;
mod examine;
mod jwt;
mod lookup;
mod provider;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use sha2::{Digest as _, Sha512};

use self::lookup::Lookup;
use super::single_flight::SingleFlight;
use super::{AuthError, Credentials, Identity, Strategy, Via};
use crate::cache::{CachedToken, SharedTokenCache, TokenKey};
use crate::clock::Env;
use crate::config;
use crate::net::Client;

pub use self::examine::OidcProvider;
pub use admission::{Admission, AdmissionError, Newcomer};

/// Recognises people by access tokens of OpenID providers.
pub struct OidcBearer {
    lookup: Arc<Lookup>,
    cache: SharedTokenCache,
    env: Env,
    flights: SingleFlight<TokenKey, Result<CachedToken, AuthError>>,
}

impl OidcBearer {
    /// Accepts tokens of these providers. None of them is asked anything yet.
    pub fn new(
        providers: &[config::Oidc],
        admission: Arc<dyn Admission>,
        cache: SharedTokenCache,
        client: Client,
        env: Env,
    ) -> Self {
        let lookup = Lookup::new(providers, admission, cache.clone(), client, env.clone());
        Self { lookup: Arc::new(lookup), cache, env, flights: SingleFlight::new() }
    }

    async fn recognise(&self, token: &str) -> Result<CachedToken, AuthError> {
        let key = TokenKey(Sha512::digest(token).into());
        let known = match self.cache.get(&key).await {
            Some(known) => known,
            None => {
                let (lookup, token) = (self.lookup.clone(), token.to_owned());
                self.flights.run(key, || async move { lookup.vouch(key, &token).await }.boxed()).await?
            }
        };
        // On each use, also of what was cached (auth §4.5): the entry may be older than the configuration.
        if self.env.now() > known.expires {
            return Err(AuthError::InvalidToken("the token has expired"));
        }
        self.lookup.still_accepts(&known)?;
        Ok(known)
    }
}

#[async_trait]
impl Strategy for OidcBearer {
    fn scheme(&self) -> &'static str {
        "Bearer"
    }

    async fn identify(&self, credentials: &Credentials<'_>) -> Result<Option<Identity>, AuthError> {
        let Some(token) = credentials.with_scheme("Bearer") else { return Ok(None) };
        if !is_b64token(token) {
            return Err(AuthError::InvalidToken("the token is malformed"));
        }
        let known = self.recognise(token).await?;
        Ok(Some(Identity { email: known.user, via: Via::Bearer, sid: known.sid }))
    }
}

/// Whether it is what RFC 6750 §2.1 lets a bearer token be; nothing else may reach the header of our own request.
fn is_b64token(token: &str) -> bool {
    let body = token.trim_end_matches('=');
    !body.is_empty() && body.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b))
}
