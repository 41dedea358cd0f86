//! jCard to vCard.

use serde_json::Value;

use super::{NAME_PARTS, default_type, is_moment, is_structured, item_type};
use crate::ical::{Component, Item, Param, Property, escape_text, is_name, is_property_name};
use crate::vcard::card::{Card, Version};
use crate::vcard::date::{Format, Moment, Offset};

/// Why a JSON value is not jCard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: expected {expected}")]
pub struct JcardError {
    /// Where: the name of the property, or `jCard`.
    pub at: String,
    /// What should be there.
    pub expected: &'static str,
}

impl JcardError {
    fn new(at: &str, expected: &'static str) -> Self {
        Self { at: at.chars().take(100).collect(), expected }
    }
}

/// Reads `["vcard", [properties]]`; what may follow, as in jCal, must be empty. A card that names no version is one of 4.0.
///
/// # Errors
/// [`JcardError`] with the place that is not jCard.
pub fn from_jcard(value: &Value) -> Result<Card, JcardError> {
    let malformed = || JcardError::new("jCard", "an array of \"vcard\" and properties");
    let (name, properties) = match value.as_array().map(Vec::as_slice) {
        Some([Value::String(name), Value::Array(properties)]) => (name, properties),
        Some([Value::String(name), Value::Array(properties), Value::Array(none)]) if none.is_empty() => {
            (name, properties)
        }
        _ => return Err(malformed()),
    };
    if !name.eq_ignore_ascii_case("vcard") {
        return Err(malformed());
    }
    let named = properties.iter().find(|p| p[0].as_str().is_some_and(|n| n.eq_ignore_ascii_case("version")));
    let version = named.and_then(|p| p[3].as_str()).and_then(Version::parse);
    let mut root = Component::new("VCARD");
    if named.is_none() {
        root.push(Property::new("VERSION", Version::V4.as_str()));
    }
    for p in properties {
        root.items.push(Item::Property(property(p, version.unwrap_or(Version::V4))?));
    }
    Card::from_root(root).map_err(|_| malformed())
}

fn property(value: &Value, version: Version) -> Result<Property, JcardError> {
    let malformed = || JcardError::new("jCard", "properties of name, parameters, type and values");
    let [Value::String(name), params, Value::String(kind), values @ ..] =
        value.as_array().map(Vec::as_slice).ok_or_else(malformed)?
    else {
        return Err(malformed());
    };
    let (name, kind) = (name.to_ascii_lowercase(), kind.to_ascii_lowercase());
    if !is_property_name(&name) || name.contains('.') {
        return Err(JcardError::new(&name, "a property name"));
    }
    if !is_name(&kind) {
        return Err(JcardError::new(&name, "a value type"));
    }
    if values.is_empty() {
        return Err(JcardError::new(&name, "a value"));
    }
    let text = values
        .iter()
        .map(|v| text_of(&name, item_type(&name, &kind, version), v, version))
        .collect::<Result<Vec<_>, _>>()?
        .join(",");
    let mut group = None;
    let mut read = Vec::new();
    // PHP writes an empty object as an empty array.
    match params {
        Value::Object(params) => {
            for (key, value) in params {
                match (key.to_ascii_lowercase().as_str(), value) {
                    ("group", Value::String(name)) if is_name(name) => group = Some(name.clone()),
                    ("value", _) => {}
                    _ => read.push(parameter(key, value, &name)?),
                }
            }
        }
        Value::Array(none) if none.is_empty() => {}
        _ => return Err(JcardError::new(&name, "an object of parameters")),
    }
    let upper = name.to_ascii_uppercase();
    let mut out = Property::new(&group.map_or_else(|| upper.clone(), |group| format!("{group}.{upper}")), text);
    if names_its_type(&name, &kind, version) {
        out.push_param(Param::new("VALUE", &kind));
    }
    if version == Version::V3 && default_type(&name, version) == "date-and-or-time" && out.value().contains('T') {
        // A birthday of 3.0 is a date unless it says otherwise (RFC 2426 §3.1.5).
        out.push_param(Param::new("VALUE", "date-time"));
    }
    read.into_iter().for_each(|p| out.push_param(p));
    Ok(out)
}

/// Whether the type must be said in VALUE: where it is not the usual one.
fn names_its_type(name: &str, kind: &str, version: Version) -> bool {
    let usual = default_type(name, version);
    let same = kind == usual || (is_moment(kind) && is_moment(usual));
    // A UID that is no address needs no word about it; many readers look for `UID:`.
    let silent = kind == "unknown" || kind == "binary" || (name == "uid" && kind == "text");
    !same && !silent
}

fn parameter(key: &str, value: &Value, at: &str) -> Result<Param, JcardError> {
    if !is_name(key) {
        return Err(JcardError::new(at, "parameter names"));
    }
    let values = match value {
        Value::Array(values) => values.iter().map(|v| scalar(v, at)).collect::<Result<_, _>>()?,
        one => vec![scalar(one, at)?],
    };
    Ok(Param { name: key.to_ascii_uppercase(), values })
}

fn scalar(value: &Value, at: &str) -> Result<String, JcardError> {
    match value {
        Value::String(s) => Ok(s.clone()),
        Value::Number(n) => Ok(n.to_string()),
        Value::Bool(b) => Ok(if *b { "TRUE" } else { "FALSE" }.to_owned()),
        Value::Null => Ok(String::new()),
        Value::Array(_) | Value::Object(_) => Err(JcardError::new(at, "a plain value")),
    }
}

/// One value in its vCard form.
fn text_of(name: &str, kind: &str, value: &Value, version: Version) -> Result<String, JcardError> {
    let single = |v: &Value| scalar(v, name).map(|s| plain(kind, &s, version));
    let mut parts = match value {
        Value::Array(parts) => {
            let list = |part: &Value| match part {
                Value::Array(values) => Ok(values.iter().map(single).collect::<Result<Vec<_>, _>>()?.join(",")),
                one => single(one),
            };
            parts.iter().map(list).collect::<Result<Vec<_>, _>>()?
        }
        one => vec![single(one)?],
    };
    if parts.len() > 1 && !is_structured(name, version) && default_type(name, version) != "unknown" {
        return Err(JcardError::new(name, "a plain value"));
    }
    while name == "n" && parts.len() < NAME_PARTS {
        parts.push(String::new());
    }
    Ok(parts.join(";"))
}

fn plain(kind: &str, text: &str, version: Version) -> String {
    let format = if version == Version::V3 { Format::Extended } else { Format::Basic };
    match kind {
        "text" => escape_text(text),
        "time" => match Moment::parse(&format!("T{}", text.trim_start_matches(['T', 't']))) {
            Some(moment) => moment.write(format).trim_start_matches('T').to_owned(),
            None => one_line(text),
        },
        _ if is_moment(kind) => Moment::parse(text).map_or_else(|| one_line(text), |m| m.write(format)),
        "utc-offset" => Offset::parse(text).map_or_else(|| one_line(text), |o| o.write(format)),
        _ => one_line(text),
    }
}

/// A value of a type that has no escapes cannot hold a line break; it must not start a line of its own.
fn one_line(text: &str) -> String {
    if !text.contains(|c: char| c.is_ascii_control() && c != '\t') {
        return text.to_owned();
    }
    text.replace("\r\n", "\n").replace('\n', "\\n").replace(|c: char| c.is_ascii_control() && c != '\t', "")
}
