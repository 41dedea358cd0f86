//! Tokens that are not as they should be, and providers that are not: what is refused, with which words, and what is an
//! outage. The list of pitfalls is auth §14.

use chrono::Duration;
use convoke::auth::AuthError;
use convoke::config;
use convoke::ids::HomeId;
use convoke::store::{DavStore, DirectoryStore};
use http::StatusCode;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::auth_scripted::{AUDIENCE, Scripted, assemble, elliptic, header, overlaid, sign, signer, stranger};
use super::auth_support::{Home, bearer, who};

const ALICE: Result<&str, AuthError> = Ok("alice@example.org");

fn invalid<T>(why: &'static str) -> Result<T, AuthError> {
    Err(AuthError::InvalidToken(why))
}

fn is_outage<T>(answer: &Result<T, AuthError>) -> bool {
    matches!(answer, Err(AuthError::Unavailable { .. }))
}

#[tokio::test]
async fn a_signed_token_that_names_the_user_is_verified_without_asking_anybody() {
    let home = Home::new().await;
    let (provider, _listening) = Scripted::start(&home).await;
    let authenticator = home.authenticator(vec![provider.config()]);
    assert_eq!(provider.asked(), (0, 0, 0), "nobody is asked before the first token comes");
    for _ in 0..3 {
        let token = provider.token(&home, &json!({}));
        assert_eq!(bearer(&authenticator, &token).await.as_deref(), ALICE.as_deref());
    }
    assert_eq!(provider.asked(), (1, 0, 0));
}

#[tokio::test]
async fn forged_and_foreign_tokens_are_refused_each_with_its_reason() {
    let home = Home::new().await;
    let (provider, _listening) = Scripted::start(&home).await;
    let authenticator = home.authenticator(vec![provider.config()]);
    let (claims, now) = (provider.claims(&home), home.env.now().timestamp());
    let token = |other: Value| provider.token(&home, &other);
    let typed = |typ: &str| Header { typ: Some(typ.to_owned()), ..header("k1") };
    let shared = EncodingKey::from_secret(&signer().modulus());
    let hmac = Header { alg: Algorithm::HS256, ..header("k1") };
    let good = token(json!({}));
    let signature = good.rsplit('.').next().unwrap();
    let with_header = |other: Value| {
        assemble(&overlaid(json!({"alg": "RS256", "typ": "at+jwt", "kid": "k1"}), &other), &claims, signature)
    };
    let cases = [
        (
            "alg none",
            assemble(&json!({"alg": "none", "typ": "at+jwt"}), &claims, ""),
            "the token's algorithm is not accepted",
        ),
        (
            "alg NONE",
            assemble(&json!({"alg": "NONE", "typ": "at+jwt"}), &claims, ""),
            "the token's algorithm is not accepted",
        ),
        ("HMAC with the public key", sign(&hmac, &claims, &shared), "the token's algorithm is not accepted"),
        ("an unknown extension", with_header(json!({"crit": ["b64"]})), "the token's algorithm is not accepted"),
        ("compression", with_header(json!({"zip": "DEF"})), "the token's algorithm is not accepted"),
        ("another algorithm of the key", with_header(json!({"alg": "RS512"})), "the token's signature is wrong"),
        (
            "a stranger's key under a known name",
            sign(&header("k1"), &claims, &stranger().key),
            "the token's signature is wrong",
        ),
        ("no signature", good.replace(signature, ""), "the token's signature is wrong"),
        (
            "a key nobody knows",
            sign(&header("k2"), &claims, &stranger().key),
            "the token is signed with an unknown key",
        ),
        ("another issuer", token(json!({"iss": "https://evil.example"})), "the token is of another issuer"),
        (
            "the issuer with a slash",
            token(json!({"iss": format!("{}/", provider.issuer())})),
            "the token is of another issuer",
        ),
        ("no issuer", token(json!({"iss": null})), "the token is malformed"),
        ("another audience", token(json!({"aud": ["mail"]})), "the token is for another audience"),
        ("no audience", token(json!({"aud": null})), "the token is for another audience"),
        ("expired", token(json!({"exp": now - 31})), "the token has expired"),
        ("without end", token(json!({"exp": null})), "the token does not say when it expires"),
        ("an end that is a text", token(json!({"exp": "never"})), "the token does not say when it expires"),
        ("from tomorrow", token(json!({"nbf": now + 86_400})), "the token is not valid yet"),
        ("a beginning that is a text", token(json!({"nbf": "now"})), "the token is malformed"),
        ("a logout token", sign(&typed("logout+jwt"), &claims, &signer().key), "the token is not an access token"),
        ("events", token(json!({"events": {}})), "the token is not an access token"),
        ("no user name", token(json!({"email": "alice"})), "the user name is not an e-mail address"),
        ("a name with a colon", token(json!({"email": "a:b@example.org"})), "the user name is not an e-mail address"),
        ("a blank in it", "a b".to_owned(), "the token is malformed"),
        ("a tab in it", "a\tb".to_owned(), "the token is malformed"),
    ];
    for (what, token, why) in cases {
        assert_eq!(bearer(&authenticator, &token).await, invalid(why), "{what}");
    }
    assert_eq!(bearer(&authenticator, &good).await.as_deref(), ALICE.as_deref());
}

