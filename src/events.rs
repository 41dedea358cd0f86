//! Domain events: what the DAV server says happened, and what follows from it inside the program.
//!
//! Names and JSON shapes are those of the `messaging` surface that esn-sabre publishes, so that RabbitMQ with esn-sabre
//! and the built-in server with the embedded queue carry the same messages.

use std::sync::Arc;

use serde::ser::SerializeMap as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::ids::{CalendarPath, Email, ObjectPath, Uid};

/// Where a message goes: one exchange on RabbitMQ, one topic on the embedded queue (messaging §1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// A calendar object was created. Payload [`EventChanged`].
    EventCreated,
    /// A calendar object was overwritten. Payload [`EventChanged`].
    EventUpdated,
    /// A calendar object was deleted. Payload [`EventChanged`].
    EventDeleted,
    /// An iTIP REQUEST was delivered. Payload [`EventChanged`].
    EventRequest,
    /// An iTIP REPLY was delivered. Payload [`EventChanged`].
    EventReply,
    /// An iTIP CANCEL was delivered. Payload [`EventChanged`].
    EventCancel,
    /// An object with or without alarms was created. Payload [`EventChanged`].
    AlarmCreated,
    /// An object with or without alarms was overwritten. Payload [`EventChanged`].
    AlarmUpdated,
    /// An object with or without alarms was deleted. Payload [`EventChanged`].
    AlarmDeleted,
    /// An event was cancelled by its organizer. Payload [`EventChanged`].
    AlarmCancel,
    /// An iTIP message is to be delivered. Payload [`LocalDelivery`].
    ItipLocalDelivery,
    /// Someone must be told of an iTIP message by mail. Payload [`Notification`].
    NotificationEmail,
    /// A calendar was created. Payload [`CalendarChanged`].
    CalendarCreated,
    /// A calendar's properties changed. Payload [`CalendarChanged`].
    CalendarUpdated,
    /// A calendar was deleted. Payload [`CalendarChanged`].
    CalendarDeleted,
    /// Declared by its consumers; nobody publishes it (messaging §1.2). Payload [`EventChanged`].
    AlarmRequest,
    /// An iTIP REQUEST was delivered to a resource. Payload [`ResourceEvent`].
    ResourceCreated,
    /// A resource accepted. Payload [`ResourceEvent`].
    ResourceAccepted,
    /// A resource declined. Payload [`ResourceEvent`].
    ResourceDeclined,
    /// Somebody subscribed to a calendar. Payload [`SubscriptionChanged`].
    SubscriptionCreated,
    /// A subscription's properties changed. Payload [`SubscriptionChanged`].
    SubscriptionUpdated,
    /// A subscription ended. Payload [`SubscriptionChanged`].
    SubscriptionDeleted,
    /// A card was created. Payload [`ContactChanged`].
    ContactCreated,
    /// A card was overwritten. Payload [`ContactChanged`].
    ContactUpdated,
    /// A card was deleted. Payload [`ContactChanged`].
    ContactDeleted,
    /// An old name of `sabre:contact:updated` that must exist on a broker; nobody publishes it (messaging §1.2).
    ContactUpdate,
    /// An address book was created. Payload [`AddressBookChanged`].
    AddressBookCreated,
    /// An address book's properties changed. Payload [`AddressBookChanged`].
    AddressBookUpdated,
    /// An address book was deleted. Payload [`AddressBookChanged`].
    AddressBookDeleted,
    /// An address book was shared or subscribed to. Payload [`AddressBookChanged`].
    BookSubscriptionCreated,
    /// A shared address book's properties changed. Payload [`AddressBookChanged`].
    BookSubscriptionUpdated,
    /// A shared address book is gone for its subscriber. Payload [`AddressBookChanged`].
    BookSubscriptionDeleted,
    /// A rendered mail waits for the transport. Payload `mail::OutgoingMail`. Our own; not on the wire of others.
    MailOutgoing,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 33] = [
        Self::EventCreated,
        Self::EventUpdated,
        Self::EventDeleted,
        Self::EventRequest,
        Self::EventReply,
        Self::EventCancel,
        Self::AlarmCreated,
        Self::AlarmUpdated,
        Self::AlarmDeleted,
        Self::AlarmCancel,
        Self::ItipLocalDelivery,
        Self::NotificationEmail,
        Self::CalendarCreated,
        Self::CalendarUpdated,
        Self::CalendarDeleted,
        Self::AlarmRequest,
        Self::ResourceCreated,
        Self::ResourceAccepted,
        Self::ResourceDeclined,
        Self::SubscriptionCreated,
        Self::SubscriptionUpdated,
        Self::SubscriptionDeleted,
        Self::ContactCreated,
        Self::ContactUpdated,
        Self::ContactDeleted,
        Self::ContactUpdate,
        Self::AddressBookCreated,
        Self::AddressBookUpdated,
        Self::AddressBookDeleted,
        Self::BookSubscriptionCreated,
        Self::BookSubscriptionUpdated,
        Self::BookSubscriptionDeleted,
        Self::MailOutgoing,
    ];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EventCreated => "calendar:event:created",
            Self::EventUpdated => "calendar:event:updated",
            Self::EventDeleted => "calendar:event:deleted",
            Self::EventRequest => "calendar:event:request",
            Self::EventReply => "calendar:event:reply",
            Self::EventCancel => "calendar:event:cancel",
            Self::AlarmCreated => "calendar:event:alarm:created",
            Self::AlarmUpdated => "calendar:event:alarm:updated",
            Self::AlarmDeleted => "calendar:event:alarm:deleted",
            Self::AlarmCancel => "calendar:event:alarm:cancel",
            Self::ItipLocalDelivery => "calendar:itip:localDelivery",
            Self::NotificationEmail => "calendar:event:notificationEmail:send",
            Self::CalendarCreated => "calendar:calendar:created",
            Self::CalendarUpdated => "calendar:calendar:updated",
            Self::CalendarDeleted => "calendar:calendar:deleted",
            Self::AlarmRequest => "calendar:event:alarm:request",
            Self::ResourceCreated => "resource:calendar:event:created",
            Self::ResourceAccepted => "resource:calendar:event:accepted",
            Self::ResourceDeclined => "resource:calendar:event:declined",
            Self::SubscriptionCreated => "calendar:subscription:created",
            Self::SubscriptionUpdated => "calendar:subscription:updated",
            Self::SubscriptionDeleted => "calendar:subscription:deleted",
            Self::ContactCreated => "sabre:contact:created",
            Self::ContactUpdated => "sabre:contact:updated",
            Self::ContactDeleted => "sabre:contact:deleted",
            Self::ContactUpdate => "sabre:contact:update",
            Self::AddressBookCreated => "sabre:addressbook:created",
            Self::AddressBookUpdated => "sabre:addressbook:updated",
            Self::AddressBookDeleted => "sabre:addressbook:deleted",
            Self::BookSubscriptionCreated => "sabre:addressbook:subscription:created",
            Self::BookSubscriptionUpdated => "sabre:addressbook:subscription:updated",
            Self::BookSubscriptionDeleted => "sabre:addressbook:subscription:deleted",
            Self::MailOutgoing => "convoke:mail:outgoing",
        }
    }

    /// The topic of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.name() == name)
    }

    /// The key of a message that comes without one, as those of esn-sabre do: the same as the built-in server gives it, so
    /// that messages about one object keep their order. `None` when the payload does not say what it is about.
    pub fn key_of(self, payload: &Value) -> Option<String> {
        let text = |field: &str| payload.get(field).and_then(Value::as_str).filter(|t| !t.is_empty());
        // esn-sabre begins some paths with `//` (messaging §1.6).
        let path = |field: &str| text(field).map(|p| format!("/{}", p.trim_start_matches('/')));
        match self {
            Self::EventCreated
            | Self::EventUpdated
            | Self::EventDeleted
            | Self::EventRequest
            | Self::EventReply
            | Self::EventCancel
            | Self::AlarmCreated
            | Self::AlarmUpdated
            | Self::AlarmDeleted
            | Self::AlarmCancel
            | Self::AlarmRequest
            | Self::ResourceCreated
            | Self::ResourceAccepted
            | Self::ResourceDeclined => path("eventPath"),
            Self::CalendarCreated
            | Self::CalendarUpdated
            | Self::CalendarDeleted
            | Self::SubscriptionCreated
            | Self::SubscriptionUpdated
            | Self::SubscriptionDeleted => path("calendarPath"),
            Self::ContactCreated
            | Self::ContactUpdated
            | Self::ContactDeleted
            | Self::ContactUpdate
            | Self::AddressBookCreated
            | Self::AddressBookUpdated
            | Self::AddressBookDeleted
            | Self::BookSubscriptionCreated
            | Self::BookSubscriptionUpdated
            | Self::BookSubscriptionDeleted => path("path"),
            Self::ItipLocalDelivery => {
                let recipients = payload.get("recipients").and_then(Value::as_array).into_iter().flatten();
                let recipients: Vec<&str> = recipients.filter_map(Value::as_str).collect();
                text("uid").map(|uid| format!("{uid}\n{}", recipients.join("\n")))
            }
            Self::NotificationEmail => Some(format!("{}\n{}", text("eventPath")?, text("recipientEmail")?)),
            Self::MailOutgoing => None,
        }
    }
}

