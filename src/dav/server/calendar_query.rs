//! The calendar-query report (RFC 4791 §7.8), on an object, on a calendar, and on a home, whose calendars it looks through
//! one after the other.

use async_trait::async_trait;
use chrono_tz::Tz;
use http::Response;
use tokio::task::JoinHandle;

use super::access::location_of;
use super::call::{Call, Depth};
use super::chunked::{self, Pages, Progress};
use super::expander::{instant, zone_named_in, zone_of};
use super::filter::Matcher;
use super::plan::{Plan, write_truncated};
use super::propfind::Target;
use super::report::{Members, unsupported};
use super::rights::{Need, Sight};
use super::timezones;
use crate::config::Limits;
use crate::dav::error::{Condition, DavError};
use crate::dav::path::{Location, Space};
use crate::dav::upstream::Body;
use crate::dav::xml::{CALDAV, CompFilter, CompTest, DataRequest, Element, Filter, Occurrences};
use crate::dav::xml::{PropRequest, PropTest, TimeRange, Writer};
use crate::ical::Component;
use crate::store::{CollectionKind, Object, ObjectFilter, ObjectPage, SharedDavStore, StoreError};

/// Objects that are read at once.
const PAGE: usize = 100;
/// Objects that are looked into before others get their turn.
const TURN: usize = 64;

impl Call {
    /// Answers with the objects that pass the filter. Without `Depth` it is 1, as most clients mean.
    pub(super) async fn calendar_query(self, root: &Element) -> Result<Response<Body>, DavError> {
        const NAME: &str = "{urn:ietf:params:xml:ns:caldav}calendar-query";
        let filter = Filter::read_calendar(root)?;
        let mut request = PropRequest::read_report(root)?;
        self.complete(&mut request.data)?;
        let zone = requested_zone(root)?;
        check_ranges(&filter, request.data.as_ref(), &self.inner().settings.limits)?;
        let minimal = self.prefers("return=minimal");
        let plan = Plan::for_request(&request, minimal);
        let (target, is_owner) = self.target().await?;
        let with_members = self.depth() != Some(Depth::Zero);
        let (mut collections, only) = match target {
            Target::Object(collection, object) => (vec![collection], Some(object)),
            Target::Collection(collection) => (Vec::from_iter(with_members.then_some(collection)), None),
            Target::Home(Space::Calendars, home) if is_owner => {
                let mut calendars = match with_members {
                    true => self.server.sights(&self.who, Space::Calendars, home, Need::Read).await?,
                    false => Vec::new(),
                };
                calendars.retain(|c| c.kind == CollectionKind::Calendar);
                (calendars, None)
            }
            _ => return Err(unsupported(NAME)),
        };
        if collections.iter().any(|c| matches!(c.kind, CollectionKind::AddressBook | CollectionKind::Outbox)) {
            return Err(unsupported(NAME));
        }
        collections.reverse();
        let left = self.inner().settings.limits.query_results;
        let base = self.location.href();
        let members = Members::new(self.server, self.who, plan, request.data)?;
        let current = only.and_then(|object| {
            let mut reading = Reading::of(collections.pop()?, &filter, zone, &members);
            reading.read = vec![object].into_iter();
            reading.is_last = true;
            Some(reading)
        });
        chunked::multistatus(Query { members, filter, zone, collections, current, left, base }, minimal).await
    }
}

/// The zone of dates and floating times that the request names: by a VTIMEZONE (RFC 4791 §9.8), or by its IANA name
/// (RFC 7809 §5.2.2). `None` leaves it to each calendar.
pub(super) fn requested_zone(root: &Element) -> Result<Option<Tz>, DavError> {
    if let Some(element) = root.child(CALDAV, "timezone") {
        let text = element.text();
        let has_definition = Component::parse(&text).is_ok_and(|c| c.components().any(|c| c.is("VTIMEZONE")));
        if !has_definition {
            return Err(DavError::forbidden("The timezone of the query is no calendar with one VTIMEZONE")
                .because(Condition::Empty("cal:valid-calendar-data")));
        }
        // A zone of somebody's own making is like none: the calendar's own is closer than a refusal.
        return Ok(zone_named_in(&text));
    }
    let Some(element) = root.child(CALDAV, "timezone-id") else { return Ok(None) };
    let zone = timezones::named(element.text().trim()).ok_or_else(|| {
        DavError::forbidden("The timezone-id of the query is no IANA time zone")
            .because(Condition::Empty("cal:valid-timezone"))
    });
    zone.map(Some)
}

