//! The token endpoint (OpenID Connect Core §3.1.3).

use axum::body::{Body, Bytes};
use axum::extract::State;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::authorize::{has_scope, is_pkce_text};
use super::clients::{PUBLIC_CLIENT, RESOURCE_CLIENT};
use super::pages::Answer;
use super::params::Params;
use super::{AccessTokens, Code, Grant, Inner, Issued, Provider, ProviderError};
use crate::accounts::Listed;

/// `POST /token`: exchanges a code for tokens.
pub(super) async fn exchange(State(provider): State<Provider>, headers: HeaderMap, form: Bytes) -> Answer {
    let inner = &provider.0;
    let Ok(params) = Params::parse(&form) else { return refusal("invalid_request", "a parameter was given twice") };
    if params.get("client_id") != Some(PUBLIC_CLIENT) || headers.contains_key(AUTHORIZATION) {
        return refusal("invalid_client", "the client is not known, or has no secret");
    }
    if params.get("grant_type") != Some("authorization_code") {
        return refusal("unsupported_grant_type", "grant_type must be authorization_code");
    }
    let Some(grant) = inner.redeem(&params) else {
        return refusal("invalid_grant", "the code is not known, was used, or is for another request");
    };
    let person = match inner.accounts.find(&grant.login.mail).await {
        Ok(Some(person)) => person,
        Ok(None) => return refusal("invalid_grant", "the account is gone"),
        Err(error) => {
            tracing::error!(%error, "the demo provider cannot read an account");
            return unavailable();
        }
    };
    match inner.issue(&grant, &person) {
        Ok(tokens) => answer(StatusCode::OK, &tokens),
        Err(error) => {
            tracing::error!(%error, "the demo provider cannot sign");
            unavailable()
        }
    }
}

impl Inner {
    /// What the code is good for: once, for who has the verifier, at the address it was sent to. A code that comes again
    /// was stolen: what it was exchanged for ends (RFC 6749 §4.1.2).
    fn redeem(&self, params: &Params) -> Option<Grant> {
        let code = params.get("code")?;
        let spent = |code: &Code| match code {
            Code::Fresh(grant) => Code::Spent(grant.id.clone()),
            Code::Spent(id) => Code::Spent(id.clone()),
        };
        let grant = match self.codes.replace(code, self.now(), spent)? {
            Code::Fresh(grant) => *grant,
            Code::Spent(id) => {
                tracing::warn!("a code was used twice");
                self.tokens.drop_where(|token| token.grant == id);
                return None;
            }
        };
        let verifier = params.get("code_verifier").filter(|verifier| is_pkce_text(verifier))?;
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
        let proven = bool::from(challenge.as_bytes().ct_eq(grant.request.challenge.as_bytes()));
        let same_address = params.get("redirect_uri") == Some(grant.request.redirect_uri.as_str());
        (proven && same_address).then_some(grant)
    }

    fn issue(&self, grant: &Grant, person: &Listed) -> Result<Value, ProviderError> {
        let (now, expires) = (self.now(), self.in_seconds(self.settings.token_s));
        let access_token = self.access_token(grant, person)?;
        let issued = Issued {
            grant: grant.id.clone(),
            mail: person.mail.clone(),
            sid: grant.login.sid.clone(),
            scope: grant.request.scope.clone(),
            issued: now,
            expires,
        };
        self.tokens.put(&access_token, issued, expires, now);
        let hash = Sha256::digest(&access_token);
        let mut id_token = json!({
            "iss": self.issuer, "sub": person.id, "aud": PUBLIC_CLIENT,
            "iat": now.timestamp(), "exp": expires.timestamp(), "auth_time": grant.login.since.timestamp(),
            "sid": grant.login.sid, "at_hash": BASE64_URL_SAFE_NO_PAD.encode(&hash[..16]),
        });
        if let Some(nonce) = &grant.request.nonce {
            id_token["nonce"] = json!(nonce);
        }
        Ok(json!({
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": self.settings.token_s,
            "scope": grant.request.scope,
            "id_token": self.keys.sign("JWT", &id_token)?,
        }))
    }

    fn access_token(&self, grant: &Grant, person: &Listed) -> Result<String, ProviderError> {
        if self.settings.access_tokens == AccessTokens::Opaque {
            return Ok(self.env.token(256));
        }
        let (now, expires) = (self.now(), self.in_seconds(self.settings.token_s));
        let mut claims = json!({
            "iss": self.issuer, "sub": person.id, "aud": [RESOURCE_CLIENT], "client_id": PUBLIC_CLIENT,
            "iat": now.timestamp(), "exp": expires.timestamp(), "jti": self.env.token(128),
            "scope": grant.request.scope, "sid": grant.login.sid,
        });
        if self.settings.access_tokens == AccessTokens::Signed && has_scope(&grant.request.scope, "email") {
            claims["email"] = json!(person.mail);
        }
        self.keys.sign("at+jwt", &claims)
    }
}

/// A JSON answer that nobody stores.
pub(super) fn answer(status: StatusCode, body: &Value) -> Answer {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(super) fn unavailable() -> Answer {
    answer(StatusCode::SERVICE_UNAVAILABLE, &json!({ "error": "temporarily_unavailable" }))
}

/// An error as in RFC 6749 §5.2.
fn refusal(error: &str, description: &str) -> Answer {
    let status = if error == "invalid_client" { StatusCode::UNAUTHORIZED } else { StatusCode::BAD_REQUEST };
    answer(status, &json!({ "error": error, "error_description": description }))
}
