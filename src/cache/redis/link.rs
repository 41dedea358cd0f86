//! The link to Redis, which breaks and is mended. While it is broken nobody waits: every question is answered at once by
//! "away". It breaks with the first answer that does not come in time, so that at most the questions under way at that
//! moment wait.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use redis::{ErrorKind, RedisError, ServerErrorKind};
use tokio::sync::watch;

use super::Shared;
use super::place::{Why, Wire};
use crate::clock::Env;

/// Between two questions whether Redis is still there.
const PING_EVERY: Duration = Duration::from_secs(2);
/// Waits between attempts to connect: the first, and the longest of those that follow, each twice the one before.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// A link that held as long as this was mended for good.
const STEADY: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// Redis is away.
    Away,
    /// Redis refuses; what it said.
    Refused(Why),
}

/// How the link is.
#[derive(Clone)]
pub(super) enum State {
    /// Nothing is known yet.
    Unknown,
    /// Broken.
    Away { since: DateTime<Utc>, why: Why },
    /// It holds. Each time it is mended has a number of its own.
    Up { wire: Wire, number: u64 },
}

/// The link.
pub(super) struct Link {
    state: watch::Sender<State>,
    response: Duration,
    /// Redis refused something, and this was said.
    refused: AtomicBool,
    env: Env,
}

impl Link {
    pub fn new(response: Duration, env: Env) -> Self {
        Self { state: watch::Sender::new(State::Unknown), response, refused: AtomicBool::new(false), env }
    }

    /// Asks Redis something; `operation` names it in metrics.
    pub async fn ask<T, Answer>(
        &self,
        operation: &'static str,
        question: impl FnOnce(Wire) -> Answer,
    ) -> Result<T, NoAnswer>
    where
        Answer: Future<Output = Result<T, RedisError>>,
    {
        let State::Up { wire, number } = self.state.borrow().clone() else { return Err(NoAnswer::Away) };
        self.ask_on(wire, operation, question)
            .await
            .inspect_err(|e| {
                if let Failure::Broken(why) = e {
                    self.broke(number, why);
                }
            })
            .map_err(|e| match e {
                Failure::Broken(_) => NoAnswer::Away,
                Failure::Refused(why) => NoAnswer::Refused(why),
            })
    }

