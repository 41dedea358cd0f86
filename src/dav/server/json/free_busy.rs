//! When people are busy, by JSON: of one calendar, and of several people at once (dav §8.5, §8.6).

use std::ops::Range;

use chrono::{DateTime, Utc};
use http::{Response, StatusCode};
use serde::Serialize;
use serde_json::Value;

use super::body::Object as Json;
use super::events::read_range;
use super::text::{Href, respond};
use crate::dav::error::{Condition, DavError};
use crate::dav::path::Space;
use crate::dav::server::calendar_query::check_range;
use crate::dav::server::call::Call;
use crate::dav::server::expander::{instants, zone_of};
use crate::dav::server::filter::Matcher;
use crate::dav::server::free_busy::{as_calendar, as_component};
use crate::dav::server::rights::Need;
use crate::dav::upstream::Body;
use crate::ical::jcal::Jcal;
use crate::ical::{Component, recur};
use crate::ids::{Email, HomeId, UserId};
use crate::itip::Address;
use crate::store::{Collection, CollectionKind};

/// Objects that are read at once.
const PAGE: usize = 200;
/// Objects that are looked into before others get their turn.
const TURN: usize = 32;

/// A VFREEBUSY and where it is from.
#[derive(Serialize)]
struct OfCalendar<'a> {
    #[serde(rename = "_links")]
    links: Itself<'a>,
    data: Jcal<'a>,
}

#[derive(Serialize)]
struct Itself<'a> {
    #[serde(rename = "self")]
    href: Href<'a>,
}

/// The answer about several people.
#[derive(Serialize)]
struct OfPeople<'a> {
    start: &'a Value,
    end: &'a Value,
    users: Vec<OfPerson>,
}

#[derive(Serialize)]
struct OfPerson {
    id: String,
    calendars: Vec<InCalendar>,
}

#[derive(Serialize)]
struct InCalendar {
    id: String,
    busy: Vec<Time>,
}

/// A time that an event takes.
#[derive(Serialize)]
struct Time {
    uid: String,
    start: String,
    end: String,
}

impl Time {
    fn of(uid: &str, start: DateTime<Utc>, end: DateTime<Utc>) -> Self {
        let text = |at: DateTime<Utc>| at.format("%Y%m%dT%H%M%SZ").to_string();
        Self { uid: uid.to_owned(), start: text(start), end: text(end) }
    }
}

impl Call {
    /// Answers with when the owner of a calendar is busy by what is in it. Colleagues may know (dav §7).
    pub(super) async fn free_busy_of_calendar(&self, body: &Json) -> Result<Response<Body>, DavError> {
        let calendar = self.server.see(&self.who, &self.location, Need::FreeBusy).await?;
        let range = body.range()?;
        check_range(range, &self.inner().settings.limits)?;
        let range = instants(range);
        let owner = self.owner_of(&calendar).await?;
        let href = self.json_path(&calendar);
        let busy = self.server.busy(std::slice::from_ref(&calendar), &range, &owner.emails).await?;
        let told = as_calendar(as_component(&busy, &range, self.inner().env.now()), None);
        Ok(respond(StatusCode::OK, &OfCalendar { links: Itself { href: Href(&href) }, data: Jcal(&told) }))
    }

    /// Answers with the events that take the time of people, calendar by calendar.
    pub(super) async fn bulk_free_busy(&self, body: Json) -> Result<Response<Body>, DavError> {
        let (start, end) = (body.0.get("start"), body.0.get("end"));
        let range = read_range(start, end)?;
        check_range(range, &self.inner().settings.limits)?;
        let texts = |key: &str| -> Result<Vec<String>, DavError> {
            let list = match body.get(key) {
                None => return Ok(Vec::new()),
                Some(Value::Array(list)) => list,
                Some(_) => return Err(DavError::bad_request(format!("{key} must be a list"))),
            };
            let text = |item: &Value| item.as_str().map(str::to_owned);
            list.iter()
                .map(text)
                .collect::<Option<_>>()
                .ok_or_else(|| DavError::bad_request(format!("{key} holds texts")))
        };
        if body.get("users").is_none() {
            return Err(DavError::bad_request("The body needs users"));
        }
        let people = texts("users")?;
        let most = self.inner().settings.limits.attendees;
        if people.len() > most {
            return Err(DavError::forbidden(format!("A request asks about at most {most} people")));
        }
        let excluded = texts("uids")?;
        let asked = Asked { range: instants(range), excluded: &excluded };
        let mut users = Vec::with_capacity(people.len());
        let mut left = self.inner().settings.limits.busy_times;
        for person in &people {
            users.push(self.busy_person(person, &asked, &mut left).await?);
        }
        let (start, end) = (start.unwrap_or(&Value::Null), end.unwrap_or(&Value::Null));
        Ok(respond(StatusCode::OK, &OfPeople { start, end, users }))
    }

