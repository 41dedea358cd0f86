//! Messages as they stand on the wire, and back.
//!
//! The body is the payload and nothing else, as esn-sabre writes and reads it. What the queue itself must know stands in
//! headers `x-convoke-…`; messages of others have none, and what they would say is found in another way.

use chrono::{DateTime, Utc};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::events::{Message, Topic};

const KEY: &str = "x-convoke-key";
const ONCE: &str = "x-convoke-once";
const TOPIC: &str = "x-convoke-topic";
/// Unix milliseconds.
const PUBLISHED: &str = "x-convoke-published";
/// Attempts that were made.
const ATTEMPTS: &str = "x-convoke-attempt";
/// What went wrong at the last attempt, or for good.
const ERROR: &str = "x-convoke-error";
/// Unix milliseconds; no attempt before.
const DUE: &str = "x-convoke-due";
/// Id of a dead letter.
const DEAD: &str = "x-convoke-dead";
/// Unix milliseconds at which it was given up.
const DIED: &str = "x-convoke-died";
/// Where the broker notes which queues a message left, and why.
const X_DEATH: &str = "x-death";

/// Longest error that is kept with a message, in bytes: headers go into one frame.
const ERROR_MOST: usize = 4_000;

/// A message that came, and what is known of its past.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Incoming {
    pub(super) message: Message,
    /// Names this copy of the message: its id, or a hash where it has none.
    pub(super) identity: String,
    pub(super) published: DateTime<Utc>,
    /// Attempts that were made.
    pub(super) attempts: u32,
    /// What went wrong at the last.
    pub(super) error: Option<String>,
    /// No attempt before.
    pub(super) due: Option<DateTime<Utc>>,
}

/// A message that nobody can make sense of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) String);

impl Incoming {
    /// Reads what came over `exchange` for a consumer of these topics.
    pub(super) fn read(
        exchange: &str,
        properties: &BasicProperties,
        body: &[u8],
        topics: &[Topic],
        now: DateTime<Utc>,
    ) -> Result<Self, Unreadable> {
        let headers = Headers::of(properties);
        let name = topic_name(exchange, &headers, topics);
        let topic = Topic::from_name(&name).ok_or_else(|| Unreadable(format!("the topic {name:?} is unknown")))?;
        let payload: Value =
            serde_json::from_slice(body).map_err(|e| Unreadable(format!("the payload is not JSON: {e}")))?;
        let identity = identity(exchange, properties, body);
        let key = headers.text(KEY).or_else(|| topic.key_of(&payload)).unwrap_or_else(|| identity.clone());
        Ok(Self {
            message: Message { topic, key, once: headers.text(ONCE), payload, texts: Vec::new() },
            identity,
            published: published(properties, &headers).unwrap_or(now),
            attempts: headers.number(ATTEMPTS).and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
            error: headers.text(ERROR),
            due: headers.instant(DUE),
        })
    }

    /// The same message as it waits in the retry queue.
    pub(super) fn parked(&self, due: Option<DateTime<Utc>>, round_ms: u64) -> BasicProperties {
        let mut headers = self.headers();
        if let Some(due) = due {
            headers.instant(DUE, due);
        }
        self.properties(headers).with_expiration(round_ms.to_string().into())
    }

    /// The same message as a dead letter.
    pub(super) fn dead(&self, id: u64, died: DateTime<Utc>, error: &str) -> BasicProperties {
        let mut headers = self.headers();
        headers.text(ERROR, shortened(error));
        headers.number(DEAD, i64::try_from(id).unwrap_or(i64::MAX));
        headers.instant(DIED, died);
        self.properties(headers)
    }

    /// The same message once more, as a new copy without a past.
    pub(super) fn fresh(&self, id: String) -> BasicProperties {
        properties(id, self.published, Writer::of(&self.message, self.published))
    }

    fn headers(&self) -> Writer {
        let mut headers = Writer::of(&self.message, self.published);
        headers.number(ATTEMPTS, self.attempts.into());
        if let Some(error) = &self.error {
            headers.text(ERROR, shortened(error));
        }
        headers
    }

    fn properties(&self, headers: Writer) -> BasicProperties {
        properties(self.identity.clone(), self.published, headers)
    }

    pub(super) fn body(&self) -> Vec<u8> {
        body(&self.message)
    }
}

