//! Programs that act on behalf of others, as they meet it: the proxy with the built-in server behind it, over HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::routing::get;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use convoke::auth::{Authenticator, Programs, RequireUser, Surface};
use convoke::config::{self, Config};
use convoke::dav::server::{Server, Settings};
use convoke::ids::{DomainId, Email};
use convoke::store::DirectoryStore as _;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::json;

use super::auth_support::{Home, Listening, client};

/// A side service that issued some tokens, and counts how often it is asked about one.
struct Issuer {
    listening: Listening,
    asked: Arc<AtomicUsize>,
}

impl Issuer {
    async fn start(domain: DomainId) -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        let introspect = async move |headers: HeaderMap| {
            counted.fetch_add(1, Ordering::Relaxed);
            let token = headers.get("x-technical-token").and_then(|v| v.to_str().ok()).unwrap_or_default();
            let known = |body: serde_json::Value| (StatusCode::OK, body.to_string());
            match token {
                "of-domain" => known(json!({"_id": "1", "domainId": domain, "domain": "example.org",
                                            "user_type": "technical", "data": {}})),
                "of-alice" => known(json!({"domainId": domain, "email": "alice@example.org", "user_type": "user"})),
                "of-nobody" => known(json!({"user_type": "technical"})),
                "broken" => (StatusCode::BAD_GATEWAY, String::new()),
                _ => (StatusCode::NOT_FOUND, String::new()),
            }
        };
        let listening = Listening::anywhere(Router::new().route("/introspect", get(introspect))).await;
        Self { listening, asked }
    }
}

struct Front {
    home: Home,
    server: Listening,
    issuer: Issuer,
    alice: String,
    bob: String,
    domain: DomainId,
}

impl Front {
    async fn start() -> Self {
        Self::with(Some("a long password")).await
    }

    async fn with(password: Option<&str>) -> Self {
        let home = Home::new().await;
        let id = async |mail: &str| home.store.user_by_email(&mail.parse::<Email>().unwrap()).await.unwrap().unwrap();
        let (alice, bob) = (id("alice@example.org").await, id("bob@example.org").await);
        let issuer = Issuer::start(alice.domain).await;
        let mut config = Config::default();
        config.auth.programs = config::Programs {
            password: password.map(str::to_owned),
            introspection_url: format!("http://{}/introspect", issuer.listening.address),
            ..config::Programs::default()
        };
        let server = Server::new(
            Arc::new(home.store.clone()),
            Arc::new(home.store.clone()),
            home.env.clone(),
            Settings { base: "/dav".to_owned(), ..Settings::default() },
        );
        let people: Authenticator = home.authenticator(Vec::new());
        let programs = Programs::from_config(&config.auth, client(), home.env.clone());
        let require = RequireUser::new(people.clone(), Surface::Dav).or_programs(programs);
        let rest = Router::new()
            .route("/calendar/api/user", get(async |_: convoke::auth::Session| "somebody"))
            .layer(RequireUser::new(people, Surface::Rest));
        let router = convoke::proxy::router(server.into_upstream(), require, &config).merge(rest);
        let server = Listening::anywhere(router).await;
        let domain = alice.domain;
        Self { home, server, issuer, alice: alice.id.to_string(), bob: bob.id.to_string(), domain }
    }

    async fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Response<Bytes> {
        let method = if path.starts_with("/dav") { Method::from_bytes(b"PROPFIND").unwrap() } else { Method::GET };
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.server.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        client().fetch(request.header("depth", "0").body(Bytes::new()).unwrap()).await.unwrap()
    }

    async fn with_login(&self, path: &str, user: &str, password: &str) -> StatusCode {
        let login = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
        self.ask(path, &[(AUTHORIZATION.as_str(), &login)]).await.status()
    }

    async fn with_token(&self, path: &str, token: &str) -> StatusCode {
        self.ask(path, &[("TwakeCalendarToken", token)]).await.status()
    }

    fn calendar(id: &str) -> String {
        format!("/dav/calendars/{id}/{id}/")
    }
}

const MULTI: StatusCode = StatusCode::MULTI_STATUS;

#[tokio::test]
async fn who_knows_the_password_acts_as_a_person_with_no_more_rights_than_theirs() {
    let front = Front::start().await;
    let (alices, bobs) = (Front::calendar(&front.alice), Front::calendar(&front.bob));
    assert_eq!(front.with_login(&alices, "admin&alice@example.org", "a long password").await, MULTI);
    assert_eq!(front.with_login(&bobs, "admin&alice@example.org", "a long password").await, StatusCode::FORBIDDEN);
    for (user, password) in [
        ("admin&alice@example.org", "wrong"),
        // The password of the person is not that of the administrator.
        ("admin&alice@example.org", "alice"),
        ("admin&nobody@example.org", "a long password"),
        ("admin&", "a long password"),
        ("admin", "a long password"),
        ("root&alice@example.org", "a long password"),
    ] {
        assert_eq!(front.with_login(&alices, user, password).await, StatusCode::UNAUTHORIZED, "{user}");
    }
    // People go on as before, and there is no acting as somebody anywhere else.
    assert_eq!(front.with_login(&alices, "alice@example.org", "alice").await, MULTI);
    let rest = front.with_login("/calendar/api/user", "admin&alice@example.org", "a long password").await;
    assert_eq!(rest, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn without_a_password_in_the_configuration_nobody_acts_as_somebody_else() {
    let front = Front::with(None).await;
    let alices = Front::calendar(&front.alice);
    for password in ["", "alice", "a long password"] {
        let status = front.with_login(&alices, "admin&alice@example.org", password).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn a_technical_token_acts_for_its_domain_and_is_asked_about_once() {
    let front = Front::start().await;
    let alices = Front::calendar(&front.alice);
    for path in [&alices, &Front::calendar(&front.bob), &alices] {
        assert_eq!(front.with_token(path, "of-domain").await, MULTI);
    }
    assert_eq!(front.issuer.asked.load(Ordering::Relaxed), 1);
    assert_eq!(front.home.store.domain(front.domain).await.unwrap().unwrap().name.as_str(), "example.org");
    // One that belongs to a person is that person.
    assert_eq!(front.with_token(&alices, "of-alice").await, MULTI);
    assert_eq!(front.with_token(&Front::calendar(&front.bob), "of-alice").await, StatusCode::FORBIDDEN);
    for unknown in ["of-nobody", "forged", ""] {
        assert_eq!(front.with_token(&alices, unknown).await, StatusCode::UNAUTHORIZED, "{unknown}");
    }
    assert_eq!(front.with_token(&alices, "broken").await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(front.with_token("/calendar/api/user", "of-domain").await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_bearer_token_comes_first_and_is_never_made_up_for() {
    let front = Front::start().await;
    let headers = [("Authorization", "Bearer forged"), ("TwakeCalendarToken", "of-domain")];
    let answer = front.ask(&Front::calendar(&front.alice), &headers).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(front.issuer.asked.load(Ordering::Relaxed), 0);
}
