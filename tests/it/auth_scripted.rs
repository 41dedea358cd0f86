//! An OpenID provider that says whatever a test wants it to, and counts how often it was asked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use convoke::clock::Env;
use convoke::config;
use http::StatusCode;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rsa::RsaPrivateKey;
use rsa::pkcs8::{EncodePrivateKey as _, LineEnding};
use rsa::rand_core::{CryptoRng, Error, RngCore};
use rsa::traits::PublicKeyParts as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::auth_support::{Home, Listening};

/// Audience of the tokens of these tests.
pub const AUDIENCE: &str = "calendar";

/// A provider of which every answer can be changed while it runs.
#[derive(Clone)]
pub struct Scripted(Arc<Script>);

pub struct Script {
    issuer: String,
    answers: Mutex<Answers>,
    pub discovered: AtomicUsize,
    pub asked_userinfo: AtomicUsize,
    pub asked_introspection: AtomicUsize,
}

/// What it answers.
#[derive(Clone)]
pub struct Answers {
    pub keys: Vec<Value>,
    pub userinfo: (StatusCode, Value),
    pub introspection: (StatusCode, Value),
    /// Put over the discovery document.
    pub discovery: Value,
}

impl Scripted {
    /// A provider that knows alice, signs with [`signer`], and takes any opaque token.
    pub async fn start(home: &Home) -> (Self, Listening) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scripted = Self::at(format!("http://{}", listener.local_addr().unwrap()), home);
        let listening = Listening::on(listener, scripted.router());
        (scripted, listening)
    }

    fn at(issuer: String, home: &Home) -> Self {
        let now = home.env.now().timestamp();
        let alice = json!({"sub": "u-1", "email": "alice@example.org", "sid": "S-77"});
        let active = json!({"active": true, "exp": now + 3_600, "aud": [AUDIENCE], "sub": "u-1"});
        let answers = Answers {
            keys: vec![signer().jwk("k1")],
            userinfo: (StatusCode::OK, alice),
            introspection: (StatusCode::OK, active),
            discovery: json!({}),
        };
        Self(Arc::new(Script {
            issuer,
            answers: Mutex::new(answers),
            discovered: AtomicUsize::new(0),
            asked_userinfo: AtomicUsize::new(0),
            asked_introspection: AtomicUsize::new(0),
        }))
    }

    pub fn router(&self) -> Router {
        Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/jwks", get(|State(it): State<Self>| async move { Json(json!({"keys": it.answers().keys})) }))
            .route("/userinfo", get(userinfo))
            .route("/introspect", post(introspection))
            .with_state(self.clone())
    }

    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    pub fn change(&self, change: impl FnOnce(&mut Answers)) {
        change(&mut self.0.answers.lock().unwrap());
    }

    fn answers(&self) -> Answers {
        self.0.answers.lock().unwrap().clone()
    }

    pub fn config(&self) -> config::Oidc {
        config::Oidc {
            client_id: Some("convoke".to_owned()),
            client_secret: Some("secret".to_owned()),
            ..config::Oidc::new(self.issuer(), vec![AUDIENCE.to_owned()])
        }
    }

    /// How often discovery, userinfo and introspection were asked.
    pub fn asked(&self) -> (usize, usize, usize) {
        let count = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
        (count(&self.0.discovered), count(&self.0.asked_userinfo), count(&self.0.asked_introspection))
    }

    /// The claims of a good access token for alice.
    pub fn claims(&self, home: &Home) -> Value {
        let now = home.env.now().timestamp();
        json!({
            "iss": self.issuer(), "sub": "u-1", "aud": [AUDIENCE], "iat": now, "exp": now + 3_600,
            "email": "alice@example.org", "sid": "S-77", "jti": home.env.token(96),
        })
    }

    /// A good access token for alice, with other claims put over it; `null` takes one out.
    pub fn token(&self, home: &Home, other: &Value) -> String {
        sign(&header("k1"), &overlaid(self.claims(home), other), &signer().key)
    }
}

