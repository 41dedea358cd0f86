//! What the rest of the program is told of a write (messaging §1.3–§1.8). Messages are built here and published in the
//! same batch as the write, by whoever writes.

use serde_json::Value;

use crate::dav::announce::{calendar_changed, path_of};
use crate::dav::precondition::quoted;
use crate::events::{EventChanged, LocalDelivery, Message, ResourceEvent, Topic};
use crate::ical::{Component, jcal};
use crate::ids::ObjectPath;
use crate::itip::ItipMessage;
use crate::store::{Collection, Object};

/// A calendar object whose change is told.
pub(super) struct Subject<'a> {
    pub(super) path: ObjectPath,
    pub(super) calendar: &'a Component,
    /// The text, where it is told.
    pub(super) text: Option<&'a str>,
    /// ETag without quotes, where the object still exists.
    pub(super) etag: Option<&'a str>,
    /// Principal who wrote.
    pub(super) by: &'a str,
}

impl<'a> Subject<'a> {
    /// An object that is, or was, in a calendar.
    pub(super) fn stored(collection: &Collection, object: &'a Object, calendar: &'a Component, by: &'a str) -> Self {
        let path = path_of(collection).object(&object.meta.name);
        Self { path, calendar, text: Some(&object.data), etag: Some(&object.meta.etag), by }
    }

    fn payload(&self) -> EventChanged {
        EventChanged {
            event_path: self.path.clone(),
            event: jcal::to_jcal(self.calendar),
            raw_event: self.text.map(str::to_owned),
            import: None,
            old_event: None,
            event_source_path: None,
            etag: self.etag.map(quoted),
            connected_user: Some(self.by.to_owned()),
        }
    }

    fn message(&self, topic: Topic, payload: &EventChanged) -> Message {
        Message::new(topic, self.path.to_string(), payload)
    }

    /// One payload on several topics, in order.
    fn on(&self, topics: &[Topic], payload: &EventChanged) -> Vec<Message> {
        topics.iter().map(|topic| self.message(*topic, payload)).collect()
    }

    /// The object was created.
    pub(super) fn created(&self, import: Option<bool>) -> Vec<Message> {
        let payload = EventChanged { import, ..self.payload() };
        self.on(&[Topic::AlarmCreated, Topic::EventCreated], &payload)
    }

    /// The object was overwritten. One with another UID takes the alarms of the old one with it.
    pub(super) fn updated(&self, old: &Subject<'_>, import: Option<bool>) -> Vec<Message> {
        let old_payload = old.payload();
        let mut messages = Vec::new();
        if uid(old.calendar) != uid(self.calendar) {
            messages.push(self.message(Topic::AlarmCancel, &EventChanged { etag: None, ..old_payload.clone() }));
        }
        let payload = EventChanged { import, old_event: Some(old_payload.event), ..self.payload() };
        messages.extend(self.on(&[Topic::AlarmUpdated, Topic::EventUpdated], &payload));
        messages
    }

    /// The object was deleted.
    pub(super) fn deleted(&self, import: Option<bool>) -> Vec<Message> {
        let payload = EventChanged { import, etag: None, ..self.payload() };
        self.on(&[Topic::AlarmDeleted, Topic::EventDeleted], &payload)
    }

    /// An iTIP message was delivered to the object (messaging §1.4).
    pub(super) fn delivered(&self, topics: &[Topic]) -> Vec<Message> {
        self.on(topics, &self.payload())
    }
}

fn uid(calendar: &Component) -> Option<&str> {
    calendar.components().find_map(|c| c.value("UID"))
}

/// What became of the object from which an iTIP message follows, with its text from before.
#[derive(Debug, Clone, Copy)]
pub(super) enum Before<'a> {
    /// There was none.
    Nothing,
    /// It was overwritten, or is what a COUNTER is about.
    Stored(&'a str),
    /// It was deleted.
    Deleted(&'a str),
}

impl<'a> From<Option<&'a str>> for Before<'a> {
    fn from(stored: Option<&'a str>) -> Self {
        stored.map_or(Self::Nothing, Self::Stored)
    }
}

/// An iTIP message on its way to its recipient (messaging §1.7): one delivery for each, so that those to one recipient keep
/// their order and one that fails holds up nobody else. `delivered` where the recipient's calendar has it already.
pub(super) fn local_delivery(
    message: &ItipMessage,
    before: Before<'_>,
    calendar_id: Option<&str>,
    by: &str,
    delivered: bool,
) -> Message {
    let (old_message, deleted_object) = match before {
        Before::Nothing => (None, None),
        Before::Stored(text) => (Some(text.to_owned()), None),
        Before::Deleted(text) => (None, Some(text.to_owned())),
    };
    let delivery = LocalDelivery {
        sender: message.sender.clone(),
        method: message.method.to_string(),
        uid: message.uid.clone(),
        message: message.to_ics(),
        has_change: message.has_change,
        recipients: vec![message.recipient.clone()],
        old_message,
        deleted_object,
        calendar_id: calendar_id.map(str::to_owned),
        connected_user: Some(by.to_owned()),
        delivered,
    };
    Message::new(Topic::ItipLocalDelivery, format!("{}\n{}", message.uid, message.recipient), &delivery)
}

/// What became of a booking of a resource (messaging §1.6): of an object in its calendar, written by `by`.
pub(super) fn booking(topic: Topic, collection: &Collection, object: &Object, by: &str) -> Message {
    let path = path_of(collection).object(&object.meta.name).to_string();
    let event_id = if topic == Topic::ResourceCreated { &object.meta.name } else { &object.meta.uid.0 };
    let payload = ResourceEvent {
        resource_id: collection.home.to_string(),
        event_id: event_id.clone(),
        event_path: path.clone(),
        ics: object.data.clone(),
        etag: Some(quoted(&object.meta.etag)),
        connected_user: Some(by.to_owned()),
    };
    Message::new(topic, path, &payload)
}

/// What is told of a written object besides: each topic with the payload that it has.
pub(super) fn besides(
    topics: &[Topic],
    collection: &Collection,
    object: &Object,
    calendar: &Component,
    by: &str,
) -> Vec<Message> {
    let subject = Subject::stored(collection, object, calendar, by);
    let told = topics.iter().flat_map(|topic| match topic {
        Topic::ResourceCreated | Topic::ResourceAccepted | Topic::ResourceDeclined => {
            vec![booking(*topic, collection, object, by)]
        }
        topic => subject.delivered(&[*topic]),
    });
    told.collect()
}

/// A calendar's properties are about to change: the message holds those from before (observed §1.14).
pub(super) fn calendar_updated(before: &Collection, by: &str) -> Message {
    crate::dav::announce::calendar_updated(before, Some(by))
}

/// A calendar was deleted.
pub(super) fn calendar_deleted(collection: &Collection, by: &str) -> Message {
    calendar_changed(Topic::CalendarDeleted, collection, Value::Null, Some(by))
}
