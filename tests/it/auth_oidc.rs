//! One suite for OpenID providers, run on the demo's, on LemonLDAP::NG and on node oidc-provider: people sign in with a
//! browser and are recognised by what they got.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use convoke::auth::{AuthError, Authenticator};
use convoke::config;
use convoke::demo::provider::{AccessTokens, PUBLIC_CLIENT, Provider, Settings};
use http::{Request, StatusCode};
use serde_json::{Value, json};

use super::auth_browser::{App, Asking, Browser, Person, discover, redeem, sign_in};
use super::auth_support::{Home, Listening, bearer};
use super::services::need;

/// A provider that runs, and what is known of it.
struct Running {
    home: Home,
    issuer: String,
    /// How `auth` is told of it.
    config: config::Oidc,
    /// Gets opaque access tokens.
    opaque: App,
    /// Gets JWT access tokens.
    signed: App,
    alice: Person,
    bob: Person,
    rotation: Rotation,
    /// Keeps the demo's providers listening.
    _listening: Vec<Listening>,
}

/// How its keys are rotated.
enum Rotation {
    Demo(Provider),
    /// POST there.
    Control(String),
    /// A program that makes the next key, published before, the current one.
    Program(String),
}

impl Running {
    fn authenticator(&self) -> Authenticator {
        self.home.authenticator(vec![self.config.clone()])
    }

    async fn token(&self, app: &App, person: &Person) -> String {
        let tokens = sign_in(&self.home.http, &self.issuer, app, person).await;
        tokens["access_token"].as_str().unwrap().to_owned()
    }

    async fn rotate_keys(&self) {
        match &self.rotation {
            Rotation::Demo(provider) => {
                let provider = provider.clone();
                tokio::task::spawn_blocking(move || provider.rotate_keys()).await.unwrap().unwrap();
            }
            Rotation::Control(url) => {
                let request = Request::post(format!("{url}/rotate-keys")).body(Bytes::new()).unwrap();
                assert_eq!(self.home.http.fetch(request).await.unwrap().status(), StatusCode::NO_CONTENT);
            }
            Rotation::Program(program) => {
                let program = program.clone();
                let run = move || std::process::Command::new(&program).output().unwrap();
                assert!(tokio::task::spawn_blocking(run).await.unwrap().status.success());
            }
        }
    }
}

/// The demo's provider: one application, hence two providers, one for each kind of token.
async fn demo(access_tokens: AccessTokens) -> Option<Running> {
    let home = Home::new().await;
    let (provider, listening) = home.provider(Settings { access_tokens, ..Settings::default() }).await;
    let app = App { client_id: PUBLIC_CLIENT.to_owned(), redirect_uri: "http://127.0.0.1:9/callback".to_owned() };
    let person = |name: &str| Person {
        user: format!("{name}@example.org"),
        password: name.to_owned(),
        email: format!("{name}@example.org"),
    };
    Some(Running {
        home,
        issuer: provider.issuer().to_owned(),
        config: config::Oidc { keys_min_age_s: 0, ..provider.oidc_config() },
        opaque: app.clone(),
        signed: app,
        alice: person("alice"),
        bob: person("bob"),
        rotation: Rotation::Demo(provider),
        _listening: vec![listening],
    })
}

