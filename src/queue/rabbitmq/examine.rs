//! A close look at the broker, for `convoke doctor`.

use async_trait::async_trait;
use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::protocol::AMQPSoftError;
use lapin::types::FieldTable;
use lapin::{Connection, ExchangeKind};

use super::connection::within;
use super::probe::OLDEST;
use super::{Inner, RabbitMq, RabbitMqError, topology};
use crate::events::Topic;
use crate::health::{Examine, Finding};

/// A certificate that ends sooner than this is worth a word, in days.
const CERTIFICATE_DAYS: i64 = 21;

#[async_trait]
impl Examine for RabbitMq {
    fn engine(&self) -> String {
        format!("RabbitMQ {}", self.inner.publishing.endpoint().shown())
    }

    async fn examine(&self) -> Vec<Finding> {
        let bound: Vec<_> = self.inner.all_consumers().iter().map(|consumer| consumer.name).collect();
        self.examine_with(&bound).await
    }
}

impl RabbitMq {
    /// Looks at everything, and at the queues of these consumers, bound or not.
    pub async fn examine_with(&self, consumers: &[&str]) -> Vec<Finding> {
        self.inner.examine(consumers).await
    }
}

impl Inner {
    async fn examine(&self, consumers: &[&str]) -> Vec<Finding> {
        let mut findings = Vec::new();
        match self.probed().await {
            Ok(probe) if probe.is_new_enough() => {
                findings.push(Finding::good("version", format!("{} {}", probe.product, probe.version)));
                findings.extend(probe.certificate_ends.map(|end| certificate(end, self.env.now())));
            }
            Ok(probe) => {
                let [major, minor, patch] = OLDEST;
                let advice = format!("update the broker to {major}.{minor}.{patch} or newer");
                findings.push(Finding::bad("version", probe.version, advice));
            }
            Err(error) => {
                let advice = "check rabbitmq.url, the network, and with amqps rabbitmq.ca_file";
                findings.push(Finding::bad("connection", error.to_string(), advice));
                return findings;
            }
        }
        let session = match self.consuming_session().await {
            Ok(session) => session,
            Err(error) => {
                let advice = "check user, password and vhost in rabbitmq.url, and that the user may use the vhost";
                findings.push(Finding::bad("connection", error.to_string(), advice));
                return findings;
            }
        };
        findings.push(Finding::good("connection", "signed in"));
        let connection = &session.connection;
        for topic in Topic::ALL {
            findings.push(self.examine_exchange(connection, topic.name()).await);
        }
        for &name in consumers {
            let (dead, retry) = (topology::dead_letter_queue(name), topology::retry_queue(name));
            findings.push(self.examine_queue(connection, name, self.arguments.consumer(name)).await);
            findings.push(self.examine_exchange(connection, &dead).await);
            findings.push(self.examine_queue(connection, &dead, self.arguments.base()).await);
            findings.push(self.examine_queue(connection, &retry, self.arguments.retry(name)).await);
        }
        for queue in topology::OBSOLETE {
            findings.extend(self.examine_obsolete(connection, queue).await);
        }
        findings
    }

    /// Declaring what is there already changes nothing and tells whether it is what we want and whether we may.
    async fn examine_exchange(&self, connection: &Connection, name: &str) -> Finding {
        let subject = format!("exchange {name}");
        let declare = |passive| async move {
            let channel = connection.create_channel().await?;
            let options = ExchangeDeclareOptions { durable: true, passive, ..ExchangeDeclareOptions::default() };
            channel.exchange_declare(name.into(), ExchangeKind::Fanout, options, FieldTable::default()).await
        };
        match within(self.limit(), "looking at an exchange", settled(declare(true))).await {
            Ok(Err(Settled::Missing)) => {
                return Finding::doubtful(
                    subject,
                    "missing",
                    "it is made when convoke starts; until then esn-sabre cannot publish",
                );
            }
            Ok(Err(other)) => return other.finding(subject),
            Err(error) => return unknown(subject, &error),
            Ok(Ok(())) => {}
        }
        match within(self.limit(), "looking at an exchange", settled(declare(false))).await {
            Ok(Ok(())) => Finding::good(subject, "fanout, durable"),
            Ok(Err(Settled::Differs(found))) => Finding::doubtful(
                subject,
                found,
                "it should be a durable fanout exchange; delete it while nobody publishes, and restart convoke",
            ),
            Ok(Err(other)) => other.finding(subject),
            Err(error) => unknown(subject, &error),
        }
    }

