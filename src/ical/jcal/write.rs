//! iCalendar to jCal.

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};
use serde_json::Value;

use super::{default_type, is_list, is_structured};
use crate::ical::tree::{Component, Param, Property};
use crate::ical::when::{parse_date, parse_date_time};
use crate::ical::write::{split_value, unescape_text};

/// A component as a jCal array: name, properties, components.
pub fn to_jcal(component: &Component) -> Value {
    // Nothing in it can fail: its keys are texts, and it comes from memory.
    serde_json::to_value(Jcal(component)).unwrap_or_default()
}

/// A component that is written as jCal where it is serialised, without a tree of JSON between.
#[derive(Debug, Clone, Copy)]
pub struct Jcal<'a>(pub &'a Component);

impl Serialize for Jcal<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_seq(Some(3))?;
        out.serialize_element(&lower(self.0.name()))?;
        out.serialize_element(&Each(|| self.0.properties().map(Line)))?;
        out.serialize_element(&Each(|| self.0.components().map(Jcal)))?;
        out.end()
    }
}

/// What an iterator gives, as an array.
struct Each<F>(F);

impl<F, I> Serialize for Each<F>
where
    F: Fn() -> I,
    I: Iterator<Item: Serialize>,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

/// A property: name, parameters, type, values.
struct Line<'a>(&'a Property);

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let name = lower(self.0.name());
        let kind = type_of(self.0, &name);
        let text = self.0.value();
        let mut out = serializer.serialize_seq(None)?;
        out.serialize_element(&name)?;
        out.serialize_element(&Parameters { params: self.0.params(), is_date: kind == "date" })?;
        out.serialize_element(&kind)?;
        let value = |text| Scalar { kind: &kind, text };
        if is_structured(&name) {
            let mut parts = split_value(text, ';');
            match (parts.next(), parts.next()) {
                (Some(only), None) => out.serialize_element(&value(only))?,
                _ => out.serialize_element(&Each(|| split_value(text, ';').map(value)))?,
            }
        } else if is_list(&name) && kind != "unknown" {
            for item in split_value(text, ',') {
                out.serialize_element(&value(item))?;
            }
        } else {
            out.serialize_element(&value(text))?;
        }
        out.end()
    }
}

/// A name in lower case; most are written in upper case.
fn lower(name: &str) -> Cow<'_, str> {
    match name.bytes().any(|b| b.is_ascii_uppercase()) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    }
}

fn type_of<'a>(p: &Property, name: &str) -> Cow<'a, str> {
    let kind = match p.get_param("VALUE") {
        Some(written) => Cow::Owned(written.to_ascii_lowercase()),
        None => Cow::Borrowed(default_type(name)),
    };
    if kind == "date-time" && is_dates(p.value()) { Cow::Borrowed("date") } else { kind }
}

/// Parameters as an object. Of one that is there twice the last counts.
struct Parameters<'a> {
    params: &'a [Param],
    /// A date has no zone, whatever the writer says.
    is_date: bool,
}

impl Serialize for Parameters<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        for (index, param) in self.params.iter().enumerate() {
            let is_left_out = param.is("VALUE") || (self.is_date && param.is("TZID"));
            if is_left_out || self.params[index + 1..].iter().any(|later| later.is(&param.name)) {
                continue;
            }
            match param.values.as_slice() {
                [one] => out.serialize_entry(&lower(&param.name), one)?,
                several => out.serialize_entry(&lower(&param.name), several)?,
            }
        }
        out.end()
    }
}

fn is_dates(value: &str) -> bool {
    !value.is_empty() && value.split(',').all(|v| parse_date(v.trim()).is_ok())
}

/// One value in the JSON form of its type; as written where it is not of that type.
struct Scalar<'a> {
    kind: &'a str,
    text: &'a str,
}

