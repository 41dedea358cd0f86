//! Authentication as clients meet it: a router behind the layer, over HTTP.

use axum::Router;
use axum::routing::{any, get};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use convoke::auth::{Authenticator, RequireUser, Session, Surface};
use http::header::{AUTHORIZATION, ORIGIN, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode};
use serde_json::{Value, json};

use super::auth_scripted::Scripted;
use super::auth_support::{Home, Listening, client};

async fn name(session: Session) -> String {
    session.email().to_string()
}

/// A REST route, a DAV route, and a route where the layer was forgotten.
async fn serve(authenticator: Authenticator) -> Listening {
    let rest =
        Router::new().route("/api/user", get(name)).layer(RequireUser::new(authenticator.clone(), Surface::Rest));
    let dav = Router::new().route("/dav/{*path}", any(name)).layer(RequireUser::new(authenticator, Surface::Dav));
    Listening::anywhere(Router::new().route("/forgotten", get(name)).merge(rest).merge(dav)).await
}

async fn send(server: &Listening, path: &str, headers: &[(http::HeaderName, &str)]) -> Response<Bytes> {
    let mut request = Request::get(format!("http://{}{path}", server.address));
    for (header, value) in headers {
        request = request.header(header, *value);
    }
    client().fetch(request.body(Bytes::new()).unwrap()).await.unwrap()
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
}

fn challenges(response: &Response<Bytes>) -> Vec<&str> {
    response.headers().get_all(WWW_AUTHENTICATE).iter().map(|value| value.to_str().unwrap()).collect()
}

#[tokio::test]
async fn both_kinds_of_credentials_reach_the_handler_as_the_same_session() {
    let home = Home::new().await;
    let (provider, _listening) = Scripted::start(&home).await;
    let server = serve(home.authenticator(vec![provider.config()])).await;
    let token = format!("Bearer {}", provider.token(&home, &json!({})));
    for path in ["/api/user", "/dav/calendars/x"] {
        for credentials in [token.as_str(), &basic("Alice@Example.org", "alice")] {
            let response = send(&server, path, &[(AUTHORIZATION, credentials)]).await;
            assert_eq!((response.status(), &response.body()[..]), (StatusCode::OK, &b"alice@example.org"[..]));
        }
    }
}

#[tokio::test]
async fn without_credentials_each_surface_says_so_in_its_own_way() {
    let home = Home::new().await;
    let server = serve(home.authenticator(Vec::new())).await;

    let rest = send(&server, "/api/user", &[]).await;
    assert_eq!(rest.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(rest.headers()["content-type"], "application/json; charset=utf-8");
    let body: Value = serde_json::from_slice(rest.body()).unwrap();
    let error =
        json!({"code": 401, "type": "Unauthorized", "message": "Unauthorized", "details": "credentials are required"});
    assert_eq!(body, json!({ "error": error }));
    assert_eq!(challenges(&rest), ["Bearer realm=\"convoke\""]);

    let dav = send(&server, "/dav/calendars/x", &[]).await;
    assert_eq!(dav.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(dav.headers()["content-type"], "application/xml; charset=utf-8");
    assert_eq!(challenges(&dav), ["Basic realm=\"convoke\", charset=\"UTF-8\"", "Bearer realm=\"convoke\""]);

    let page = send(&server, "/dav/calendars/x", &[(ORIGIN, "https://calendar.example.org")]).await;
    assert_eq!((page.status(), challenges(&page).len()), (StatusCode::UNAUTHORIZED, 0));
}

#[tokio::test]
async fn a_handler_behind_no_layer_is_closed() {
    let home = Home::new().await;
    let server = serve(home.authenticator(Vec::new())).await;
    let answer = send(&server, "/forgotten", &[(AUTHORIZATION, &basic("alice@example.org", "alice"))]).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn wrong_passwords_and_unknown_people_get_the_same_answer() {
    let home = Home::new().await;
    let server = serve(home.authenticator(Vec::new())).await;
    let mut bodies = Vec::new();
    for (user, password) in [
        ("alice@example.org", "wrong"),
        ("alice@example.org", "Alice"),
        ("alice@example.org", ""),
        ("nobody@example.org", "alice"),
        ("alice", "alice"),
        // No logging in as somebody else (auth §6.1).
        ("admin&alice@example.org", "alice"),
    ] {
        let answer = send(&server, "/dav/x", &[(AUTHORIZATION, &basic(user, password))]).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{user}");
        bodies.push(answer.into_body());
    }
    assert!(bodies.windows(2).all(|two| two[0] == two[1]), "{bodies:?}");
}

#[tokio::test]
async fn requests_that_are_none_are_told_so() {
    let home = Home::new().await;
    let server = serve(home.authenticator(Vec::new())).await;
    let right = basic("alice@example.org", "alice");
    let twice = send(&server, "/api/user", &[(AUTHORIZATION, &right), (AUTHORIZATION, &right)]).await;
    assert_eq!(twice.status(), StatusCode::BAD_REQUEST);
    let body: Value = serde_json::from_slice(twice.body()).unwrap();
    assert_eq!(body["error"]["type"], "BadRequest");
    let long = send(&server, "/api/user", &[(AUTHORIZATION, &format!("Bearer {}", "x".repeat(9_000)))]).await;
    assert_eq!(long.status(), StatusCode::BAD_REQUEST);
    let nobody = send(&server, "/api/user", &[(AUTHORIZATION, &basic("", "alice"))]).await;
    assert_eq!(nobody.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_foreign_domain_is_forbidden_and_an_outage_says_when_to_come_back() {
    let home = Home::new().await;
    let (provider, _listening) = Scripted::start(&home).await;
    let server = serve(home.authenticator(vec![provider.config()])).await;
    let eve = format!("Bearer {}", provider.token(&home, &json!({"email": "eve@elsewhere.example"})));
    let forbidden = send(&server, "/api/user", &[(AUTHORIZATION, &eve)]).await;
    assert_eq!((forbidden.status(), challenges(&forbidden).len()), (StatusCode::FORBIDDEN, 0));

    provider.change(|answers| answers.introspection.0 = StatusCode::BAD_GATEWAY);
    let away = send(&server, "/api/user", &[(AUTHORIZATION, "Bearer opaque")]).await;
    assert_eq!(away.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(away.headers()["retry-after"], "5");
    let body: Value = serde_json::from_slice(away.body()).unwrap();
    assert_eq!(body["error"]["details"], "authentication is temporarily unavailable");
}

#[tokio::test]
async fn where_basic_is_switched_off_it_is_no_credential() {
    let home = Home::new().await;
    let config = convoke::config::Auth { basic: false, ..convoke::config::Auth::default() };
    let cache = convoke::cache::memory::MemoryTokenCache::new(std::time::Duration::from_secs(1), 1, home.env.clone());
    let authenticator = Authenticator::from_config(
        &config,
        home.gate.clone(),
        std::sync::Arc::new(home.accounts.clone()),
        std::sync::Arc::new(cache),
        client(),
        home.env.clone(),
    );
    let server = serve(authenticator).await;
    let answer = send(&server, "/dav/x", &[(AUTHORIZATION, &basic("alice@example.org", "alice"))]).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(challenges(&answer), ["Bearer realm=\"convoke\""], "no Basic challenge");
}