impl std::fmt::Display for Topic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A message on its way to the queue.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Where it goes.
    pub topic: Topic,
    /// Messages of one key are handled in the order they were published (object path, or UID and recipient).
    pub key: String,
    /// A message whose `once` was published before is dropped: makes a repeated step harmless.
    pub once: Option<String>,
    /// The JSON body, but for `texts`.
    pub payload: Value,
    /// More members of the body, which must be an object then: long texts that this message has in common with others. They
    /// are in memory once, and once in a queue that can, however many people are told.
    pub texts: Vec<(&'static str, Arc<str>)>,
}

impl Message {
    /// A message with a typed payload.
    ///
    /// # Panics
    /// Never for the payload types of this crate: they serialise to JSON.
    pub fn new(topic: Topic, key: impl Into<String>, payload: &impl Serialize) -> Self {
        let payload = serde_json::to_value(payload).unwrap_or(Value::Null);
        Self { topic, key: key.into(), once: None, payload, texts: Vec::new() }
    }

    /// The same message with a text as this member of its body.
    #[must_use]
    pub fn text(mut self, member: &'static str, text: &Arc<str>) -> Self {
        if let Some(own) = self.payload.as_object_mut() {
            own.remove(member);
        }
        self.texts.push((member, Arc::clone(text)));
        self
    }

