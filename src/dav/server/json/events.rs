//! What takes place in a time, as jCal: in a calendar, in one object, or wherever a UID or an address leads (dav §8.5).

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use chrono_tz::Tz;
use http::{Response, StatusCode};
use serde_json::Value;

use super::body::Object as Json;
use super::list::{beginning, written};
use super::query::MOST;
use super::text::{JSON_TYPE, Links, append, to_text};
use crate::dav::announce::SYNC_PREFIX;
use crate::dav::error::DavError;
use crate::dav::path::{Location, Space, push_segment};
use crate::dav::precondition::quoted;
use crate::dav::server::Server;
use crate::dav::server::access::location_of;
use crate::dav::server::calendar_query::check_range;
use crate::dav::server::call::Call;
use crate::dav::server::chunked::{self, Pages, Progress};
use crate::dav::server::expander::{instants, zone_of};
use crate::dav::server::filter::{Matcher, happens_once_at_a_fixed_time};
use crate::dav::server::put::PRODID;
use crate::dav::server::rights::{Need, Sight};
use crate::dav::upstream::Body;
use crate::dav::xml::{TimeRange, Writer};
use crate::ical::jcal::Jcal;
use crate::ical::{Component, Item, Property, recur};
use crate::ids::{HomeId, Uid};
use crate::store::{Collection, CollectionKind, Object, ObjectFilter};

/// Objects that are read at once.
const PAGE: usize = 200;
/// Objects that are looked into before others get their turn.
const TURN: usize = 32;

/// Reads a moment in the basic or the extended form, with or without a `Z`; a day is its first moment.
pub(super) fn moment(value: &Value) -> Option<i64> {
    let text: String = value.as_str()?.trim().chars().filter(|c| !matches!(c, '-' | ':')).collect();
    let text = text.trim_end_matches(['Z', 'z']);
    let moment = match text.len() {
        8 => NaiveDate::parse_from_str(text, "%Y%m%d").ok()?.and_time(NaiveTime::MIN),
        _ => NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%S").ok()?,
    };
    Some(moment.and_utc().timestamp())
}

impl Json {
    /// The range that `match` asks about.
    ///
    /// # Errors
    /// 400 where an end of it is missing or no time, or the range is empty.
    pub(super) fn range(&self) -> Result<TimeRange, DavError> {
        let wanted = self.get("match").and_then(Value::as_object);
        let wanted = wanted.ok_or_else(|| DavError::bad_request("The body needs a match with start and end"))?;
        read_range(wanted.get("start"), wanted.get("end"))
    }
}

/// Reads a range from its two ends; see [`Json::range`].
pub(super) fn read_range(start: Option<&Value>, end: Option<&Value>) -> Result<TimeRange, DavError> {
    let side = |name: &str, value: Option<&Value>| {
        value
            .and_then(moment)
            .ok_or_else(|| DavError::bad_request(format!("{name} must be a time like 20300101T000000Z")))
    };
    let (start, end) = (side("start", start)?, side("end", end)?);
    if end <= start {
        return Err(DavError::bad_request("The end must be after the start"));
    }
    Ok(TimeRange { start: Some(start), end: Some(end) })
}

impl Call {
    /// Answers with what takes place in a calendar.
    pub(super) async fn matching_events(&self, body: &Json) -> Result<Response<Body>, DavError> {
        let calendar = self.readable_collection().await?;
        let range = body.range()?;
        check_range(range, &self.inner().settings.limits)?;
        let head = beginning(&self.json_href(self.told_at(&calendar)), "dav:item");
        let found = self.found(calendar, range);
        let tail = format!("],\"sync-token\":{}}}}}", to_text(&format!("{SYNC_PREFIX}{}", found.calendar.sync_token)));
        chunked::body(&head, Closed { found, tail }, "", JSON_TYPE).await
    }

