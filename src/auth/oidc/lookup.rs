//! From a token nobody has seen before to somebody we know.

use std::sync::Arc;

use chrono::Duration;

use super::claims::Claims;
use super::jwt::{Jws, JwtError, Policy, Verified};
use super::provider::{Answer, Provider, Snapshot};
use super::{Admission, AdmissionError, Newcomer};
use crate::auth::AuthError;
use crate::auth::authenticator::user_name;
use crate::cache::{CachedToken, SharedTokenCache, TokenKey};
use crate::clock::Env;
use crate::config;
use crate::ids::Email;
use crate::net::Client;

/// Finds out whose a token is.
pub(super) struct Lookup {
    providers: Vec<Arc<Provider>>,
    admission: Arc<dyn Admission>,
    cache: SharedTokenCache,
    env: Env,
}

/// What a provider vouches for.
struct Vouched {
    /// Claims about the person.
    person: Claims,
    /// Claims about the token: its own, or those of introspection.
    token: Claims,
    expires: chrono::DateTime<chrono::Utc>,
    audience: Vec<String>,
}

impl Lookup {
    pub(super) fn new(
        providers: &[config::Oidc],
        admission: Arc<dyn Admission>,
        cache: SharedTokenCache,
        client: Client,
        env: Env,
    ) -> Self {
        let provider = |config: &config::Oidc| Arc::new(Provider::new(config.clone(), client.clone(), env.clone()));
        Self { providers: providers.iter().map(provider).collect(), admission, cache, env }
    }

    /// Finds out whose the token is, gives newcomers an account, and remembers the token.
    pub(super) async fn vouch(&self, key: TokenKey, token: &str) -> Result<CachedToken, AuthError> {
        let (provider, vouched) = match Jws::parse(token) {
            Some(jws) => self.vouch_for_signed(token, &jws).await?,
            None => self.vouch_for_opaque(token).await?,
        };
        let email = self.user_of(&provider.config, &vouched)?;
        self.admit(&provider, token, &email, &vouched).await?;
        let sid = vouched.person.text("sid").or_else(|| vouched.token.text("sid")).map(str::to_owned);
        if sid.is_none() {
            tracing::debug!(user = %email, "a token without sid: logging out at the provider will not end it here");
        }
        let known = CachedToken {
            user: email,
            sid,
            expires: vouched.expires + skew(&provider.config),
            audience: vouched.audience,
        };
        self.cache.put(key, known.clone()).await;
        Ok(known)
    }

    /// Whether a token that was accepted before still is, as far as the configuration can tell.
    pub(super) fn still_accepts(&self, known: &CachedToken) -> Result<(), AuthError> {
        let mut for_us = self.providers.iter().filter(|p| is_for(&p.config, &known.audience)).peekable();
        if for_us.peek().is_none() {
            return Err(AuthError::InvalidToken(JwtError::Audience.text()));
        }
        match for_us.any(|p| vouches_for(&p.config, &known.user)) {
            true => Ok(()),
            false => Err(forbidden_domain(&known.user)),
        }
    }

    async fn vouch_for_signed(&self, token: &str, jws: &Jws<'_>) -> Result<(Arc<Provider>, Vouched), AuthError> {
        let issuer = jws.unverified_issuer().ok_or(AuthError::InvalidToken(JwtError::Malformed.text()))?;
        let provider = self.providers.iter().find(|p| p.config.issuer == issuer).cloned();
        let provider = provider.ok_or(AuthError::InvalidToken(JwtError::Issuer.text()))?;
        let (verified, snapshot) = self.verify(&provider, jws).await?;
        let person = match verified.says_access_token && verified.claims.text(&provider.config.claim).is_some() {
            true => verified.claims.clone(),
            false => ask_userinfo(&provider, &snapshot, token, &verified.claims).await?,
        };
        let Verified { claims, expires, audience, .. } = verified;
        Ok((provider, Vouched { person, token: claims, expires, audience }))
    }

    /// Verifies with the keys at hand, and once more with newer ones when the token names a key that is not among them.
    async fn verify(&self, provider: &Arc<Provider>, jws: &Jws<'_>) -> Result<(Verified, Arc<Snapshot>), AuthError> {
        let policy = Policy {
            issuer: &provider.config.issuer,
            audience: &provider.config.audience,
            skew: skew(&provider.config),
            now: self.env.now(),
        };
        let invalid = |e: JwtError| AuthError::InvalidToken(e.text());
        let snapshot = provider.snapshot().await?;
        match jws.verify(&snapshot.keys, &policy) {
            Ok(verified) => Ok((verified, snapshot)),
            Err(JwtError::UnknownKey) => {
                let newer = provider.newer_than(&snapshot).await?.ok_or(invalid(JwtError::UnknownKey))?;
                Ok((jws.verify(&newer.keys, &policy).map_err(invalid)?, newer))
            }
            Err(e) => Err(invalid(e)),
        }
    }

    /// Asks one provider after the other. Only when none of those that answered knows the token does an outage of
    /// another matter.
    async fn vouch_for_opaque(&self, token: &str) -> Result<(Arc<Provider>, Vouched), AuthError> {
        let mut verdict = AuthError::InvalidToken("the token is not accepted by the provider");
        for provider in &self.providers {
            match self.introspect(provider, token).await {
                Ok(Some(vouched)) => return Ok((provider.clone(), vouched)),
                Ok(None) => {}
                Err(away @ AuthError::Unavailable { .. }) => verdict = away,
                Err(refused) => return Err(refused),
            }
        }
        Err(verdict)
    }

