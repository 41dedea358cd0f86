//! iCalendar to xCal.

use serde_json::{Map, Value};

use super::name::to_xml;
use super::{HEAD, TAIL, parts_of, type_of_param};
use crate::ical::jcal::to_jcal;
use crate::ical::tree::Component;

/// Parts of a rule in the order of the schema (RFC 6321 appendix A, 3.3.10); others follow.
const RULE_PARTS: [&str; 14] = [
    "freq",
    "until",
    "count",
    "interval",
    "bysecond",
    "byminute",
    "byhour",
    "byday",
    "bymonthday",
    "byyearday",
    "byweekno",
    "bymonth",
    "bysetpos",
    "wkst",
];

/// A calendar as an xCal document.
pub fn to_xcal(calendar: &Component) -> String {
    let mut out = String::from(HEAD);
    write_component(calendar, &mut out);
    out.push_str(TAIL);
    out
}

/// Appends the element of a component.
pub fn write_component(component: &Component, out: &mut String) {
    write(&to_jcal(component), out);
}

fn write(component: &Value, out: &mut String) {
    let Some([Value::String(name), Value::Array(properties), Value::Array(components)]) =
        component.as_array().map(Vec::as_slice)
    else {
        return;
    };
    within(&to_xml(name), out, |out| {
        if !properties.is_empty() {
            within("properties", out, |out| properties.iter().for_each(|p| property(p, out)));
        }
        if !components.is_empty() {
            within("components", out, |out| components.iter().for_each(|c| write(c, out)));
        }
    });
}

fn property(property: &Value, out: &mut String) {
    let Some([Value::String(name), Value::Object(params), Value::String(kind), values @ ..]) =
        property.as_array().map(Vec::as_slice)
    else {
        return;
    };
    within(&to_xml(name), out, |out| {
        if !params.is_empty() {
            within("parameters", out, |out| params.iter().for_each(|(name, value)| param(name, value, out)));
        }
        for value in values {
            match (parts_of(name), value) {
                (Some(names), Value::Array(parts)) => structured(names, parts, out),
                _ => typed(kind, value, out),
            }
        }
    });
}

/// The parts of a value in the elements that name them. What is too much belongs to the last.
fn structured(names: &[&str], parts: &[Value], out: &mut String) {
    let (own, rest) = parts.split_at(parts.len().min(names.len() - 1));
    names.iter().zip(own).for_each(|(name, part)| element(name, part, out));
    let rest: Vec<String> = rest.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect();
    if let (Some(name), false) = (names.get(own.len()), rest.is_empty()) {
        element(name, &Value::String(rest.join(";")), out);
    }
}

fn param(name: &str, value: &Value, out: &mut String) {
    within(&to_xml(name), out, |out| {
        let kind = type_of_param(name);
        match value {
            Value::Array(values) => values.iter().for_each(|value| element(kind, value, out)),
            one => element(kind, one, out),
        }
    });
}

/// A value in the element of its type.
fn typed(kind: &str, value: &Value, out: &mut String) {
    match (kind, value) {
        ("recur", Value::Object(parts)) => within("recur", out, |out| rule(parts, out)),
        ("period", Value::Array(parts)) => within("period", out, |out| {
            let is_duration = |v: &Value| v.as_str().is_some_and(|v| v.starts_with(['P', 'p', '+', '-']));
            for (index, part) in parts.iter().enumerate() {
                let name = if index == 0 {
                    "start"
                } else if is_duration(part) {
                    "duration"
                } else {
                    "end"
                };
                element(name, part, out);
            }
        }),
        _ => element(&to_xml(kind), value, out),
    }
}

fn rule(parts: &Map<String, Value>, out: &mut String) {
    let place = |name: &str| RULE_PARTS.iter().position(|p| *p == name).unwrap_or(RULE_PARTS.len());
    let mut parts: Vec<(&String, &Value)> = parts.iter().collect();
    parts.sort_by_key(|(name, _)| place(name));
    for (name, value) in parts {
        match value {
            Value::Array(values) => values.iter().for_each(|value| element(&to_xml(name), value, out)),
            one => element(&to_xml(name), one, out),
        }
    }
}

fn element(tag: &str, value: &Value, out: &mut String) {
    within(tag, out, |out| match value {
        // What is a word of iCalendar is one of XML Schema in small letters.
        Value::String(text) if tag == "boolean" && matches!(text.as_str(), "TRUE" | "FALSE") => {
            out.push_str(&text.to_ascii_lowercase());
        }
        Value::String(text) => escape(text, out),
        Value::Null => {}
        other => escape(&other.to_string(), out),
    });
}

fn within(tag: &str, out: &mut String, inner: impl FnOnce(&mut String)) {
    out.push('<');
    out.push_str(tag);
    out.push('>');
    inner(out);
    out.push_str("</");
    out.push_str(tag);
    out.push('>');
}

/// Appends text; what XML 1.0 cannot hold is left out.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\r' => out.push_str("&#13;"),
            '\t' | '\n' => out.push(c),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {}
            _ => out.push(c),
        }
    }
}