    /// Answers with what of one object takes place in a range.
    pub(super) async fn matching_event(&self, body: &Json) -> Result<Response<Body>, DavError> {
        let (calendar, object) = self.server.object(&self.who, &self.location, Need::Read).await?;
        let range = body.range()?;
        check_range(range, &self.inner().settings.limits)?;
        let mut out = Writer::starting("{\"_links\":");
        append(&mut out, &Links(&self.href(&self.location)));
        out.raw(",\"data\":");
        match Component::parse(&object.data) {
            Ok(parsed) => {
                let zone = zone_of(&calendar);
                match recur::expand(&parsed, instants(range), zone, self.inner().bounds()) {
                    Ok(found) if found.components().next().is_some() => append(&mut out, &Jcal(&headed(found))),
                    // Nothing takes place: the calendar, without anything in it.
                    Ok(nothing) => append(&mut out, &Jcal(&nothing)),
                    Err(_) => append(&mut out, &Jcal(&recur::with_utc_times(&parsed, zone))),
                }
            }
            Err(_) => out.raw("[\"vcalendar\",[],[]]"),
        }
        out.raw(",\"etag\":");
        append(&mut out, &quoted(&object.meta.etag));
        out.raw("}");
        Ok(written(StatusCode::OK, out))
    }

    /// Answers with the object of that UID in a home.
    pub(super) async fn event_of_uid(&self, body: &Json) -> Result<Response<Body>, DavError> {
        let Location::Home(_, home) = self.location else { return Err(DavError::no_node(&self.path)) };
        let uid = body.text("uid").ok_or_else(|| DavError::bad_request("The body needs a uid"))?;
        let found = self.inner().store.find_uid(home, &Uid(uid.to_owned())).await?;
        let Some((calendar, object)) = self.first_readable(found).await? else {
            return Err(DavError::not_found("Calendar object not found"));
        };
        let mut out = Writer::starting(&beginning(&self.json_home(home), "dav:item"));
        let mut base = format!("{}{}", self.inner().settings.base, location_of(&calendar).href());
        push_segment(&mut base, &object.meta.name);
        write_stored(&mut out, &base, &object);
        out.raw("]}}");
        Ok(written(StatusCode::OK, out))
    }

    /// The first of these objects that the actor may read, as far as they may.
    async fn first_readable(&self, found: Vec<(Collection, Object)>) -> Result<Option<(Sight, Object)>, DavError> {
        for (calendar, object) in found {
            let place = location_of(&calendar);
            match self.server.see(&self.who, &place, Need::Read).await {
                Ok(sight) => match sight.show(object) {
                    Some(object) => return Ok(Some((sight, object))),
                    None => continue,
                },
                Err(error) if error.status.is_server_error() => return Err(error),
                // One that may not be read is as good as none.
                Err(_) => {}
            }
        }
        Ok(None)
    }

    /// Answers with the objects at these addresses; those that are not there are left out (observed §HTTP 14).
    pub(super) async fn events_at(&self, body: &Json) -> Result<Response<Body>, DavError> {
        let paths = body.get("eventPaths").and_then(Value::as_array);
        let paths = paths.ok_or_else(|| DavError::bad_request("The body needs eventPaths"))?;
        let base = &self.inner().settings.base;
        let places = paths.iter().filter_map(Value::as_str).filter_map(|path| Location::parse_href(path, base));
        let mut wanted: Vec<(Sight, Vec<String>)> = Vec::new();
        // Where each calendar is among those; none for one that is not there.
        let mut known: HashMap<(HomeId, String), Option<usize>> = HashMap::new();
        for place in places {
            let Location::Member { space: Space::Calendars, home, uri, name } = &place else { continue };
            let calendar = (*home, uri.clone());
            let index = match known.get(&calendar) {
                Some(index) => *index,
                None if known.len() == MOST => {
                    let message = format!("The addresses are of objects in at most {MOST} calendars");
                    return Err(DavError::bad_request(message));
                }
                None => {
                    // Whoever asks for what they must not see gets nothing of all (dav §8.5).
                    let index = match self.server.see(&self.who, &place, Need::Read).await {
                        Ok(sight) => {
                            wanted.push((sight, Vec::new()));
                            Some(wanted.len() - 1)
                        }
                        Err(error) if error.status == StatusCode::NOT_FOUND => None,
                        Err(error) => return Err(error),
                    };
                    known.insert(calendar, index);
                    index
                }
            };
            if let Some((_, names)) = index.and_then(|index| wanted.get_mut(index)) {
                names.push(name.clone());
            }
        }
        let href = format!("{}.json", self.href(&self.location).trim_end_matches('/'));
        let pages = Named { server: self.server.clone(), base: base.clone(), wanted, has_written: false };
        let mut response = chunked::body(&beginning(&href, "dav:item"), pages, "]}}", JSON_TYPE).await?;
        *response.status_mut() = StatusCode::MULTI_STATUS;
        Ok(response)
    }
}

