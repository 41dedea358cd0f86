//! What the server writes into the object it stores (RFC 6638 §7).

use super::address::Address;
use super::is_schedulable;
use crate::ical::Component;

/// The object without `SCHEDULE-FORCE-SEND`, which is used up by the write that carried it (RFC 6638 §7.2).
pub(super) fn to_store(new: &Component) -> Component {
    let mut object = new.clone();
    for property in scheduling_lines(&mut object) {
        property.remove_param("SCHEDULE-FORCE-SEND");
    }
    object
}

/// Writes `SCHEDULE-STATUS` on the ATTENDEE and ORGANIZER lines of those for whom `status` knows one (RFC 6638 §7.3):
/// `1.0` sent, delivery unknown; `1.2` delivered; `3.7` no such user; and so on (mail-itip-alarms §5.4).
///
/// An attendee writes the status of a REPLY on the ORGANIZER line, an organizer that of a REQUEST on the ATTENDEE lines.
pub fn set_schedule_status<'s>(object: &mut Component, status: impl Fn(&Address) -> Option<&'s str>) {
    for property in scheduling_lines(object) {
        if let Some(status) = status(&Address::read(property.value())) {
            property.set_param("SCHEDULE-STATUS", status);
        }
    }
}

fn scheduling_lines(object: &mut Component) -> impl Iterator<Item = &mut crate::ical::Property> {
    object
        .components_mut()
        .filter(|c| is_schedulable(c))
        .flat_map(Component::properties_mut)
        .filter(|p| p.is("ATTENDEE") || p.is("ORGANIZER"))
}