#[tokio::test]
async fn the_ways_providers_write_good_tokens_are_understood() {
    let home = Home::new().await;
    let (provider, _listening) = Scripted::start(&home).await;
    let (odd, (ec_key, ec_jwk)) = ("aG/s+b=", elliptic("ec"));
    let mut nameless = stranger().jwk("");
    nameless.as_object_mut().unwrap().retain(|member, _| member != "kid" && member != "alg" && member != "use");
    provider.change(|answers| answers.keys = vec![signer().jwk(odd), ec_jwk, nameless, json!({"kty": "new"})]);
    let authenticator = home.authenticator(vec![provider.config()]);
    let claims = |other: Value| overlaid(provider.claims(&home), &other);
    let typed = |typ: &str| Header { typ: Some(typ.to_owned()), ..header(odd) };
    let pss = Header { alg: Algorithm::PS256, kid: None, ..header(odd) };
    let ec = Header { alg: Algorithm::ES256, ..header("ec") };
    let unnamed = Header { kid: None, ..header(odd) };
    for (what, token) in [
        ("at+JWT", sign(&typed("at+JWT"), &claims(json!({})), &signer().key)),
        ("application/at+jwt", sign(&typed("application/at+jwt"), &claims(json!({})), &signer().key)),
        ("audience as a text", sign(&header(odd), &claims(json!({"aud": AUDIENCE})), &signer().key)),
        ("several audiences", sign(&header(odd), &claims(json!({"aud": ["mail", AUDIENCE]})), &signer().key)),
        ("broken seconds", sign(&header(odd), &claims(json!({"exp": 4_102_444_800.5})), &signer().key)),
        ("no key name", sign(&unnamed, &claims(json!({})), &signer().key)),
        ("a key without name and algorithm", sign(&header("k9"), &claims(json!({})), &stranger().key)),
        ("PSS with a key without algorithm", sign(&pss, &claims(json!({})), &stranger().key)),
        ("an elliptic curve", sign(&ec, &claims(json!({})), &ec_key)),
        ("upper case", sign(&header(odd), &claims(json!({"email": "Alice@EXAMPLE.org"})), &signer().key)),
    ] {
        assert_eq!(bearer(&authenticator, &token).await.as_deref(), ALICE.as_deref(), "{what}");
    }
}

#[tokio::test]
async fn the_clocks_may_differ_a_little_and_a_token_ends_also_when_it_is_cached() {
    let home = Home::new().await;
    let (provider, _listening) = Scripted::start(&home).await;
    let authenticator = home.authenticator(vec![config::Oidc { clock_skew_s: 30, ..provider.config() }]);
    let now = home.env.now().timestamp();
    let token = provider.token(&home, &json!({"exp": now - 20, "nbf": now + 20}));
    assert_eq!(bearer(&authenticator, &token).await.as_deref(), ALICE.as_deref());
    home.clock.advance(Duration::seconds(11));
    assert_eq!(bearer(&authenticator, &token).await, invalid("the token has expired"));
}

#[tokio::test]
async fn a_token_that_does_not_say_what_it_is_is_decided_by_userinfo() {
    let home = Home::new().await;
    let (provider, _listening) = Scripted::start(&home).await;
    let authenticator = home.authenticator(vec![provider.config()]);
    let plain = || {
        let header = Header { typ: Some("JWT".to_owned()), ..header("k1") };
        sign(&header, &provider.claims(&home), &signer().key)
    };
    assert_eq!(bearer(&authenticator, &plain()).await.as_deref(), ALICE.as_deref());
    assert_eq!(provider.asked(), (1, 1, 0));
    provider.change(|answers| answers.userinfo.0 = StatusCode::UNAUTHORIZED);
    assert_eq!(bearer(&authenticator, &plain()).await, invalid("the token is not accepted by the provider"));
}