/// Writes an item with an object as it is stored.
fn write_stored(out: &mut Writer, href: &str, object: &Object) {
    let Ok(parsed) = Component::parse(&object.data) else { return };
    write_item(out, href, &object.meta.etag, &to_text(&Jcal(&parsed)));
}

fn write_item(out: &mut Writer, href: &str, etag: &str, jcal: &str) {
    out.raw("{\"_links\":");
    append(out, &Links(href));
    out.raw(",\"etag\":\"\\\"");
    // Hex digits.
    out.raw(etag);
    out.raw("\\\"\",\"data\":");
    out.raw(jcal);
    out.raw(",\"status\":200}");
}

/// A calendar that was expanded, with the properties that the reference puts before those that were there (dav §8.5).
fn headed(expanded: Component) -> Component {
    const FIRST: [(&str, &str); 3] = [("PRODID", PRODID), ("CALSCALE", "GREGORIAN"), ("VERSION", "2.0")];
    let mut calendar = Component::new("VCALENDAR");
    calendar.items.extend(FIRST.map(|(name, value)| Item::Property(Property::new(name, value))));
    let is_replaced = |item: &Item| matches!(item, Item::Property(p) if FIRST.iter().any(|(name, _)| p.is(name)));
    calendar.items.extend(expanded.items.into_iter().filter(|item| !is_replaced(item)));
    calendar
}

/// The objects of one calendar that take place in a range, expanded.
pub(super) struct Found {
    server: Server,
    pub(super) calendar: Sight,
    base: String,
    matcher: Matcher,
    zone: Tz,
    range: Range<DateTime<Utc>>,
    prefilter: ObjectFilter,
    after: Option<String>,
    read: std::vec::IntoIter<Object>,
    is_last: bool,
    has_written: bool,
}

impl Call {
    /// What takes place in a calendar, still to be written.
    pub(super) fn found(&self, calendar: Sight, range: TimeRange) -> Found {
        let zone = zone_of(&calendar);
        let range = instants(range);
        let matcher = Matcher::of_events(&range, zone, self.inner());
        let prefilter = matcher.prefilter();
        Found {
            server: self.server.clone(),
            base: format!("{}{}", self.inner().settings.base, location_of(self.told_at(&calendar)).href()),
            calendar,
            matcher,
            zone,
            range,
            prefilter,
            after: None,
            read: Vec::new().into_iter(),
            is_last: false,
            has_written: false,
        }
    }
}

impl Found {
    /// What one object has to tell; `None` where it cannot be read.
    fn told(&self, object: &Object) -> Option<Arc<str>> {
        let expanded = || {
            let parsed = Component::parse(&object.data).ok()?;
            let found = recur::expand(&parsed, self.range.clone(), self.zone, self.server.0.bounds());
            let found = found.ok().filter(|found| found.components().next().is_some());
            Some(to_text(&Jcal(&headed(found.unwrap_or_else(|| recur::with_utc_times(&parsed, self.zone))))))
        };
        if !self.calendar.sees_private() {
            // Remembered is only what the owner sees.
            return expanded().map(Into::into);
        }
        let once = happens_once_at_a_fixed_time(&object.data, self.zone);
        let range = (!once).then(|| (self.range.start.timestamp(), self.range.end.timestamp()));
        self.server.0.rendered.get(&object.meta.etag, self.zone, range, expanded)
    }

