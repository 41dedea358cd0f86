//! Attachments that are written into an object and not linked (RFC 5545 §3.8.1.1): what becomes of them is configured.

use crate::config::InlineAttachments;
use crate::dav::error::{Condition, DavError};
use crate::ical::{Component, Item, Property};

/// Step: does with an object's inline attachments what `mode` says. Those of alarms are some, too.
///
/// # Errors
/// 403 where they are refused.
pub(super) fn settle(mode: InlineAttachments, calendar: &mut Component) -> Result<(), DavError> {
    match mode {
        InlineAttachments::Keep => Ok(()),
        InlineAttachments::Drop => {
            leave_out(calendar);
            Ok(())
        }
        InlineAttachments::Refuse if holds_any(calendar) => {
            Err(DavError::forbidden("Attachments can be linked, but not written into events")
                .because(Condition::Empty("cal:valid-calendar-object-resource")))
        }
        InlineAttachments::Refuse => Ok(()),
    }
}

fn is_inline(property: &Property) -> bool {
    let says = |param: &str, word: &str| property.get_param(param).is_some_and(|v| v.eq_ignore_ascii_case(word));
    property.is("ATTACH") && (says("VALUE", "BINARY") || says("ENCODING", "BASE64"))
}

fn leave_out(component: &mut Component) {
    component.items.retain(|item| !matches!(item, Item::Property(p) if is_inline(p)));
    component.components_mut().for_each(leave_out);
}

fn holds_any(component: &Component) -> bool {
    component.properties().any(is_inline) || component.components().any(holds_any)
}