/// The first and the last moment at which anything in a calendar takes place, as iCalendar writes them (RFC 4791 §5.2.6,
/// §5.2.7).
pub(super) fn edges_of_time(limits: &Limits) -> (String, String) {
    (format!("{:04}0101T000000Z", limits.first_year), format!("{:04}1231T235959Z", limits.last_year))
}

/// The unix times of [`edges_of_time`].
fn edges(limits: &Limits) -> (i64, i64) {
    let year =
        |year: i32| chrono::NaiveDate::from_ymd_opt(year, 1, 1).map(|d| d.and_time(chrono::NaiveTime::MIN).and_utc());
    let first = year(limits.first_year).map_or(i64::MIN, |t| t.timestamp());
    let after = limits.last_year.checked_add(1).and_then(year).map_or(i64::MAX, |t| t.timestamp());
    (first, after)
}

/// Refuses ranges outside of what we know (RFC 4791 §7.8 `min-date-time`, `max-date-time`).
fn check_ranges(filter: &Filter, data: Option<&DataRequest>, limits: &Limits) -> Result<(), DavError> {
    let mut ranges = Vec::new();
    if let Filter::Calendar(filter) = filter {
        collect_ranges(filter, &mut ranges);
    }
    if let Some(data) = data {
        ranges.extend(data.freebusy);
        match data.occurrences {
            Occurrences::Expand(range) | Occurrences::Limit(range) => ranges.push(range),
            Occurrences::AsStored => {}
        }
    }
    ranges.iter().try_for_each(|range| check_range(*range, limits))
}

/// Refuses a range outside of what we know.
pub(super) fn check_range(range: TimeRange, limits: &Limits) -> Result<(), DavError> {
    let (first, after) = edges(limits);
    let refused = |tag: &'static str, at: i64| {
        let message = format!("{} is outside of what this server knows", instant(at).format("%Y-%m-%d"));
        Err(DavError::forbidden(message).because(Condition::Empty(tag)))
    };
    match range {
        TimeRange { start: Some(at), .. } | TimeRange { end: Some(at), .. } if at < first => {
            refused("cal:min-date-time", at)
        }
        TimeRange { end: Some(at), .. } | TimeRange { start: Some(at), .. } if at > after => {
            refused("cal:max-date-time", at)
        }
        _ => Ok(()),
    }
}

fn collect_ranges(filter: &CompFilter, ranges: &mut Vec<TimeRange>) {
    let CompTest::Defined { range, props, comps } = &filter.test else { return };
    ranges.extend(*range);
    ranges.extend(props.iter().filter_map(|p| match p.test {
        PropTest::Defined { range, .. } => range,
        PropTest::IsNotDefined => None,
    }));
    comps.iter().for_each(|c| collect_ranges(c, ranges));
}

struct Query {
    members: Members,
    filter: Filter,
    zone: Option<Tz>,
    /// Calendars that were not yet begun, the next one last.
    collections: Vec<Sight>,
    current: Option<Reading>,
    /// Results that may still be written.
    left: usize,
    /// What the query is about, for saying that there are more.
    base: String,
}

/// A calendar that is being looked through.
struct Reading {
    collection: Sight,
    matcher: Matcher,
    zone: Tz,
    prefilter: ObjectFilter,
    base: String,
    /// Objects that were read but not yet looked at.
    read: std::vec::IntoIter<Object>,
    /// The page that is read meanwhile.
    ahead: Option<Ahead>,
    /// Whether nothing is left to be read.
    is_last: bool,
}