#[tokio::test]
async fn a_signed_token_without_the_claim_is_completed_by_userinfo_about_the_same_subject() {
    let home = Home::new().await;
    let (provider, _listening) = Scripted::start(&home).await;
    let authenticator = home.authenticator(vec![provider.config()]);
    let bare = || provider.token(&home, &json!({"email": null}));
    assert_eq!(bearer(&authenticator, &bare()).await.as_deref(), ALICE.as_deref());
    provider.change(|answers| answers.userinfo.1["sub"] = json!("u-2"));
    assert_eq!(bearer(&authenticator, &bare()).await, invalid("the provider names another subject"));
    provider.change(|answers| answers.userinfo.1 = json!({"sub": "u-1"}));
    assert_eq!(bearer(&authenticator, &bare()).await, invalid("the provider names no user"));
    provider.change(|answers| answers.userinfo.0 = StatusCode::BAD_GATEWAY);
    assert!(is_outage(&bearer(&authenticator, &bare()).await));
}

#[tokio::test]
async fn an_opaque_token_is_what_introspection_and_userinfo_say() {
    let home = Home::new().await;
    let (provider, _listening) = Scripted::start(&home).await;
    let authenticator = home.authenticator(vec![provider.config()]);
    assert_eq!(bearer(&authenticator, "opaque-0").await.as_deref(), ALICE.as_deref());
    let now = home.env.now().timestamp();
    let refused = "the token is not accepted by the provider";
    let introspections = [
        (json!({"active": false}), refused),
        (json!({"active": "true"}), refused),
        (json!({"active": null}), refused),
        (json!({"exp": null}), "the token does not say when it expires"),
        (json!({"exp": now - 31}), "the token has expired"),
        (json!({"aud": null}), "the token is for another audience"),
        (json!({"aud": null, "client_id": AUDIENCE}), "the token is for another audience"),
        (json!({"aud": ["mail"]}), "the token is for another audience"),
    ];
    let base = json!({"active": true, "exp": now + 3_600, "aud": [AUDIENCE]});
    for (n, (other, why)) in introspections.into_iter().enumerate() {
        provider.change(|answers| answers.introspection.1 = overlaid(base.clone(), &other));
        assert_eq!(bearer(&authenticator, &format!("introspected-{n}")).await, invalid(why), "{other}");
    }
    provider.change(|answers| answers.introspection.1 = base.clone());
    let people = [
        (json!({"email": null}), "the provider names no user"),
        (json!({"email": " "}), "the provider names no user"),
        (json!({"email": 7}), "the provider names no user"),
        (json!({"email": "alice"}), "the user name is not an e-mail address"),
    ];
    for (n, (other, why)) in people.into_iter().enumerate() {
        let alice = json!({"sub": "u-1", "email": "alice@example.org"});
        provider.change(|answers| answers.userinfo.1 = overlaid(alice, &other));
        assert_eq!(bearer(&authenticator, &format!("person-{n}")).await, invalid(why), "{other}");
    }
}

#[tokio::test]
async fn a_refusal_is_a_bad_token_and_a_failure_is_an_outage() {
    let home = Home::new().await;
    let (provider, _listening) = Scripted::start(&home).await;
    let authenticator = home.authenticator(vec![provider.config()]);
    let ok = StatusCode::OK;
    for (introspection, userinfo, outage) in [
        (500, 200, true),
        (429, 200, true),
        (200, 503, true),
        // Our client is not known there: nothing the user can do about.
        (401, 200, true),
        (403, 200, true),
        (400, 200, false),
        (200, 401, false),
        (200, 400, false),
        // One of the two is certain.
        (500, 401, false),
    ] {
        let status = |code: u16| StatusCode::from_u16(code).unwrap();
        provider.change(|answers| {
            answers.introspection.0 = status(introspection);
            answers.userinfo.0 = status(userinfo);
        });
        let answer = bearer(&authenticator, &format!("t-{introspection}-{userinfo}")).await;
        assert_eq!(is_outage(&answer), outage, "introspection {introspection}, userinfo {userinfo}: {answer:?}");
        assert!(answer.is_err());
        // Nothing of it is remembered.
        provider.change(|answers| (answers.introspection.0, answers.userinfo.0) = (ok, ok));
        let again = bearer(&authenticator, &format!("t-{introspection}-{userinfo}")).await;
        assert_eq!(again.as_deref(), ALICE.as_deref());
    }
}

