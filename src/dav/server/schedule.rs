//! The scheduling steps of a write (dav §10.2, §10.5, §10.7, RFC 6638 §3.2): what organizers and attendees may change, what
//! a late client must not undo, and whom to tell. The rules are those of [`crate::itip`]; here they meet the calendar's
//! owner and the request.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use http::{HeaderName, StatusCode};

use super::access::location_of;
use super::call::Call;
use super::deliveries::Deliveries;
use super::publish::Before;
use super::rights::{Need, Sight};
use super::schedule_tag;
use super::{bookings, delegates};
use crate::dav::error::{Condition, DavError};
use crate::dav::path::Location;
use crate::events::{Message, Topic};
use crate::ical::{Component, Property};
use crate::ids::Uid;
use crate::itip::{self, Address, Diff, ItipError, ItipMessage, Knowledge, Outcome, Reason, Role};
use crate::store::{Collection, Holder, Op};

const SCHEDULE_REPLY: HeaderName = HeaderName::from_static("schedule-reply");

/// `SCHEDULE-STATUS` values (RFC 6638 §3.2.9): the message is on its way,
const PENDING: &str = "1.0";
/// it is in the recipient's calendar,
pub(super) const DELIVERED: &str = "1.2";
/// the calendar user address leads to nobody,
const UNUSABLE: &str = "3.7";
/// or the sender has no say over what the recipient has there.
const REFUSED: &str = "3.8";

/// What follows from a write: operations on other people's copies, and messages.
#[derive(Debug, Default)]
pub(super) struct Scheduled {
    pub(super) ops: Vec<Op>,
    pub(super) publish: Vec<Message>,
    /// What is told of the object that is written besides: answers that came to it at once, and what a resource answered.
    pub(super) topics: Vec<Topic>,
}

impl Call {
    /// In whose name scheduling happens at this place: the calendar's owner, whoever writes; a subscriber for what they
    /// organize themselves (observed §1.4); the organizer of what is in a team's calendar (dav §11.3).
    pub(super) async fn scheduler_at(&self, sight: &Sight, objects: &[&Component]) -> Result<Arc<Holder>, DavError> {
        if let Some(subscriber) = self.organizing_subscriber(sight, objects) {
            return Ok(subscriber);
        }
        let owner = self.owner_of(sight.source()).await?;
        if owner.team().is_some() { self.team_scheduler(owner, objects).await } else { Ok(owner) }
    }

    fn organizing_subscriber(&self, sight: &Sight, objects: &[&Component]) -> Option<Arc<Holder>> {
        sight.instance().filter(|instance| instance.delegation().is_none())?;
        let subscriber = self.who.as_holder_of(self.who.home()?)?;
        let mut parts = objects.iter().flat_map(|object| object.components());
        let organizes =
            |c: &Component| c.value("ORGANIZER").is_some_and(|o| Address::read(o).is_one_of(&subscriber.emails));
        parts.any(organizes).then(|| subscriber.clone())
    }

    /// Whose calendar it is.
    pub(super) async fn owner_of(&self, collection: &Collection) -> Result<Arc<Holder>, DavError> {
        if let Some(own) = self.who.as_holder_of(collection.home) {
            return Ok(own);
        }
        let owner = self.inner().tenants.holder(collection.home).await?;
        owner.ok_or_else(|| DavError::no_node(&self.path))
    }
}

/// Whether the request asks for scheduling: `Schedule-Reply: F` and imports do not (mail-itip-alarms §5.2).
pub(super) fn wanted(call: &Call) -> bool {
    let declined = call.headers.get(SCHEDULE_REPLY).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"F"));
    !declined && !call.has_parameter("import")
}

/// Step: every alarm gets a UID, by which later messages tell it from others (dav §11.4).
pub(super) fn name_alarms(call: &Call, calendar: &mut Component) {
    itip::name_alarms(calendar, || call.inner().env.uuid());
}

/// Step: an answer to the series is one to its overrides too (mail-itip-alarms §5.7).
pub(super) fn follow_participation(call: &Call, old: &Component, calendar: &mut Component, owner: &Holder) {
    // Whoever decides for a resource answers for it and not for themselves.
    let who = if owner.resource().is_some() { &owner.emails } else { call.who.emails() };
    itip::sync_participation(old, calendar, who);
}