async fn discovery(State(it): State<Scripted>) -> Json<Value> {
    it.0.discovered.fetch_add(1, Ordering::SeqCst);
    let at = |path: &str| format!("{}{path}", it.issuer());
    let document = json!({
        "issuer": it.issuer(), "authorization_endpoint": at("/authorize"), "token_endpoint": at("/token"),
        "jwks_uri": at("/jwks"), "userinfo_endpoint": at("/userinfo"), "introspection_endpoint": at("/introspect"),
        "response_types_supported": ["code"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    });
    Json(overlaid(document, &it.answers().discovery))
}

async fn userinfo(State(it): State<Scripted>) -> impl IntoResponse {
    it.0.asked_userinfo.fetch_add(1, Ordering::SeqCst);
    let (status, body) = it.answers().userinfo;
    (status, Json(body))
}

async fn introspection(State(it): State<Scripted>) -> impl IntoResponse {
    it.0.asked_introspection.fetch_add(1, Ordering::SeqCst);
    let (status, body) = it.answers().introspection;
    (status, Json(body))
}

/// `base` with the members of `other` over it; `null` takes one out.
pub fn overlaid(mut base: Value, other: &Value) -> Value {
    let members = base.as_object_mut().unwrap();
    for (name, value) in other.as_object().unwrap() {
        match value {
            Value::Null => members.remove(name),
            value => members.insert(name.clone(), value.clone()),
        };
    }
    base
}

/// The header of an access token.
pub fn header(kid: &str) -> Header {
    let mut header = Header::new(Algorithm::RS256);
    header.typ = Some("at+jwt".to_owned());
    header.kid = Some(kid.to_owned());
    header
}

pub fn sign(header: &Header, claims: &Value, key: &EncodingKey) -> String {
    jsonwebtoken::encode(header, claims, key).unwrap()
}

/// A token whose header no honest library writes.
pub fn assemble(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

/// An RSA key.
pub struct Rsa {
    pub key: EncodingKey,
    n: String,
    e: String,
}

impl Rsa {
    fn generate() -> Self {
        let secret = RsaPrivateKey::new(&mut Rng(Env::system()), 2048).unwrap();
        let pem = secret.to_pkcs8_pem(LineEnding::LF).unwrap();
        let part = |number: &rsa::BigUint| BASE64_URL_SAFE_NO_PAD.encode(number.to_bytes_be());
        Self { key: EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap(), n: part(secret.n()), e: part(secret.e()) }
    }

    pub fn jwk(&self, kid: &str) -> Value {
        json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": self.n, "e": self.e})
    }

    /// The modulus, as somebody might use it for a shared secret.
    pub fn modulus(&self) -> Vec<u8> {
        BASE64_URL_SAFE_NO_PAD.decode(&self.n).unwrap()
    }
}

/// The key of the provider.
pub fn signer() -> &'static Rsa {
    static KEY: OnceLock<Rsa> = OnceLock::new();
    KEY.get_or_init(Rsa::generate)
}

/// A key that is not the provider's.
pub fn stranger() -> &'static Rsa {
    static KEY: OnceLock<Rsa> = OnceLock::new();
    KEY.get_or_init(Rsa::generate)
}

/// A P-256 key, for tests only, and its JWK.
pub fn elliptic(kid: &str) -> (EncodingKey, Value) {
    const SECRET: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgbkoCxQ2/RFbtu08g1GT1K7Lm3rZs8vpIIpGIMpHfH3GhRANC\
                          AASeg27mCvonmkSbnuFM/h6GHR8q+NEqTM0nzoy2aAS4j72sHkRgIPCo1cG02PXOB/la+GHoo5Ulv/2Z+u5+O1G7";
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----\n");
    let jwk = json!({
        "kty": "EC", "crv": "P-256", "use": "sig", "kid": kid,
        "x": "noNu5gr6J5pEm57hTP4ehh0fKvjRKkzNJ86MtmgEuI8", "y": "vaweRGAg8KjVwbTY9c4H-Vr4YeijlSW__Zn67n47Ubs",
    });
    (EncodingKey::from_ec_pem(pem.as_bytes()).unwrap(), jwk)
}

struct Rng(Env);

impl RngCore for Rng {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.0.fill(bytes);
        Ok(())
    }
}

impl CryptoRng for Rng {}
