//! How the server is: a word for monitoring, and a close look for `convoke doctor`.

use std::time::Duration;

use async_trait::async_trait;
use mongodb::Database;
use mongodb::bson::{Document, doc};

use super::{Failure, Mongo, schema};
use crate::health::{Examine, Finding, Health, HealthCheck};

/// Collection of what the server refused for good although it was decided, on servers without transactions.
pub const REFUSED_STEPS: &str = "convoke_journal_refused";
/// Oldest version that is still tested by anybody.
const OLDEST: (u32, u32) = (4, 4);
/// A clock that differs by more confuses whoever compares times.
const SKEW: Duration = Duration::from_secs(2);

#[async_trait]
impl HealthCheck for Mongo {
    fn component(&self) -> &'static str {
        "MongoDB"
    }

    async fn check(&self) -> Health {
        match self.command(self.platform(), doc! { "ping": 1 }).await {
            Ok(_) => Health::Healthy,
            Err(error) => Health::Unhealthy(error.to_string()),
        }
    }
}

#[async_trait]
impl Examine for Mongo {
    fn engine(&self) -> String {
        format!("MongoDB {}", self.shared.hosts)
    }

    async fn examine(&self) -> Vec<Finding> {
        let asked = self.env().now();
        let hello = match self.command(&self.client().database("admin"), doc! { "hello": 1 }).await {
            Ok(hello) => hello,
            Err(error) => {
                let advice =
                    "start the server, or correct mongodb.url; check firewalls and, with authentication, the user";
                return vec![Finding::bad("connection", error.to_string(), advice)];
            }
        };
        let answered = self.env().now();
        let mut findings = vec![Finding::good("connection", format!("answers as {}", role(&hello)))];
        findings.push(self.encryption());
        findings.push(self.version().await);
        findings.push(self.transactions());
        findings.extend(clock(&hello, asked, answered));
        for database in [self.platform(), self.dav()] {
            findings.push(self.rights(database).await);
        }
        findings.extend(self.indexes().await);
        findings.extend(self.refused_steps().await);
        findings
    }
}

impl Mongo {
    async fn command(&self, database: &Database, command: Document) -> Result<Document, Failure> {
        Ok(self.timed(database.run_command(command)).await?)
    }

    fn encryption(&self) -> Finding {
        let hosts = &self.shared.hosts;
        let local = hosts.split(',').all(|host| {
            let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
            ["127.0.0.1", "localhost", "[::1]"].contains(&name)
        });
        match (self.shared.tls, local) {
            (true, _) => Finding::good("encryption", "TLS, and the certificate is valid"),
            (false, true) => Finding::good("encryption", "none, on this machine"),
            (false, false) => Finding::doubtful(
                "encryption",
                format!("none, and {hosts} is not this machine"),
                "add tls=true to mongodb.url, or set mongodb.ca_file",
            ),
        }
    }

    async fn version(&self) -> Finding {
        let info = match self.command(self.platform(), doc! { "buildInfo": 1 }).await {
            Ok(info) => info,
            Err(error) => return Finding::doubtful("version", error.to_string(), "let the user run buildInfo"),
        };
        let version = info.get_str("version").unwrap_or_default();
        let mut numbers = version.split('.').map(|n| n.parse::<u32>().unwrap_or(0));
        let number = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if number < OLDEST {
            let (major, minor) = OLDEST;
            return Finding::doubtful("version", version, format!("upgrade the server to {major}.{minor} or later"));
        }
        Finding::good("version", version)
    }

    fn transactions(&self) -> Finding {
        if self.has_transactions() {
            return Finding::good("transactions", "there: a replica set or a sharded cluster");
        }
        Finding::doubtful(
            "transactions",
            "none: a standalone server. Writes of calendars take turns and are journalled by convoke itself",
            "make it a replica set of one member or more: --replSet, then rs.initiate()",
        )
    }

