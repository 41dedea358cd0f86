//! iCalendar to jCal.

use serde_json::{Map, Value, json};

use super::{default_type, is_list, is_structured};
use crate::ical::tree::{Component, Property};
use crate::ical::when::{parse_date, parse_date_time};
use crate::ical::write::{split_value, unescape_text};

/// A component as a jCal array: name, properties, components.
pub fn to_jcal(component: &Component) -> Value {
    let properties: Vec<Value> = component.properties().map(property).collect();
    let components: Vec<Value> = component.components().map(to_jcal).collect();
    json!([component.name().to_ascii_lowercase(), properties, components])
}

fn property(p: &Property) -> Value {
    let name = p.name().to_ascii_lowercase();
    let written = p.get_param("VALUE").map(str::to_ascii_lowercase);
    let mut kind = written.unwrap_or_else(|| default_type(&name).to_owned());
    if kind == "date-time" && is_dates(p.value()) {
        "date".clone_into(&mut kind);
    }
    let mut params = Map::new();
    for param in p.params() {
        let key = param.name.to_ascii_lowercase();
        // A date has no zone, whatever the writer says.
        if key == "value" || (key == "tzid" && kind == "date") {
            continue;
        }
        let value = match param.values.as_slice() {
            [one] => json!(one),
            several => json!(several),
        };
        params.insert(key, value);
    }
    let mut out = vec![json!(name), Value::Object(params), json!(kind)];
    if is_structured(&name) {
        let parts: Vec<Value> = split_value(p.value(), ';').map(|part| value(&kind, part)).collect();
        out.push(if parts.len() == 1 { parts.into_iter().next().unwrap_or_default() } else { Value::Array(parts) });
    } else if is_list(&name) && kind != "unknown" {
        out.extend(split_value(p.value(), ',').map(|item| value(&kind, item)));
    } else {
        out.push(value(&kind, p.value()));
    }
    Value::Array(out)
}

fn is_dates(value: &str) -> bool {
    !value.is_empty() && value.split(',').all(|v| parse_date(v.trim()).is_ok())
}

/// One value in the JSON form of its type; as written where it is not of that type.
fn value(kind: &str, text: &str) -> Value {
    let number = || Some(text.trim()).filter(|t| !t.is_empty()).and_then(|t| serde_json::from_str::<Value>(t).ok());
    match kind {
        "text" => json!(unescape_text(text)),
        "integer" => text.trim().parse::<i64>().map_or_else(|_| json!(text), |n| json!(n)),
        "float" => number().filter(Value::is_number).unwrap_or_else(|| json!(text)),
        "boolean" if text.eq_ignore_ascii_case("TRUE") => json!(true),
        "boolean" if text.eq_ignore_ascii_case("FALSE") => json!(false),
        "date" | "date-time" => json!(extended(text)),
        "time" => json!(extended_time(text)),
        "utc-offset" => json!(extended_offset(text)),
        "recur" => recur(text),
        "period" => match text.split_once('/') {
            Some((start, end)) if end.starts_with(['P', 'p', '+', '-']) => json!([extended(start), end]),
            Some((start, end)) => json!([extended(start), extended(end)]),
            None => json!(extended(text)),
        },
        _ => json!(text),
    }
}

/// `20260302T090000Z` as `2026-03-02T09:00:00Z`, `20260302` as `2026-03-02`.
fn extended(text: &str) -> String {
    let trimmed = text.trim();
    if let Ok((local, utc)) = parse_date_time(trimmed) {
        return format!("{}{}", local.format("%Y-%m-%dT%H:%M:%S"), if utc { "Z" } else { "" });
    }
    parse_date(trimmed).map_or_else(|_| text.to_owned(), |date| date.format("%Y-%m-%d").to_string())
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

fn recur(text: &str) -> Value {
    let mut parts = Map::new();
    for part in text.split(';') {
        let Some((name, value)) = part.split_once('=') else { continue };
        let name = name.trim().to_ascii_lowercase();
        let value = match (name.as_str(), value.trim()) {
            ("until", value) => json!(extended(value)),
            ("count", value) => value.parse::<i64>().map_or_else(|_| json!(value), |n| json!(n)),
            (_, value) if value.contains(',') => json!(value.split(',').collect::<Vec<_>>()),
            (_, value) => json!(value),
        };
        parts.insert(name, value);
    }
    Value::Object(parts)
}
