//! The demo's provider: what it grants, and what it does not.

use bytes::Bytes;
use convoke::auth::AuthError;
use convoke::demo::provider::{AccessTokens, PUBLIC_CLIENT, Provider, ProviderError, Settings};
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, LOCATION, ORIGIN};
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use url::Url;

use super::auth_browser::{App, Asking, Browser, Person, Seen, post_form, redeem, sign_in};
use super::auth_support::{Home, Listening, bearer};

struct Demo {
    home: Home,
    provider: Provider,
    app: App,
    alice: Person,
    _listening: Listening,
}

async fn demo(settings: Settings) -> Demo {
    let home = Home::new().await;
    let (provider, listening) = home.provider(settings).await;
    let app = App { client_id: PUBLIC_CLIENT.to_owned(), redirect_uri: "http://127.0.0.1:9/callback".to_owned() };
    let alice = Person {
        user: "alice@example.org".to_owned(),
        password: "alice".to_owned(),
        email: "alice@example.org".to_owned(),
    };
    Demo { home, provider, app, alice, _listening: listening }
}

impl Demo {
    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.provider.issuer())
    }

    fn ask(&self, asking: &Asking) -> Url {
        asking.url(&self.at("/authorize"))
    }

    fn browser(&self) -> Browser {
        Browser::new(self.home.http.clone())
    }

    /// A code for alice, and what it was asked with.
    async fn code(&self, browser: &mut Browser) -> (String, Asking) {
        let asking = Asking::new(&self.app);
        let back = browser.sign_in(&self.ask(&asking), &self.alice, &self.app).await;
        (back["code"].clone(), asking)
    }

    async fn redeem(&self, code: &str, verifier: &str) -> (StatusCode, Value) {
        redeem(&self.home.http, &self.at("/token"), &self.app, code, verifier).await
    }

    async fn send(&self, request: http::request::Builder) -> Response<Bytes> {
        self.home.http.fetch(request.body(Bytes::new()).unwrap()).await.unwrap()
    }
}

/// Text of the page, in one line.
fn text(seen: &Seen) -> &str {
    match seen {
        Seen::Page { html, .. } => html,
        Seen::Back(params) => panic!("sent back with {params:?}"),
    }
}

#[tokio::test]
async fn it_refuses_to_be_reachable_from_elsewhere() {
    let home = Home::new().await;
    let open = |address: &str, issuer: &str| {
        let (gate, accounts, env) = (home.gate.clone(), home.accounts.clone(), home.env.clone());
        Provider::open(home.dir.path(), issuer, address.parse().unwrap(), gate, accounts, env).map(|_| ())
    };
    for address in ["0.0.0.0:9000", "192.0.2.1:9000", "[::]:9000"] {
        let refused = open(address, "http://127.0.0.1:9000");
        assert!(matches!(refused, Err(ProviderError::NotLoopback(_))), "{address}");
    }
    for issuer in ["http://sso.example.org", "http://127.0.0.1:9000/", ""] {
        assert!(matches!(open("127.0.0.1:9000", issuer), Err(ProviderError::Issuer(_))), "{issuer}");
    }
}

#[tokio::test]
async fn a_name_that_was_made_to_point_here_gets_nothing() {
    let demo = demo(Settings::default()).await;
    let request = Request::get(demo.at("/.well-known/openid-configuration"));
    let answer = demo.send(request.header(HOST, "rebound.example.org")).await;
    assert_eq!(answer.status(), StatusCode::MISDIRECTED_REQUEST);
}