#[tokio::test]
async fn the_client_may_stand_for_the_audience_where_the_configuration_says_so() {
    let home = Home::new().await;
    let (provider, _listening) = Scripted::start(&home).await;
    let exp = home.env.now().timestamp() + 3_600;
    let config = config::Oidc { audience_from_client_id: true, ..provider.config() };
    let authenticator = home.authenticator(vec![config]);
    let introspection = |other: Value| overlaid(json!({"active": true, "exp": exp, "client_id": AUDIENCE}), &other);
    provider.change(|answers| answers.introspection.1 = introspection(json!({})));
    assert_eq!(bearer(&authenticator, "of-our-client").await.as_deref(), ALICE.as_deref());
    // An audience that is named is the audience.
    provider.change(|answers| answers.introspection.1 = introspection(json!({"aud": "mail"})));
    assert_eq!(bearer(&authenticator, "for-mail").await, invalid("the token is for another audience"));
}

#[tokio::test]
async fn many_requests_with_one_token_ask_once() {
    let home = Home::new().await;
    let (provider, _listening) = Scripted::start(&home).await;
    let authenticator = home.authenticator(vec![provider.config()]);
    let all = futures_util::future::join_all((0..20).map(|_| bearer(&authenticator, "opaque"))).await;
    assert!(all.iter().all(|answer| answer.as_deref() == ALICE.as_deref()));
    assert_eq!(provider.asked(), (1, 1, 1));
    assert_eq!(bearer(&authenticator, "opaque").await.as_deref(), ALICE.as_deref());
    assert_eq!(provider.asked(), (1, 1, 1), "it is remembered");
    bearer(&authenticator, "opaquE").await.unwrap();
    assert_eq!(provider.asked(), (1, 2, 2), "another token is another token");
}

#[tokio::test]
async fn while_the_provider_is_away_known_people_go_on_and_nobody_is_sent_to_log_in_again() {
    let home = Home::new().await;
    let (provider, listening) = Scripted::start(&home).await;
    let authenticator = home.authenticator(vec![provider.config()]);
    bearer(&authenticator, "known").await.unwrap();
    let signed = provider.token(&home, &json!({}));
    listening.stop().await;

    assert_eq!(bearer(&authenticator, "known").await.as_deref(), ALICE.as_deref());
    assert!(is_outage(&bearer(&authenticator, "new").await));
    assert_eq!(bearer(&authenticator, &signed).await.as_deref(), ALICE.as_deref(), "we have the keys");
    // A key that we do not know may be a new one of the provider's: nobody can tell now.
    home.clock.advance(Duration::seconds(60));
    let unknown = sign(&header("k2"), &provider.claims(&home), &stranger().key);
    assert!(is_outage(&bearer(&authenticator, &unknown).await));
    // And a program that starts now knows no keys at all.
    assert!(is_outage(&bearer(&home.authenticator(vec![provider.config()]), &signed).await));
}

#[tokio::test]
async fn a_new_key_is_fetched_when_it_is_first_seen_but_not_for_every_stranger() {
    let home = Home::new().await;
    let (provider, _listening) = Scripted::start(&home).await;
    let authenticator = home.authenticator(vec![config::Oidc { keys_min_age_s: 10, ..provider.config() }]);
    bearer(&authenticator, &provider.token(&home, &json!({}))).await.unwrap();
    provider.change(|answers| answers.keys.push(stranger().jwk("k2")));
    let rotated = || sign(&header("k2"), &provider.claims(&home), &stranger().key);

    for _ in 0..5 {
        assert_eq!(bearer(&authenticator, &rotated()).await, invalid("the token is signed with an unknown key"));
    }
    assert_eq!(provider.asked().0, 1, "the keys were fetched just now");
    home.clock.advance(Duration::seconds(10));
    assert_eq!(bearer(&authenticator, &rotated()).await.as_deref(), ALICE.as_deref());
    for n in 0..5 {
        let invented = sign(&header(&format!("invented-{n}")), &provider.claims(&home), &stranger().key);
        assert_eq!(bearer(&authenticator, &invented).await, invalid("the token is signed with an unknown key"));
    }
    assert_eq!(provider.asked().0, 2);
}