/// Step: answers that arrived after the client last looked stay (RFC 6638 §3.2.10).
pub(super) fn keep_answers(call: &Call, old: &Component, calendar: &mut Component, owner: &Holder) {
    let knowledge = if schedule_tag::is_given(call) {
        Knowledge::UpToTag
    } else if call.headers.get(http::header::IF_MATCH).is_some_and(|v| v.as_bytes() != b"*") {
        Knowledge::Whole
    } else {
        Knowledge::Unknown
    };
    itip::keep_answers(old, calendar, &owner.emails, knowledge);
}

/// Step: attendees change only what is theirs (RFC 6638 §3.2.2.1), organizers do not give the event away. What is the
/// organizer's in a copy is refused or put back.
pub(super) fn guard_changes(
    call: &Call,
    old: &Component,
    calendar: &mut Component,
    owner: &Holder,
) -> Result<(), DavError> {
    if itip::hands_over(old, calendar, &owner.emails) {
        return Err(DavError::forbidden("The ORGANIZER of a scheduling object cannot be replaced by somebody else.")
            .because(Condition::Empty("cal:allowed-organizer-scheduling-object-change")));
    }
    if !call.inner().settings.guard_attendee_changes {
        return Ok(());
    }
    let changed = itip::forbidden_attendee_changes(old, calendar, &owner.emails);
    if changed.is_empty() {
        itip::keep_organizers(old, calendar, &owner.emails);
        return Ok(());
    }
    let message = format!("Attendees are not allowed to change {} on scheduling objects", changed.join(", "));
    let exception = "ESN\\CalDAV\\Schedule\\Exception\\ForbiddenAttendeeSchedulingObjectChange";
    Err(DavError::new(StatusCode::FORBIDDEN, exception, message)
        .because(Condition::Empty("cal:allowed-attendee-scheduling-object-change")))
}

/// Step: who may be the organizer (dav §10.5), where the configuration asks for it.
pub(super) async fn validate_organizer(
    call: &Call,
    old: Option<&Component>,
    calendar: &Component,
    owner: &Holder,
) -> Result<(), DavError> {
    if !call.inner().settings.organizer_validation {
        return Ok(());
    }
    let refused = |text: &str, condition| Err(DavError::forbidden(text).because(Condition::Empty(condition)));
    let events = || calendar.components().filter(|c| itip::is_schedulable(c));
    if events().any(|e| e.get("ATTENDEE").is_some() && e.get("ORGANIZER").is_none()) {
        let text = "A VEVENT with ATTENDEE properties must also have an ORGANIZER.";
        return refused(text, "cal:valid-calendar-object-resource");
    }
    let organizers = |c: &Component| {
        let found = c.components().filter(|c| itip::is_schedulable(c)).filter_map(|e| e.value("ORGANIZER"));
        found.map(Address::read).collect::<std::collections::BTreeSet<_>>()
    };
    let named = organizers(calendar);
    if named.len() > 1 {
        let text = "All VEVENT components must share the same ORGANIZER property.";
        return refused(text, "cal:same-organizer-in-all-components");
    }
    let Some(organizer) = named.first() else { return Ok(()) };
    if owner.team().is_some() {
        return Err(delegates::not_a_member());
    }
    let is_kept = old.is_some_and(|old| organizers(old) == named);
    if is_kept || organizer.is_one_of(&owner.emails) || organizer.is_one_of(call.who.emails()) {
        return Ok(());
    }
    let text = "The ORGANIZER must be either the calendar owner or the authenticated user.";
    refused(text, "cal:allowed-organizer-scheduling-object-change")
}

