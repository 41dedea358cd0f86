//! jCal to iCalendar.

use serde_json::Value;

use super::{default_type, is_structured};
use crate::ical::parse::{is_name, is_property_name};
use crate::ical::tree::{Component, Param, Property};
use crate::ical::write::escape_text;

/// Levels of nested components.
const MAX_DEPTH: usize = 16;

/// Why a JSON value is not jCal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: expected {expected}")]
pub struct JcalError {
    /// Where: names of components and properties, e.g. `vcalendar/vevent/dtstart`.
    pub at: String,
    /// What should be there.
    pub expected: &'static str,
}

impl JcalError {
    fn new(at: &str, expected: &'static str) -> Self {
        Self { at: at.chars().take(200).collect(), expected }
    }
}

/// Reads a jCal component, normally `["vcalendar", …]`.
///
/// # Errors
/// [`JcalError`] with the place that is not jCal.
pub fn from_jcal(value: &Value) -> Result<Component, JcalError> {
    component(value, "", 0)
}

fn component(value: &Value, parent: &str, depth: usize) -> Result<Component, JcalError> {
    let here = if parent.is_empty() { "jCal" } else { parent };
    if depth == MAX_DEPTH {
        return Err(JcalError::new(here, "fewer nested components"));
    }
    let (name, properties, components) = match value.as_array().map(Vec::as_slice) {
        Some([Value::String(name), Value::Array(properties), Value::Array(components)]) if is_name(name) => {
            (name, properties, components)
        }
        _ => return Err(JcalError::new(here, "an array of name, properties and components")),
    };
    let at = if parent.is_empty() { name.clone() } else { format!("{parent}/{name}") };
    let mut out = Component::new(&name.to_ascii_uppercase());
    for p in properties {
        out.push(property(p, &at)?);
    }
    for c in components {
        out.push_component(component(c, &at, depth + 1)?);
    }
    Ok(out)
}

fn property(value: &Value, parent: &str) -> Result<Property, JcalError> {
    let malformed = || JcalError::new(parent, "properties of name, parameters, type and values");
    let [Value::String(name), params, Value::String(kind), values @ ..] =
        value.as_array().map(Vec::as_slice).ok_or_else(malformed)?
    else {
        return Err(malformed());
    };
    let at = format!("{parent}/{name}");
    if !is_property_name(name) {
        return Err(JcalError::new(&at, "a property name"));
    }
    let (name, kind) = (name.to_ascii_lowercase(), kind.to_ascii_lowercase());
    if !is_name(&kind) {
        return Err(JcalError::new(&at, "a value type"));
    }
    let text = values.iter().map(|v| text_of(&name, &kind, v, &at)).collect::<Result<Vec<_>, _>>()?;
    let mut out = Property::new(&name.to_ascii_uppercase(), text.join(","));
    // VALUE=UNKNOWN too, as esn-sabre writes it: the type would else become the default one on the way back.
    if kind != default_type(&name) {
        out.push_param(Param::new("VALUE", &kind.to_ascii_uppercase()));
    }
    // PHP writes an empty object as an empty array.
    match params {
        Value::Object(params) => {
            for (key, value) in params {
                out.push_param(param(key, value, &at)?);
            }
        }
        Value::Array(none) if none.is_empty() => {}
        _ => return Err(JcalError::new(&at, "an object of parameters")),
    }
    Ok(out)
}

fn param(key: &str, value: &Value, at: &str) -> Result<Param, JcalError> {
    if !is_name(key) {
        return Err(JcalError::new(at, "parameter names"));
    }
    let values = match value {
        Value::Array(values) => values.iter().map(|v| scalar(v, at)).collect::<Result<_, _>>()?,
        one => vec![scalar(one, at)?],
    };
    Ok(Param { name: key.to_ascii_uppercase(), values })
}

fn scalar(value: &Value, at: &str) -> Result<String, JcalError> {
    match value {
        Value::String(s) => Ok(s.clone()),
        Value::Number(n) => Ok(n.to_string()),
        Value::Bool(b) => Ok(if *b { "TRUE" } else { "FALSE" }.to_owned()),
        // The web client writes null for an empty X-OPENPAAS-VIDEOCONFERENCE.
        Value::Null => Ok(String::new()),
        Value::Array(_) | Value::Object(_) => Err(JcalError::new(at, "a plain value")),
    }
}

/// One value in its iCalendar form.
fn text_of(name: &str, kind: &str, value: &Value, at: &str) -> Result<String, JcalError> {
    match (kind, value) {
        ("recur", Value::Object(parts)) => recur(parts, at),
        ("period", Value::Array(parts)) => {
            let parts = parts.iter().map(|p| Ok(basic(&scalar(p, at)?))).collect::<Result<Vec<_>, _>>()?;
            Ok(one_line(&parts.join("/")))
        }
        (_, Value::Array(parts)) if is_structured(name) || kind == "text" => {
            let part = |p| scalar(p, at).map(|s| if kind == "text" { escape_text(&s) } else { one_line(&s) });
            Ok(parts.iter().map(part).collect::<Result<Vec<_>, _>>()?.join(";"))
        }
        // Between them sabre/vobject writes "code;text" where it did not split.
        ("text", one) if name == "request-status" => Ok(escape_text(&scalar(one, at)?).replace("\\;", ";")),
        ("text", one) => Ok(escape_text(&scalar(one, at)?)),
        ("date" | "date-time" | "time" | "period", one) => Ok(one_line(&basic(&scalar(one, at)?))),
        ("utc-offset", one) => Ok(one_line(&scalar(one, at)?.replace(':', ""))),
        (_, one) => Ok(one_line(&scalar(one, at)?)),
    }
}

/// `2026-03-02T09:00:00Z` as `20260302T090000Z`; a duration stays.
fn basic(text: &str) -> String {
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return text.to_owned();
    }
    let part =
        |p: &str| if p.starts_with(|c: char| c.is_ascii_digit()) { p.replace(['-', ':'], "") } else { p.to_owned() };
    text.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// A value of a type that has no escapes cannot hold a line break; it must not start a line of its own.
fn one_line(text: &str) -> String {
    if !text.contains(|c: char| c.is_ascii_control() && c != '\t') {
        return text.to_owned();
    }
    text.replace("\r\n", "\n").replace('\n', "\\n").replace(|c: char| c.is_ascii_control() && c != '\t', "")
}

/// FREQ first, as older readers expect, then the parts in their order.
fn recur(parts: &serde_json::Map<String, Value>, at: &str) -> Result<String, JcalError> {
    let mut out: Vec<String> = Vec::with_capacity(parts.len());
    for (name, value) in parts {
        if !is_name(name) {
            return Err(JcalError::new(at, "rule parts"));
        }
        let values = match value {
            Value::Array(values) => values.iter().map(|v| scalar(v, at)).collect::<Result<Vec<_>, _>>()?.join(","),
            one => scalar(one, at)?,
        };
        let name = name.to_ascii_uppercase();
        let values = if name == "UNTIL" { basic(&values) } else { values };
        let part = one_line(&format!("{name}={}", values.replace(';', "")));
        if name == "FREQ" { out.insert(0, part) } else { out.push(part) }
    }
    Ok(out.join(";"))
}
