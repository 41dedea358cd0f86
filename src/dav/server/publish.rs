//! What the rest of the program is told of a write (messaging §1.3–§1.8). Messages are built here and published in the
//! same batch as the write, by whoever writes.

use std::sync::Arc;

use serde_json::Value;

use super::audience::{Audience, Listener};
use crate::dav::announce::{calendar_changed, path_of};
use crate::dav::precondition::quoted;
use crate::events::{EventChanged, LocalDelivery, Message, ResourceEvent, Topic};
use crate::ical::{Component, jcal};
use crate::ids::{CalendarPath, ObjectPath};
use crate::itip::ItipMessage;
use crate::store::{Collection, Object};

/// A calendar object whose change is told.
pub(super) struct Subject<'a> {
    /// Who is told.
    audience: &'a Audience,
    object: &'a Object,
    calendar: &'a Component,
    /// Principal who wrote.
    by: &'a str,
}

/// What is told of an object, besides where it is.
struct News<'a> {
    import: Option<bool>,
    /// What was overwritten.
    old: Option<&'a Component>,
    /// Whether the object still exists.
    is_there: bool,
}

impl<'a> Subject<'a> {
    /// An object that is, or was, in a calendar.
    pub(super) fn stored(audience: &'a Audience, object: &'a Object, calendar: &'a Component, by: &'a str) -> Self {
        Self { audience, object, calendar, by }
    }

    /// The messages on these topics, in order: of alarms for the place that was written, of iTIP for it and for subscribers,
    /// of events for everybody who has the calendar, subscribers first (messaging §1.3–§1.5).
    fn on(&self, topics: &[Topic], news: &News<'_>) -> Vec<Message> {
        let own = self.seen_as(self.calendar, Some(&self.object.data), news, None);
        let mut others: Vec<EventChanged> = Vec::new();
        let mut messages = Vec::new();
        for topic in topics {
            let (to_own, to_others, most): (&CalendarPath, &[Listener], bool) = match topic {
                Topic::EventCreated | Topic::EventUpdated | Topic::EventDeleted => {
                    (&self.audience.source, &self.audience.others, true)
                }
                Topic::EventRequest | Topic::EventReply | Topic::EventCancel => {
                    (&self.audience.written, &self.audience.others, false)
                }
                _ => (&self.audience.written, &[], false),
            };
            if others.is_empty() && !to_others.is_empty() {
                others = self.audience.others.iter().map(|listener| self.told_to(listener, news)).collect();
            }
            let told = |is_subscriber: bool| {
                let them = to_others.iter().zip(&others);
                them.filter(move |(listener, _)| listener.access.is_none() == is_subscriber)
            };
            let here = EventChanged { event_path: to_own.object(&self.object.meta.name), ..own.clone() };
            let here = Message::new(*topic, here.event_path.to_string(), &here);
            let subscribers = told(true).map(|(_, payload)| self.message(*topic, payload));
            if most {
                messages.extend(subscribers);
                messages.push(here);
                messages.extend(told(false).map(|(_, payload)| self.message(*topic, payload)));
            } else {
                messages.push(here);
                messages.extend(subscribers);
            }
        }
        messages
    }

    fn message(&self, topic: Topic, payload: &EventChanged) -> Message {
        Message::new(topic, payload.event_path.to_string(), payload)
    }

    /// What somebody is told who does not own the calendar (dav §12).
    fn told_to(&self, listener: &Listener, news: &News<'_>) -> EventChanged {
        let name = &self.object.meta.name;
        let source = listener.access.is_none().then(|| self.audience.source.object(name));
        let old = news.old.map(|old| listener.sees(old).unwrap_or_else(|| old.clone()));
        let news = News { old: old.as_ref(), ..*news };
        let payload = match listener.sees(self.calendar) {
            Some(less) => self.seen_as(&less, Some(&less.to_text()), &news, source),
            None => self.seen_as(self.calendar, Some(&self.object.data), &news, source),
        };
        EventChanged { event_path: listener.path.object(name), ..payload }
    }

