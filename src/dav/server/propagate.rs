//! An answer that reached the organizer is shown to the other attendees (dav §11.1.6): their copies are brought in step in
//! the same write, without mail and without an item in their inbox. Somebody whom the answer brings in, because the
//! attendee delegated to them, is invited (RFC 5546 §3.2.2.3).

use std::collections::HashSet;

use super::deliveries::Deliveries;
use super::publish::Before;
use super::tenant::principal_name;
use crate::dav::error::DavError;
use crate::ical::Component;
use crate::ids::HomeId;
use crate::itip::{self, Address, ItipMessage, Method};
use crate::store::Holder;

/// `SCHEDULE-STATUS` of a message that was delivered (RFC 6638 §3.2.9).
const DELIVERED: &str = "1.2";

impl Deliveries<'_> {
    /// Adds what brings the copies of the other local attendees in step with the organizer's object, and notes in the
    /// object who was reached. `calendar` is the last segment of the organizer's calendar.
    pub(super) async fn pass_on(
        &mut self,
        organizer: &Holder,
        calendar: &str,
        before: &Component,
        after: &mut Component,
        replier: &Address,
    ) -> Result<(), DavError> {
        let messages = match itip::diff(Some(before), Some(after), &organizer.emails, self.now) {
            Ok(diff) => diff.messages,
            Err(error) => {
                tracing::debug!(%error, "an answer is not passed on");
                return Ok(());
            }
        };
        let threshold = self.call().inner().settings.reply_propagation;
        let attendees = attendees_of(after);
        let octets = attendees.saturating_mul(after.to_text().len()) as u64;
        let is_quiet =
            (threshold > 0 && attendees >= threshold) || octets > self.call().inner().settings.limits.immediate_bytes;
        let known = addresses_of(before);
        let by = principal_name(organizer);
        // Whoever answers has said it in their own copy, whichever of their addresses else is invited.
        let answering = self.call().calendar_user(replier, organizer.domain).await?.map(|holder| holder.home);
        let mut reached = HashSet::new();
        for message in messages.iter().filter(|m| m.method == Method::Request) {
            let address = Address::read(&message.recipient);
            if address == *replier {
                continue;
            }
            if !known.contains(&address) {
                if self.invite((organizer, calendar), answering, message, &by).await? {
                    reached.insert(address);
                }
            } else if !is_quiet
                && let Some(attendee) = self.call().calendar_user(&address, organizer.domain).await?
                && Some(attendee.home) != answering
                // Who has no copy gets one by the invitation that is on its way, or has deleted it.
                && let Some(at) = self.copy_of(&attendee, &message.uid).await?
                && self.bring_in_step(at, message, &attendee.emails, &by)
            {
                reached.insert(address);
            }
        }
        itip::set_schedule_status(after, |address| reached.contains(address).then_some(DELIVERED));
        Ok(())
    }

    /// Invites somebody new; true when the invitation is in their calendar.
    async fn invite(
        &mut self,
        (organizer, calendar): (&Holder, &str),
        answering: Option<HomeId>,
        message: &ItipMessage,
        by: &str,
    ) -> Result<bool, DavError> {
        let address = Address::read(&message.recipient);
        let person = self.call().calendar_user(&address, organizer.domain).await?;
        let delivered = match person.filter(|person| person.home != organizer.home && Some(person.home) != answering) {
            Some(person) => self.deliver(&person, message).await?.is_ok(),
            None => false,
        };
        self.queue(message, Before::Nothing, calendar, by, delivered);
        Ok(delivered)
    }
}

/// Everybody who is invited to anything.
fn addresses_of(calendar: &Component) -> HashSet<Address> {
    let events = calendar.components().filter(|c| itip::is_schedulable(c));
    events.flat_map(|e| e.all("ATTENDEE")).map(|a| Address::read(a.value())).collect()
}

/// How many different attendees the series has.
fn attendees_of(calendar: &Component) -> usize {
    let master = calendar.components().find(|c| itip::is_schedulable(c) && c.get("RECURRENCE-ID").is_none());
    let lines = master.into_iter().flat_map(|m| m.all("ATTENDEE"));
    lines.map(|a| Address::read(a.value())).collect::<HashSet<_>>().len()
}
