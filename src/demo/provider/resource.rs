//! What programs read: discovery, keys, userinfo, introspection.

use axum::body::Bytes;
use axum::extract::State;
use http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::authorize::has_scope;
use super::clients::{PUBLIC_CLIENT, RESOURCE_CLIENT};
use super::pages::Answer;
use super::params::Params;
use super::token::{answer, unavailable};
use super::{Issued, Provider};
use crate::accounts::Listed;

/// `GET /.well-known/openid-configuration` (OpenID Connect Discovery §3).
pub(super) async fn discovery(State(provider): State<Provider>) -> Answer {
    let at = |path: &str| format!("{}{path}", provider.issuer());
    let document = json!({
        "issuer": provider.issuer(),
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "userinfo_endpoint": at("/userinfo"),
        "jwks_uri": at("/jwks"),
        "introspection_endpoint": at("/introspect"),
        "end_session_endpoint": at("/logout"),
        "scopes_supported": ["openid", "email", "profile"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": ["none", "login", "select_account"],
        "claims_supported": [
            "sub", "sid", "auth_time", "name", "given_name", "family_name", "preferred_username", "locale", "zoneinfo",
            "email", "email_verified"
        ],
        "authorization_response_iss_parameter_supported": true,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    });
    answer(StatusCode::OK, &document)
}

/// `GET /jwks`.
pub(super) async fn jwks(State(provider): State<Provider>) -> Answer {
    answer(StatusCode::OK, &provider.0.keys.jwks())
}

/// `GET` and `POST /userinfo` (OpenID Connect Core §5.3).
pub(super) async fn userinfo(State(provider): State<Provider>, headers: HeaderMap) -> Answer {
    let inner = &provider.0;
    let bearer = headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("Bearer "));
    let Some(issued) = bearer.and_then(|token| inner.tokens.get(token, inner.now())) else {
        return invalid_token();
    };
    match inner.accounts.find(&issued.mail).await {
        Ok(Some(person)) => answer(StatusCode::OK, &claims(&issued, &person)),
        Ok(None) => invalid_token(),
        Err(error) => {
            tracing::error!(%error, "the demo provider cannot read an account");
            unavailable()
        }
    }
}

/// `POST /introspect` (RFC 7662), for the confidential client.
pub(super) async fn introspect(State(provider): State<Provider>, headers: HeaderMap, form: Bytes) -> Answer {
    let inner = &provider.0;
    let params = Params::parse(&form).unwrap_or_default();
    let authorization = headers.get(AUTHORIZATION).map(|v| v.to_str().unwrap_or_default());
    if !inner.secret.authenticates(authorization, &params) {
        let mut response = answer(StatusCode::UNAUTHORIZED, &json!({ "error": "invalid_client" }));
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"introspection\""));
        return response;
    }
    let issued = params.get("token").and_then(|token| inner.tokens.get(token, inner.now()));
    let Some(issued) = issued else { return answer(StatusCode::OK, &json!({ "active": false })) };
    match inner.accounts.find(&issued.mail).await {
        Ok(Some(person)) => answer(StatusCode::OK, &introspection(&provider, &issued, &person)),
        Ok(None) => answer(StatusCode::OK, &json!({ "active": false })),
        Err(error) => {
            tracing::error!(%error, "the demo provider cannot read an account");
            unavailable()
        }
    }
}

fn introspection(provider: &Provider, issued: &Issued, person: &Listed) -> Value {
    json!({
        "active": true, "iss": provider.issuer(), "sub": person.id, "username": person.mail,
        "aud": [RESOURCE_CLIENT], "client_id": PUBLIC_CLIENT, "token_type": "Bearer", "scope": issued.scope,
        "sid": issued.sid, "iat": issued.issued.timestamp(), "exp": issued.expires.timestamp(),
    })
}

/// The claims that the scopes ask for (OpenID Connect Core §5.4).
fn claims(issued: &Issued, person: &Listed) -> Value {
    let mut claims = json!({ "sub": person.id, "sid": issued.sid });
    if has_scope(&issued.scope, "email") {
        claims["email"] = json!(person.mail);
        claims["email_verified"] = json!(true);
    }
    if has_scope(&issued.scope, "profile") {
        claims["name"] = json!(person.name);
        claims["given_name"] = json!(person.firstname);
        claims["family_name"] = json!(person.lastname);
        claims["preferred_username"] = json!(person.mail);
        claims["locale"] = json!(person.language);
        claims["zoneinfo"] = json!(person.timezone.name());
    }
    claims
}

/// As in RFC 6750 §3.1.
fn invalid_token() -> Answer {
    let mut response = answer(StatusCode::UNAUTHORIZED, &json!({ "error": "invalid_token" }));
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\""));
    response
}
