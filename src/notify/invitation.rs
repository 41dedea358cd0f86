//! Turns notifications into mails (mail-itip-alarms §0.4): invitation, update, cancellation, reply.

use crate::clock::Env;
use crate::config;
use crate::events::{Message, Notification, Topic};
use crate::ical::{CalendarObject, Component, Event, Method, Property, Status};
use crate::ids::Email;
use crate::mail::OutgoingMail;
use crate::mail::mime::{self, CalendarPart, Correspondent, Draft};
use crate::mail::render::{Before, EventMail, Kind, Person, Reader, Renderer, Turn};
use crate::queue::{ConsumerSpec, Delivery, Failure, SharedQueue};

use super::changes::Changes;
use super::difference::is_booking;
use super::mail_model::{answer, card, person};
use super::people::{Preferences, SharedPeople};

/// Consumer of [`Topic::NotificationEmail`].
#[derive(Clone)]
pub struct Invitations {
    queue: SharedQueue,
    people: SharedPeople,
    composer: Composer,
    allowed: Vec<Email>,
}

impl Invitations {
    /// A consumer that publishes mails to `queue`; `mail` says who may be written to.
    pub fn new(queue: SharedQueue, people: SharedPeople, composer: Composer, mail: &config::Mail) -> Self {
        Self { queue, people, composer, allowed: mail.recipients.clone() }
    }

    /// Name, topics and patience.
    pub fn spec(config: &config::Queue) -> ConsumerSpec {
        ConsumerSpec {
            name: "tcalendar:event:notificationEmail:send",
            topics: vec![Topic::NotificationEmail],
            concurrency: config.concurrency,
            retry: config.retry,
        }
    }

    /// Makes the mail of one notification and queues it. Doing so again queues nothing more.
    ///
    /// # Errors
    /// [`Failure::Dead`] when the notification makes no sense, [`Failure::Retry`] when something is away.
    pub async fn handle(&self, delivery: Delivery) -> Result<(), Failure> {
        let notification: Notification = serde_json::from_value(delivery.message.payload)
            .map_err(|e| Failure::Dead(format!("the payload cannot be read: {e}")))?;
        let recipient = &notification.recipient_email;
        if !self.allowed.is_empty() && !self.allowed.contains(recipient) {
            tracing::debug!(%recipient, "mail.recipients does not allow this recipient");
            return Ok(());
        }
        let people_away = |e: crate::store::StoreError| Failure::Retry(e.to_string());
        let sender = &notification.sender_email;
        let reader = self.people.preferences(recipient, sender).await.map_err(people_away)?;
        let author = self.people.preferences(sender, sender).await.map_err(people_away)?;
        let Some(mail) = self.composer.compose(&notification, &reader, &author)? else { return Ok(()) };
        tracing::info!(
            method = %notification.method, %sender, %recipient, event_path = %notification.event_path,
            message_id = %mail.message_id, "a mail is queued"
        );
        metrics::counter!("convoke_mails_composed_total", "method" => notification.method.clone()).increment(1);
        let once = format!("mail:{}", mail.message_id);
        let message = Message::new(Topic::MailOutgoing, delivery.message.key, &mail).once(once);
        self.queue.publish(&[message]).await.map_err(|e| Failure::Retry(e.to_string()))
    }
}

/// Makes mails of notifications. Does no I/O.
#[derive(Debug, Clone)]
pub struct Composer {
    renderer: Renderer,
    env: Env,
    calendar_url: String,
}

impl Composer {
    /// A composer whose links lead to `spa`.
    pub fn new(renderer: Renderer, env: Env, spa: &config::Spa) -> Self {
        Self { renderer, env, calendar_url: spa.calendar_url.trim_end_matches('/').to_owned() }
    }

    /// The mail that a notification calls for, to `reader` from `author`; `None` when it calls for none.
    ///
    /// # Errors
    /// [`Failure::Dead`] when the notification makes no sense.
    pub fn compose(
        &self,
        notification: &Notification,
        reader: &Preferences,
        author: &Preferences,
    ) -> Result<Option<OutgoingMail>, Failure> {
        let calendar = CalendarObject::parse_message(&notification.event)
            .map_err(|e| Failure::Dead(format!("the event is no iCalendar: {e}")))?;
        let event = calendar.events().next().ok_or_else(|| Failure::Dead("the event is empty".to_owned()))?;
        let Some(kind) = kind(notification, &event)? else { return Ok(None) };
        let method = method_of(&kind);
        let automatic = matches!(kind, Kind::Cancellation | Kind::Reply { .. });
        let knows_the_page = reader.is_local() || matches!(kind, Kind::Reply { .. });
        let mail = EventMail {
            by: by(&kind, notification, &event, author),
            event: card(&event),
            actions: None,
            see_in_calendar: knows_the_page.then(|| self.deep_link(&event)).flatten(),
            kind,
        };
        let language = Reader { language: reader.language.clone(), zone: reader.zone };
        let body = self.renderer.render(&mail, &language).map_err(|e| Failure::Dead(e.to_string()))?;
        // A booker who is told that a booking was called off has no copy that a client could update.
        let has_copy = !(method == mime::Method::Cancel && is_booking(&event));
        let draft = Draft {
            identity: serde_json::to_string(notification).unwrap_or_default(),
            date: self.env.now(),
            from: correspondent(&notification.sender_email, author),
            to: correspondent(&notification.recipient_email, reader),
            body,
            calendar: has_copy.then(|| calendar_part(calendar.root(), method)),
            automatic,
        };
        mime::compose(&draft).map(Some).map_err(|e| Failure::Dead(e.to_string()))
    }