/// A provider that `scripts/services` started.
async fn started(prefix: &str) -> Option<Running> {
    let value = |name: &str| need(&format!("CONVOKE_TEST_OIDC_{prefix}_{name}"));
    let issuer = value("ISSUER")?;
    let redirect_uri = value("REDIRECT_URI")?;
    let opaque = App { client_id: value("PUBLIC_CLIENT_ID")?, redirect_uri };
    let signed = App { client_id: value("JWT_CLIENT_ID")?, ..opaque.clone() };
    let person = |n: &str| {
        Some(Person {
            user: value(&format!("USER{n}"))?,
            password: value(&format!("PASSWORD{n}"))?,
            email: value(&format!("EMAIL{n}"))?,
        })
    };
    let rotation = match prefix {
        "LEMONLDAP" => Rotation::Program(value("ROTATE")?),
        _ => Rotation::Control(value("CONTROL")?),
    };
    let config = config::Oidc {
        client_id: Some(value("CLIENT_ID")?),
        client_secret: Some(value("CLIENT_SECRET")?),
        // Node's introspection names no audience for its opaque tokens.
        audience_from_client_id: true,
        keys_min_age_s: 0,
        ..config::Oidc::new(issuer.clone(), vec![value("AUDIENCE")?, opaque.client_id.clone()])
    };
    let (alice, bob) = (person("")?, person("2")?);
    let home = Home::new().await;
    Some(Running { home, issuer, config, opaque, signed, alice, bob, rotation, _listening: Vec::new() })
}

async fn people_are_recognised_by_opaque_tokens(provider: &Running) {
    let authenticator = provider.authenticator();
    for person in [&provider.alice, &provider.bob] {
        let token = provider.token(&provider.opaque, person).await;
        assert!(token.split('.').count() != 3, "{token} is not opaque");
        assert_eq!(bearer(&authenticator, &token).await.as_ref(), Ok(&person.email));
    }
}

async fn people_are_recognised_by_signed_tokens(provider: &Running) {
    let authenticator = provider.authenticator();
    for person in [&provider.alice, &provider.bob] {
        let token = provider.token(&provider.signed, person).await;
        assert_eq!(token.split('.').count(), 3, "{token} is not signed");
        assert_eq!(bearer(&authenticator, &token).await.as_ref(), Ok(&person.email));
    }
}

async fn a_token_for_others_is_refused(provider: &Running) {
    let elsewhere = config::Oidc { audience: vec!["another-service".to_owned()], ..provider.config.clone() };
    let authenticator = provider.home.authenticator(vec![elsewhere]);
    for app in [&provider.opaque, &provider.signed] {
        let token = provider.token(app, &provider.alice).await;
        let refused = bearer(&authenticator, &token).await;
        assert_eq!(refused, Err(AuthError::InvalidToken("the token is for another audience")), "{}", app.client_id);
    }
}

async fn an_id_token_is_no_access_token(provider: &Running) {
    // Even where the application is among the audiences, as it is for opaque tokens.
    let audience = vec![provider.signed.client_id.clone(), provider.opaque.client_id.clone()];
    let lenient = config::Oidc { audience, ..provider.config.clone() };
    let authenticator = provider.home.authenticator(vec![lenient]);
    let tokens = sign_in(&provider.home.http, &provider.issuer, &provider.signed, &provider.alice).await;
    let refused = bearer(&authenticator, tokens["id_token"].as_str().unwrap()).await;
    assert!(matches!(refused, Err(AuthError::InvalidToken(_))), "{refused:?}");
}

async fn tampered_and_unknown_tokens_are_refused(provider: &Running) {
    let authenticator = provider.authenticator();
    let token = provider.token(&provider.signed, &provider.alice).await;
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("{token}") };

    let mut claims: Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    claims["email"] = json!("bob@example.org");
    let forged = format!("{header}.{}.{signature}", BASE64_URL_SAFE_NO_PAD.encode(claims.to_string()));
    let wrong = Err(AuthError::InvalidToken("the token's signature is wrong"));
    assert_eq!(bearer(&authenticator, &forged).await, wrong);

    let none = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"at+jwt"}"#);
    let unsigned = bearer(&authenticator, &format!("{none}.{payload}.")).await;
    assert_eq!(unsigned, Err(AuthError::InvalidToken("the token's algorithm is not accepted")));

    let invented = bearer(&authenticator, "2YotnFZFEjr1zCsicMWpAA").await;
    assert_eq!(invented, Err(AuthError::InvalidToken("the token is not accepted by the provider")));
}

