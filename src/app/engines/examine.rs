//! The engines as `convoke doctor` looks at them: each by itself, so that one that is away hides nothing of the others.

use std::time::Duration;

use async_trait::async_trait;

use crate::app::running::consumers;
use crate::cache::redis::Redis;
use crate::clock::Env;
use crate::config::{CacheEngine, Config, QueueEngine, SearchEngine, StoreEngine};
use crate::health::{Examine, Finding};
use crate::mongo::Mongo;
use crate::nodes::{Begin, Ledger, NodeId, NodesError};
use crate::queue::rabbitmq::RabbitMq;
use crate::search::opensearch::OpenSearch;

/// Everything that the configuration names and that can be examined, connected or not.
pub async fn examinations(config: &Config, env: &Env) -> Vec<Box<dyn Examine>> {
    crate::net::use_ring();
    let mut found: Vec<Box<dyn Examine>> = Vec::new();
    if config.engine.store == StoreEngine::MongoDb {
        let mongo = Mongo::connect(&config.mongodb, env.clone()).await;
        found.push(named("MongoDB", "[mongodb]", mongo));
    }
    if config.engine.queue == QueueEngine::RabbitMq {
        let (node, visibility) = (NodeId("doctor".to_owned()), Duration::from_secs(config.queue.visibility_s));
        let ledger = std::sync::Arc::new(Unused);
        let rabbitmq = RabbitMq::unconnected(&config.rabbitmq, node, ledger, visibility, env.clone());
        found.push(named(
            "RabbitMQ",
            "[rabbitmq]",
            rabbitmq.map(|rabbitmq| Broker { rabbitmq, consumers: consumers(config) }),
        ));
    }
    if config.engine.search == SearchEngine::OpenSearch {
        found.push(named("OpenSearch", "[opensearch]", OpenSearch::new(&config.opensearch, env.clone())));
    }
    if config.engine.cache == CacheEngine::Redis {
        let keep = Duration::from_secs(config.auth.token_cache_s);
        let redis = Redis::open(&config.redis, keep, config.auth.token_cache_size, env.clone());
        found.push(named("Redis", "[redis]", redis));
    }
    found
}

fn named<E: Examine>(
    engine: &'static str,
    section: &'static str,
    opened: Result<E, impl std::fmt::Display>,
) -> Box<dyn Examine> {
    match opened {
        Ok(engine) => Box::new(engine),
        Err(error) => Box::new(Unreachable { engine, section, error: error.to_string() }),
    }
}

/// The broker, and whose queues are to be there.
struct Broker {
    rabbitmq: RabbitMq,
    consumers: Vec<&'static str>,
}

#[async_trait]
impl Examine for Broker {
    fn engine(&self) -> String {
        self.rabbitmq.engine()
    }

    async fn examine(&self) -> Vec<Finding> {
        self.rabbitmq.examine_with(&self.consumers).await
    }
}

/// An engine that did not answer.
struct Unreachable {
    engine: &'static str,
    section: &'static str,
    error: String,
}

#[async_trait]
impl Examine for Unreachable {
    fn engine(&self) -> String {
        self.engine.to_owned()
    }

    async fn examine(&self) -> Vec<Finding> {
        let advice = format!("Is the server up, does this machine reach it, and is {} right?", self.section);
        vec![Finding::bad("connection", self.error.clone(), advice)]
    }
}

/// The doctor handles no message, so that nothing is ever begun.
struct Unused;

#[async_trait]
impl Ledger for Unused {
    async fn begin(&self, _: &str, _: &NodeId, _: Duration) -> Result<Begin, NodesError> {
        Err(NodesError("nothing is handled here".to_owned()))
    }

    async fn finish(&self, _: &str, _: Duration) -> Result<(), NodesError> {
        Ok(())
    }

    async fn abandon(&self, _: &str, _: &NodeId) -> Result<(), NodesError> {
        Ok(())
    }
}