#[tokio::test]
async fn tokens_say_who_logged_in_where_and_when() {
    let demo = demo(Settings::default()).await;
    let (code, asking) = demo.code(&mut demo.browser()).await;
    let (_, tokens) = demo.redeem(&code, &asking.verifier).await;
    let claims = |name: &str| {
        let payload = tokens[name].as_str().unwrap().split('.').nth(1).unwrap();
        let json = base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, payload).unwrap();
        serde_json::from_slice::<Value>(&json).unwrap()
    };
    let (id, access, now) = (claims("id_token"), claims("access_token"), demo.home.env.now().timestamp());
    assert_eq!((&id["iss"], &id["aud"]), (&json!(demo.provider.issuer()), &json!(PUBLIC_CLIENT)));
    assert_eq!((&id["nonce"], &id["sub"]), (&json!(asking.nonce), &json!("6650c0ffee0123456789a11c")));
    assert_eq!((&id["auth_time"], &id["exp"]), (&json!(now), &json!(now + 3_600)));
    assert_eq!((&access["aud"], &access["email"]), (&json!(["convoke"]), &json!("alice@example.org")));
    assert_eq!(access["sid"], id["sid"]);
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(3_600)));

    let request = Request::get(demo.at("/userinfo"));
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let userinfo: Value =
        serde_json::from_slice(demo.send(request.header(AUTHORIZATION, bearer)).await.body()).unwrap();
    let expected = json!({
        "sub": "6650c0ffee0123456789a11c", "sid": id["sid"], "email": "alice@example.org", "email_verified": true,
        "name": "Alice Martin", "given_name": "Alice", "family_name": "Martin",
        "preferred_username": "alice@example.org", "locale": "en", "zoneinfo": "Europe/London",
    });
    assert_eq!(userinfo, expected);
}

#[tokio::test]
async fn a_wrong_password_is_told_on_the_page_and_unknown_people_are_not_told_apart() {
    let demo = demo(Settings::default()).await;
    let mut browser = demo.browser();
    let mut page = browser.go(&demo.ask(&Asking::new(&demo.app)), &demo.app).await;
    let mut pages = Vec::new();
    for (user, password) in [("alice@example.org", "wrong"), ("nobody@example.org", "alice"), ("<b>", "x")] {
        let person = Person { user: user.to_owned(), password: password.to_owned(), email: String::new() };
        page = browser.submit(&page, &person, &demo.app).await;
        assert!(text(&page).contains("<p role=\"alert\">Wrong e-mail address or password.</p>"), "{page:?}");
        assert!(!text(&page).contains("<b>"), "what was typed is escaped");
        pages.push(text(&page).replace(user, "…").replace("&lt;b&gt;", "…"));
    }
    assert_eq!(pages[0], pages[1]);
    let back = browser.submit(&page, &demo.alice, &demo.app).await;
    assert!(matches!(back, Seen::Back(_)), "the same page goes on");
}

#[tokio::test]
async fn a_form_that_our_page_did_not_send_logs_nobody_in() {
    let demo = demo(Settings::default()).await;
    let page = demo.browser().go(&demo.ask(&Asking::new(&demo.app)), &demo.app).await;
    // Another browser, which was not shown the page: an attacker's form in the victim's browser.
    let seen = demo.browser().submit(&page, &demo.alice, &demo.app).await;
    assert!(matches!(seen, Seen::Page { status: StatusCode::BAD_REQUEST, .. }), "{seen:?}");
    let url = Url::parse(&demo.at("/login")).unwrap();
    let form = Bytes::from("ticket=invented&mail=alice%40example.org&password=alice");
    let seen = demo.browser().follow(Method::POST, url, form, &demo.app).await;
    assert!(matches!(seen, Seen::Page { status: StatusCode::BAD_REQUEST, .. }), "{seen:?}");
}

#[tokio::test]
async fn a_session_spares_the_page_until_the_application_wants_it() {
    let demo = demo(Settings::default()).await;
    let mut browser = demo.browser();
    let asking = Asking::new(&demo.app);
    let none = browser.go(&demo.ask(&asking.clone().with("prompt", "none")), &demo.app).await;
    let Seen::Back(params) = none else { panic!("{none:?}") };
    assert_eq!((params["error"].as_str(), &params["state"]), ("login_required", &asking.state));

    demo.code(&mut browser).await;
    for silent in [asking.clone(), asking.clone().with("prompt", "none"), asking.clone().with("max_age", "60")] {
        let seen = browser.go(&demo.ask(&silent), &demo.app).await;
        let Seen::Back(params) = seen else { panic!("{seen:?}") };
        assert!(params.contains_key("code"), "{params:?}");
        assert_eq!(params["iss"], demo.provider.issuer());
    }
    let again = browser.go(&demo.ask(&asking.clone().with("prompt", "login")), &demo.app).await;
    assert!(matches!(again, Seen::Page { .. }), "{again:?}");
    demo.home.clock.advance(chrono::Duration::seconds(61));
    let old = browser.go(&demo.ask(&asking.with("max_age", "60")), &demo.app).await;
    assert!(matches!(old, Seen::Page { .. }), "{old:?}");
}

