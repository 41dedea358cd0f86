//! Engines that go away and come back under a working node. What was acknowledged is neither lost nor done twice, and the node
//! recovers by itself.

use super::*;
use crate::instance::Instance;

/// Places where one engine is private, so that it can be killed.
async fn with_private(engine: &'static str) -> Option<(Installation, Instance)> {
    let mut places = Places::shared()?;
    let instance = Instance::start(engine).await?;
    let of = |key: &str| instance.env(key).to_owned();
    match engine {
        "mongodb" => places.mongodb = of("CONVOKE_TEST_MONGODB_URL"),
        "rabbitmq" => {
            places.rabbitmq = of("CONVOKE_TEST_RABBITMQ_URL");
            places.rabbitmq_management = of("CONVOKE_TEST_RABBITMQ_MANAGEMENT_URL");
            places.rabbitmq_credentials =
                format!("{}:{}", of("CONVOKE_TEST_RABBITMQ_USER"), of("CONVOKE_TEST_RABBITMQ_PASSWORD"));
        }
        "opensearch" => places.opensearch = of("CONVOKE_TEST_OPENSEARCH_URL"),
        "redis" => {
            places.redis = of("CONVOKE_TEST_REDIS_URL");
            places.redis_password = Some(of("CONVOKE_TEST_REDIS_PASSWORD"));
        }
        other => panic!("no place for {other}"),
    }
    Some((Installation::prepare(places).await, instance))
}

async fn invite(node: &Node, uid: &str) -> StatusCode {
    node.put(ALICE, &format!("{uid}.ics"), &invitation(uid, &format!("Title of {uid}"), &[BOB.mail])).await
}

/// Bob's copy is there, and he was told in one mail.
async fn delivered(installation: &Installation, node: &Node, uid: &str) {
    eventually("bob's copy", async || node.find(BOB, uid).await).await;
    let key = (BOB.mail.to_owned(), uid.to_owned());
    let ids = eventually("bob's mail", async || installation.mails().get(&key).cloned()).await;
    assert!(ids.iter().all(|id| *id == ids[0]), "told in two mails: {uid} {ids:?}");
}

async fn healthy(node: &Node) {
    eventually("health", async || (node.health().await.0 == "healthy").then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_away_holds_up_messages_and_loses_none() {
    let Some((installation, broker)) = with_private("rabbitmq").await else { return };
    let node = installation.start("one").await;
    assert_eq!(invite(&node, "before").await, 201);
    delivered(&installation, &node, "before").await;

    broker.kill().await;
    for n in 0..20 {
        // Calendars work on: the message waits beside the change it tells of.
        assert_eq!(invite(&node, &format!("during-{n}")).await, 201);
    }
    let down = eventually("the outage is seen", async || {
        let (status, components) = node.health().await;
        (status == "unhealthy").then_some(components)
    })
    .await;
    assert_eq!(down["RabbitMQ backend"], "unhealthy");
    assert_eq!(down["MongoDB"], "healthy");

    broker.revive().await;
    for n in 0..20 {
        delivered(&installation, &node, &format!("during-{n}")).await;
    }
    healthy(&node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_outlive_node_and_broker() {
    let Some((installation, broker)) = with_private("rabbitmq").await else { return };
    let node = installation.start("one").await;
    broker.kill().await;
    for n in 0..5 {
        assert_eq!(invite(&node, &format!("both-{n}")).await, 201);
    }
    // Between the write and its publication both die.
    node.kill();
    broker.revive().await;
    let node = installation.start("one").await;
    for n in 0..5 {
        delivered(&installation, &node, &format!("both-{n}")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_refuses_and_comes_back() {
    let Some((installation, database)) = with_private("mongodb").await else { return };
    let node = installation.start("one").await;
    let mut acknowledged = Vec::new();
    for n in 0..10 {
        assert_eq!(invite(&node, &format!("before-{n}")).await, 201);
        acknowledged.push(format!("before-{n}"));
    }
    database.kill().await;
    let refused = node.put(ALICE, "away.ics", &invitation("away", "Away", &[])).await;
    assert!(refused.is_server_error(), "{refused}");
    assert_eq!(node.health().await.0, "unhealthy");

    database.revive().await;
    eventually("writes again", async || (invite(&node, "again").await.is_success()).then_some(())).await;
    acknowledged.push("again".to_owned());
    for uid in &acknowledged {
        delivered(&installation, &node, uid).await;
    }
    healthy(&node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_engine_that_is_away_costs_search_only() {
    let Some((installation, engine)) = with_private("opensearch").await else { return };
    let node = installation.start("one").await;
    assert_eq!(invite(&node, "early").await, 201);
    eventually("search", async || (node.search(ALICE, "early").await == ["early"]).then_some(())).await;
    engine.kill().await;
    assert_eq!(invite(&node, "late").await, 201);
    delivered(&installation, &node, "late").await;
    let (_, components) = node.health().await;
    assert_eq!(components["OpenSearch Backend"], "unhealthy", "{components:?}");
    engine.revive().await;
    eventually("what was written meanwhile", async || (node.search(ALICE, "late").await == ["late"]).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_that_is_away_is_done_without() {
    let Some((installation, redis)) = with_private("redis").await else { return };
    let node = installation.start("one").await;
    redis.kill().await;
    assert_eq!(invite(&node, "uncached").await, 201);
    delivered(&installation, &node, "uncached").await;
    let degraded = eventually("the outage is seen", async || {
        let (status, components) = node.health().await;
        (status == "degraded").then_some(components)
    })
    .await;
    assert_eq!(degraded["Redis"], "degraded", "{degraded:?}");
    redis.revive().await;
    healthy(&node).await;

    // A server that hangs is no different from one that is gone, only slower to notice.
    redis.pause().await;
    assert_eq!(invite(&node, "hanging").await, 201);
    delivered(&installation, &node, "hanging").await;
    redis.resume().await;
    healthy(&node).await;
}
