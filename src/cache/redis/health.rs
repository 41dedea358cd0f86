//! How Redis is, for monitoring (storage §9). Never worse than degraded: everything goes on without it.

use async_trait::async_trait;

use super::Redis;
use super::link::{NoAnswer, State};
use super::place::Wire;
use crate::health::{Health, HealthCheck};

/// How long the probe stays.
const PROBE_MS: u32 = 10_000;

#[async_trait]
impl HealthCheck for Redis {
    fn component(&self) -> &'static str {
        "Redis"
    }

    async fn check(&self) -> Health {
        let shared = &self.shared;
        let probe = shared.names.probe();
        let token = shared.env.token(64);
        let question = async |mut wire: Wire| {
            redis::cmd("SET").arg(&probe).arg(&token).arg("PX").arg(PROBE_MS).exec_async(&mut wire).await?;
            redis::cmd("GET").arg(&probe).query_async::<Option<String>>(&mut wire).await
        };
        match shared.link.ask("probe", question).await {
            Ok(read) if read.as_ref() != Some(&token) => {
                Health::Degraded("what was written to Redis was not read from it".to_owned())
            }
            Ok(_) if !*shared.hears.borrow() => Health::Degraded(
                "other nodes are not heard: live updates reach only clients of the node where they arise; tokens are shared"
                    .to_owned(),
            ),
            Ok(_) => Health::Healthy,
            Err(NoAnswer::Refused(why)) => Health::Degraded(format!("Redis refuses what it is asked: {why}")),
            Err(NoAnswer::Away) => Health::Degraded(self.away()),
        }
    }
}

impl Redis {
    fn away(&self) -> String {
        let reason = match self.shared.link.state() {
            State::Away { since, why } => format!("away since {}: {why}", since.format("%Y-%m-%dT%H:%M:%SZ")),
            State::Unknown => "not connected yet".to_owned(),
            State::Up { .. } => "it went away just now".to_owned(),
        };
        let logouts = match self.shared.logouts.untold().len() {
            0 => String::new(),
            n => format!("; it will be told of {n} ended sessions"),
        };
        format!(
            "{reason}; sign-in works, and tokens are remembered by each node; live updates reach only clients of the node \
             where they arise{logouts}"
        )
    }
}