    fn seen_as(
        &self,
        calendar: &Component,
        text: Option<&str>,
        news: &News<'_>,
        source: Option<ObjectPath>,
    ) -> EventChanged {
        EventChanged {
            event_path: self.audience.written.object(&self.object.meta.name),
            event: jcal::to_jcal(calendar),
            raw_event: text.map(str::to_owned),
            import: news.import,
            old_event: news.old.map(jcal::to_jcal),
            event_source_path: source,
            etag: news.is_there.then(|| quoted(&self.object.meta.etag)),
            connected_user: Some(self.by.to_owned()),
        }
    }

    /// The object was created.
    pub(super) fn created(&self, import: Option<bool>) -> Vec<Message> {
        let news = News { import, old: None, is_there: true };
        self.on(&[Topic::AlarmCreated, Topic::EventCreated], &news)
    }

    /// The object was overwritten. One with another UID takes the alarms of the old one with it.
    pub(super) fn updated(&self, old: &Subject<'_>, import: Option<bool>) -> Vec<Message> {
        let mut messages = Vec::new();
        if uid(old.calendar) != uid(self.calendar) {
            let news = News { import: None, old: None, is_there: false };
            messages = old.on(&[Topic::AlarmCancel], &news);
        }
        let news = News { import, old: Some(old.calendar), is_there: true };
        messages.extend(self.on(&[Topic::AlarmUpdated, Topic::EventUpdated], &news));
        messages
    }

    /// The object was deleted.
    pub(super) fn deleted(&self, import: Option<bool>) -> Vec<Message> {
        let news = News { import, old: None, is_there: false };
        self.on(&[Topic::AlarmDeleted, Topic::EventDeleted], &news)
    }

    /// An iTIP message was delivered to the object (messaging §1.4).
    pub(super) fn delivered(&self, topics: &[Topic]) -> Vec<Message> {
        self.on(topics, &News { import: None, old: None, is_there: true })
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
    Stored(&'a Arc<str>),
    /// It was deleted; when it took place.
    Deleted(&'a Arc<str>),
}

impl<'a> From<Option<&'a Arc<str>>> for Before<'a> {
    fn from(stored: Option<&'a Arc<str>>) -> Self {
        stored.map_or(Self::Nothing, Self::Stored)
    }
}

/// An iTIP message on its way to its recipient (messaging §1.7): one delivery for each, so that those to one recipient keep
/// their order and one that fails holds up nobody else. `text` is the message as iCalendar, which those have in common who
/// are told the same. `delivered` where the recipient's calendar has it already.
pub(super) fn local_delivery(
    message: &ItipMessage,
    text: &Arc<str>,
    before: Before<'_>,
    calendar_id: Option<&str>,
    by: &str,
    delivered: bool,
) -> Message {
    let delivery = LocalDelivery {
        sender: message.sender.clone(),
        method: message.method.to_string(),
        uid: message.uid.clone(),
        message: String::new(),
        has_change: message.has_change,
        recipients: vec![message.recipient.clone()],
        old_message: None,
        deleted_object: None,
        calendar_id: calendar_id.map(str::to_owned),
        connected_user: Some(by.to_owned()),
        delivered,
        forced: message.is_forced,
    };
    let told = Message::new(Topic::ItipLocalDelivery, format!("{}\n{}", message.uid, message.recipient), &delivery);
    let told = told.text(LocalDelivery::MESSAGE, text);
    match before {
        Before::Nothing => told,
        Before::Stored(text) => told.text(LocalDelivery::OLD_MESSAGE, text),
        Before::Deleted(text) => told.text(LocalDelivery::DELETED_OBJECT, text),
    }
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
    audience: &Audience,
    collection: &Collection,
    (object, calendar): (&Object, &Component),
    by: &str,
) -> Vec<Message> {
    let subject = Subject::stored(audience, object, calendar, by);
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