/// A message that is published for the first time.
pub(super) fn first(message: &Message, id: String, now: DateTime<Utc>) -> BasicProperties {
    properties(id, now, Writer::of(message, now))
}

/// The payload, and nothing else.
pub(super) fn body(message: &Message) -> Vec<u8> {
    message.body().into_bytes()
}

fn properties(id: String, published: DateTime<Utc>, headers: Writer) -> BasicProperties {
    BasicProperties::default()
        .with_content_type("application/json".into())
        .with_delivery_mode(2)
        .with_message_id(id.into())
        .with_app_id("convoke".into())
        .with_timestamp(u64::try_from(published.timestamp()).unwrap_or(0))
        .with_headers(headers.0)
}

/// A dead letter that could not be read.
pub(super) fn unreadable(exchange: &str, id: u64, died: DateTime<Utc>, error: &str) -> BasicProperties {
    let mut headers = Writer(FieldTable::default());
    headers.text(TOPIC, exchange);
    headers.number(ATTEMPTS, 1);
    headers.text(ERROR, shortened(error));
    headers.number(DEAD, i64::try_from(id).unwrap_or(i64::MAX));
    headers.instant(DIED, died);
    let identity = format!("unreadable-{id}");
    properties(identity, died, headers)
}

/// What is known of a dead letter, whoever buried it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Letter {
    /// Its id where we gave it one, else one made of its time and content.
    pub(super) id: u64,
    pub(super) topic: String,
    pub(super) attempts: u32,
    pub(super) error: String,
    pub(super) published: DateTime<Utc>,
    pub(super) died: DateTime<Utc>,
    pub(super) payload: Value,
}

/// Factor between milliseconds and ids of dead letters. The ids are in the order of death, and until the year 2039 any
/// JSON reader can hold them.
const IDS_EACH_MS: u64 = 4096;

/// The least id of a dead letter that died then.
pub(super) fn dead_id(died: DateTime<Utc>) -> u64 {
    u64::try_from(died.timestamp_millis()).unwrap_or(0).saturating_mul(IDS_EACH_MS)
}

impl Letter {
    pub(super) fn read(exchange: &str, properties: &BasicProperties, body: &[u8], topics: &[Topic]) -> Self {
        let headers = Headers::of(properties);
        let payload = serde_json::from_slice(body).unwrap_or_else(|_| String::from_utf8_lossy(body).into());
        let published = published(properties, &headers);
        let buried = headers.first_death();
        let died = headers.instant(DIED).or_else(|| buried.as_ref().and_then(|d| d.at)).or(published);
        let died = died.unwrap_or_default();
        let id = headers.number(DEAD).and_then(|n| u64::try_from(n).ok()).unwrap_or_else(|| {
            // Others note whole seconds; what happened within one is told apart by content.
            let digest = Sha256::digest(identity(exchange, properties, body));
            let hash = digest.iter().take(4).fold(0, |hash, byte| (hash << 8) | u64::from(*byte));
            dead_id(died) + hash % (1000 * IDS_EACH_MS)
        });
        let error = headers.text(ERROR).unwrap_or_else(|| {
            buried.as_ref().map_or_else(
                || "whoever gave it up did not say why".to_owned(),
                |d| format!("given up by another program, or by the broker ({})", d.reason),
            )
        });
        Self {
            id,
            topic: topic_name(exchange, &headers, topics),
            attempts: headers.number(ATTEMPTS).and_then(|n| u32::try_from(n).ok()).unwrap_or(1),
            error,
            published: published.unwrap_or(died),
            died,
            payload,
        }
    }
}

/// How often a quorum queue has handed the message out before.
pub(super) fn deliveries(properties: &BasicProperties) -> u64 {
    Headers::of(properties).number("x-delivery-count").and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
}

/// Names a copy of a message. Two of others with the same content cannot be told apart.
fn identity(exchange: &str, properties: &BasicProperties, body: &[u8]) -> String {
    if let Some(id) = properties.message_id().as_ref().filter(|id| !id.as_str().is_empty()) {
        return id.as_str().chars().take(60).collect();
    }
    let mut hash = Sha256::new();
    hash.update(exchange);
    hash.update([0]);
    hash.update(body);
    hex::encode(&hash.finalize()[..16])
}