    /// The whole body as JSON.
    pub fn body(&self) -> String {
        if self.texts.is_empty() {
            return self.payload.to_string();
        }
        serde_json::to_string(&Body { payload: &self.payload, texts: &self.texts }).unwrap_or_default()
    }

    /// The same message, dropped when one with this `once` was published before.
    #[must_use]
    pub fn once(mut self, once: impl Into<String>) -> Self {
        self.once = Some(once.into());
        self
    }
}

/// A payload with its texts.
struct Body<'a> {
    payload: &'a Value,
    texts: &'a [(&'static str, Arc<str>)],
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let own = self.payload.as_object();
        let mut map = serializer.serialize_map(Some(own.map_or(0, serde_json::Map::len) + self.texts.len()))?;
        for (member, value) in own.into_iter().flatten() {
            map.serialize_entry(member, value)?;
        }
        for (member, text) in self.texts {
            map.serialize_entry(member, &**text)?;
        }
        map.end()
    }
}

/// Reads a path that may begin with more slashes than one, as esn-sabre writes some (messaging §1.6).
fn with_one_slash<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let path = String::deserialize(deserializer)?;
    let plain = path.trim_start_matches('/');
    path.get(path.len() - plain.len() - usize::from(plain.len() < path.len())..)
        .unwrap_or_default()
        .parse()
        .map_err(serde::de::Error::custom)
}

/// Payload of the event and alarm topics (messaging §1.3–§1.5).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventChanged {
    /// The object as this instance of the calendar sees it.
    #[serde(deserialize_with = "with_one_slash")]
    pub event_path: ObjectPath,
    /// The new content (deleted: the last) as jCal.
    pub event: Value,
    /// The text as stored, or sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw_event: Option<String>,
    /// Written by an import: nobody is invited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import: Option<bool>,
    /// The previous content as jCal, where the object was overwritten.
    #[serde(default, rename = "old_event", skip_serializing_if = "Option::is_none")]
    pub old_event: Option<Value>,
    /// The source object, in copies for subscribers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_source_path: Option<ObjectPath>,
    /// Quoted ETag, where the object still exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Principal who wrote.
    #[serde(default)]
    pub connected_user: Option<String>,
}

