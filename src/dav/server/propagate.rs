//! An answer that reached the organizer is shown to the other attendees (dav §11.1.6): their copies are brought in step in
//! the same write, without mail and without an item in their inbox.

use std::collections::HashSet;

use super::call::Call;
use super::tenant::principal_of;
use crate::dav::error::DavError;
use crate::ical::Component;
use crate::itip::{self, Address, Method, Outcome};
use crate::store::{Batch, User};

/// `SCHEDULE-STATUS` of a message that was delivered (RFC 6638 §3.2.9).
const DELIVERED: &str = "1.2";

impl Call {
    /// Adds to the batch what brings the copies of the other local attendees in step with the organizer's object, and
    /// notes in the object who was reached.
    pub(super) async fn propagate(
        &self,
        organizer: &User,
        before: &Component,
        after: &mut Component,
        replier: &Address,
        batch: &mut Batch,
    ) -> Result<(), DavError> {
        let threshold = self.inner().settings.reply_propagation;
        if threshold > 0 && attendees_of(after) >= threshold {
            return Ok(());
        }
        let now = self.inner().env.now();
        let messages = match itip::diff(Some(before), Some(after), &organizer.emails, now) {
            Ok(diff) => diff.messages,
            Err(error) => {
                tracing::debug!(%error, "an answer is not passed on");
                return Ok(());
            }
        };
        let by = principal_of(organizer.id).trim_matches('/').to_owned();
        let mut reached = HashSet::new();
        for message in messages.iter().filter(|m| m.method == Method::Request) {
            let address = Address::read(&message.recipient);
            let Some(email) = address.email().filter(|_| address != *replier) else { continue };
            let attendee = self.inner().directory.user_by_email(&email).await?;
            let Some(attendee) = attendee.filter(|user| user.domain == organizer.domain) else { continue };
            // Who has no copy gets one by the invitation that is on its way, or has deleted it.
            let Some(copy) = self.copy_of(attendee.id.into(), &message.uid).await? else { continue };
            match itip::apply(Some(&copy.calendar), message, &attendee.emails, now) {
                Ok(applied) if applied.outcome == Outcome::Updated => {
                    if let Some(result) = applied.result {
                        let (op, told) = copy.rewrite(&result, now, &by);
                        batch.ops.push(op);
                        batch.publish.extend(told);
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%error, place = %copy.place(), "a copy is not brought in step");
                    continue;
                }
            }
            reached.insert(address);
        }
        itip::set_schedule_status(after, |address| reached.contains(address).then_some(DELIVERED));
        Ok(())
    }
}

/// How many different attendees the series has.
fn attendees_of(calendar: &Component) -> usize {
    let master = calendar.components().find(|c| c.is("VEVENT") && c.get("RECURRENCE-ID").is_none());
    let lines = master.into_iter().flat_map(|m| m.all("ATTENDEE"));
    lines.map(|a| Address::read(a.value())).collect::<HashSet<_>>().len()
}