    async fn busy_person(&self, id: &str, asked: &Asked<'_>, left: &mut usize) -> Result<OfPerson, DavError> {
        let unknown = || DavError::not_found(format!("Principal with name {id} not found"));
        let home: HomeId = id.parse().map_err(|_| unknown())?;
        let sights = self.server.sights(&self.who, Space::Calendars, home, Need::FreeBusy).await?;
        let user = self.inner().directory.user(UserId(home.0)).await?.ok_or_else(unknown)?;
        let mut calendars = Vec::new();
        for calendar in sights {
            let is_other = calendar.kind != CollectionKind::Calendar || calendar.instance().is_some();
            if is_other || calendar.props.transparent {
                continue;
            }
            let busy = self.busy_times(&calendar, &user.emails, asked, left).await?;
            calendars.push(InCalendar { id: calendar.uri.clone(), busy });
        }
        // One in which nothing takes place says nothing.
        calendars.retain(|calendar| !calendar.busy.is_empty());
        Ok(OfPerson { id: id.to_owned(), calendars })
    }

    async fn busy_times(
        &self,
        calendar: &Collection,
        person: &[Email],
        asked: &Asked<'_>,
        left: &mut usize,
    ) -> Result<Vec<Time>, DavError> {
        let zone = zone_of(calendar);
        let matcher = Matcher::of_events(&asked.range, zone, self.inner());
        let filter = matcher.prefilter();
        let mut times = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.inner().store.query(calendar.id, &filter, after.as_deref(), PAGE).await?;
            for (index, object) in page.objects.iter().enumerate() {
                if index % TURN == TURN - 1 {
                    tokio::task::yield_now().await;
                }
                let uid = object.meta.uid.0.as_str();
                if asked.excludes(uid) || !matcher.passes(&object.meta, &object.data) {
                    continue;
                }
                let Ok(parsed) = Component::parse(&object.data) else { continue };
                let found = recur::occurrences(&parsed, asked.range.clone(), zone, self.inner().bounds());
                let Ok(found) = found else { continue };
                let taken = found.iter().filter(|o| o.component.is("VEVENT") && takes_time(o.component, person));
                times.extend(taken.map(|o| Time::of(uid, o.start, o.end)));
                if times.len() > *left {
                    let message = "There are more busy times in this range than are told at once";
                    let condition = Condition::Empty("d:number-of-matches-within-limits");
                    return Err(DavError::forbidden(message).because(condition));
                }
            }
            after = page.next();
            if after.is_none() {
                *left -= times.len();
                return Ok(times);
            }
        }
    }
}

/// What is asked about people.
struct Asked<'a> {
    range: Range<DateTime<Utc>>,
    /// UIDs of events that do not matter, with or without one of their occurrences behind a slash.
    excluded: &'a [String],
}

impl Asked<'_> {
    fn excludes(&self, uid: &str) -> bool {
        self.excluded.iter().any(|excluded| {
            let rest = excluded.strip_prefix(uid);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

/// Whether an event takes a person's time: it says so, it takes place, and they have agreed to come where people are
/// invited at all (dav §8.6).
fn takes_time(event: &Component, person: &[Email]) -> bool {
    let is = |name: &str, word: &str| event.value(name).is_some_and(|v| v.trim().eq_ignore_ascii_case(word));
    if is("TRANSP", "TRANSPARENT") || is("STATUS", "CANCELLED") {
        return false;
    }
    let mut attendees = event.all("ATTENDEE").peekable();
    if attendees.peek().is_none() {
        return true;
    }
    let own = attendees.find(|attendee| Address::read(attendee.value()).is_one_of(person));
    own.is_some_and(|own| {
        let answer = own.get_param("PARTSTAT").map(str::to_ascii_uppercase);
        !matches!(answer.as_deref(), None | Some("NEEDS-ACTION" | "DECLINED"))
    })
}
