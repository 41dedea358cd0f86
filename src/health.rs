//! How an engine is: for monitoring, which asks often and wants a word, and for `convoke doctor`, which asks once and wants
//! to know what to do. Engines implement both; `webadmin` and `cli` ask.

use async_trait::async_trait;

/// How a component is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It works.
    Healthy,
    /// It works, but somebody should look; why, and what still works.
    Degraded(String),
    /// It does not work; why.
    Unhealthy(String),
}

/// Asks a component how it is.
#[async_trait]
pub trait HealthCheck: Send + Sync + 'static {
    /// The component's name, as monitoring knows it (storage §9).
    fn component(&self) -> &str;

    /// How it is at this moment. One that takes long counts as unhealthy.
    async fn check(&self) -> Health;
}

/// One thing that an examination looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at, e.g. `index accounts.emails of users`.
    pub subject: String,
    /// What was found.
    pub verdict: Verdict,
}

impl Finding {
    /// It is as it should be; `found` says how it is.
    pub fn good(subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self { subject: subject.into(), verdict: Verdict::Good(found.into()) }
    }

    /// It works, but.
    pub fn doubtful(subject: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { subject: subject.into(), verdict: Verdict::Doubtful { found: found.into(), advice: advice.into() } }
    }

    /// It does not work.
    pub fn bad(subject: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { subject: subject.into(), verdict: Verdict::Bad { found: found.into(), advice: advice.into() } }
    }
}

/// How it is, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good(String),
    /// It works, but somebody should look.
    Doubtful {
        /// How it is.
        found: String,
        /// What to do.
        advice: String,
    },
    /// It does not work.
    Bad {
        /// How it is.
        found: String,
        /// What to do.
        advice: String,
    },
}

/// Looks at an engine closely: connection, version, rights, indexes, exchanges, time, certificates. Changes nothing.
#[async_trait]
pub trait Examine: Send + Sync + 'static {
    /// What is looked at, e.g. `MongoDB mongodb://db.example.org`; without secrets.
    fn engine(&self) -> String;

    /// Looks at everything; does not stop at the first fault, and takes a minute at most.
    async fn examine(&self) -> Vec<Finding>;
}
