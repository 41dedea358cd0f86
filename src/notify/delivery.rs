//! Delivers iTIP messages: into the calendar of a recipient who lives here, and to the mail that tells them
//! (mail-itip-alarms §0.2).

use std::collections::HashSet;

use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde_json::json;
use sha2::{Digest, Sha256};
use tower::ServiceExt;

use crate::clock::Env;
use crate::config;
use crate::dav::{Actor, Body, Upstream};
use crate::events::{LocalDelivery, Message, Notification, Topic};
use crate::ical::{CalendarObject, Method};
use crate::ids::{Email, HomeId, ObjectId};
use crate::queue::{ConsumerSpec, Delivery, Failure, SharedQueue};
use crate::store::{SharedDirectory, StoreError, User};

use super::event_path;
use super::notifications::{Received, notifications};
use super::people::SharedPeople;
use super::screening::screen;

/// Octets of a refusal that are kept for the log.
const REASON: usize = 2_000;

/// Consumer of [`Topic::ItipLocalDelivery`].
#[derive(Clone)]
pub struct ItipDelivery {
    queue: SharedQueue,
    upstream: Upstream,
    directory: SharedDirectory,
    people: SharedPeople,
    env: Env,
}

impl ItipDelivery {
    /// A consumer that writes through `upstream` and publishes to `queue`.
    pub fn new(
        queue: SharedQueue,
        upstream: Upstream,
        directory: SharedDirectory,
        people: SharedPeople,
        env: Env,
    ) -> Self {
        Self { queue, upstream, directory, people, env }
    }

    /// Name, topics and patience.
    pub fn spec(config: &config::Queue) -> ConsumerSpec {
        ConsumerSpec {
            name: "tcalendar:itip:localDelivery",
            topics: vec![Topic::ItipLocalDelivery],
            concurrency: config.concurrency,
            retry: config.retry,
        }
    }

    /// Sees one message through. Doing so again changes nothing: the DAV server takes a message twice without harm, and
    /// what is published carries a `once`.
    ///
    /// # Errors
    /// [`Failure::Dead`] when the message makes no sense or the DAV server refuses it, [`Failure::Retry`] when something
    /// is away.
    pub async fn handle(&self, delivery: Delivery) -> Result<(), Failure> {
        let message: LocalDelivery = serde_json::from_value(delivery.message.payload)
            .map_err(|e| Failure::Dead(format!("the payload cannot be read: {e}")))?;
        let recipients = distinct(&message.recipients);
        let recipient = match recipients.as_slice() {
            [] => return Err(Failure::Dead("the message names no recipient".to_owned())),
            [one] => one,
            several => return self.fan_out(&message, several).await,
        };
        let Ok(recipient) = crate::ical::event::calendar_address(recipient) else {
            tracing::warn!(recipient, uid = %message.uid, "an iTIP message is for nobody that can be addressed");
            return Ok(());
        };
        self.deliver(&message, recipient).await
    }

    /// Several recipients: each gets a message of their own.
    async fn fan_out(&self, message: &LocalDelivery, recipients: &[String]) -> Result<(), Failure> {
        let identity = hash(&[&serde_json::to_string(message).unwrap_or_default()]);
        let copies: Vec<Message> = recipients
            .iter()
            .map(|recipient| {
                let copy = LocalDelivery { recipients: vec![recipient.clone()], ..message.clone() };
                let key = format!("{}\n{recipient}", message.uid);
                Message::new(Topic::ItipLocalDelivery, key, &copy).once(format!("itip:{identity}:{recipient}"))
            })
            .collect();
        self.publish(&copies).await
    }

    async fn deliver(&self, message: &LocalDelivery, recipient: Email) -> Result<(), Failure> {
        let sender = crate::ical::event::calendar_address(&message.sender)
            .map_err(|e| Failure::Dead(format!("the sender cannot be read: {e}")))?;
        let method = Method::read(&message.method);
        let calendar = read("message", &message.message)?;
        let old = message.old_message.as_deref().map(|old| read("oldMessage", old)).transpose()?;
        let deleted = message.deleted_object.as_deref().map(|gone| read("deletedObject", gone)).transpose()?;
        if let Some(reason) = screen(&method, &sender, &calendar, old.as_ref(), message.forced) {
            tracing::debug!(uid = %message.uid, %recipient, ?reason, "an iTIP message is dropped");
            return Ok(());
        }
        let user = self.directory.user_by_email(&recipient).await.map_err(|e| store_failed(&e))?;
        let is_resource = user.is_none() && self.is_resource(&recipient).await?;
        let actor = match &user {
            Some(user) => Some(user.email()),
            None => is_resource.then_some(&recipient),
        };
        if let Some(actor) = actor.filter(|_| method != Method::Counter && !message.delivered) {
            self.write_into_calendar(message, &calendar, &sender, &recipient, actor).await?;
        }
        // Resources read no mail, and what they answer is told by the mails of resources.
        if is_resource || (method == Method::Reply && self.is_resource(&sender).await?) {
            return Ok(());
        }
        let preferences = self.people.preferences(&recipient, &sender).await.map_err(|e| store_failed(&e))?;
        let received = Received {
            event_path: self.event_path(message, &sender, user.as_ref()).await?,
            calendar_id: message.calendar_id.clone().unwrap_or_default(),
            sender,
            recipient,
            method,
            message: calendar,
            old,
            deleted,
        };
        let told = notifications(&received, self.env.now(), preferences.zone);
        let told: Vec<Message> = told.iter().map(|told| publication(message, told)).collect();
        self.publish(&told).await
    }