/// The name of the topic: the exchange, unless the message came straight to the queue.
fn topic_name(exchange: &str, headers: &Headers<'_>, topics: &[Topic]) -> String {
    let on_the_way = |name: &String| Topic::from_name(name).is_some();
    headers
        .text(TOPIC)
        .or_else(|| Some(exchange.to_owned()).filter(on_the_way))
        .or_else(|| headers.first_death().map(|d| d.exchange).filter(on_the_way))
        .unwrap_or_else(|| match topics {
            [only] => only.name().to_owned(),
            _ => exchange.to_owned(),
        })
}

fn published(properties: &BasicProperties, headers: &Headers<'_>) -> Option<DateTime<Utc>> {
    let stamp = || properties.timestamp().and_then(|t| DateTime::from_timestamp(i64::try_from(t).ok()?, 0));
    headers.instant(PUBLISHED).or_else(stamp)
}

fn shortened(text: &str) -> &str {
    let mut end = text.len().min(ERROR_MOST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// How a message left a queue.
struct Death {
    exchange: String,
    reason: String,
    at: Option<DateTime<Utc>>,
}

/// Headers of a message that came.
struct Headers<'a>(Option<&'a FieldTable>);

impl<'a> Headers<'a> {
    fn of(properties: &'a BasicProperties) -> Self {
        Self(properties.headers().as_ref())
    }

    fn value(&self, name: &str) -> Option<&'a AMQPValue> {
        self.0.and_then(|table| table.inner().get(name))
    }

    fn text(&self, name: &str) -> Option<String> {
        as_text(self.value(name)?)
    }

    fn number(&self, name: &str) -> Option<i64> {
        as_number(self.value(name)?)
    }

    fn instant(&self, name: &str) -> Option<DateTime<Utc>> {
        self.number(name).and_then(DateTime::from_timestamp_millis)
    }

    /// The oldest of the deaths that count: not those that end a wait in a retry queue.
    fn first_death(&self) -> Option<Death> {
        let AMQPValue::FieldArray(deaths) = self.value(X_DEATH)? else { return None };
        let death = |value: &AMQPValue| {
            let AMQPValue::FieldTable(table) = value else { return None };
            let field = |name: &str| table.inner().get(name);
            let at = match field("time") {
                Some(AMQPValue::Timestamp(at)) => DateTime::from_timestamp(i64::try_from(*at).ok()?, 0),
                _ => None,
            };
            Some(Death {
                exchange: field("exchange").and_then(as_text).unwrap_or_default(),
                reason: field("reason").and_then(as_text).unwrap_or_default(),
                at,
            })
        };
        // The broker puts the newest first.
        deaths.as_slice().iter().rev().filter_map(death).find(|d| d.reason != "expired")
    }
}

fn as_text(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes()).into_owned()),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        _ => None,
    }
}

fn as_number(value: &AMQPValue) -> Option<i64> {
    match value {
        AMQPValue::LongLongInt(n) => Some(*n),
        AMQPValue::LongInt(n) => Some((*n).into()),
        AMQPValue::LongUInt(n) => Some((*n).into()),
        AMQPValue::ShortInt(n) => Some((*n).into()),
        AMQPValue::ShortUInt(n) => Some((*n).into()),
        AMQPValue::ShortShortInt(n) => Some((*n).into()),
        AMQPValue::ShortShortUInt(n) => Some((*n).into()),
        _ => None,
    }
}

/// Headers of a message that goes.
struct Writer(FieldTable);

impl Writer {
    fn of(message: &Message, published: DateTime<Utc>) -> Self {
        let mut headers = Self(FieldTable::default());
        headers.text(TOPIC, message.topic.name());
        headers.text(KEY, &message.key);
        if let Some(once) = &message.once {
            headers.text(ONCE, once);
        }
        headers.instant(PUBLISHED, published);
        headers
    }

    fn text(&mut self, name: &str, value: &str) {
        self.0.insert(name.into(), AMQPValue::LongString(value.into()));
    }

    fn number(&mut self, name: &str, value: i64) {
        self.0.insert(name.into(), AMQPValue::LongLongInt(value));
    }

    fn instant(&mut self, name: &str, value: DateTime<Utc>) {
        self.number(name, value.timestamp_millis());
    }
}