/// Step: a home holds one scheduling object of each UID (RFC 6638 §3.2.4.1). `name` and `collection` are where it is being
/// put; `source` is the object that is moved there and gone afterwards.
pub(super) async fn require_unique(
    call: &Call,
    (collection, name): (&Collection, &str),
    source: Option<(&Collection, &str)>,
    calendar: &Component,
    owner: &Holder,
) -> Result<(), DavError> {
    if itip::role(calendar, &owner.emails) == Role::None {
        return Ok(());
    }
    let uid = calendar.components().filter(|c| itip::is_schedulable(c)).find_map(|c| c.value("UID"));
    let uid = Uid(uid.unwrap_or_default().trim().to_owned());
    for (other, object) in call.inner().store.find_uid(collection.home, &uid).await? {
        let is_source = source.is_some_and(|(from, name)| from.id == other.id && name == object.meta.name);
        // Within one calendar it is a conflict of UIDs (RFC 4791 §5.3.2.1), which the write itself finds.
        if other.id == collection.id || is_source {
            continue;
        }
        let Ok(held) = Component::parse(&object.data) else { continue };
        if itip::role(&held, &owner.emails) != Role::None {
            let Location::Collection { space, home, uri } = location_of(&other) else { continue };
            let taken = Location::Member { space, home, uri, name: object.meta.name };
            const CONDITION: &str = "cal:unique-scheduling-object-resource";
            // Whoever writes in one calendar of somebody need not know what there is in another.
            let condition = match call.server.see(&call.who, &taken, Need::Read).await {
                Ok(_) => Condition::Href(CONDITION, call.href(&taken)),
                Err(_) => Condition::Empty(CONDITION),
            };
            return Err(DavError::forbidden(format!("Another scheduling object of this home has the UID of {name}"))
                .because(condition));
        }
    }
    Ok(())
}

/// Step: everybody who is invited is told what the object is and what it was; that may be no more than the limit, which is
/// for what a queue and the mails take.
fn limit_messages(
    call: &Call,
    before: Option<(&str, &Component)>,
    calendar: &Component,
    owner: &Holder,
) -> Result<(), DavError> {
    let states = || before.map(|(_, old)| old).into_iter().chain([calendar]);
    if !states().any(|state| itip::role(state, &owner.emails) == Role::Organizer) {
        return Ok(());
    }
    let (guests, most) = (itip::guests(states()), call.inner().settings.limits.message_bytes);
    let each = before.map_or(0, |(text, _)| text.len()) + calendar.to_text().len();
    if is_within(guests, each, most) {
        return Ok(());
    }
    let message = format!("The object is too large to be sent to {guests} people, which may take {most} octets in all");
    Err(DavError::forbidden(message).because(Condition::Empty("cal:max-resource-size")))
}

fn is_within(guests: usize, octets: usize, most: u64) -> bool {
    guests.saturating_mul(octets) as u64 <= most
}

/// Step: the messages that follow from a write, what becomes of the copies of local people, and in the object what was
/// done about them. `before` is the object as it was, as text and as a tree; `most` messages are delivered at once.
pub(super) async fn of_write(
    call: &Call,
    collection: &Collection,
    owner: &Holder,
    before: Option<(&str, &Component)>,
    calendar: &mut Component,
    most: usize,
) -> Result<Scheduled, DavError> {
    limit_messages(call, before, calendar, owner)?;
    let old = before.map(|(_, tree)| tree);
    let now = call.inner().env.now();
    let mut deliveries = Deliveries::new(call);
    let mut diff = itip::diff(old, Some(calendar), &owner.emails, now).map_err(unschedulable)?;
    let mut answered = HashSet::new();
    if diff.role == Role::Organizer {
        // Rooms answer at once, so that everybody is told where it takes place and where not.
        answered = bookings::ask_resources(&mut deliveries, owner, &diff.messages, calendar, most).await?;
        if !answered.is_empty() {
            let settled: Vec<_> = answered.iter().filter_map(|who| Address::read(who).email()).collect();
            diff =
                itip::diff_after_answers(old, Some(calendar), &owner.emails, &settled, now).map_err(unschedulable)?;
        }
    }
    let Diff { messages, stored, role } = diff;
    if let Some(stored) = stored {
        *calendar = stored;
    }
    let text: Option<Arc<str>> = before.map(|(text, _)| text.into());
    let before = Before::from(text.as_ref());
    let (mut scheduled, mut statuses) = send(deliveries, collection, owner, &messages, before, most).await?;
    statuses.retain(|(_, who), _| !answered.contains(who));
    if !answered.is_empty() {
        scheduled.topics.push(Topic::EventReply);
    }
    scheduled.topics.extend(bookings::answer_of(owner, &messages, &statuses));
    note(calendar, &statuses);
    if role == Role::Organizer {
        itip::set_schedule_status(calendar, |address| (!address.is_deliverable()).then_some(UNUSABLE));
    }
    Ok(scheduled)
}