/// A page on its way.
type Ahead = JoinHandle<Result<ObjectPage, StoreError>>;

impl Reading {
    fn of(collection: Sight, filter: &Filter, zone: Option<Tz>, members: &Members) -> Self {
        let zone = zone.unwrap_or_else(|| zone_of(&collection));
        let matcher = Matcher::new(filter.clone(), zone, &members.server.0);
        let (prefilter, base) = (matcher.prefilter(), location_of(&collection).href());
        let read = Vec::new().into_iter();
        Self { collection, matcher, zone, prefilter, base, read, ahead: None, is_last: false }
    }

    /// Reads the next page, and has the one after it read while this one is looked at.
    async fn turn(&mut self, store: &SharedDavStore) -> Result<(), DavError> {
        let ahead = self.ahead.take().unwrap_or_else(|| self.begin(store, None));
        let page = ahead.await.map_err(|e| StoreError::Broken(e.to_string()))??;
        self.is_last = !page.more;
        if page.more {
            self.ahead = Some(self.begin(store, page.next()));
        }
        self.read = page.objects.into_iter();
        Ok(())
    }

    fn begin(&self, store: &SharedDavStore, after: Option<String>) -> Ahead {
        let (store, collection, prefilter) = (store.clone(), self.collection.id, self.prefilter.clone());
        tokio::spawn(async move { store.query(collection, &prefilter, after.as_deref(), PAGE).await })
    }
}

#[async_trait]
impl Pages for Query {
    async fn write_page(&mut self, out: &mut Writer) -> Result<Progress, DavError> {
        loop {
            let Some(reading) = &mut self.current else {
                let Some(next) = self.collections.pop() else { return Ok(Progress::Done) };
                self.current = Some(Reading::of(next, &self.filter, self.zone, &self.members));
                continue;
            };
            if reading.read.len() == 0 && !reading.is_last {
                reading.turn(&self.members.server.0.store).await?;
            }
            if let Some(data) = &mut self.members.data {
                data.zone = Some(reading.zone);
            }
            let mut turn = TURN;
            while let Some(object) = reading.read.next() {
                if turn == 0 {
                    tokio::task::yield_now().await;
                    turn = TURN;
                }
                turn -= 1;
                // What a filter may look at is what the actor may see.
                let Some(object) = reading.collection.show(object) else { continue };
                if !reading.matcher.passes(&object.meta, &object.data) {
                    continue;
                }
                if self.left == 0 {
                    write_truncated(&format!("{}{}", self.members.server.0.settings.base, self.base), out);
                    return Ok(Progress::Done);
                }
                self.left -= 1;
                self.members.write_object(&reading.collection, &reading.base, &object, out);
                if out.len() > chunked::FULL && reading.read.len() > 0 {
                    return Ok(Progress::More);
                }
            }
            if !reading.is_last {
                return Ok(Progress::More);
            }
            self.current = None;
            if self.collections.is_empty() {
                return Ok(Progress::Done);
            }
            if out.len() > chunked::FULL {
                return Ok(Progress::More);
            }
        }
    }
}

/// Where a location lies: whether it is what the request is about, or a member of it at any depth.
pub(super) fn is_within(scope: &Location, location: &Location) -> bool {
    let parts = |location: &Location| match location {
        Location::Homes(space) => Some((*space, None, None, None)),
        Location::Home(space, home) => Some((*space, Some(*home), None, None)),
        Location::Collection { space, home, uri } => Some((*space, Some(*home), Some(uri.clone()), None)),
        Location::Member { space, home, uri, name } => {
            Some((*space, Some(*home), Some(uri.clone()), Some(name.clone())))
        }
        _ => None,
    };
    if *scope == Location::Root {
        return true;
    }
    let (Some(scope), Some(inner)) = (parts(scope), parts(location)) else { return false };
    scope.0 == inner.0
        && (scope.1.is_none() || scope.1 == inner.1)
        && (scope.2.is_none() || scope.2 == inner.2)
        && (scope.3.is_none() || scope.3 == inner.3)
}
