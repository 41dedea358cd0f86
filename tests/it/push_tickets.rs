//! Tickets, and the door that they open.

use chrono::{DateTime, TimeDelta};
use convoke::clock::Env;
use http::StatusCode;
use serde_json::{Value, json};

use crate::proxy_support::{ask, text};
use crate::push_support::{House, Node};

async fn delete(node: &Node, name: &str, value: &str) -> (StatusCode, Option<Value>) {
    let bearer = format!("Bearer {name}");
    let url = node.served.url(&format!("/ws/ticket/{value}"));
    let answer = ask("DELETE", &url, &[("authorization", &bearer)], "").await;
    (answer.status(), serde_json::from_str(&text(answer).await).ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_opens_one_connection_within_a_minute() {
    let house = House::new().await;
    let node = house.node().await;
    let answer = ask("POST", &node.served.url("/ws/ticket"), &[("authorization", "Bearer bob")], "").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let ticket: Value = serde_json::from_str(&text(answer).await).unwrap();
    let keys: Vec<&str> = ticket.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["clientAddress", "generatedOn", "username", "validUntil", "value"]);
    assert_eq!(ticket["username"], "bob@example.org");
    assert_eq!(ticket["clientAddress"], "127.0.0.1");
    let instant = |key: &str| -> DateTime<chrono::Utc> { ticket[key].as_str().unwrap().parse().unwrap() };
    assert_eq!(instant("validUntil") - instant("generatedOn"), TimeDelta::minutes(1));
    assert!(ticket["validUntil"].as_str().unwrap().ends_with('Z'));

    let value = ticket["value"].as_str().unwrap();
    let live = node.enter(value).await.unwrap();
    assert_eq!(node.enter(value).await.err(), Some(StatusCode::UNAUTHORIZED), "it was used");
    assert_eq!(live.leave().await, Some(1000));

    let value = node.ticket("bob").await;
    house.home.clock.advance(TimeDelta::seconds(59));
    assert!(node.enter(&value).await.is_ok());
    let value = node.ticket("bob").await;
    house.home.clock.advance(TimeDelta::seconds(60));
    assert_eq!(node.enter(&value).await.err(), Some(StatusCode::UNAUTHORIZED), "it has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_come_with_one_ticket_one_comes_in() {
    let house = House::new().await;
    let nodes = [house.node().await, house.node().await];
    let ticket = nodes[0].ticket("alice").await;
    let attempts = (0..10).map(|n| nodes[n % 2].enter(&ticket));
    let outcomes = futures_util::future::join_all(attempts).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_comes_in_without_a_ticket() {
    let house = House::new().await;
    let node = house.node().await;
    let unknown = Env::system().uuid();
    let (one, two) = (node.ticket("alice").await, node.ticket("alice").await);
    for query in ["".to_owned(), "?ticket=".to_owned(), "?ticket=x".to_owned(), format!("?ticket={unknown}")] {
        let refused = crate::push_support::Live::connect(&format!("ws://{}/ws{query}", node.served.addr)).await;
        assert_eq!(refused.err(), Some(StatusCode::UNAUTHORIZED), "{query:?}");
    }
    assert_eq!(node.enter(&format!("{one}&ticket={two}")).await.err(), Some(StatusCode::UNAUTHORIZED));
    // A token in a header is not enough, and a cookie is not looked at.
    let headers = [("authorization", "Bearer alice"), ("cookie", "ticket=1"), ("upgrade", "websocket")];
    let answer = ask("GET", &node.served.url("/ws"), &headers, "").await;
    assert_eq!((answer.status(), text(answer).await.as_str()), (StatusCode::UNAUTHORIZED, ""));
    // Without a handshake the ticket stays good.
    let answer = ask("GET", &node.served.url(&format!("/ws?ticket={one}")), &[], "").await;
    assert!(answer.status().is_client_error() && answer.status() != StatusCode::UNAUTHORIZED, "{}", answer.status());
    assert!(node.enter(&one).await.is_ok());
    assert_eq!(ask("POST", &node.served.url(&format!("/ws?ticket={two}")), &[], "").await.status(), 404);
    assert!(node.enter(&two).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_taken_back_by_its_owner_only() {
    let house = House::new().await;
    let node = house.node().await;
    let problem = |status: u16, detail: &str| json!({ "type": "about:blank", "status": status, "detail": detail });
    let ticket = node.ticket("alice").await;
    let not_yours = Some(problem(403, "there is no such ticket of yours"));
    assert_eq!(delete(&node, "bob", &ticket).await, (StatusCode::FORBIDDEN, not_yours.clone()));
    let unknown = Env::system().uuid().to_string();
    assert_eq!(delete(&node, "alice", &unknown).await, (StatusCode::FORBIDDEN, not_yours.clone()));
    let no_uuid = Some(problem(400, "the ticket is not a UUID"));
    assert_eq!(delete(&node, "alice", "x").await, (StatusCode::BAD_REQUEST, no_uuid));
    assert_eq!(delete(&node, "alice", &ticket).await, (StatusCode::NO_CONTENT, None));
    assert_eq!(delete(&node, "alice", &ticket).await, (StatusCode::FORBIDDEN, not_yours));
    assert_eq!(node.enter(&ticket).await.err(), Some(StatusCode::UNAUTHORIZED));
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_get_a_problem_document_and_no_ticket() {
    let house = House::new().await;
    let node = house.node().await;
    for (method, path) in [("POST", "/ws/ticket"), ("DELETE", "/ws/ticket/5f0c5b1e-6a0e-4c53-9a36-0c4b1a8e2f44")] {
        let answer = ask(method, &node.served.url(path), &[("authorization", "Bearer mallory")], "").await;
        assert_eq!(answer.status(), 401);
        assert_eq!(answer.headers()["content-type"], "application/json");
        let challenges: Vec<_> = answer.headers().get_all("www-authenticate").iter().collect();
        assert!(challenges.contains(&&http::HeaderValue::from_static("Ticket realm=\"ws\"")), "{challenges:?}");
        let body: Value = serde_json::from_str(&text(answer).await).unwrap();
        assert_eq!(body, json!({ "type": "about:blank", "status": 401, "detail": "unknown" }));
    }
    let page = [("authorization", "Bearer mallory"), ("origin", "https://calendar.example.org")];
    let answer = ask("POST", &node.served.url("/ws/ticket"), &page, "").await;
    assert_eq!((answer.status().as_u16(), answer.headers().get("www-authenticate")), (401, None));
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_may_ask_for_tickets() {
    let house = House::new().await;
    let node = house.node().await;
    let page = ("origin", "https://calendar.example.org");
    for path in ["/ws/ticket", "/ws/ticket/5f0c5b1e-6a0e-4c53-9a36-0c4b1a8e2f44"] {
        let nobody = ("authorization", "");
        let preflight = [nobody, page, ("access-control-request-method", "POST")];
        let answer = ask("OPTIONS", &node.served.url(path), &preflight, "").await;
        assert!(answer.status().is_success(), "{}", answer.status());
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        assert!(answer.headers()["access-control-allow-methods"].to_str().unwrap().contains("DELETE"));
        let answer = ask("OPTIONS", &node.served.url(path), &[nobody, page], "").await;
        assert_eq!((answer.status().as_u16(), &answer.headers()["access-control-allow-origin"] == "*"), (200, true));
    }
    let answer = ask("POST", &node.served.url("/ws/ticket"), &[page], "").await;
    assert_eq!((answer.status().as_u16(), &answer.headers()["access-control-allow-origin"] == "*"), (200, true));
    for (method, path) in [("GET", "/ws/ticket"), ("PUT", "/ws/ticket/x"), ("POST", "/ws")] {
        let answer = ask(method, &node.served.url(path), &[], "").await;
        assert_eq!(answer.status(), 404, "{method} {path}");
        let body: Value = serde_json::from_str(&text(answer).await).unwrap();
        assert_eq!(body["status"], 404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_and_connections_are_limited() {
    let house = House::with(|config| {
        config.push.tickets_per_minute = 4;
        config.push.connections = 3;
        config.push.connections_per_user = 2;
    })
    .await;
    let node = house.node().await;
    let mut tickets = Vec::new();
    for _ in 0..4 {
        tickets.push(node.ticket("alice").await);
    }
    let answer = ask("POST", &node.served.url("/ws/ticket"), &[], "").await;
    assert_eq!(answer.status(), 429);
    assert!(answer.headers().contains_key("retry-after"));
    let bobs = node.ticket("bob").await;
    house.home.clock.advance(TimeDelta::seconds(1));

    let one = node.enter(&tickets[0]).await.unwrap();
    let _two = node.enter(&tickets[1]).await.unwrap();
    assert_eq!(node.enter(&tickets[2]).await.err(), Some(StatusCode::TOO_MANY_REQUESTS));
    let _three = node.enter(&bobs).await.unwrap();
    assert_eq!(node.enter(&tickets[3]).await.err(), Some(StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(one.leave().await, Some(1000));
    // A ticket that found no seat was not used up.
    let entered = async {
        loop {
            match node.enter(&tickets[3]).await {
                Ok(live) => return live,
                Err(status) => assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE),
            }
        }
    };
    tokio::time::timeout(crate::push_support::PATIENCE, entered).await.expect("a seat is free again");
}
