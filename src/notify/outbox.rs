//! Hands mails over: the queue keeps them until the transport takes them or refuses them for good.

use crate::config;
use crate::events::Topic;
use crate::ids::Email;
use crate::mail::{OutgoingMail, SendError, SharedTransport};
use crate::queue::{ConsumerSpec, Delivery, Failure};

/// Consumer of [`Topic::MailOutgoing`].
#[derive(Clone)]
pub struct Outbox {
    transport: SharedTransport,
    allowed: Vec<Email>,
}

impl Outbox {
    /// A consumer that hands over to `transport` what `mail` allows.
    pub fn new(transport: SharedTransport, mail: &config::Mail) -> Self {
        Self { transport, allowed: mail.recipients.clone() }
    }

    /// Name, topics and patience: mails are retried for longer than other things.
    pub fn spec(config: &config::Queue) -> ConsumerSpec {
        ConsumerSpec {
            name: "convoke:mail:outbox",
            topics: vec![Topic::MailOutgoing],
            concurrency: config.concurrency,
            retry: config.mail_retry,
        }
    }

    /// Hands one mail over. A mail whose transport took it just before a crash is handed over again, with the same
    /// Message-ID: SMTP offers nothing better.
    ///
    /// # Errors
    /// [`Failure::Retry`] when the transport does not take it now, [`Failure::Dead`] when it never will; both with the
    /// answer of the server.
    pub async fn handle(&self, delivery: Delivery) -> Result<(), Failure> {
        let mail: OutgoingMail = serde_json::from_value(delivery.message.payload)
            .map_err(|e| Failure::Dead(format!("the payload cannot be read: {e}")))?;
        if !self.allowed.is_empty() && !self.allowed.contains(&mail.to) {
            tracing::debug!(to = %mail.to, "mail.recipients does not allow this recipient");
            return Ok(());
        }
        match self.transport.send(&mail).await {
            Ok(()) => {
                tracing::info!(to = %mail.to, message_id = %mail.message_id, attempt = delivery.attempt, "a mail was sent");
                Ok(())
            }
            Err(error @ SendError::Transient(_)) => Err(Failure::Retry(format!("mail to {}: {error}", mail.to))),
            Err(error @ SendError::Permanent(_)) => Err(Failure::Dead(format!("mail to {}: {error}", mail.to))),
        }
    }
}
