//! What an attendee says of one component: their answer, whom they delegated to, and how far they are with a task
//! (RFC 5546 §3.2.3, §3.4.3).

use std::collections::BTreeSet;

use super::address::Address;
use super::is_schedulable;
use super::keep::by_id;
use super::moment::InstanceId;
use super::object::partstat_of;
use super::range::is_this_and_future;
use crate::ical::{Component, Property, Zones};

/// How far an attendee is with a task (RFC 5546 §3.4.3).
pub(super) const PROGRESS: [&str; 3] = ["PERCENT-COMPLETE", "COMPLETED", "STATUS"];

/// All that one ATTENDEE line says, with the component it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub partstat: String,
    delegates: BTreeSet<Address>,
    /// Of a task, as [`PROGRESS`].
    progress: Vec<String>,
}

impl Said {
    pub fn of(line: &Property, component: &Component) -> Self {
        let named = line.params().iter().filter(|p| p.is("DELEGATED-TO")).flat_map(|p| &p.values);
        let progress = PROGRESS.into_iter().filter(|_| component.is("VTODO"));
        Self {
            partstat: partstat_of(line),
            delegates: named.map(|value| Address::read(value)).collect(),
            progress: progress.map(|name| component.value(name).unwrap_or_default().trim().to_owned()).collect(),
        }
    }

    /// Nothing but an answer.
    pub fn plain(partstat: &str) -> Self {
        Self { partstat: partstat.to_owned(), delegates: BTreeSet::new(), progress: Vec::new() }
    }
}

/// Whether a REPLY tells the organizer nothing that the attendee's object did not say before: in every component the same
/// answer, to the occurrence or else to the series, the same delegates, the same progress of a task, and no word besides.
///
/// `before` is the attendee's object as it was (mail-itip-alarms §0.2, step 3). What cannot be compared is news.
pub fn repeats_answers(reply: &Component, before: &Component, attendee: &Address) -> bool {
    let (zones, zones_before) = (Zones::of(reply), Zones::of(before));
    let held = by_id(before, &zones_before);
    let repeats = |component: &Component| {
        let line = line_of(component, attendee).filter(|l| l.get_param("PARTSTAT").is_some())?;
        let id = InstanceId::of(component, &zones).ok()?;
        let known = held.get(&id).or_else(|| held.get(&InstanceId::Master)).copied()?;
        let before = line_of(known, attendee)?;
        Some(Said::of(line, component) == Said::of(before, known) && !says_more(component, known))
    };
    let mut components = reply.components().filter(|c| is_schedulable(c)).peekable();
    components.peek().is_some() && components.all(|c| repeats(c).unwrap_or(false))
}

/// A comment, a failure, or an answer to all that follows.
fn says_more(component: &Component, known: &Component) -> bool {
    let comments = |c: &Component| c.all("COMMENT").map(|p| p.value().to_owned()).collect::<BTreeSet<_>>();
    let failed = component.all("REQUEST-STATUS").any(|p| !p.value().trim_start().starts_with('2'));
    failed || is_this_and_future(component) || !comments(component).is_subset(&comments(known))
}

fn line_of<'a>(component: &'a Component, who: &Address) -> Option<&'a Property> {
    component.all("ATTENDEE").find(|a| Address::read(a.value()) == *who)
}
