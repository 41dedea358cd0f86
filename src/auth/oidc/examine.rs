//! A close look at an OpenID provider, for `convoke doctor`: discovery, issuer, keys, introspection, clock, certificate.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::ACCEPT;
use http::{Request, StatusCode};
use serde_json::Value;
use url::Url;

use super::provider::{Answer, Provider, Snapshot};
use crate::auth::AuthError;
use crate::clock::Env;
use crate::config;
use crate::health::{Examine, Finding};
use crate::net::{Client, Opening, examine_certificate, examine_clock, is_loopback};

/// A token that no provider gave to anybody.
const NOBODYS_TOKEN: &str = "convoke-doctor";

/// One table of `[[auth.oidc]]`.
pub struct OidcProvider {
    provider: Arc<Provider>,
    http: Client,
    env: Env,
    time: Duration,
}

impl OidcProvider {
    /// The provider of the configuration; nothing is asked yet. `time` is that for one look at a certificate.
    pub fn new(config: config::Oidc, http: Client, env: Env, time: Duration) -> Self {
        Self { provider: Arc::new(Provider::new(config, http.clone(), env.clone())), http, env, time }
    }

    fn issuer(&self) -> &str {
        &self.provider.config.issuer
    }
}

#[async_trait]
impl Examine for OidcProvider {
    fn engine(&self) -> String {
        format!("OpenID provider {}", self.issuer())
    }

    async fn examine(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        let url = Url::parse(self.issuer()).ok();
        if let Some((host, port)) = url.as_ref().and_then(|u| Some((u.host_str()?, u.port_or_known_default()?))) {
            match url.as_ref().map(Url::scheme) {
                Some("https") => {
                    let now = self.env.now();
                    found.push(examine_certificate(host, port, Opening::Tls, None, now, self.time).await);
                }
                _ if !is_loopback(host) => found.push(Finding::doubtful(
                    "encryption",
                    "tokens go in plain text",
                    "reach the provider by https, and set issuer in auth.oidc to what it then says",
                )),
                _ => {}
            }
        }
        if self.discovery(&mut found).await {
            self.keys_and_introspection(&mut found).await;
        }
        found
    }
}

impl OidcProvider {
    /// Reads the discovery document (OpenID Connect Discovery §4). False when there is none to go on with.
    async fn discovery(&self, found: &mut Vec<Finding>) -> bool {
        let address = format!("{}/.well-known/openid-configuration", self.issuer().trim_end_matches('/'));
        let request = Request::get(&address).header(ACCEPT, "application/json").body(Bytes::new());
        let asked = self.env.now();
        let answer = match request {
            Ok(request) => self.http.fetch(request).await.map_err(|e| e.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let advice =
                    "is the provider up, and does this machine reach it? Correct issuer in auth.oidc otherwise";
                found.push(Finding::bad("discovery", error, advice));
                return false;
            }
        };
        found.extend(examine_clock(answer.headers(), asked, self.env.now()));
        let document = serde_json::from_slice::<Value>(answer.body()).ok();
        let named = document.as_ref().and_then(|d| d.get("issuer")).and_then(Value::as_str);
        match (answer.status(), named) {
            (StatusCode::OK, Some(named)) if named == self.issuer() => {
                found.push(Finding::good("discovery", "names this issuer"));
                true
            }
            (StatusCode::OK, Some(named)) => {
                let advice =
                    format!("set issuer in auth.oidc to {named:?}, letter by letter, if that is your provider");
                found.push(Finding::bad("discovery", format!("names another issuer, {named}"), advice));
                false
            }
            (status, _) => {
                let advice = format!(
                    "issuer in auth.oidc must be what stands before /.well-known/openid-configuration; open {address} in a \
                     browser"
                );
                found.push(Finding::bad("discovery", format!("{address} answers {status} without an issuer"), advice));
                false
            }
        }
    }

    async fn keys_and_introspection(&self, found: &mut Vec<Finding>) {
        let snapshot = match self.provider.snapshot().await {
            Ok(snapshot) => snapshot,
            Err(error) => {
                let advice = "open jwks_uri of the discovery document; look at the provider's logs";
                found.push(Finding::bad("keys", why(&error), advice));
                return;
            }
        };
        found.push(match snapshot.keys.keys().len() {
            0 => Finding::doubtful("keys", "none: signed tokens cannot be checked", "let the provider sign its tokens"),
            1 => Finding::good("keys", "1 key"),
            keys => Finding::good("keys", format!("{keys} keys")),
        });
        found.push(match (snapshot.introspects(), self.provider.config.client_id.is_some()) {
            (false, false) => Finding::good("introspection", "not offered: signed tokens only"),
            (false, true) => Finding::doubtful(
                "introspection",
                "not offered, and client_id is set for it",
                "let the provider offer it, or leave client_id and client_secret out",
            ),
            (true, _) => self.introspection(&snapshot).await,
        });
        if !snapshot.knows_users() {
            found.push(Finding::doubtful(
                "user information",
                "not offered: tokens must hold the claim themselves",
                format!("let the provider put {:?} into its access tokens", self.provider.config.claim),
            ));
        }
    }

    /// Asks about a token that there is not: a provider that knows us says that it is not active (RFC 7662 §2.2).
    async fn introspection(&self, snapshot: &Snapshot) -> Finding {
        match self.provider.introspect(snapshot, NOBODYS_TOKEN).await {
            Ok(Answer::Refused) if self.provider.config.client_id.is_some() => {
                Finding::good("introspection", "knows our client")
            }
            Ok(Answer::Refused) => Finding::good("introspection", "answers without a client"),
            Ok(Answer::Claims(_)) => Finding::bad(
                "introspection",
                "says of a token that nobody gave out that it is good",
                "do not use this provider",
            ),
            Err(error) if self.provider.config.client_id.is_none() => Finding::doubtful(
                "introspection",
                format!("is not for everybody: {}", why(&error)),
                "tokens that are not JWTs need client_id and client_secret in auth.oidc",
            ),
            Err(error) => Finding::bad(
                "introspection",
                why(&error),
                "correct client_id and client_secret in auth.oidc; the client must be a confidential one",
            ),
        }
    }
}

/// What people who log in are not told.
fn why(error: &AuthError) -> String {
    match error {
        AuthError::Unavailable { reason, .. } => reason.clone(),
        other => other.to_string(),
    }
}