#[tokio::test]
async fn a_key_that_was_withdrawn_is_forgotten_in_time() {
    let home = Home::new().await;
    let (provider, _listening) = Scripted::start(&home).await;
    let authenticator = home.authenticator(vec![config::Oidc { keys_max_age_s: 3_600, ..provider.config() }]);
    bearer(&authenticator, &provider.token(&home, &json!({}))).await.unwrap();
    provider.change(|answers| answers.keys = vec![stranger().jwk("k2")]);
    home.clock.advance(Duration::seconds(3_601));
    let stale = provider.token(&home, &json!({}));
    assert_eq!(bearer(&authenticator, &stale).await, invalid("the token is signed with an unknown key"));
}

#[tokio::test]
async fn a_provider_that_is_away_is_not_asked_again_at_once() {
    let home = Home::new().await;
    let (provider, _listening) = Scripted::start(&home).await;
    provider.change(|answers| answers.discovery = json!({"issuer": "https://another.example"}));
    let authenticator = home.authenticator(vec![config::Oidc { keys_min_age_s: 10, ..provider.config() }]);
    for n in 0..5 {
        assert!(is_outage(&bearer(&authenticator, &format!("t{n}")).await), "a document of another issuer is none");
    }
    assert_eq!(provider.asked(), (1, 0, 0));
    provider.change(|answers| answers.discovery = json!({}));
    home.clock.advance(Duration::seconds(10));
    assert_eq!(bearer(&authenticator, "t").await.as_deref(), ALICE.as_deref());
}

#[tokio::test]
async fn a_provider_vouches_for_its_domains_only() {
    let home = Home::new().await;
    let (provider, _listening) = Scripted::start(&home).await;
    let restricted = config::Oidc { domains: vec!["elsewhere.example".parse().unwrap()], ..provider.config() };
    let authenticator = home.authenticator(vec![restricted]);
    for token in ["opaque", &provider.token(&home, &json!({}))] {
        let answer = bearer(&authenticator, token).await;
        let expected = "the provider does not vouch for users of example.org".to_owned();
        assert_eq!(answer, Err(AuthError::Forbidden(expected)));
    }
}

