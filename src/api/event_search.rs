//! `POST /calendar/api/events/search` (rest-api §8).

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{OriginalUri, Query, State};
use chrono::{DateTime, SecondsFormat, Utc};
use http::Uri;
use http_body::Body as _;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::{ApiError, Shared};
use crate::auth::Session;
use crate::ids::{CalendarPath, Email};
use crate::search::{EventDocument, EventQuery, IndexedPerson, Occurrence};
use crate::store::User;

const DEFAULT_LIMIT: usize = 30;
const MAX_LIMIT: usize = 256;
/// Calendars that one search looks into.
const MAX_CALENDARS: usize = 256;
/// What cannot stand in a path segment as it is.
const SEGMENT: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'/').add(b'<').add(b'>').add(b'?').add(b'\\').add(b'`');

#[derive(Deserialize)]
pub(super) struct Page {
    limit: Option<String>,
    offset: Option<String>,
}

/// The body. Fields that are not known are ignored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Question {
    calendars: Option<Vec<AskedCalendar>>,
    query: Option<String>,
    organizers: Option<Vec<String>>,
    attendees: Option<Vec<String>>,
    booking_link: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AskedCalendar {
    /// Home of the calendar, of whatever kind.
    user_id: Option<String>,
    calendar_id: Option<String>,
}

/// `POST /calendar/api/events/search`: the caller's events that match, of the calendars that the caller sees.
pub(super) async fn search(
    State(api): State<Shared>,
    session: Session,
    OriginalUri(uri): OriginalUri,
    page: Result<Query<Page>, axum::extract::rejection::QueryRejection>,
    body: Body,
) -> Result<Json<Answer>, ApiError> {
    let Query(page) = page.map_err(|e| ApiError::BadRequest(e.body_text()))?;
    let limit = number(page.limit.as_deref(), "limit", DEFAULT_LIMIT, 1..=MAX_LIMIT)?;
    let offset = number(page.offset.as_deref(), "offset", 0, 0..=usize::MAX)?;
    let question: Question = read_json(body, api.config.limits.json_bytes).await?;
    let asked = asked_calendars(question.calendars.unwrap_or_default())?;
    let mut query = EventQuery {
        text: question.query.unwrap_or_default(),
        calendars: Vec::new(),
        of_others: Vec::new(),
        organizers: addresses(question.organizers, "organizers")?,
        attendees: addresses(question.attendees, "attendees")?,
        booking_link: booking_link(question.booking_link)?,
        offset,
        limit,
    };

    let began = std::time::Instant::now();
    let hits = match api.directory.user_by_email(session.email()).await? {
        Some(user) if !asked.is_empty() => {
            // Of what is private in the calendars of others nothing is found, not even that there is something (dav §12).
            (query.calendars, query.of_others) = readable(&api, &user, asked).await?;
            match query.calendars.len() + query.of_others.len() {
                0 => Vec::new(),
                1..=MAX_CALENDARS => api.index.search(&query).await?,
                _ => return Err(ApiError::BadRequest(format!("more than {MAX_CALENDARS} calendars"))),
            }
        }
        _ => Vec::new(),
    };
    metrics::histogram!("CalendarSearchRoute").record(began.elapsed());
    Ok(Json(Answer::of(&uri, limit, offset, hits)))
}

fn number(
    text: Option<&str>,
    name: &str,
    default: usize,
    allowed: std::ops::RangeInclusive<usize>,
) -> Result<usize, ApiError> {
    let text = text.map(str::trim).unwrap_or_default();
    if text.is_empty() {
        return Ok(default);
    }
    let number = text.parse().ok().filter(|n| allowed.contains(n));
    number.ok_or_else(|| {
        let (least, most) = (allowed.start(), allowed.end());
        let range = if *most == usize::MAX { format!("at least {least}") } else { format!("{least} to {most}") };
        ApiError::BadRequest(format!("Invalid {name} param: {text}, expected {range}"))
    })
}

/// Reads a JSON body whatever its type claims to be, unless it is larger than `limit` octets.
async fn read_json<T: serde::de::DeserializeOwned>(body: Body, limit: usize) -> Result<T, ApiError> {
    if body.size_hint().lower() > limit as u64 {
        return Err(ApiError::TooLarge(limit));
    }
    let body = to_bytes(body, limit).await.map_err(|_| ApiError::TooLarge(limit))?;
    serde_json::from_slice(&body).map_err(|e| ApiError::BadRequest(format!("the body is not as expected: {e}")))
}

/// The calendars as paths. An id that no calendar can have names none of the caller's, so it is left out.
fn asked_calendars(asked: Vec<AskedCalendar>) -> Result<Vec<CalendarPath>, ApiError> {
    let mut paths = Vec::with_capacity(asked.len());
    for calendar in asked {
        let given = |value: Option<String>, name: &str| {
            let value = value.filter(|v| !v.trim().is_empty());
            value.ok_or_else(|| ApiError::BadRequest(format!("calendars: {name} is missing")))
        };
        let (home, id) = (given(calendar.user_id, "userId")?, given(calendar.calendar_id, "calendarId")?);
        if let (Ok(home), false) = (home.parse(), id.contains('/')) {
            paths.push(CalendarPath { home, calendar: id });
        }
    }
    Ok(paths)
}

fn addresses(given: Option<Vec<String>>, name: &str) -> Result<Vec<Email>, ApiError> {
    let given = given.unwrap_or_default().into_iter();
    given.map(|a| a.parse().map_err(|e| ApiError::BadRequest(format!("{name}: {e}")))).collect()
}