/// The line that a status belongs on, and of whom: the ORGANIZER of a REPLY, else an ATTENDEE.
pub(super) type Line = (&'static str, String);

/// Delivers to local people what can be, and hands everything to the queue, which tells people by mail.
async fn send(
    mut deliveries: Deliveries<'_>,
    collection: &Collection,
    owner: &Holder,
    messages: &[ItipMessage],
    before: Before<'_>,
    most: usize,
) -> Result<(Scheduled, HashMap<Line, &'static str>), DavError> {
    let call = deliveries.call();
    let mut statuses = HashMap::new();
    let by = call.who.principal();
    let room = call.inner().settings.limits.immediate_bytes;
    let mut octets = 0;
    for (index, message) in messages.iter().enumerate() {
        let address = Address::read(&message.recipient);
        octets += deliveries.text_of(message).len() as u64;
        // An override that repeats the answer to the series makes none with the organizer: nobody reads it, and nothing is noted.
        let is_idle = message.method == itip::Method::Reply && !message.significant_change;
        let has_room = index < most && (octets <= room || index == 0);
        let recipient = match !is_idle && has_room {
            true => call.calendar_user(&address, owner.domain).await?.filter(|recipient| recipient.home != owner.home),
            false => None,
        };
        let fate = match &recipient {
            Some(recipient) => Some(deliveries.deliver_once(recipient, message).await?),
            None => None,
        };
        let status = match fate {
            // What this message overtakes may still be on the queue: there they come in order.
            None | Some(Ok(Outcome::Ignored(Reason::NoCopy))) => PENDING,
            Some(Err(_)) => REFUSED,
            Some(Ok(Outcome::Ignored(Reason::OtherOrganizer | Reason::OwnEvent | Reason::NotOrganizer))) => REFUSED,
            Some(Ok(_)) => DELIVERED,
        };
        let line = if message.method == itip::Method::Reply { "ORGANIZER" } else { "ATTENDEE" };
        if !is_idle {
            statuses.insert((line, message.recipient.clone()), status);
        }
        deliveries.queue(message, before, &collection.uri, &by, status != PENDING);
    }
    deliveries.settle().await?;
    let (ops, publish) = deliveries.finish().await?;
    Ok((Scheduled { ops, publish, topics: Vec::new() }, statuses))
}

/// Notes the statuses on the lines of those who are told (RFC 6638 §3.2.9).
fn note(calendar: &mut Component, statuses: &HashMap<Line, &'static str>) {
    let status_of = |p: &Property| {
        let line = ["ORGANIZER", "ATTENDEE"].into_iter().find(|line| p.is(line))?;
        statuses.get(&(line, Address::read(p.value()).as_str().to_owned()))
    };
    let events = calendar.components_mut().filter(|c| itip::is_schedulable(c));
    for property in events.flat_map(Component::properties_mut) {
        if let Some(status) = status_of(property) {
            property.set_param("SCHEDULE-STATUS", status);
        }
    }
}

/// What follows from a deletion; `None` where those who are invited would be told more than one write may tell.
pub(super) async fn of_deletion(
    call: &Call,
    collection: &Collection,
    owner: &Holder,
    calendar: &Component,
    most: usize,
) -> Result<Option<Scheduled>, DavError> {
    let now = call.inner().env.now();
    let outline: Arc<str> = itip::outline(calendar).to_text().into();
    // A cancellation says no more than the outline, which goes along with it.
    let is_organizer = itip::role(calendar, &owner.emails) == Role::Organizer;
    if is_organizer
        && !is_within(itip::guests([calendar]), 2 * outline.len(), call.inner().settings.limits.message_bytes)
    {
        return Ok(None);
    }
    // What cannot be scheduled could not be when it was stored either; it can be deleted all the same.
    let messages = match itip::diff(Some(calendar), None, &owner.emails, now) {
        Ok(diff) => diff.messages,
        Err(error) => {
            tracing::debug!(%error, "nobody is told of a deleted object");
            Vec::new()
        }
    };
    let deliveries = Deliveries::new(call);
    let (mut scheduled, statuses) =
        send(deliveries, collection, owner, &messages, Before::Deleted(&outline), most).await?;
    scheduled.topics.extend(bookings::answer_of(owner, &messages, &statuses));
    Ok(Some(scheduled))
}

fn unschedulable(error: ItipError) -> DavError {
    match error {
        ItipError::DifferentOrganizers(..) => {
            DavError::forbidden("All VEVENT components must share the same ORGANIZER property.")
                .because(Condition::Empty("cal:same-organizer-in-all-components"))
        }
        other => DavError::bad_request(format!("Validation error in iCalendar: {other}"))
            .because(Condition::Empty("cal:valid-calendar-object-resource")),
    }
}