    async fn examine_queue(&self, connection: &Connection, name: &str, arguments: FieldTable) -> Finding {
        let subject = format!("queue {name}");
        let found = match self.look(connection, name).await {
            Ok(Some(queue)) => queue,
            Ok(None) => return Finding::doubtful(subject, "missing", "it is made when convoke starts"),
            Err(error) => return unknown(subject, &error),
        };
        let declaring = async {
            let channel = connection.create_channel().await?;
            channel.queue_declare(name.into(), QueueDeclareOptions::durable(), arguments).await.map(drop)
        };
        match within(self.limit(), "looking at a queue", settled(declaring)).await {
            Ok(Ok(())) => {
                let (messages, consumers) = (found.message_count(), found.consumer_count());
                Finding::good(subject, format!("{messages} messages wait, {consumers} consumers"))
            }
            Ok(Err(Settled::Differs(found))) => Finding::bad(
                subject,
                found,
                "set rabbitmq.queue_type to what the queue is, or delete the queue once it is empty",
            ),
            Ok(Err(other)) => other.finding(subject),
            Err(error) => unknown(subject, &error),
        }
    }

    async fn examine_obsolete(&self, connection: &Connection, name: &str) -> Option<Finding> {
        let subject = format!("queue {name}");
        match self.look(connection, name).await {
            Ok(Some(queue)) => Some(Finding::doubtful(
                subject,
                format!("nobody consumes it any more, and it holds {} messages", queue.message_count()),
                "delete it: it grows for as long as it is bound (messaging §2.3)",
            )),
            Ok(None) => None,
            Err(error) => Some(unknown(subject, &error)),
        }
    }
}

/// How the broker answered, where it did.
enum Settled {
    Missing,
    Differs(String),
    Forbidden(String),
}

impl Settled {
    fn finding(self, subject: String) -> Finding {
        match self {
            Self::Missing => Finding::doubtful(subject, "missing", "it is made when convoke starts"),
            Self::Differs(found) => Finding::bad(subject, found, "delete it, and restart convoke"),
            Self::Forbidden(found) => {
                let advice = "give the user the permissions configure, write and read in the vhost (rabbitmqctl set_permissions)";
                Finding::bad(subject, found, advice)
            }
        }
    }
}

/// Tells what is about the thing from what is about the connection.
async fn settled(work: impl Future<Output = Result<(), lapin::Error>>) -> Result<Result<(), Settled>, lapin::Error> {
    match work.await {
        Ok(()) => Ok(Ok(())),
        Err(error) if topology::is(&error, AMQPSoftError::NOTFOUND) => Ok(Err(Settled::Missing)),
        Err(error) if topology::is(&error, AMQPSoftError::PRECONDITIONFAILED) => {
            Ok(Err(Settled::Differs(error.to_string())))
        }
        Err(error) if topology::is(&error, AMQPSoftError::ACCESSREFUSED) => {
            Ok(Err(Settled::Forbidden(error.to_string())))
        }
        Err(error) => Err(error),
    }
}

fn unknown(subject: String, error: &RabbitMqError) -> Finding {
    Finding::bad(subject, error.to_string(), "see what the broker's log says")
}

fn certificate(end: chrono::DateTime<chrono::Utc>, now: chrono::DateTime<chrono::Utc>) -> Finding {
    let days = (end - now).num_days();
    let found = format!("valid until {}", end.format("%Y-%m-%d"));
    match days {
        ..0 => Finding::bad("certificate", found, "renew it"),
        0..CERTIFICATE_DAYS => Finding::doubtful("certificate", found, format!("renew it: it ends in {days} days")),
        _ => Finding::good("certificate", found),
    }
}
