//! Signed access tokens (RFC 7519, RFC 9068), verified with the provider's keys. Pure: no I/O, the clock is an argument.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Duration, Utc};
use openidconnect::JsonWebKey as _;
use openidconnect::core::{CoreJsonWebKey, CoreJsonWebKeySet, CoreJwsSigningAlgorithm as Algorithm};
use serde::Deserialize;
use serde_json::Value;

use super::claims::Claims;

/// Signature algorithms that are accepted: asymmetric ones. Never `none`, never HMAC, whatever a token says of itself.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RsaSsaPkcs1V15Sha256,
    Algorithm::RsaSsaPkcs1V15Sha384,
    Algorithm::RsaSsaPkcs1V15Sha512,
    Algorithm::RsaSsaPssSha256,
    Algorithm::RsaSsaPssSha384,
    Algorithm::RsaSsaPssSha512,
    Algorithm::EcdsaP256Sha256,
    Algorithm::EcdsaP384Sha384,
    Algorithm::EdDsa,
];

/// Keys that a token without `kid` is tried with.
const KEYS_TRIED: usize = 8;

/// Why a signed token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum JwtError {
    #[error("the token is malformed")]
    Malformed,
    #[error("the token is not an access token")]
    WrongType,
    #[error("the token's algorithm is not accepted")]
    Algorithm,
    /// The only one that newer keys can cure.
    #[error("the token is signed with an unknown key")]
    UnknownKey,
    #[error("the token's signature is wrong")]
    Signature,
    #[error("the token is of another issuer")]
    Issuer,
    #[error("the token is for another audience")]
    Audience,
    #[error("the token does not say when it expires")]
    NoExpiry,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
}

impl JwtError {
    /// The text for the answer.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Malformed => "the token is malformed",
            Self::WrongType => "the token is not an access token",
            Self::Algorithm => "the token's algorithm is not accepted",
            Self::UnknownKey => "the token is signed with an unknown key",
            Self::Signature => "the token's signature is wrong",
            Self::Issuer => "the token is of another issuer",
            Self::Audience => "the token is for another audience",
            Self::NoExpiry => "the token does not say when it expires",
            Self::Expired => "the token has expired",
            Self::NotYetValid => "the token is not valid yet",
        }
    }
}

/// A token in JWS compact form, taken apart and not verified.
#[derive(Debug)]
pub(super) struct Jws<'a> {
    header: Header,
    signed: &'a str,
    payload: &'a str,
    signature: Vec<u8>,
}

#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    typ: Option<String>,
    #[serde(default)]
    kid: Option<String>,
    /// Extensions that must be understood; none is.
    #[serde(default)]
    crit: Option<Value>,
    /// Compression, which is refused.
    #[serde(default)]
    zip: Option<Value>,
}

/// What a token must fulfil.
#[derive(Debug, Clone, Copy)]
pub(super) struct Policy<'a> {
    pub(super) issuer: &'a str,
    pub(super) audience: &'a [String],
    pub(super) skew: Duration,
    pub(super) now: DateTime<Utc>,
}

/// A token that was verified.
#[derive(Debug)]
pub(super) struct Verified {
    pub(super) claims: Claims,
    pub(super) expires: DateTime<Utc>,
    pub(super) audience: Vec<String>,
    /// The token says that it is an access token (RFC 9068 §2.1). Without that it may be an ID token, and only the
    /// provider can tell.
    pub(super) says_access_token: bool,
}