    /// Asks on a connection that may not be that of the link.
    pub async fn ask_on<T, Answer>(
        &self,
        wire: Wire,
        operation: &'static str,
        question: impl FnOnce(Wire) -> Answer,
    ) -> Result<T, Failure>
    where
        Answer: Future<Output = Result<T, RedisError>>,
    {
        let began = Instant::now();
        let answer = tokio::time::timeout(self.response, question(wire)).await;
        metrics::counter!("convoke_redis_commands_total", "operation" => operation).increment(1);
        metrics::histogram!("convoke_redis_seconds", "operation" => operation).record(began.elapsed());
        let failure = match answer {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(e)) if breaks(&e) => Failure::Broken(e.to_string()),
            Ok(Err(e)) => {
                let why = e.to_string();
                if !self.refused.swap(true, Ordering::Relaxed) {
                    tracing::warn!(operation, why, "Redis refuses; `convoke doctor` says what is missing");
                }
                Failure::Refused(why)
            }
            Err(_) => Failure::Broken(format!("no answer within {} ms", self.response.as_millis())),
        };
        metrics::counter!("convoke_redis_errors_total", "operation" => operation).increment(1);
        Err(failure)
    }

    /// How the link is at this moment.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// The number of the link, while it holds.
    pub fn number(&self) -> Option<u64> {
        match &*self.state.borrow() {
            State::Up { number, .. } => Some(*number),
            _ => None,
        }
    }

    /// Waits until it holds.
    pub async fn until_up(&self) {
        // The sender lives as long as this.
        let _ = self.state.subscribe().wait_for(|state| matches!(state, State::Up { .. })).await;
    }

    /// Waits until it is not the one of that number any more.
    pub async fn until_another(&self, number: u64) {
        let other = |state: &State| !matches!(state, State::Up { number: current, .. } if *current == number);
        let _ = self.state.subscribe().wait_for(other).await;
    }

    /// It broke, if it is still the one of that number.
    pub fn broke(&self, number: u64, why: &str) {
        let away = State::Away { since: self.env.now(), why: why.to_owned() };
        let changed = self.state.send_if_modified(|state| match state {
            State::Up { number: current, .. } if *current == number => {
                *state = away;
                true
            }
            _ => false,
        });
        if changed {
            metrics::gauge!("convoke_redis_up").set(0.0);
            tracing::warn!(why, "Redis is away: tokens are remembered by this node alone, other nodes are told later");
        }
    }

    fn cannot_be_mended(&self, why: Why) {
        let now = self.env.now();
        let first = self.state.send_if_modified(|state| match state {
            State::Away { why: known, .. } => {
                *known = why.clone();
                false
            }
            _ => {
                *state = State::Away { since: now, why: why.clone() };
                true
            }
        });
        if first {
            metrics::gauge!("convoke_redis_up").set(0.0);
            tracing::warn!(why, "Redis cannot be reached: tokens are remembered by this node alone");
        }
    }

    fn is_mended(&self, wire: Wire, number: u64) {
        let now = self.env.now();
        match self.state.send_replace(State::Up { wire, number }) {
            State::Away { since, .. } => {
                tracing::info!(seconds = (now - since).num_seconds(), "Redis is back");
            }
            _ => tracing::debug!("connected to Redis"),
        }
        self.refused.store(false, Ordering::Relaxed);
        metrics::gauge!("convoke_redis_up").set(1.0);
    }

    async fn until_broken(&self, number: u64) {
        let mut state = self.state.subscribe();
        while self.number() == Some(number) {
            tokio::select! {
                _ = state.changed() => {}
                () = tokio::time::sleep(PING_EVERY) => {
                    // What it says does not matter: not to answer breaks the link.
                    let _ = self.ask("ping", async |mut wire: Wire| wire.ping().await).await;
                }
            }
        }
    }
}

impl Shared {
    /// Mends the link whenever it broke, for ever.
    pub(super) async fn keep_linked(&self) {
        let mut wait = FIRST_WAIT;
        for number in 1.. {
            let began = Instant::now();
            match self.connect().await {
                Ok(wire) => {
                    self.link.is_mended(wire, number);
                    self.link.until_broken(number).await;
                }
                Err(why) => self.link.cannot_be_mended(why),
            }
            if began.elapsed() > STEADY {
                wait = FIRST_WAIT;
            }
            tokio::time::sleep(jittered(wait, &self.env)).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }
}

/// Why a connection gives no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// It cannot be used any more.
    Broken(Why),
    /// Redis refuses.
    Refused(Why),
}

impl Failure {
    /// What happened.
    pub fn why(self) -> Why {
        match self {
            Self::Broken(why) | Self::Refused(why) => why,
        }
    }
}

/// Whether another connection is needed, perhaps to another server.
fn breaks(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Io | ErrorKind::Parse | ErrorKind::AuthenticationFailed | ErrorKind::ClusterConnectionNotFound => {
            true
        }
        _ => {
            // Of a transaction, what each command was told.
            let told = error.clone().into_server_errors();
            told.iter().flat_map(|told| told.iter()).filter_map(|(_, error)| error.kind()).any(is_elsewhere)
        }
    }
}

/// Whether the server cannot do at the moment what another may.
fn is_elsewhere(kind: ServerErrorKind) -> bool {
    matches!(
        kind,
        ServerErrorKind::BusyLoading
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown
            // The master became a replica.
            | ServerErrorKind::ReadOnly
    )
}

/// Between half and all of it, so that nodes do not come back at the same instant.
pub(super) fn jittered(wait: Duration, env: &Env) -> Duration {
    let mut random = [0; 1];
    env.fill(&mut random);
    wait / 2 + wait / 2 * u32::from(random[0]) / 255
}