    /// Whether the address is that of a resource: its id, in one of our domains (mail-itip-alarms §0.2, step 4).
    async fn is_resource(&self, address: &Email) -> Result<bool, Failure> {
        if address.local_part().parse::<ObjectId>().is_err() {
            return Ok(false);
        }
        let domain = self.directory.domain_by_name(&address.domain()).await.map_err(|e| store_failed(&e))?;
        Ok(domain.is_some())
    }

    /// `POST /itip` on behalf of the recipient (mail-itip-alarms §5.9).
    async fn write_into_calendar(
        &self,
        message: &LocalDelivery,
        calendar: &CalendarObject,
        sender: &Email,
        recipient: &Email,
        actor: &Email,
    ) -> Result<(), Failure> {
        let mut body = json!({
            "uid": message.uid,
            "sender": sender,
            "recipient": recipient,
            "ical": message.message,
            "method": message.method.to_ascii_uppercase(),
        });
        let has_sequence = calendar.components().any(|c| c.get("SEQUENCE").is_some());
        if let Some(sequence) = calendar.events().map(|event| event.sequence()).max().filter(|_| has_sequence) {
            body["sequence"] = json!(sequence.to_string());
        }
        let mut request = Request::post("/itip")
            .header(http::header::CONTENT_TYPE, "application/calendar+json")
            .body(Body::from(body.to_string()))
            .map_err(|e| Failure::Dead(e.to_string()))?;
        request.extensions_mut().insert(Actor::User(actor.clone()));
        let answer = self.upstream.clone().oneshot(request).await;
        let response = answer.map_err(|e| Failure::Retry(e.to_string()))?;
        let status = response.status();
        // 400 says that the server knows no such recipient; they still get the mail.
        if status.is_success() || status == StatusCode::BAD_REQUEST {
            return Ok(());
        }
        let reason = Limited::new(response.into_body(), REASON).collect().await;
        let reason = reason.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned()).unwrap_or_default();
        let text = format!("the DAV server answers POST /itip for {recipient} with {status}: {reason}");
        let passing = status.is_server_error()
            || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS | StatusCode::CONFLICT);
        Err(if passing { Failure::Retry(text) } else { Failure::Dead(text) })
    }

    /// Local recipients: where their copy is. Others: where the organizer's is, in the home of the sender if we know it.
    async fn event_path(
        &self,
        message: &LocalDelivery,
        sender: &Email,
        recipient: Option<&User>,
    ) -> Result<String, Failure> {
        if let Some(user) = recipient {
            if let Some(path) = event_path::find(&self.upstream, user, &message.uid).await {
                return Ok(path);
            }
            let home = HomeId::from(user.id).to_string();
            return Ok(event_path::by_convention(&home, &home, &message.uid));
        }
        let calendar = message.calendar_id.as_deref().unwrap_or_default();
        if calendar.is_empty() {
            return Ok(String::new());
        }
        let sender = self.directory.user_by_email(sender).await.map_err(|e| store_failed(&e))?;
        let home = sender.map_or_else(|| calendar.to_owned(), |user| HomeId::from(user.id).to_string());
        Ok(event_path::by_convention(&home, calendar, &message.uid))
    }

    async fn publish(&self, messages: &[Message]) -> Result<(), Failure> {
        if messages.is_empty() {
            return Ok(());
        }
        self.queue.publish(messages).await.map_err(|e| Failure::Retry(e.to_string()))
    }
}

/// What makes a notification the one it is: what is said, by whom, to whom. DTSTAMP, which is set whenever an iTIP message
/// is made (RFC 5545 §3.8.7.2), tells two of the same words apart.
fn publication(message: &LocalDelivery, told: &Notification) -> Message {
    let changes = told.changes.as_ref().map(ToString::to_string).unwrap_or_default();
    let (sender, recipient) = (told.sender_email.as_str(), told.recipient_email.as_str());
    let news = if told.is_new_event { "new" } else { "" };
    let identity = hash(&[sender, recipient, &told.method, news, &changes, &told.event]);
    let key = format!("{}\n{recipient}", message.uid);
    Message::new(Topic::NotificationEmail, key, told).once(format!("notification:{identity}"))
}

fn hash(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(&hash.finalize()[..16])
}

/// The addresses that are not blank, each once.
fn distinct(recipients: &[String]) -> Vec<String> {
    let mut seen = HashSet::new();
    let blank = |address: &&str| !address.is_empty();
    let addresses = recipients.iter().map(|r| r.trim()).filter(blank);
    let normal =
        |address: &str| Email::from_calendar_address(address).map_or_else(|_| address.to_owned(), String::from);
    addresses.filter(|address| seen.insert(normal(address))).map(str::to_owned).collect()
}

fn read(what: &str, text: &str) -> Result<CalendarObject, Failure> {
    CalendarObject::parse_message(text).map_err(|e| Failure::Dead(format!("{what} is no iCalendar: {e}")))
}

fn store_failed(error: &StoreError) -> Failure {
    match error {
        StoreError::Unavailable(_) => Failure::Retry(error.to_string()),
        _ => Failure::Dead(error.to_string()),
    }
}