fn booking_link(given: Option<String>) -> Result<Option<String>, ApiError> {
    let Some(text) = given.filter(|t| !t.trim().is_empty()) else { return Ok(None) };
    let id = text.trim().parse::<uuid::Uuid>();
    id.map(|id| Some(id.to_string())).map_err(|_| ApiError::BadRequest(format!("bookingLink: {text:?} is not a UUID")))
}

/// Those of the asked calendars that the user may read, by where they really are: first those that they see whole, then
/// those of which they see what is public. Others are left out without a word.
async fn readable(
    api: &Shared,
    user: &User,
    asked: Vec<CalendarPath>,
) -> Result<(Vec<CalendarPath>, Vec<CalendarPath>), ApiError> {
    if asked == [CalendarPath::default_of(user.id.into())] {
        return Ok((asked, Vec::new()));
    }
    let seen = api.calendars.of(user).await?;
    let mut readable: Vec<&CalendarPath> = Vec::new();
    for path in &asked {
        let found = seen.iter().find(|c| c.listed == *path).or_else(|| seen.iter().find(|c| c.source == *path));
        readable.extend(found.map(|calendar| &calendar.source).filter(|source| !readable.contains(source)));
    }
    // Whoever has one twice, e.g. given and subscribed to, sees it as the better of both shows it.
    let sees_private = |source: &CalendarPath| seen.iter().any(|c| c.source == *source && c.sees_private);
    Ok(readable.into_iter().cloned().partition(sees_private))
}

#[derive(Serialize)]
pub(super) struct Answer {
    #[serde(rename = "_links")]
    links: Links,
    /// Of this page, not of all (rest-api §8.4): the web client shows it as the number of hits.
    #[serde(rename = "_total_hits")]
    total_hits: usize,
    #[serde(rename = "_embedded")]
    embedded: Embedded,
}

#[derive(Serialize)]
struct Embedded {
    events: Vec<Hit>,
}

#[derive(Serialize)]
struct Links {
    #[serde(rename = "self")]
    this: Link,
}

#[derive(Serialize)]
struct Link {
    href: String,
}

impl Links {
    fn to(href: String) -> Self {
        Self { this: Link { href } }
    }
}

#[derive(Serialize)]
struct Hit {
    #[serde(rename = "_links")]
    links: Links,
    data: Event,
}

/// Values that the event lacks are null, not absent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    uid: String,
    summary: Option<String>,
    location: Option<String>,
    description: Option<String>,
    start: Option<String>,
    end: Option<String>,
    class: Option<String>,
    all_day: bool,
    has_resources: bool,
    duration_in_days: i64,
    is_recurrent_master: Option<bool>,
    attendees: Vec<Person>,
    organizer: Person,
    resources: Vec<Person>,
    #[serde(rename = "x-openpaas-videoconference")]
    videoconference: Option<String>,
    #[serde(rename = "x-openpaas-booking-link")]
    booking_link: Option<String>,
    user_id: String,
    calendar_id: String,
    dtstamp: Option<String>,
}

#[derive(Serialize)]
struct Person {
    email: Option<String>,
    cn: Option<String>,
}

impl From<IndexedPerson> for Person {
    fn from(person: IndexedPerson) -> Self {
        Self { email: Some(person.email), cn: Some(person.cn) }
    }
}

impl Answer {
    fn of(uri: &Uri, limit: usize, offset: usize, hits: Vec<EventDocument>) -> Self {
        Self {
            // The reference appends a second query; nobody reads it, and tests compare it.
            links: Links::to(format!("{uri}?limit={limit}&offset={offset}")),
            total_hits: hits.len(),
            embedded: Embedded { events: hits.into_iter().map(Hit::from).collect() },
        }
    }
}

impl From<EventDocument> for Hit {
    fn from(event: EventDocument) -> Self {
        let name = match event.resource_name.is_empty() {
            true => format!("{}.ics", event.uid),
            false => event.resource_name,
        };
        let encode = |segment| utf8_percent_encode(segment, SEGMENT).to_string();
        let CalendarPath { home, calendar } = event.calendar;
        let href = format!("/calendars/{home}/{}/{}", encode(&calendar), encode(&name));
        let people = |people: Vec<IndexedPerson>| people.into_iter().map(Person::from).collect();
        let data = Event {
            uid: event.uid.0,
            summary: event.summary,
            location: event.location,
            description: event.description,
            start: event.start.map(instant),
            end: event.end.map(instant),
            class: event.class,
            all_day: event.all_day,
            has_resources: !event.resources.is_empty(),
            duration_in_days: duration_in_days(event.start, event.end),
            is_recurrent_master: match event.occurrence {
                Occurrence::Single => None,
                Occurrence::Master => Some(true),
                Occurrence::Override(_) => Some(false),
            },
            attendees: people(event.attendees),
            organizer: event.organizer.map_or(Person { email: None, cn: None }, Person::from),
            resources: people(event.resources),
            videoconference: event.videoconference,
            booking_link: event.booking_link,
            user_id: home.to_string(),
            calendar_id: calendar,
            dtstamp: event.dtstamp.map(instant),
        };
        Self { links: Links::to(href), data }
    }
}

/// ISO 8601 in UTC, with a fraction only where there is one.
fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// Whole days of 24 hours.
fn duration_in_days(start: Option<DateTime<Utc>>, end: Option<DateTime<Utc>>) -> i64 {
    match (start, end) {
        (Some(start), Some(end)) if end > start => (end - start).num_days(),
        _ => 0,
    }
}