    /// Reads, and writes in a way that changes nothing.
    async fn rights(&self, database: &Database) -> Finding {
        let subject = format!("rights on {}", database.name());
        let advice = format!("give the user the role readWrite on {}", database.name());
        // A name that no document has.
        let nothing = doc! { "_id": "convoke doctor" };
        let tries = [
            ("read", doc! { "find": "convoke_doctor", "filter": nothing.clone(), "limit": 1 }),
            ("update", {
                let update = doc! { "q": nothing.clone(), "u": { "$set": { "x": 1 } } };
                doc! { "update": "convoke_doctor", "updates": [update] }
            }),
            ("delete", doc! { "delete": "convoke_doctor", "deletes": [{ "q": nothing, "limit": 1 }] }),
            ("list collections", doc! { "listCollections": 1, "nameOnly": true }),
        ];
        for (what, command) in tries {
            if let Err(error) = self.command(database, command).await {
                return Finding::bad(subject, format!("cannot {what}: {error}"), advice);
            }
        }
        Finding::good(subject, "read and write")
    }

    /// Writes of which a part was refused for good.
    async fn refused_steps(&self) -> Option<Finding> {
        let rows = self.dav().collection::<Document>(REFUSED_STEPS);
        let count = match self.timed(rows.count_documents(doc! {})).await {
            Ok(0) => return None,
            Ok(count) => count,
            Err(_) => return None,
        };
        let first = self.timed(rows.find_one(doc! {})).await.ok().flatten();
        let why = first.as_ref().and_then(|row| row.get_str("why").ok()).unwrap_or("it is not known why");
        let found = format!("{count} were refused by the server and set aside, e.g.: {why}");
        let advice = format!(
            "look for validators and limits of the database, run convoke dav check, then empty {REFUSED_STEPS}"
        );
        Some(Finding::bad("steps of writes", found, advice))
    }

    async fn indexes(&self) -> Vec<Finding> {
        let missing = match schema::missing_indexes(self).await {
            Ok(missing) => missing,
            Err(error) => return vec![Finding::bad("indexes", error.to_string(), "let the user list indexes")],
        };
        if missing.is_empty() {
            return vec![Finding::good("indexes", "all there")];
        }
        let finding = |missing: &schema::MissingIndex| {
            let (found, advice) = match &missing.lack {
                schema::Lack::Absent => {
                    ("there is none: ".to_owned() + missing.index.why, "run convoke migrate mongodb".to_owned())
                }
                expiry @ schema::Lack::Expiry { .. } => (
                    expiry.to_string(),
                    match missing.index.place {
                        schema::Place::Platform => "the next start corrects it, or convoke migrate mongodb".to_owned(),
                        schema::Place::Dav => "nothing to do when esn-sabre was configured like this".to_owned(),
                    },
                ),
                schema::Lack::Different(difference) => (
                    difference.clone(),
                    format!(
                        "drop it when no other program needs it like this ({}), then run convoke migrate mongodb",
                        difference
                    ),
                ),
            };
            Finding::doubtful(missing.index.to_string(), found, advice)
        };
        missing.iter().map(finding).collect()
    }
}

fn role(hello: &Document) -> String {
    match hello.get_str("setName") {
        Ok(name) if hello.get_bool("isWritablePrimary").unwrap_or(false) => format!("primary of {name}"),
        Ok(name) => format!("secondary of {name}"),
        Err(_) if hello.get_str("msg").is_ok() => "router of a sharded cluster".to_owned(),
        Err(_) => "standalone server".to_owned(),
    }
}

/// The server's clock against ours, in the middle between question and answer.
fn clock(
    hello: &Document,
    asked: chrono::DateTime<chrono::Utc>,
    answered: chrono::DateTime<chrono::Utc>,
) -> Option<Finding> {
    let theirs = hello.get_datetime("localTime").ok()?.timestamp_millis();
    let ours = i64::midpoint(asked.timestamp_millis(), answered.timestamp_millis());
    let skew = Duration::from_millis(theirs.abs_diff(ours));
    let found = format!("{} ms apart", skew.as_millis());
    Some(if skew > SKEW {
        Finding::doubtful("clock", found, "synchronise the clocks of both machines, e.g. with chrony")
    } else {
        Finding::good("clock", found)
    })
}
