//! One OpenID provider, asked over HTTP: discovery and keys (OpenID Connect Discovery), userinfo (Core §5.3), introspection
//! (RFC 7662).

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use chrono::{DateTime, Duration, Utc};
use futures_util::FutureExt as _;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, StatusCode};
use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType, CoreJsonWebKey,
    CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreResponseMode,
    CoreResponseType, CoreSubjectIdentifierType,
};
use openidconnect::{AdditionalProviderMetadata, AsyncHttpClient, HttpRequest, HttpResponse, IssuerUrl};
use serde::{Deserialize, Serialize};
use url::{Url, form_urlencoded};

use super::claims::Claims;
use crate::auth::AuthError;
use crate::auth::single_flight::SingleFlight;
use crate::clock::Env;
use crate::config;
use crate::net::{Client, ClientError};

/// What the discovery document says beyond what the `openidconnect` crate reads.
#[derive(Debug, Clone, Deserialize, Serialize)]
struct Additional {
    #[serde(default)]
    introspection_endpoint: Option<Url>,
}

impl AdditionalProviderMetadata for Additional {}

type Metadata = openidconnect::ProviderMetadata<
    Additional,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// Metadata and keys as they were at one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) keys: CoreJsonWebKeySet,
    userinfo: Option<Url>,
    introspection: Option<Url>,
    fetched: DateTime<Utc>,
}

impl Snapshot {
    /// Whether opaque tokens can be asked about.
    pub(super) fn introspects(&self) -> bool {
        self.introspection.is_some()
    }

    /// Whether a token's bearer can be asked about.
    pub(super) fn knows_users(&self) -> bool {
        self.userinfo.is_some()
    }
}

/// What the provider answered about a token.
#[derive(Debug)]
pub(super) enum Answer {
    /// What it says.
    Claims(Claims),
    /// It does not accept the token.
    Refused,
}

/// One provider. Nothing is asked before the first token comes.
pub(super) struct Provider {
    pub(super) config: config::Oidc,
    http: Client,
    env: Env,
    known: Mutex<Known>,
    refreshes: SingleFlight<(), Result<Arc<Snapshot>, AuthError>>,
}

#[derive(Default)]
struct Known {
    snapshot: Option<Arc<Snapshot>>,
    failed: Option<DateTime<Utc>>,
}

impl Provider {
    pub(super) fn new(config: config::Oidc, http: Client, env: Env) -> Self {
        Self { config, http, env, known: Mutex::default(), refreshes: SingleFlight::new() }
    }

    /// Metadata and keys, no older than `keys_max_age_s`.
    pub(super) async fn snapshot(self: &Arc<Self>) -> Result<Arc<Snapshot>, AuthError> {
        let current = self.lock().snapshot.clone();
        match current {
            Some(snapshot) if self.younger_than(snapshot.fetched, self.config.keys_max_age_s) => Ok(snapshot),
            _ => self.refresh().await,
        }
    }

    /// Keys newer than those that a token could not be verified with; `None` when they were fetched just now.
    pub(super) async fn newer_than(self: &Arc<Self>, seen: &Arc<Snapshot>) -> Result<Option<Arc<Snapshot>>, AuthError> {
        let current = self.lock().snapshot.clone();
        if let Some(current) = current.filter(|current| !Arc::ptr_eq(current, seen)) {
            return Ok(Some(current));
        }
        if self.younger_than(seen.fetched, self.config.keys_min_age_s) {
            return Ok(None);
        }
        self.refresh().await.map(Some)
    }

    async fn refresh(self: &Arc<Self>) -> Result<Arc<Snapshot>, AuthError> {
        let failed = self.lock().failed;
        if failed.is_some_and(|at| self.younger_than(at, self.config.keys_min_age_s)) {
            return Err(self.away("it was away just now"));
        }
        let this = self.clone();
        self.refreshes
            .run((), || {
                async move {
                    let fetched = this.discover().await;
                    let mut known = this.lock();
                    match &fetched {
                        Ok(snapshot) => *known = Known { snapshot: Some(snapshot.clone()), failed: None },
                        Err(_) => known.failed = Some(this.env.now()),
                    }
                    fetched
                }
                .boxed()
            })
            .await
    }

    async fn discover(&self) -> Result<Arc<Snapshot>, AuthError> {
        let issuer = IssuerUrl::new(self.config.issuer.clone()).map_err(|e| self.away(&e))?;
        // Refuses a document that names another issuer.
        let metadata = Metadata::discover_async(issuer, &Http(self.http.clone())).await.map_err(|e| {
            tracing::error!(issuer = self.config.issuer, error = %with_causes(&e), "OpenID discovery failed");
            self.away(&e)
        })?;
        let userinfo = metadata.userinfo_endpoint().map(|u| u.url().clone());
        let introspection = metadata.additional_metadata().introspection_endpoint.clone();
        for endpoint in [&userinfo, &introspection].into_iter().flatten() {
            self.refuse_downgrade(endpoint)?;
        }
        tracing::debug!(issuer = self.config.issuer, keys = metadata.jwks().keys().len(), "OpenID provider discovered");
        Ok(Arc::new(Snapshot { keys: metadata.jwks().clone(), userinfo, introspection, fetched: self.env.now() }))
    }