    /// Appends items until the page is full.
    pub(super) async fn write_items(&mut self, out: &mut Writer) -> Result<Progress, DavError> {
        if self.read.len() == 0 {
            let store = &self.server.0.store;
            let page = store.query(self.calendar.id, &self.prefilter, self.after.as_deref(), PAGE).await?;
            self.after = page.next();
            self.is_last = self.after.is_none();
            self.read = page.objects.into_iter();
        }
        // Messages are no calendar objects, which the filter asks for; the index knows their times.
        let is_inbox = self.calendar.kind == CollectionKind::Inbox;
        let mut turn = TURN;
        while let Some(object) = self.read.next() {
            turn -= 1;
            if turn == 0 {
                tokio::task::yield_now().await;
                turn = TURN;
            }
            if !is_inbox && !self.matcher.passes(&object.meta, &object.data) {
                continue;
            }
            let Some(object) = self.calendar.show(object) else { continue };
            let Some(jcal) = self.told(&object) else { continue };
            if std::mem::replace(&mut self.has_written, true) {
                out.raw(",");
            }
            let mut href = self.base.clone();
            push_segment(&mut href, &object.meta.name);
            write_item(out, &href, &object.meta.etag, &jcal);
            if out.len() > chunked::FULL && self.read.len() > 0 {
                return Ok(Progress::More);
            }
        }
        Ok(if self.is_last { Progress::Done } else { Progress::More })
    }
}

/// What was found, and what ends the answer.
struct Closed {
    found: Found,
    tail: String,
}

#[async_trait]
impl Pages for Closed {
    async fn write_page(&mut self, out: &mut Writer) -> Result<Progress, DavError> {
        let progress = self.found.write_items(out).await?;
        if progress == Progress::Done {
            out.raw(&self.tail);
        }
        Ok(progress)
    }
}

/// Objects that were asked for by their addresses.
struct Named {
    server: Server,
    base: String,
    /// What is still to be fetched.
    wanted: Vec<(Sight, Vec<String>)>,
    has_written: bool,
}

#[async_trait]
impl Pages for Named {
    async fn write_page(&mut self, out: &mut Writer) -> Result<Progress, DavError> {
        let Some((calendar, names)) = self.wanted.first_mut() else { return Ok(Progress::Done) };
        let found = self.server.0.objects_in(calendar, &names[..names.len().min(PAGE)]).await?;
        names.drain(..found.len());
        let base = format!("{}{}", self.base, location_of(calendar).href());
        if names.is_empty() {
            self.wanted.remove(0);
        }
        for object in found.into_iter().flatten() {
            if std::mem::replace(&mut self.has_written, true) {
                out.raw(",");
            }
            let mut href = base.clone();
            push_segment(&mut href, &object.meta.name);
            write_stored(out, &href, &object);
        }
        Ok(if self.wanted.is_empty() { Progress::Done } else { Progress::More })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn moments_are_read_in_every_form_that_clients_write() {
        for text in ["20300102T030405", "20300102T030405Z", "2030-01-02T03:04:05Z", "2030-01-02T03:04:05"] {
            assert_eq!(moment(&json!(text)), Some(1_893_553_445), "{text}");
        }
        assert_eq!(moment(&json!("2030-01-02")), moment(&json!("20300102T000000Z")));
        for odd in [json!("tomorrow"), json!(""), json!(20_300_102), json!(null), json!("20301302T000000"), json!("T")]
        {
            assert_eq!(moment(&odd), None, "{odd}");
        }
    }
}