    /// Introspection and userinfo at the same time (auth §4.3); `None` when the provider does not know the token.
    async fn introspect(&self, provider: &Arc<Provider>, token: &str) -> Result<Option<Vouched>, AuthError> {
        let snapshot = provider.snapshot().await?;
        let (introspection, userinfo) =
            tokio::join!(provider.introspect(&snapshot, token), provider.userinfo(&snapshot, token));
        let (token, person) = match (introspection, userinfo) {
            // A refusal is certain, whatever became of the other question.
            (Ok(Answer::Refused), _) | (_, Ok(Answer::Refused)) => return Ok(None),
            (introspection, userinfo) => (introspection?, userinfo?),
        };
        let (Answer::Claims(token), Answer::Claims(person)) = (token, person) else { return Ok(None) };
        // Introspection need not name a subject (RFC 7662 §2.2).
        if person.text("sub").is_some() {
            same_subject(provider, &token, &person)?;
        }
        let audience = audience_of(&provider.config, &token);
        if !is_for(&provider.config, &audience) {
            return Err(AuthError::InvalidToken(JwtError::Audience.text()));
        }
        let expires = token.instant("exp").ok_or(AuthError::InvalidToken(JwtError::NoExpiry.text()))?;
        if self.env.now() > expires + skew(&provider.config) {
            return Err(AuthError::InvalidToken(JwtError::Expired.text()));
        }
        Ok(Some(Vouched { person, token, expires, audience }))
    }

    fn user_of(&self, config: &config::Oidc, vouched: &Vouched) -> Result<Email, AuthError> {
        let name = vouched.person.text(&config.claim);
        let name = name.ok_or(AuthError::InvalidToken("the provider names no user"))?;
        let email = user_name(name).ok_or(AuthError::InvalidToken("the user name is not an e-mail address"))?;
        if config.require_verified_email && vouched.person.says_otherwise_than_true("email_verified") {
            return Err(AuthError::Forbidden("the provider did not verify the address".to_owned()));
        }
        if !vouches_for(config, &email) {
            return Err(forbidden_domain(&email));
        }
        Ok(email)
    }

    async fn admit(
        &self,
        provider: &Arc<Provider>,
        token: &str,
        email: &Email,
        vouched: &Vouched,
    ) -> Result<(), AuthError> {
        let away = |e: AdmissionError| match e {
            AdmissionError::UnknownDomain(_) => AuthError::Forbidden(e.to_string()),
            AdmissionError::Unavailable(_) => AuthError::unavailable(e),
        };
        if self.admission.knows(email).await.map_err(away)? {
            return Ok(());
        }
        let names = self.names(provider, token, vouched).await;
        let name = |claim: &str| names.text(claim).map(str::to_owned);
        let newcomer =
            Newcomer { email: email.clone(), given_name: name("given_name"), family_name: name("family_name") };
        self.admission.admit(&newcomer).await.map_err(away)?;
        tracing::info!(user = %email, issuer = provider.config.issuer, "account made for a newcomer");
        Ok(())
    }

    /// Signed tokens seldom carry names; userinfo does. Without an answer the newcomer is called by the address.
    async fn names(&self, provider: &Arc<Provider>, token: &str, vouched: &Vouched) -> Claims {
        let named = |claims: &Claims| claims.text("given_name").or(claims.text("family_name")).is_some();
        if named(&vouched.person) || vouched.person != vouched.token {
            return vouched.person.clone();
        }
        match provider.snapshot().await {
            Ok(snapshot) => ask_userinfo(provider, &snapshot, token, &vouched.token).await.unwrap_or_default(),
            Err(_) => Claims::default(),
        }
    }
}

/// Userinfo for a signed token. It must be about the same subject (OpenID Connect Core §5.3.2).
async fn ask_userinfo(
    provider: &Arc<Provider>,
    snapshot: &Snapshot,
    token: &str,
    signed: &Claims,
) -> Result<Claims, AuthError> {
    match provider.userinfo(snapshot, token).await? {
        Answer::Refused => Err(AuthError::InvalidToken("the token is not accepted by the provider")),
        Answer::Claims(person) => same_subject(provider, signed, &person).map(|()| person),
    }
}

/// Refuses what userinfo says about anybody but the token's subject, where the token has one (OpenID Connect Core
/// §5.3.2).
fn same_subject(provider: &Provider, token: &Claims, person: &Claims) -> Result<(), AuthError> {
    let subject = token.text("sub");
    if subject.is_none() || person.text("sub") == subject {
        return Ok(());
    }
    tracing::error!(issuer = provider.config.issuer, "userinfo answered about another subject");
    Err(AuthError::InvalidToken("the provider names another subject"))
}

fn audience_of(config: &config::Oidc, introspection: &Claims) -> Vec<String> {
    match introspection.texts("aud") {
        none if none.is_empty() && config.audience_from_client_id => introspection.texts("client_id"),
        audience => audience,
    }
}

fn is_for(config: &config::Oidc, audience: &[String]) -> bool {
    audience.iter().any(|a| config.audience.contains(a))
}

fn vouches_for(config: &config::Oidc, email: &Email) -> bool {
    config.domains.is_empty() || config.domains.contains(&email.domain())
}

fn forbidden_domain(email: &Email) -> AuthError {
    AuthError::Forbidden(format!("the provider does not vouch for users of {}", email.domain()))
}

fn skew(config: &config::Oidc) -> Duration {
    Duration::seconds(i64::try_from(config.clock_skew_s).unwrap_or(i64::MAX).min(3_600))
}
