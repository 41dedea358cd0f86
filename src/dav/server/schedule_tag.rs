//! Schedule-Tag (RFC 6638 §3.2.10, §8): the validator of scheduling objects that does not change when somebody else's
//! answer arrives. Its value is the ETag of the last state that concerned clients; the store keeps it.

use http::header::{HeaderName, HeaderValue};
use http::{Response, StatusCode};

use super::call::Call;
use crate::dav::error::{Condition, DavError};
use crate::dav::precondition::quoted;
use crate::dav::upstream::Body;
use crate::ical::Component;
use crate::itip::{self, Role};
use crate::store::{Holder, ObjectMeta};

const SCHEDULE_TAG: HeaderName = HeaderName::from_static("schedule-tag");
const IF_SCHEDULE_TAG_MATCH: HeaderName = HeaderName::from_static("if-schedule-tag-match");

/// Whether the client leaves it to the server to merge what others changed meanwhile (RFC 6638 §8.3).
pub(super) fn is_given(call: &Call) -> bool {
    call.headers.contains_key(IF_SCHEDULE_TAG_MATCH)
}

/// Refuses the request where `If-Schedule-Tag-Match` names another tag than that of the object, or there is none.
pub(super) fn check(call: &Call, current: Option<&ObjectMeta>) -> Result<(), DavError> {
    let Some(wanted) = call.headers.get(IF_SCHEDULE_TAG_MATCH) else { return Ok(()) };
    let wanted = wanted.to_str().map(str::trim).unwrap_or_default();
    let bare = wanted.strip_prefix('"').and_then(|w| w.strip_suffix('"')).unwrap_or(wanted);
    if current.and_then(|meta| meta.schedule_tag.as_deref()).is_some_and(|tag| tag == bare) {
        return Ok(());
    }
    let message = "An If-Schedule-Tag-Match header was specified, but the schedule tag is another one.";
    let exception = "Sabre\\DAV\\Exception\\PreconditionFailed";
    Err(DavError::new(StatusCode::PRECONDITION_FAILED, exception, message)
        .because(Condition::Header("If-Schedule-Tag-Match")))
}

/// The tag of an object that a client wrote into this calendar: a new one for a scheduling object, none for
/// others.
pub(super) fn of_write(meta: &ObjectMeta, calendar: &Component, owner: &Holder) -> Option<String> {
    (itip::role(calendar, &owner.emails) != Role::None).then(|| meta.etag.clone())
}

/// The tag of an object that a message changed: the one it had where the change concerns nobody's client.
pub(super) fn of_delivery(
    meta: &ObjectMeta,
    stored: Option<&ObjectMeta>,
    is_inconsequential: bool,
    calendar: &Component,
    owner: &Holder,
) -> Option<String> {
    let had = stored.and_then(|meta| meta.schedule_tag.clone()).filter(|_| is_inconsequential);
    had.or_else(|| of_write(meta, calendar, owner))
}

/// Tells the tag in an answer.
pub(super) fn tell(response: &mut Response<Body>, tag: Option<&str>) {
    if let Some(value) = tag.and_then(|tag| HeaderValue::from_str(&quoted(tag)).ok()) {
        response.headers_mut().insert(SCHEDULE_TAG, value);
    }
}
