//! What changed in an event, as it travels in a notification (mail-itip-alarms §0.3, messaging §3.5).

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::ical::{Event, Property, Status, When};
use crate::mail::render::{Before, Moment, Span};

/// What changed, each with what it was and what it is. `None` stands for "not changed".
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Changes {
    /// SUMMARY.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Change<String>>,
    /// LOCATION.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Change<String>>,
    /// DESCRIPTION.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Change<String>>,
    /// DTSTART.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtstart: Option<Change<WireMoment>>,
    /// DTEND, or DTSTART and DURATION.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtend: Option<Change<WireMoment>>,
}

/// What changed besides [`Changes`], which has no words for it on the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unlisted {
    /// RRULE, RDATE, or a date that is excluded no longer.
    pub repetition: bool,
    /// STATUS before; `""` when there was none.
    pub status_before: Option<String>,
}

impl Unlisted {
    /// What the two differ in. `comes_back`: an occurrence that was taken out takes place again.
    pub fn between(old: &Event<'_>, new: &Event<'_>, comes_back: bool) -> Self {
        // An override has no rules: next to an occurrence of its series it changes none.
        let repeats = !new.is_override() && repetition(old) != repetition(new);
        // Programs write CONFIRMED where there was nothing: nobody needs to hear of it.
        let status = |event: &Event<'_>| event.status().filter(|status| *status != Status::Confirmed);
        let before = || old.status().map(|status| status.as_str().to_owned()).unwrap_or_default();
        Self { repetition: repeats || comes_back, status_before: (status(old) != status(new)).then(before) }
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The rules and added dates, whatever their spelling and order.
fn repetition(event: &Event<'_>) -> (Vec<String>, Vec<String>) {
    let rule = |value: &str| {
        let parts = value.split(';').map(|part| part.trim().to_ascii_uppercase());
        // It says nothing (RFC 5545 §3.3.10).
        let mut parts: Vec<String> = parts.filter(|part| !part.is_empty() && part != "INTERVAL=1").collect();
        parts.sort();
        parts.join(";")
    };
    let mut rules: Vec<String> = event.component().all("RRULE").map(|property| rule(property.value())).collect();
    rules.sort();
    let dates = event.component().all("RDATE").filter(|property| !property.value().is_empty());
    let zone = |property: &Property| property.get_param("TZID").unwrap_or_default().to_owned();
    let mut dates: Vec<String> = dates
        .flat_map(|property| property.value().split(',').map(move |date| format!("{}:{}", zone(property), date.trim())))
        .collect();
    dates.sort();
    (rules, dates)
}

/// One change. A text that was not there is `""`; a time that was not there is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change<T> {
    /// What it was.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub previous: Option<T>,
    /// What it is.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub current: Option<T>,
}

/// A date or a time as PHP writes it, which is the form on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WireMoment {
    /// A day rather than an instant.
    pub is_all_day: bool,
    /// Wall time in `timezone`, e.g. `2031-05-04 09:30:00.000000`; midnight of a day.
    pub date: String,
    /// Always 3: `timezone` is a name.
    #[serde(rename = "timezone_type")]
    pub timezone_type: u8,
    /// IANA name, or `Z` for UTC and for days.
    pub timezone: String,
    /// A wall time without a zone; others read it as UTC. Our own, absent when false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub floating: bool,
}

const WIRE_TIME: &str = "%Y-%m-%d %H:%M:%S";

impl WireMoment {
    fn of(when: &When) -> Self {
        let (local, timezone) = match when {
            When::Date(date) => (date.and_time(NaiveTime::MIN), "Z"),
            When::Floating(local) => (*local, "Z"),
            When::Utc(instant) => (instant.naive_utc(), "Z"),
            When::Zoned { local, zone } => match zone.tz() {
                Some(tz) => (*local, tz.name()),
                // Only its VTIMEZONE knows the zone: nobody else could resolve its name.
                None => (zone.to_utc(*local).naive_utc(), "Z"),
            },
        };
        Self {
            is_all_day: when.is_date(),
            date: format!("{}.000000", local.format(WIRE_TIME)),
            timezone_type: 3,
            timezone: timezone.to_owned(),
            floating: matches!(when, When::Floating(_)),
        }
    }

    /// The moment; `None` when date or zone cannot be read.
    pub fn moment(&self) -> Option<Moment> {
        let seconds = self.date.split('.').next()?;
        if self.is_all_day {
            let day = NaiveDate::parse_from_str(seconds.get(..10)?, "%Y-%m-%d").ok()?;
            return Some(Moment::Day(day));
        }
        let local = NaiveDateTime::parse_from_str(seconds, WIRE_TIME).ok()?;
        if self.floating {
            return Some(Moment::Floating(local));
        }
        let zone: Tz = if self.timezone == "Z" { Tz::UTC } else { self.timezone.parse().ok()? };
        Some(Moment::Instant(crate::ical::Zone::from(zone).to_utc(local)))
    }
}

impl Changes {
    /// What the two differ in.
    pub fn between(old: &Event<'_>, new: &Event<'_>) -> Self {
        let text = |old: Option<String>, new: Option<String>| {
            let (previous, current) = (old.unwrap_or_default(), new.unwrap_or_default());
            (previous != current).then_some(Change { previous: Some(previous), current: Some(current) })
        };
        let time = |old: Option<When>, new: Option<When>| {
            let (previous, current) = (old.as_ref().map(WireMoment::of), new.as_ref().map(WireMoment::of));
            (previous != current).then_some(Change { previous, current })
        };
        Self {
            summary: text(old.summary(), new.summary()),
            location: text(old.location(), new.location()),
            description: text(old.description(), new.description()),
            dtstart: time(old.start(), new.start()),
            dtend: time(written_end(old), written_end(new)),
        }
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What a mail shows of it: what was before. `now` is the time of the event as it is.
    pub fn before(&self, now: Option<Span>) -> Before {
        let text =
            |change: &Option<Change<String>>| change.as_ref().map(|change| change.previous.clone().unwrap_or_default());
        Before {
            summary: text(&self.summary),
            location: text(&self.location),
            description: text(&self.description),
            span: self.span_before(now),
            ..Before::default()
        }
    }

    /// Only one end of the time may have changed; the other is as it is now.
    fn span_before(&self, now: Option<Span>) -> Option<Span> {
        if self.dtstart.is_none() && self.dtend.is_none() {
            return None;
        }
        let previous = |change: &Change<WireMoment>| change.previous.as_ref().and_then(WireMoment::moment);
        let start = match &self.dtstart {
            Some(change) => previous(change),
            None => now.map(|span| span.start),
        };
        let end = match &self.dtend {
            Some(change) => previous(change),
            None => now.and_then(|span| span.end),
        };
        Some(Span { start: start?, end })
    }
}

/// The end, where the event says one: the implied end of RFC 5545 §3.6.1 is no news.
fn written_end(event: &Event<'_>) -> Option<When> {
    let says = event.component().get("DTEND").is_some() || event.component().get("DURATION").is_some();
    if says { event.end() } else { None }
}