#[tokio::test]
async fn nobody_is_sent_to_an_application_that_is_not_known() {
    let demo = demo(Settings::default()).await;
    let asking = Asking::new(&demo.app);
    for (name, value) in [
        ("client_id", "another"),
        ("client_id", ""),
        ("redirect_uri", ""),
        ("redirect_uri", "https://evil.example/callback"),
        ("redirect_uri", "http://127.0.0.1@evil.example/callback"),
        ("redirect_uri", "javascript:alert(1)"),
    ] {
        let seen = demo.browser().go(&demo.ask(&asking.clone().with(name, value)), &demo.app).await;
        assert!(matches!(seen, Seen::Page { status: StatusCode::BAD_REQUEST, .. }), "{name}={value}: {seen:?}");
    }
    let twice = Url::parse(&format!("{}&client_id=another", demo.ask(&asking))).unwrap();
    let seen = demo.browser().go(&twice, &demo.app).await;
    assert!(matches!(seen, Seen::Page { status: StatusCode::BAD_REQUEST, .. }), "{seen:?}");
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_told_to_the_application() {
    let demo = demo(Settings::default()).await;
    let asking = Asking::new(&demo.app);
    for (name, value, error) in [
        ("response_type", "token", "unsupported_response_type"),
        ("response_mode", "fragment", "invalid_request"),
        ("scope", "email", "invalid_scope"),
        ("code_challenge", "", "invalid_request"),
        ("code_challenge", "short", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("code_challenge_method", "", "invalid_request"),
        ("request", "eyJ", "request_not_supported"),
        ("request_uri", "https://evil.example/", "request_uri_not_supported"),
        ("max_age", "soon", "invalid_request"),
        ("prompt", "none login", "invalid_request"),
    ] {
        let seen = demo.browser().go(&demo.ask(&asking.clone().with(name, value)), &demo.app).await;
        let Seen::Back(params) = seen else { panic!("{name}={value}: {seen:?}") };
        assert_eq!((params["error"].as_str(), &params["state"]), (error, &asking.state), "{name}={value}");
    }
}

#[tokio::test]
async fn a_code_is_for_one_client_one_address_one_verifier_and_a_minute() {
    let demo = demo(Settings::default()).await;
    let invalid = |answer: (StatusCode, Value)| {
        assert_eq!((answer.0, &answer.1["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_grant")), "{}", answer.1);
    };
    let (code, _) = demo.code(&mut demo.browser()).await;
    invalid(demo.redeem(&code, &Asking::new(&demo.app).verifier).await);

    let (code, asking) = demo.code(&mut demo.browser()).await;
    let elsewhere = App { redirect_uri: "http://127.0.0.1:9/callback2".to_owned(), ..demo.app.clone() };
    invalid(redeem(&demo.home.http, &demo.at("/token"), &elsewhere, &code, &asking.verifier).await);

    let (code, asking) = demo.code(&mut demo.browser()).await;
    demo.home.clock.advance(chrono::Duration::seconds(61));
    invalid(demo.redeem(&code, &asking.verifier).await);

    let (code, asking) = demo.code(&mut demo.browser()).await;
    let another = App { client_id: "another".to_owned(), ..demo.app.clone() };
    let (status, answer) = redeem(&demo.home.http, &demo.at("/token"), &another, &code, &asking.verifier).await;
    assert_eq!((status, &answer["error"]), (StatusCode::UNAUTHORIZED, &json!("invalid_client")));
    let (status, answer) = post_form(&demo.home.http, &demo.at("/token"), &[("client_id", PUBLIC_CLIENT)]).await;
    assert_eq!((status, &answer["error"]), (StatusCode::BAD_REQUEST, &json!("unsupported_grant_type")));
    assert_eq!(demo.redeem(&code, &asking.verifier).await.0, StatusCode::OK, "none of that used the code up");
}

#[tokio::test]
async fn a_code_that_comes_twice_ends_what_it_was_exchanged_for() {
    let demo = demo(Settings { access_tokens: AccessTokens::Opaque, ..Settings::default() }).await;
    let authenticator = || demo.home.authenticator(vec![demo.provider.oidc_config()]);
    let (code, asking) = demo.code(&mut demo.browser()).await;
    let (_, tokens) = demo.redeem(&code, &asking.verifier).await;
    let token = tokens["access_token"].as_str().unwrap();
    assert_eq!(bearer(&authenticator(), token).await.as_deref(), Ok("alice@example.org"));
    assert_eq!(demo.redeem(&code, &asking.verifier).await.0, StatusCode::BAD_REQUEST);
    let refused = Err(AuthError::InvalidToken("the token is not accepted by the provider"));
    assert_eq!(bearer(&authenticator(), token).await, refused);
}

#[tokio::test]
async fn tokens_end() {
    let demo = demo(Settings { access_tokens: AccessTokens::Opaque, ..Settings::default() }).await;
    let tokens = sign_in(&demo.home.http, demo.provider.issuer(), &demo.app, &demo.alice).await;
    let authenticator = demo.home.authenticator(vec![demo.provider.oidc_config()]);
    let token = tokens["access_token"].as_str().unwrap();
    bearer(&authenticator, token).await.unwrap();
    demo.home.clock.advance(chrono::Duration::seconds(3_600 + 31));
    assert!(matches!(bearer(&authenticator, token).await, Err(AuthError::InvalidToken(_))));
}

#[tokio::test]
async fn introspection_is_for_the_confidential_client_alone() {
    let demo = demo(Settings { access_tokens: AccessTokens::Opaque, ..Settings::default() }).await;
    let tokens = sign_in(&demo.home.http, demo.provider.issuer(), &demo.app, &demo.alice).await;
    let token = tokens["access_token"].as_str().unwrap();
    let secret = demo.provider.oidc_config().client_secret.unwrap();
    let ask = async |id: &str, secret: &str, token: &str| {
        let params = [("client_id", id), ("client_secret", secret), ("token", token)];
        post_form(&demo.home.http, &demo.at("/introspect"), &params).await
    };
    let (status, answer) = ask("convoke", &secret, token).await;
    assert_eq!(
        (status, &answer["active"], &answer["username"]),
        (StatusCode::OK, &json!(true), &json!("alice@example.org"))
    );
    let (status, answer) = ask("convoke", &secret, "invented").await;
    assert_eq!((status, answer), (StatusCode::OK, json!({"active": false})));
    for (id, secret) in [("convoke", "wrong"), (PUBLIC_CLIENT, secret.as_str()), ("convoke", "")] {
        assert_eq!(ask(id, secret, token).await.0, StatusCode::UNAUTHORIZED, "{id}");
    }
}

#[tokio::test]
async fn logging_out_ends_the_session_and_its_tokens() {
    let demo = demo(Settings { access_tokens: AccessTokens::Opaque, ..Settings::default() }).await;
    let mut browser = demo.browser();
    let (code, asking) = demo.code(&mut browser).await;
    let (_, tokens) = demo.redeem(&code, &asking.verifier).await;
    let app = App { redirect_uri: "http://127.0.0.1:9/bye".to_owned(), ..demo.app.clone() };
    let url = |params: &[(&str, &str)]| Url::parse_with_params(&demo.at("/logout"), params).unwrap();

    // Without a proof that the application asks for this session, the person is asked.
    let page =
        browser.go(&url(&[("client_id", PUBLIC_CLIENT), ("post_logout_redirect_uri", &app.redirect_uri)]), &app).await;
    assert!(text(&page).contains("Log out?"), "{page:?}");
    let elsewhere = browser.go(&url(&[("post_logout_redirect_uri", "https://evil.example/")]), &app).await;
    assert!(matches!(elsewhere, Seen::Page { status: StatusCode::BAD_REQUEST, .. }));
    // A form of another site does not know the browser's name.
    let cookies: Vec<_> = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let forged = Request::post(demo.at("/logout")).header(COOKIE, cookies.join("; "));
    let forged = demo.send(forged.header(CONTENT_TYPE, "application/x-www-form-urlencoded")).await;
    assert!(String::from_utf8_lossy(forged.body()).contains("Log out?"));

    let hint = tokens["id_token"].as_str().unwrap();
    let params = [("id_token_hint", hint), ("post_logout_redirect_uri", app.redirect_uri.as_str()), ("state", "s 1")];
    let Seen::Back(back) = browser.go(&url(&params), &app).await else { panic!("not sent back") };
    assert_eq!(back["state"], "s 1");
    let again = browser.go(&demo.ask(&Asking::new(&demo.app)), &demo.app).await;
    assert!(matches!(again, Seen::Page { .. }), "the session is over");
    let authenticator = demo.home.authenticator(vec![demo.provider.oidc_config()]);
    assert!(bearer(&authenticator, tokens["access_token"].as_str().unwrap()).await.is_err());
}

#[tokio::test]
async fn a_person_may_confirm_logging_out() {
    let demo = demo(Settings::default()).await;
    let mut browser = demo.browser();
    demo.code(&mut browser).await;
    let page = browser.go(&Url::parse(&demo.at("/logout")).unwrap(), &demo.app).await;
    let done = browser.submit(&page, &demo.alice, &demo.app).await;
    assert!(text(&done).contains("You are logged out."), "{done:?}");
    let again = browser.go(&demo.ask(&Asking::new(&demo.app)), &demo.app).await;
    assert!(matches!(again, Seen::Page { .. }), "the session is over");
}

#[tokio::test]
async fn scripts_of_other_origins_may_use_what_is_made_for_them() {
    let demo = demo(Settings::default()).await;
    for path in ["/.well-known/openid-configuration", "/jwks", "/userinfo"] {
        let answer = demo.send(Request::get(demo.at(path)).header(ORIGIN, "http://localhost:5173")).await;
        assert_eq!(answer.headers()["access-control-allow-origin"], "*", "{path}");
    }
    let preflight = Request::builder().method(Method::OPTIONS).uri(demo.at("/token"));
    let preflight = preflight.header(ORIGIN, "http://localhost:5173").header("access-control-request-method", "POST");
    let answer = demo.send(preflight).await;
    assert_eq!(
        (answer.status(), &answer.headers()["access-control-allow-origin"]),
        (StatusCode::OK, &"*".parse().unwrap())
    );
    let page = demo
        .send(Request::get(demo.ask(&Asking::new(&demo.app)).as_str()).header(ORIGIN, "http://localhost:5173"))
        .await;
    assert!(!page.headers().contains_key("access-control-allow-origin"), "pages are for people");
}

#[tokio::test]
async fn a_second_start_keeps_the_keys_and_the_secret() {
    let demo = demo(Settings::default()).await;
    let tokens = sign_in(&demo.home.http, demo.provider.issuer(), &demo.app, &demo.alice).await;
    let (again, _listening) = demo.home.provider(Settings::default()).await;
    assert_eq!(again.oidc_config().client_secret, demo.provider.oidc_config().client_secret);
    let keys = |issuer: &str| {
        let request = Request::get(format!("{issuer}/jwks"));
        async { demo.send(request).await.into_body() }
    };
    assert_eq!(keys(again.issuer()).await, keys(demo.provider.issuer()).await);
    assert!(tokens["access_token"].is_string());
}

#[tokio::test]
async fn a_redirect_says_nothing_to_caches() {
    let demo = demo(Settings::default()).await;
    let asking = Asking::new(&demo.app).with("prompt", "none");
    let answer = demo.send(Request::get(demo.ask(&asking).as_str())).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert!(
        answer.headers()[LOCATION].to_str().unwrap().starts_with("http://127.0.0.1:9/callback?error=login_required")
    );
}
