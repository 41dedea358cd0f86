//! Rooms and other resources that are invited: they answer in the write that invites them (mail-itip-alarms §5.13).
//!
//! Nobody gets a room that somebody else got at the same time: an answer rests on the state of the resource's calendars, and
//! the write that holds it happens only while they are in that state.

use std::collections::{HashMap, HashSet};

use chrono::TimeDelta;

use super::call::Call;
use super::deliveries::Deliveries;
use super::expander::zone_of;
use super::publish::{self, Before};
use super::schedule::{DELIVERED, Line};
use super::tenant::principal_name;
use crate::dav::error::DavError;
use crate::events::{Message, Topic};
use crate::ical::Component;
use crate::ids::ObjectId;
use crate::itip::{self, Address, Decides, ItipError, ItipMessage, Method, Outcome, Timetable};
use crate::store::{CollectionKind, Holder, ObjectFilter, Resource};

/// Objects of a resource's calendar that are read at once.
const PAGE: usize = 200;
const EVENT: &str = "VEVENT";

/// What a resource answered.
pub(super) struct Answer {
    resource: Holder,
    message: ItipMessage,
    /// Its copy, among those of the deliveries.
    at: usize,
}

impl Deliveries<'_> {
    /// Lets a resource answer an invitation that just reached its copy. `before` is the copy as it was.
    pub(super) async fn book(
        &mut self,
        at: usize,
        invited: &Holder,
        message: &ItipMessage,
        before: Option<&Component>,
    ) -> Result<(), DavError> {
        let Some(resource) = invited.resource() else { return Ok(()) };
        if !matches!(message.method, Method::Request | Method::Add) || message.component != EVENT {
            return Ok(());
        }
        let delivered = self.copies[at].calendar.clone();
        let decides = self.who_decides(resource, &delivered).await?;
        let mut times = self.timetable(at);
        if decides == Decides::Itself {
            self.fill(&mut times, at, invited).await?;
        }
        let mut answered = delivered.clone();
        itip::answer_for_resource(before, &mut answered, &invited.emails, times, decides);
        let answers = itip::diff(Some(&delivered), Some(&answered), &invited.emails, self.now);
        let answers = answers.map(|diff| diff.messages).unwrap_or_default();
        // The reference accepts whatever it is told of here where nobody decides: of what was refused it must not hear.
        let is_told = message.significant_change && !is_refused(&answered, invited);
        let copy = &mut self.copies[at];
        copy.calendar = answered;
        copy.booked.extend(is_told.then_some(Topic::ResourceCreated));
        let replies = answers.into_iter().filter(|answer| answer.method == Method::Reply);
        self.answers.extend(replies.map(|message| Answer { resource: invited.clone(), message, at }));
        Ok(())
    }

    /// A resource answers by itself where it has no administrators, or one of them invites it.
    async fn who_decides(&self, resource: &Resource, invitation: &Component) -> Result<Decides, DavError> {
        let administrators = self.call().server.administrators(resource).await?;
        if administrators.is_empty() {
            return Ok(Decides::Itself);
        }
        let organizer = invitation.components().find_map(|event| event.value("ORGANIZER")).map(Address::read);
        let Some(organizer) = organizer else { return Ok(Decides::People) };
        let organizer = self.call().calendar_user(&organizer, resource.domain).await?;
        let is_theirs = organizer.is_some_and(|who| administrators.iter().any(|id| who.home == (*id).into()));
        Ok(if is_theirs { Decides::Itself } else { Decides::People })
    }

    /// The empty timetable for an invitation.
    fn timetable(&self, at: usize) -> Timetable {
        let inner = self.call().inner();
        let horizon = TimeDelta::try_days(inner.settings.limits.booking_days).unwrap_or(TimeDelta::MAX);
        let copy = &self.copies[at];
        Timetable::for_invitation(&copy.calendar, self.now, horizon, zone_of(&copy.collection), inner.bounds())
    }

    /// Adds when a resource is taken, by everything else in its calendars.
    async fn fill(&mut self, times: &mut Timetable, at: usize, invited: &Holder) -> Result<(), DavError> {
        let inner = self.call().inner();
        let copy = &self.copies[at];
        let uid = copy.calendar.components().find_map(|c| c.value("UID")).unwrap_or_default().trim().to_owned();
        // Dates and floating times are indexed as if they were UTC: look around by as much as zones differ.
        let around = TimeDelta::days(1).num_seconds();
        let range = times.range();
        let filter = ObjectFilter {
            component: Some(EVENT.to_owned()),
            start: Some(range.start.timestamp().saturating_sub(around)),
            end: Some(range.end.timestamp().saturating_add(around)),
            ..ObjectFilter::default()
        };
        // The tokens first: what changes after this is noticed.
        let calendars = inner.store.collections(invited.home).await?;
        for calendar in calendars.iter().filter(|c| c.kind == CollectionKind::Calendar && !c.props.transparent) {
            if !self.relied_on.iter().any(|(known, _)| *known == calendar.id) {
                self.relied_on.push((calendar.id, calendar.sync_token));
            }
            let mut after: Option<String> = None;
            loop {
                let page = inner.store.query(calendar.id, &filter, after.as_deref(), PAGE).await?;
                for object in page.objects.iter().filter(|object| object.meta.uid.0 != uid) {
                    if let Ok(held) = Component::parse(&object.data) {
                        times.add(&held, &invited.emails);
                    }
                }
                tokio::task::yield_now().await;
                after = page.next();
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Delivers what resources answered to who invited them, as far as those are of this server; the queue gets all of it.
    pub(super) async fn settle(&mut self) -> Result<(), DavError> {
        while let Some(answer) = self.answers.pop() {
            let organizer = Address::read(&answer.message.recipient);
            let organizer = self.call().calendar_user(&organizer, answer.resource.domain).await?;
            let fate = match &organizer {
                Some(organizer) => Some(self.deliver(organizer, &answer.message).await?),
                None => None,
            };
            self.note_answer(&answer, matches!(fate, Some(Ok(Outcome::Updated | Outcome::Unchanged))));
        }
        Ok(())
    }

    /// Tells the queue of an answer, and everybody where it reached the organizer (messaging §1.6).
    fn note_answer(&mut self, answer: &Answer, delivered: bool) {
        let copy = &mut self.copies[answer.at];
        copy.booked.extend(answer_in(&answer.message).filter(|_| delivered));
        let uri = copy.collection.uri.clone();
        let by = principal_name(&answer.resource);
        self.queue(&answer.message, Before::Nothing, &uri, &by, delivered);
    }

    /// Delivers a message. A resource that was asked already only learns what the others answered.
    pub(super) async fn deliver_once(
        &mut self,
        recipient: &Holder,
        message: &ItipMessage,
    ) -> Result<Result<Outcome, ItipError>, DavError> {
        let Some(&at) = self.asked.get(&recipient.home).filter(|_| message.method == Method::Request) else {
            return self.deliver(recipient, message).await;
        };
        let applied = itip::apply(Some(&self.copies[at].calendar), message, &recipient.emails, self.now);
        if let Ok(Some(result)) = applied.map(|applied| applied.result) {
            self.copies[at].calendar = result;
        }
        Ok(Ok(Outcome::Updated))
    }
}

/// Invites the resources among the recipients of an organizer's messages, and writes what they answer into the object that
/// the messages come from. Gives the addresses of those who answered.
pub(super) async fn ask_resources(
    deliveries: &mut Deliveries<'_>,
    organizer: &Holder,
    messages: &[ItipMessage],
    calendar: &mut Component,
    most: usize,
) -> Result<HashSet<String>, DavError> {
    let call = deliveries.call();
    let requests = messages.iter().take(most).filter(|m| m.method == Method::Request && may_be_resource(&m.recipient));
    let (room, mut octets) = (call.inner().settings.limits.immediate_bytes, 0);
    for message in requests {
        // The queue asks the others.
        if octets > room {
            break;
        }
        octets += deliveries.text_of(message).len() as u64;
        let recipient = call.calendar_user(&Address::read(&message.recipient), organizer.domain).await?;
        let Some(recipient) = recipient.filter(|r| r.resource().is_some() && r.home != organizer.home) else {
            continue;
        };
        let fate = deliveries.deliver(&recipient, message).await?;
        if matches!(fate, Ok(Outcome::Created | Outcome::Updated))
            && let Some(at) = deliveries.place_of(recipient.home, &message.uid)
        {
            deliveries.asked.insert(recipient.home, at);
        }
    }
    let mut answered = HashSet::new();
    for answer in std::mem::take(&mut deliveries.answers) {
        let applied = itip::apply(Some(calendar), &answer.message, &organizer.emails, deliveries.now);
        let result = applied.ok().and_then(|applied| applied.result);
        deliveries.note_answer(&answer, result.is_some());
        let Some(result) = result else { continue };
        *calendar = result;
        answered.insert(answer.message.sender.clone());
        let item = format!("sabredav-{}.ics", call.inner().env.uuid());
        deliveries.file(organizer, item, &answer.message).await?;
    }
    Ok(answered)
}

/// What is told of an object that was written in a resource's calendar: that the resource answered, where the organizer has
/// the answer (messaging §1.6).
pub(super) fn answer_of(
    owner: &Holder,
    messages: &[ItipMessage],
    statuses: &HashMap<Line, &'static str>,
) -> Option<Topic> {
    owner.resource()?;
    let reply = messages.iter().find(|message| message.method == Method::Reply)?;
    let status = statuses.get(&("ORGANIZER", reply.recipient.clone()))?;
    answer_in(reply).filter(|_| *status == DELIVERED)
}

impl Call {
    /// What is told where an answer that the queue brought is one of a resource (messaging §1.4).
    pub(super) async fn told_of_booking(&self, reply: &ItipMessage) -> Result<Option<Message>, DavError> {
        let Some(topic) = answer_in(reply).filter(|_| reply.method == Method::Reply && may_be_resource(&reply.sender))
        else {
            return Ok(None);
        };
        let sender = self.calendar_user(&Address::read(&reply.sender), self.who.domain()).await?;
        let Some(sender) = sender.filter(|sender| sender.resource().is_some()) else { return Ok(None) };
        let copy = self.copy_of(sender.home, &reply.uid).await?;
        Ok(copy.map(|copy| publish::booking(topic, &copy.collection, &copy.object, &self.who.principal())))
    }
}

/// What the sender of a REPLY says to the event it is about.
fn answer_in(reply: &ItipMessage) -> Option<Topic> {
    let sender = Address::read(&reply.sender);
    let mut lines = reply.calendar.components().flat_map(|event| event.all("ATTENDEE"));
    let line = lines.find(|line| Address::read(line.value()) == sender)?;
    match line.get_param("PARTSTAT")?.to_ascii_uppercase().as_str() {
        "ACCEPTED" => Some(Topic::ResourceAccepted),
        "DECLINED" => Some(Topic::ResourceDeclined),
        _ => None,
    }
}

/// Whether an address has the form of one of a resource: an id, or no mail address at all.
fn may_be_resource(address: &str) -> bool {
    Address::read(address).email().is_none_or(|email| email.local_part().parse::<ObjectId>().is_ok())
}

/// Whether a resource has declined everything that it is invited to in this object.
fn is_refused(copy: &Component, resource: &Holder) -> bool {
    let lines = copy.components().flat_map(|event| event.all("ATTENDEE"));
    let mut own = lines.filter(|line| Address::read(line.value()).is_one_of(&resource.emails)).peekable();
    own.peek().is_some()
        && own.all(|line| line.get_param("PARTSTAT").is_some_and(|p| p.eq_ignore_ascii_case("DECLINED")))
}