    /// The calendar page at the day of the event, in the event's own zone (mail-itip-alarms §1.3).
    fn deep_link(&self, event: &Event<'_>) -> Option<String> {
        let day = event.start()?.date();
        Some(format!("{}/calendar/#/calendar?start={}", self.calendar_url, day.format("%m-%d-%Y")))
    }
}

/// Which mail it is (mail-itip-alarms §0.4). Mails of bookings and of counter-proposals join here.
fn kind(notification: &Notification, event: &Event<'_>) -> Result<Option<Kind>, Failure> {
    match Method::read(&notification.method) {
        Method::Request if notification.is_new_event => Ok(Some(Kind::Invitation)),
        Method::Request => {
            let changes = notification.changes.clone().map(serde_json::from_value::<Changes>).transpose();
            let changes = changes.map_err(|e| Failure::Dead(format!("changes cannot be read: {e}")))?;
            let changes = changes.unwrap_or_default();
            let repeats_otherwise = notification.repetition_changed;
            let status = notification.status_before.as_deref().map(|before| turn(before, event));
            let is_news = !changes.is_empty() || repeats_otherwise || status.is_some();
            let before = Before { repeats_otherwise, status, ..changes.before(card(event).span) };
            Ok(is_news.then_some(Kind::Update(before)))
        }
        Method::Cancel if is_cancelled_by_booker(notification, event) => Ok(None),
        Method::Cancel => Ok(Some(Kind::Cancellation)),
        Method::Reply => {
            let attendee = replying(notification, event);
            let partstat = attendee.as_ref().filter(|a| a.property().get_param("PARTSTAT").is_some());
            let partstat = partstat.map(|attendee| attendee.partstat());
            let partstat = partstat.ok_or_else(|| Failure::Dead("the reply holds no answer".to_owned()))?;
            let comment = event.component().text("COMMENT");
            Ok(Some(Kind::Reply { answer: answer(&partstat), comment }))
        }
        other => Err(Failure::Dead(format!("no mail is made for method {other}"))),
    }
}

/// What became of an event whose STATUS was `before`.
fn turn(before: &str, event: &Event<'_>) -> Turn {
    match event.status() {
        Some(Status::Cancelled) => Turn::CalledOff,
        _ if Status::read(before) == Status::Cancelled => Turn::Revived,
        Some(Status::Tentative) => Turn::Tentative,
        _ => Turn::Confirmed,
    }
}

/// A booker who called the booking off was told so on the spot.
fn is_cancelled_by_booker(notification: &Notification, event: &Event<'_>) -> bool {
    let address = |name: &str| event.component().value(name).and_then(|v| Email::from_calendar_address(v).ok());
    let booker = address("X-PUBLICLY-CREATOR");
    is_booking(event)
        && booker.as_ref() == Some(&notification.recipient_email)
        && booker == address("X-PUBLICLY-CANCELLED-BY")
}

/// The attendee who replies: the sender, or under an alias the only one there is.
fn replying<'a>(notification: &Notification, event: &Event<'a>) -> Option<crate::ical::Attendee<'a>> {
    event.attendee(&notification.sender_email).or_else(|| event.attendees().next())
}

fn by(kind: &Kind, notification: &Notification, event: &Event<'_>, author: &Preferences) -> Person {
    let stated = match kind {
        Kind::Reply { .. } => replying(notification, event).as_deref().and_then(person),
        Kind::Invitation | Kind::Update(_) | Kind::Cancellation => event.organizer().as_ref().and_then(person),
    };
    let mut by = stated.unwrap_or_else(|| Person { name: String::new(), email: notification.sender_email.to_string() });
    if by.name.trim().is_empty()
        && let Some(name) = author.display_name.as_ref().filter(|_| by.email == notification.sender_email.as_str())
    {
        by.name.clone_from(name);
    }
    by
}

fn method_of(kind: &Kind) -> mime::Method {
    match kind {
        Kind::Invitation | Kind::Update(_) => mime::Method::Request,
        Kind::Cancellation => mime::Method::Cancel,
        Kind::Reply { .. } => mime::Method::Reply,
    }
}

fn correspondent(email: &Email, preferences: &Preferences) -> Correspondent {
    Correspondent { email: email.clone(), name: preferences.display_name.clone() }
}

/// The event as it goes out: in canonical form, with the METHOD of the mail, without what servers note on their own copies
/// (RFC 6638 §7: never in scheduling messages).
fn calendar_part(calendar: &Component, method: mime::Method) -> CalendarPart {
    let mut calendar = calendar.clone();
    calendar.set(Property::new("METHOD", method.name()));
    for component in calendar.components_mut() {
        for property in component.properties_mut().filter(|p| p.is("ORGANIZER") || p.is("ATTENDEE")) {
            for note in ["SCHEDULE-AGENT", "SCHEDULE-STATUS", "SCHEDULE-FORCE-SEND"] {
                property.remove_param(note);
            }
        }
    }
    CalendarPart { method, text: calendar.to_wire() }
}