#[tokio::test]
async fn a_newcomer_gets_an_account_and_a_home_but_not_in_a_domain_that_is_not_served() {
    let home = Home::new().await;
    let (provider, _listening) = Scripted::start(&home).await;
    let authenticator = home.authenticator(vec![provider.config()]);
    let person = json!({"sub": "u-1", "email": "dora@example.org", "given_name": "Dora", "family_name": "Lange"});
    provider.change(|answers| answers.userinfo.1 = person);
    // The token has no names: they come from userinfo.
    let token = provider.token(&home, &json!({"email": "dora@example.org", "domain": "elsewhere.example"}));
    assert_eq!(bearer(&authenticator, &token).await.as_deref(), Ok("dora@example.org"));
    let dora = home.store.user_by_email(&"dora@example.org".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((dora.firstname.as_str(), dora.lastname.as_str()), ("Dora", "Lange"));
    let collections = home.store.collections(HomeId::from(dora.id)).await.unwrap();
    assert_eq!(collections.len(), 5, "calendar, inbox, outbox and two books");

    let stranger = provider.token(&home, &json!({"email": "eve@elsewhere.example"}));
    let answer = bearer(&authenticator, &stranger).await;
    let expected = "the domain elsewhere.example is not served here".to_owned();
    assert_eq!(answer, Err(AuthError::Forbidden(expected)));
    assert!(!home.has_account("eve@elsewhere.example").await);
}

#[tokio::test]
async fn a_newcomer_whom_the_provider_gives_no_name_is_called_by_the_address() {
    let home = Home::new().await;
    let (provider, _listening) = Scripted::start(&home).await;
    let authenticator = home.authenticator(vec![provider.config()]);
    provider.change(|answers| answers.userinfo.0 = StatusCode::FORBIDDEN);
    let token = provider.token(&home, &json!({"email": "dora@example.org"}));
    assert_eq!(bearer(&authenticator, &token).await.as_deref(), Ok("dora@example.org"));
    let dora = home.store.user_by_email(&"dora@example.org".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(dora.firstname, "dora@example.org");
}

#[tokio::test]
async fn many_first_requests_of_a_newcomer_make_one_account() {
    let home = Home::new().await;
    let (provider, _listening) = Scripted::start(&home).await;
    let authenticator = home.authenticator(vec![provider.config()]);
    let tokens: Vec<_> = (0..8).map(|_| provider.token(&home, &json!({"email": "dora@example.org"}))).collect();
    let all = futures_util::future::join_all(tokens.iter().map(|token| bearer(&authenticator, token))).await;
    assert!(all.iter().all(|answer| answer.as_deref() == Ok("dora@example.org")), "{all:?}");
    let everybody = home.accounts.list().await.unwrap();
    assert_eq!(everybody.iter().filter(|a| a.mail.as_str() == "dora@example.org").count(), 1);
}

#[tokio::test]
async fn an_address_that_was_not_verified_is_refused_where_the_configuration_says_so() {
    let home = Home::new().await;
    let (provider, _listening) = Scripted::start(&home).await;
    let strict = home.authenticator(vec![config::Oidc { require_verified_email: true, ..provider.config() }]);
    let unverified = || provider.token(&home, &json!({"email_verified": false}));
    assert!(matches!(bearer(&strict, &unverified()).await, Err(AuthError::Forbidden(_))));
    assert_eq!(bearer(&strict, &provider.token(&home, &json!({}))).await.as_deref(), ALICE.as_deref());
    let lenient = home.authenticator(vec![provider.config()]);
    assert_eq!(bearer(&lenient, &unverified()).await.as_deref(), ALICE.as_deref());
    for claim in [json!(false), json!("false"), json!("no"), json!(""), json!(0), json!(1), json!([true])] {
        let token = provider.token(&home, &json!({"email_verified": claim}));
        assert!(matches!(bearer(&strict, &token).await, Err(AuthError::Forbidden(_))), "{claim}");
    }
    for claim in [json!(true), json!("true")] {
        let token = provider.token(&home, &json!({"email_verified": claim}));
        assert_eq!(bearer(&strict, &token).await.as_deref(), ALICE.as_deref(), "{claim}");
    }
}

#[tokio::test]
async fn introspection_and_userinfo_of_an_opaque_token_must_be_about_the_same_subject() {
    let home = Home::new().await;
    let (provider, _listening) = Scripted::start(&home).await;
    let authenticator = home.authenticator(vec![provider.config()]);
    provider.change(|answers| answers.userinfo.1["sub"] = json!("u-2"));
    assert_eq!(bearer(&authenticator, "opaque-1").await, invalid("the provider names another subject"));
    // RFC 7662 §2.2 leaves `sub` to the provider.
    provider.change(|answers| answers.introspection.1["sub"] = json!(null));
    assert_eq!(bearer(&authenticator, "opaque-2").await.as_deref(), ALICE.as_deref());
    provider.change(|answers| {
        answers.introspection.1["sub"] = json!("u-1");
        answers.userinfo.1["sub"] = json!(null);
    });
    assert_eq!(bearer(&authenticator, "opaque-3").await.as_deref(), ALICE.as_deref());
}

#[tokio::test]
async fn each_of_several_providers_speaks_for_itself() {
    let home = Home::new().await;
    let (first, listening) = Scripted::start(&home).await;
    let (second, _listening) = Scripted::start(&home).await;
    second.change(|answers| answers.userinfo.1["email"] = json!("bob@example.org"));
    first.change(|answers| answers.introspection.1 = json!({"active": false}));
    let authenticator = home.authenticator(vec![first.config(), second.config()]);
    // Both sign with one key here: the issuer decides who is asked.
    let signed = second.token(&home, &json!({"email": "carol@example.org"}));
    assert_eq!(bearer(&authenticator, &signed).await.as_deref(), Ok("carol@example.org"));
    assert_eq!(first.asked().0, 0);
    assert_eq!(bearer(&authenticator, "opaque").await.as_deref(), Ok("bob@example.org"));

    // Whether the one that is away knows the token, nobody can tell.
    second.change(|answers| answers.introspection.1 = json!({"active": false}));
    assert_eq!(bearer(&authenticator, "x").await, invalid("the token is not accepted by the provider"));
    listening.stop().await;
    home.clock.advance(Duration::seconds(60));
    assert!(is_outage(&bearer(&authenticator, "y").await));
}

#[tokio::test]
async fn the_session_at_the_provider_is_remembered_for_logging_out() {
    let home = Home::new().await;
    let (provider, _listening) = Scripted::start(&home).await;
    let authenticator = home.authenticator(vec![provider.config()]);
    for token in ["opaque", &provider.token(&home, &json!({}))] {
        for _ in 0..2 {
            let identity = who(&authenticator, &format!("bearer {token}")).await.unwrap();
            assert_eq!(identity.sid.as_deref(), Some("S-77"));
        }
    }
}