async fn keys_are_rotated_while_we_run(provider: &Running) {
    let authenticator = provider.authenticator();
    let before = provider.token(&provider.signed, &provider.alice).await;
    assert_eq!(bearer(&authenticator, &before).await.as_ref(), Ok(&provider.alice.email));
    provider.rotate_keys().await;
    let after = signed_with_another_key(provider, &before).await;
    assert_eq!(bearer(&authenticator, &after).await.as_ref(), Ok(&provider.bob.email));
    let restarted = provider.authenticator();
    assert_eq!(bearer(&restarted, &before).await.as_ref(), Ok(&provider.alice.email), "the old key is still known");
}

/// A provider with several processes takes a moment to notice its new key.
async fn signed_with_another_key(provider: &Running, before: &str) -> String {
    let header = |token: &str| token.split('.').next().unwrap_or_default().to_owned();
    for _ in 0..50 {
        let token = provider.token(&provider.signed, &provider.bob).await;
        if header(&token) != header(before) {
            return token;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("the provider goes on signing with its old key");
}

async fn a_code_is_good_once_and_for_its_verifier_only(provider: &Running) {
    let (http, app) = (&provider.home.http, &provider.opaque);
    let discovery = discover(http, &provider.issuer).await;
    let (authorize, token) =
        (discovery["authorization_endpoint"].as_str().unwrap(), discovery["token_endpoint"].as_str().unwrap());

    let asking = Asking::new(app);
    let back = Browser::new(http.clone()).sign_in(&asking.url(authorize), &provider.alice, app).await;
    let (status, refused) = redeem(http, token, app, &back["code"], &Asking::new(app).verifier).await;
    assert_eq!((status, &refused["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_grant")), "{refused}");

    let asking = Asking::new(app);
    let back = Browser::new(http.clone()).sign_in(&asking.url(authorize), &provider.alice, app).await;
    let (status, _) = redeem(http, token, app, &back["code"], &asking.verifier).await;
    assert_eq!(status, StatusCode::OK);
    let (status, refused) = redeem(http, token, app, &back["code"], &asking.verifier).await;
    assert_eq!((status, &refused["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_grant")), "{refused}");
}

async fn a_provider_that_refuses_our_client_is_an_outage_not_a_bad_token(provider: &Running) {
    let misconfigured = config::Oidc { client_secret: Some("wrong".to_owned()), ..provider.config.clone() };
    let authenticator = provider.home.authenticator(vec![misconfigured]);
    let token = provider.token(&provider.opaque, &provider.alice).await;
    let answer = bearer(&authenticator, &token).await;
    assert!(matches!(answer, Err(AuthError::Unavailable { .. })), "{answer:?}");
}

macro_rules! suite {
    ($name:ident, opaque: $opaque:expr, signed: $signed:expr) => {
        mod $name {
            use super::*;

            suite!(@test $opaque, people_are_recognised_by_opaque_tokens);
            suite!(@test $opaque, a_code_is_good_once_and_for_its_verifier_only);
            suite!(@test $opaque, a_provider_that_refuses_our_client_is_an_outage_not_a_bad_token);
            suite!(@test $signed, people_are_recognised_by_signed_tokens);
            suite!(@test $signed, an_id_token_is_no_access_token);
            suite!(@test $signed, tampered_and_unknown_tokens_are_refused);
            suite!(@test $signed, keys_are_rotated_while_we_run);
            suite!(@test $signed, a_token_for_others_is_refused);
        }
    };
    (@test $provider:expr, $test:ident) => {
        #[tokio::test]
        async fn $test() {
            if let Some(provider) = $provider.await {
                super::$test(&provider).await;
            }
        }
    };
}

suite!(the_demo, opaque: demo(AccessTokens::Opaque), signed: demo(AccessTokens::Signed));
suite!(the_demo_with_bare_tokens, opaque: demo(AccessTokens::Opaque), signed: demo(AccessTokens::SignedWithoutClaims));
suite!(lemonldap, opaque: started("LEMONLDAP"), signed: started("LEMONLDAP"));
suite!(node_oidc_provider, opaque: started("NODE"), signed: started("NODE"));