impl<'a> Jws<'a> {
    /// Takes a token apart; `None` when it is not in JWS compact form, hence opaque to us.
    pub(super) fn parse(token: &'a str) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        if payload.contains('.') {
            return None;
        }
        let header = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?;
        Some(Self { header, signed, payload, signature })
    }

    /// Whom the token says it is from. Not verified: good for choosing whose keys to verify with, for nothing else.
    pub(super) fn unverified_issuer(&self) -> Option<String> {
        Some(self.claims().ok()?.text("iss")?.to_owned())
    }

    /// Verifies signature and claims.
    pub(super) fn verify(&self, keys: &CoreJsonWebKeySet, policy: &Policy<'_>) -> Result<Verified, JwtError> {
        let says_access_token = self.header.token_type()?;
        self.verify_signature(keys)?;
        let claims = self.claims()?;
        if claims.text("iss") != Some(policy.issuer) {
            return Err(JwtError::Issuer);
        }
        let audience = claims.texts("aud");
        if !audience.iter().any(|a| policy.audience.contains(a)) {
            return Err(JwtError::Audience);
        }
        let expires = claims.instant("exp").ok_or(JwtError::NoExpiry)?;
        if policy.now > expires + policy.skew {
            return Err(JwtError::Expired);
        }
        match (claims.get("nbf").is_some(), claims.instant("nbf")) {
            (true, None) => return Err(JwtError::Malformed),
            (true, Some(start)) if policy.now < start - policy.skew => return Err(JwtError::NotYetValid),
            _ => {}
        }
        // A logout token (OpenID Connect Back-Channel Logout §2.4) is signed with the same keys.
        if claims.get("events").is_some() {
            return Err(JwtError::WrongType);
        }
        Ok(Verified { claims, expires, audience, says_access_token })
    }

    fn claims(&self) -> Result<Claims, JwtError> {
        let payload = BASE64_URL_SAFE_NO_PAD.decode(self.payload).map_err(|_| JwtError::Malformed)?;
        Claims::parse(&payload).ok_or(JwtError::Malformed)
    }

    fn verify_signature(&self, keys: &CoreJsonWebKeySet) -> Result<(), JwtError> {
        let algorithm = self.header.algorithm()?;
        let candidates = self.candidates(keys);
        if candidates.is_empty() {
            return Err(JwtError::UnknownKey);
        }
        let right =
            |key: &&CoreJsonWebKey| key.verify_signature(&algorithm, self.signed.as_bytes(), &self.signature).is_ok();
        match (candidates.iter().any(right), &self.header.kid) {
            (true, _) => Ok(()),
            (false, Some(_)) => Err(JwtError::Signature),
            // Without a name the key may be one that is newer than ours.
            (false, None) => Err(JwtError::UnknownKey),
        }
    }

    /// The keys named by `kid`; all keys where the token names none, and the nameless ones where no key has that name.
    fn candidates<'k>(&self, keys: &'k CoreJsonWebKeySet) -> Vec<&'k CoreJsonWebKey> {
        let name_of = |key: &'k CoreJsonWebKey| key.key_id().map(|id| id.as_str());
        let Some(kid) = self.header.kid.as_deref() else {
            return keys.keys().iter().take(KEYS_TRIED).collect();
        };
        let named: Vec<_> = keys.keys().iter().filter(|key| name_of(key) == Some(kid)).collect();
        match named.is_empty() {
            false => named,
            true => keys.keys().iter().filter(|key| name_of(key).is_none()).take(KEYS_TRIED).collect(),
        }
    }
}

impl Header {
    fn algorithm(&self) -> Result<Algorithm, JwtError> {
        if self.crit.is_some() || self.zip.is_some() {
            return Err(JwtError::Algorithm);
        }
        let algorithm: Algorithm =
            serde_json::from_value(Value::String(self.alg.clone())).map_err(|_| JwtError::Algorithm)?;
        if ALGORITHMS.contains(&algorithm) { Ok(algorithm) } else { Err(JwtError::Algorithm) }
    }

    /// Whether the token says that it is an access token; an error when it says that it is something else. Providers
    /// write `at+jwt` in any case, with and without `application/`.
    fn token_type(&self) -> Result<bool, JwtError> {
        let typ = self.typ.as_deref().unwrap_or("jwt").to_ascii_lowercase();
        match typ.strip_prefix("application/").unwrap_or(&typ) {
            "at+jwt" => Ok(true),
            "jwt" => Ok(false),
            _ => Err(JwtError::WrongType),
        }
    }
}