impl Serialize for Scalar<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.text;
        match self.kind {
            "text" if text.contains('\\') => serializer.serialize_str(&unescape_text(text)),
            "integer" => match text.trim().parse::<i64>() {
                Ok(number) => serializer.serialize_i64(number),
                Err(_) => serializer.serialize_str(text),
            },
            "float" => match number(text) {
                Some(number) => number.serialize(serializer),
                None => serializer.serialize_str(text),
            },
            "boolean" if text.eq_ignore_ascii_case("TRUE") => serializer.serialize_bool(true),
            "boolean" if text.eq_ignore_ascii_case("FALSE") => serializer.serialize_bool(false),
            "date" | "date-time" => serializer.serialize_str(&extended(text)),
            "time" => serializer.serialize_str(&extended_time(text)),
            "utc-offset" => serializer.serialize_str(&extended_offset(text)),
            "recur" => Rule(text).serialize(serializer),
            "period" => match text.split_once('/') {
                Some((start, end)) if end.starts_with(['P', 'p', '+', '-']) => {
                    [extended(start).as_str(), end].serialize(serializer)
                }
                Some((start, end)) => [extended(start), extended(end)].serialize(serializer),
                None => serializer.serialize_str(&extended(text)),
            },
            _ => serializer.serialize_str(text),
        }
    }
}

fn number(text: &str) -> Option<Value> {
    let text = Some(text.trim()).filter(|t| !t.is_empty())?;
    serde_json::from_str::<Value>(text).ok().filter(Value::is_number)
}

/// `20260302T090000Z` as `2026-03-02T09:00:00Z`, `20260302` as `2026-03-02`.
fn extended(text: &str) -> String {
    let trimmed = text.trim();
    if let Ok((local, utc)) = parse_date_time(trimmed) {
        let utc = if utc { "Z" } else { "" };
        return match compact(trimmed) {
            Some([year, month, day, hour, minute, second]) => {
                [year, "-", month, "-", day, "T", hour, ":", minute, ":", second, utc].concat()
            }
            None => format!("{}{utc}", local.format("%Y-%m-%dT%H:%M:%S")),
        };
    }
    parse_date(trimmed).map_or_else(|_| text.to_owned(), |date| date.format("%Y-%m-%d").to_string())
}

/// The parts of a time in its usual form. That it is one was checked before; to format it anew would cost more than all
/// the rest.
fn compact(text: &str) -> Option<[&str; 6]> {
    let is_usual = text.len() <= 16 && text.as_bytes().get(8).is_some_and(|b| b.eq_ignore_ascii_case(&b'T'));
    let parts = [0..4, 4..6, 6..8, 9..11, 11..13, 13..15].map(|range| text.get(range).unwrap_or_default());
    (is_usual && parts.iter().all(|part| part.bytes().all(|b| b.is_ascii_digit()) && part.len() > 1) && parts[5] < "60")
        .then_some(parts)
}

fn extended_time(text: &str) -> String {
    let digits = text.strip_suffix('Z').unwrap_or(text);
    if digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_digit()) {
        return format!("{}:{}:{}{}", &text[..2], &text[2..4], &text[4..6], &text[6..]);
    }
    text.to_owned()
}

fn extended_offset(text: &str) -> String {
    let text = text.trim();
    let digits = text.strip_prefix(['+', '-']).unwrap_or("");
    if !matches!(digits.len(), 4 | 6) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return text.to_owned();
    }
    let seconds = if digits.len() == 6 { format!(":{}", &digits[4..]) } else { String::new() };
    format!("{}{}:{}{seconds}", &text[..1], &digits[..2], &digits[2..4])
}

/// A recurrence rule as an object of its parts. Of one that is there twice the last counts.
struct Rule<'a>(&'a str);

impl Rule<'_> {
    fn parts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.split(';').filter_map(|part| part.split_once('=')).map(|(name, value)| (name.trim(), value.trim()))
    }
}

impl Serialize for Rule<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        for (index, (name, value)) in self.parts().enumerate() {
            if self.parts().skip(index + 1).any(|(later, _)| later.eq_ignore_ascii_case(name)) {
                continue;
            }
            let name = lower(name);
            match (name.as_ref(), value.parse::<i64>()) {
                ("until", _) => out.serialize_entry(&name, &extended(value))?,
                ("count", Ok(count)) => out.serialize_entry(&name, &count)?,
                ("count", Err(_)) => out.serialize_entry(&name, value)?,
                _ if value.contains(',') => out.serialize_entry(&name, &Each(|| value.split(',')))?,
                _ => out.serialize_entry(&name, value)?,
            }
        }
        out.end()
    }
}