/// Payload of [`Topic::ItipLocalDelivery`] (messaging §1.7, mail-itip-alarms §0.1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LocalDelivery {
    /// Calendar user address of the sender, `mailto:…`.
    pub sender: String,
    /// `REQUEST`, `REPLY`, `CANCEL` or `COUNTER`.
    pub method: String,
    /// UID of the event.
    pub uid: Uid,
    /// The iTIP message as iCalendar text, personal to the recipient.
    pub message: String,
    /// Whether something changed that people want to hear of.
    #[serde(default)]
    pub has_change: bool,
    /// Calendar user addresses; one in practice.
    #[serde(default)]
    pub recipients: Vec<String>,
    /// The object as it was stored before; absent on creation and on deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_message: Option<String>,
    /// When the object took place that was deleted. Ours, not known to esn-sabre: without it the end of a series that has
    /// begun cannot be told from that of one that is over, since the message itself carries no rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_object: Option<String>,
    /// Last segment of the calendar written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar_id: Option<String>,
    /// Principal who wrote.
    #[serde(default)]
    pub connected_user: Option<String>,
    /// The message is in the recipient's calendar already: it was put there by the write that caused it. Ours, not known
    /// to esn-sabre.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub delivered: bool,
    /// The sender's client asked for the message, also where it tells nothing new (`SCHEDULE-FORCE-SEND`, RFC 6638 §7.2).
    /// Ours, not known to esn-sabre.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forced: bool,
}

impl LocalDelivery {
    /// Name of `message` in the payload.
    pub const MESSAGE: &'static str = "message";
    /// Name of `old_message` in the payload.
    pub const OLD_MESSAGE: &'static str = "oldMessage";
    /// Name of `deleted_object` in the payload.
    pub const DELETED_OBJECT: &'static str = "deletedObject";
}

/// Payload of [`Topic::NotificationEmail`] (mail-itip-alarms §0.3).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    /// Who the mail is from.
    pub sender_email: Email,
    /// Who gets the mail.
    pub recipient_email: Email,
    /// iTIP method of this notification.
    pub method: String,
    /// iCalendar text, usually with one VEVENT.
    pub event: String,
    /// Last segment of the calendar written.
    #[serde(rename = "calendarURI")]
    pub calendar_uri: String,
    /// Path of the recipient's copy; `""` when unknown.
    pub event_path: String,
    /// The event before a COUNTER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_event: Option<String>,
    /// The recipient hears of it for the first time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_new_event: bool,
    /// What changed, by `summary`, `location`, `description`, `dtstart`, `dtend`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Value>,
    /// How the event repeats changed: RRULE, RDATE, or a date that is excluded no longer. Ours, not known to others:
    /// `changes` has no word for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repetition_changed: bool,
    /// STATUS before, where it changed; `""` when there was none. Ours, not known to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_before: Option<String>,
}

/// Payload of the calendar topics (messaging §1.8).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CalendarChanged {
    /// The calendar.
    #[serde(deserialize_with = "with_one_slash")]
    pub calendar_path: CalendarPath,
    /// Its properties in Clark notation; `null` when it is gone.
    pub calendar_props: Value,
    /// Principal who wrote.
    #[serde(default)]
    pub connected_user: Option<String>,
}

/// Payload of the resource topics (messaging §1.6).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceEvent {
    /// The resource.
    pub resource_id: String,
    /// File name of the object (created), or UID of the event (accepted, declined).
    pub event_id: String,
    /// Path in the resource's calendar; esn-sabre may begin it with `//`.
    pub event_path: String,
    /// The object in the resource's calendar.
    pub ics: String,
    /// Quoted ETag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Principal who wrote.
    #[serde(default)]
    pub connected_user: Option<String>,
}

/// Payload of the subscription topics (messaging §1.9).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionChanged {
    /// The subscription, as its subscriber sees it.
    #[serde(deserialize_with = "with_one_slash")]
    pub calendar_path: CalendarPath,
    /// `/` and the stored source, of deletions only.
    #[serde(default)]
    pub calendar_source_path: Option<String>,
    /// Principal who wrote.
    #[serde(default)]
    pub connected_user: Option<String>,
}

/// Payload of the contact topics (messaging §1.10).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContactChanged {
    /// `addressbooks/{home}/{book}/{card}.vcf`, without a leading slash.
    pub path: String,
    /// Principal URI of the owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The card as vCard text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carddata: Option<String>,
    /// The source card, in copies for subscribers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_path: Option<String>,
    /// Principal who wrote.
    #[serde(default)]
    pub connected_user: Option<String>,
}

/// Payload of the address book topics (messaging §1.11).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AddressBookChanged {
    /// `addressbooks/{home}/{book}`, without a leading slash.
    pub path: String,
    /// Principal URI of the owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Principal who wrote.
    #[serde(default)]
    pub connected_user: Option<String>,
}
