//! The recurrence checks a client can ask for with `Prefer: handling=strict` (dav §6.4.4), which RFC 5545 demands and
//! most stored data would fail somewhere. Texts are what clients of esn-sabre see.

use std::collections::HashSet;

use super::event::Event;
use super::object::CalendarObject;
use super::recur::rule::{Rule, RuleError, Until};
use super::tree::Property;
use super::when::When;
use super::zone::Zones;

/// What RFC 5545 forbids.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StrictError {
    /// A rule that RFC 5545 does not allow.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// A property that is no time.
    #[error("{property} {value:?} is not a valid {expected} value")]
    Invalid {
        /// Property name, or `UNTIL`.
        property: &'static str,
        /// Value as written.
        value: String,
        /// `DATE` or `DATE-TIME`.
        expected: &'static str,
    },
    /// A property that needs DTSTART beside it.
    #[error("{component} with {property} MUST have a DTSTART property")]
    NoStart {
        /// Component type.
        component: String,
        /// Property name.
        property: &'static str,
    },
    /// A date where DTSTART is a time, or the other way round.
    #[error("{property} value type ({found}) must match DTSTART value type ({start})")]
    Type {
        /// Property name, or `UNTIL`.
        property: &'static str,
        /// Its type.
        found: &'static str,
        /// Type of DTSTART.
        start: &'static str,
    },
    /// A time in another form than DTSTART.
    #[error("{property} date-time form ({found}) must match DTSTART date-time form ({start})")]
    Form {
        /// Property name.
        property: &'static str,
        /// Its form: `UTC`, `FLOATING` or `TZID:` and the zone.
        found: String,
        /// Form of DTSTART.
        start: String,
    },
    /// UNTIL in the wrong form.
    #[error("UNTIL date-time form ({found}) must be {expected} when DTSTART date-time form is {start}")]
    UntilForm {
        /// Its form.
        found: &'static str,
        /// `UTC` or `FLOATING`.
        expected: &'static str,
        /// Form of DTSTART.
        start: String,
    },
    /// An override without a series.
    #[error(
        "RECURRENCE-ID override for UID {uid} has no matching recurring master {component} (same UID with RRULE or RDATE)"
    )]
    NoMaster {
        /// UID.
        uid: String,
        /// Component type.
        component: String,
    },
    /// Two overrides of one occurrence.
    #[error("Duplicate RECURRENCE-ID {id} for UID {uid}")]
    Duplicate {
        /// The occurrence, as an instant, or a date.
        id: String,
        /// UID.
        uid: String,
    },
}

/// Checks what RFC 5545 says about RRULE, EXDATE and RECURRENCE-ID.
///
/// # Errors
/// The first [`StrictError`].
pub fn check(object: &CalendarObject) -> Result<(), StrictError> {
    for event in object.events() {
        check_component(&event, object.zones())?;
    }
    check_overrides(object)
}

fn check_component(event: &Event<'_>, zones: &Zones) -> Result<(), StrictError> {
    let component = event.component();
    let start = component.get("DTSTART").map(|p| read("DTSTART", p, zones)).transpose()?;
    for property in ["RRULE", "EXDATE"] {
        if component.get(property).is_some() && start.is_none() {
            return Err(StrictError::NoStart { component: component.name().to_ascii_uppercase(), property });
        }
    }
    let Some(start) = start else { return Ok(()) };
    for property in component.all("RRULE") {
        check_rule(property.value(), &start)?;
    }
    for property in component.all("EXDATE") {
        for when in When::list(property, zones) {
            let when =
                when.map_err(|e| StrictError::Invalid { property: "EXDATE", value: e.value, expected: e.expected })?;
            same_form("EXDATE", &when, &start)?;
        }
    }
    Ok(())
}

fn read(name: &'static str, property: &Property, zones: &Zones) -> Result<When, StrictError> {
    When::read(property, zones).map_err(|e| StrictError::Invalid {
        property: name,
        value: e.value,
        expected: e.expected,
    })
}

fn check_rule(value: &str, start: &When) -> Result<(), StrictError> {
    let rule = match value.parse::<Rule>() {
        Ok(rule) => rule,
        Err(RuleError::Value { part: "UNTIL", value }) => {
            return Err(StrictError::Invalid { property: "UNTIL", value, expected: type_of(start) });
        }
        Err(other) => return Err(other.into()),
    };
    let Some(until) = rule.until else { return Ok(()) };
    let found = if matches!(until, Until::Date(_)) { "DATE" } else { "DATE-TIME" };
    if found != type_of(start) {
        return Err(StrictError::Type { property: "UNTIL", found, start: type_of(start) });
    }
    let (found, expected) = match (until, start) {
        (Until::Floating(_), When::Utc(_) | When::Zoned { .. }) => ("FLOATING", "UTC"),
        (Until::Utc(_), When::Floating(_)) => ("UTC", "FLOATING"),
        _ => return Ok(()),
    };
    Err(StrictError::UntilForm { found, expected, start: form_of(start) })
}

fn check_overrides(object: &CalendarObject) -> Result<(), StrictError> {
    let zones = object.zones();
    let uid = || object.uid().to_owned();
    let master = object.master().map(|c| Event::new(c, zones)).filter(Event::is_recurring);
    let mut seen = HashSet::new();
    for component in object.overrides() {
        let Some(property) = component.get("RECURRENCE-ID") else { continue };
        let id = read("RECURRENCE-ID", property, zones)?;
        let Some(master) = master else {
            return Err(StrictError::NoMaster { uid: uid(), component: component.name().to_ascii_uppercase() });
        };
        if let Some(start) = master.start() {
            same_form("RECURRENCE-ID", &id, &start)?;
        }
        if !seen.insert(id.instant(chrono_tz::Tz::UTC)) {
            let id = match &id {
                When::Date(date) => date.format("%Y-%m-%d").to_string(),
                other => other.instant(chrono_tz::Tz::UTC).format("%Y-%m-%dT%H:%M:%SZ").to_string(),
            };
            return Err(StrictError::Duplicate { id, uid: uid() });
        }
    }
    Ok(())
}

fn same_form(property: &'static str, when: &When, start: &When) -> Result<(), StrictError> {
    if when.is_date() != start.is_date() {
        return Err(StrictError::Type { property, found: type_of(when), start: type_of(start) });
    }
    if form_of(when) != form_of(start) {
        return Err(StrictError::Form { property, found: form_of(when), start: form_of(start) });
    }
    Ok(())
}

const fn type_of(when: &When) -> &'static str {
    if when.is_date() { "DATE" } else { "DATE-TIME" }
}

fn form_of(when: &When) -> String {
    match when {
        When::Date(_) => "DATE".to_owned(),
        When::Floating(_) => "FLOATING".to_owned(),
        When::Utc(_) => "UTC".to_owned(),
        When::Zoned { zone, .. } => format!("TZID:{}", zone.id()),
    }
}