    /// Tokens and our secret go to these addresses: never in clear when the issuer is reached by TLS.
    fn refuse_downgrade(&self, endpoint: &Url) -> Result<(), AuthError> {
        let secure = self.config.issuer.starts_with("https://");
        match endpoint.scheme() {
            "https" => Ok(()),
            "http" if !secure => Ok(()),
            scheme => Err(self.away(&format!("it names an endpoint with scheme {scheme}"))),
        }
    }

    /// Asks who the bearer of the token is (OpenID Connect Core §5.3).
    pub(super) async fn userinfo(&self, snapshot: &Snapshot, token: &str) -> Result<Answer, AuthError> {
        let Some(endpoint) = &snapshot.userinfo else { return Ok(Answer::Refused) };
        let request = Request::get(endpoint.as_str())
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .header(ACCEPT, "application/json")
            .body(Bytes::new());
        let response = self.ask("userinfo_lookup", request).await?;
        match response.status() {
            StatusCode::OK => Ok(Claims::parse(response.body()).map_or(Answer::Refused, Answer::Claims)),
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                Err(self.away(&format!("userinfo answered {status}")))
            }
            _ => Ok(Answer::Refused),
        }
    }

    /// Asks whether the token is good, until when and for whom (RFC 7662). The answer is [`Answer::Refused`] unless it
    /// says `"active": true`.
    pub(super) async fn introspect(&self, snapshot: &Snapshot, token: &str) -> Result<Answer, AuthError> {
        let Some(endpoint) = &snapshot.introspection else {
            tracing::error!(issuer = self.config.issuer, "opaque tokens cannot be checked: no introspection endpoint");
            return Ok(Answer::Refused);
        };
        let form = form_urlencoded::Serializer::new(String::new()).append_pair("token", token).finish();
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(endpoint.as_str())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json");
        if let Some(credentials) = self.client_credentials() {
            request = request.header(AUTHORIZATION, credentials);
        }
        let response = self.ask("introspection_lookup", request.body(Bytes::from(form))).await?;
        match response.status() {
            StatusCode::OK => {
                let active = Claims::parse(response.body()).filter(|c| c.flag("active") == Some(true));
                Ok(active.map_or(Answer::Refused, Answer::Claims))
            }
            // It is us whom it does not know: people who log in again would come back with a token as good as this one.
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                tracing::error!(issuer = self.config.issuer, %status, "the provider refuses our client at introspection");
                Err(self.away("it refuses our client"))
            }
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                Err(self.away(&format!("introspection answered {status}")))
            }
            _ => Ok(Answer::Refused),
        }
    }

    /// HTTP Basic with form-encoded parts (RFC 6749 §2.3.1).
    fn client_credentials(&self) -> Option<String> {
        let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let id = self.config.client_id.as_deref()?;
        let secret = self.config.client_secret.as_deref().unwrap_or_default();
        Some(format!("Basic {}", BASE64_STANDARD.encode(format!("{}:{}", encode(id), encode(secret)))))
    }

    async fn ask(
        &self,
        timer: &'static str,
        request: Result<Request<Bytes>, http::Error>,
    ) -> Result<http::Response<Bytes>, AuthError> {
        let started = Instant::now();
        let request = request.map_err(|e| self.away(&e))?;
        let answer = self.http.fetch(request).await;
        metrics::histogram!(timer).record(started.elapsed());
        answer.map_err(|e| self.away(&e))
    }

    fn away(&self, reason: &(impl std::fmt::Display + ?Sized)) -> AuthError {
        AuthError::unavailable(format!("OpenID provider {}: {reason}", self.config.issuer))
    }

    fn younger_than(&self, instant: DateTime<Utc>, seconds: u64) -> bool {
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX).min(i64::from(u32::MAX));
        self.env.now() - instant < Duration::seconds(seconds)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Our HTTP client as the `openidconnect` crate wants it. Redirects are not followed.
struct Http(Client);

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = ClientError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, ClientError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let response = self.0.fetch(request.map(Bytes::from)).await?;
            Ok(response.map(|body| body.to_vec()))
        })
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |e| e.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_sent_in_clear_to_an_endpoint_of_a_provider_with_tls() {
        let provider = |issuer: &str| {
            let http = Client::new(crate::net::ClientLimits::default()).unwrap();
            Provider::new(config::Oidc::new(issuer, vec!["x".to_owned()]), http, Env::system())
        };
        let allows =
            |issuer: &str, endpoint: &str| provider(issuer).refuse_downgrade(&Url::parse(endpoint).unwrap()).is_ok();
        assert!(allows("https://sso.example.org", "https://tokens.example.org/userinfo"));
        assert!(!allows("https://sso.example.org", "http://sso.example.org/userinfo"));
        assert!(allows("http://127.0.0.1:9000", "http://127.0.0.1:9000/userinfo"));
        assert!(!allows("http://127.0.0.1:9000", "ftp://127.0.0.1/userinfo"));
    }

    #[test]
    fn the_clients_name_and_secret_are_form_encoded_before_they_are_joined() {
        let config = config::Oidc {
            client_id: Some("a:b".to_owned()),
            client_secret: Some("c d%".to_owned()),
            ..config::Oidc::new("http://127.0.0.1", vec!["x".to_owned()])
        };
        let http = Client::new(crate::net::ClientLimits::default()).unwrap();
        let credentials = Provider::new(config, http, Env::system()).client_credentials().unwrap();
        assert_eq!(credentials, format!("Basic {}", BASE64_STANDARD.encode("a%3Ab:c+d%25")));
    }
}
