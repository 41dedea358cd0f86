//! vCard to jCard.

use serde_json::{Map, Value, json};

use super::{NAME_PARTS, default_type, is_list, is_moment, is_structured, item_type};
use crate::ical::{Property, split_value, unescape_text};
use crate::vcard::card::{Card, Version};
use crate::vcard::date::{Format, Moment, Offset};
use crate::vcard::line::Line;
use crate::vcard::media::{is_address, plain_uri};

/// The card as a jCard array: `["vcard", [properties]]`. Components within it, which no version has, are left out.
pub fn to_jcard(card: &Card) -> Value {
    let version = card.version().unwrap_or(Version::V3);
    let properties: Vec<Value> = card.lines().map(|line| property(line, version)).collect();
    json!(["vcard", properties])
}

fn property(line: Line<'_>, version: Version) -> Value {
    let name = line.name().to_ascii_lowercase();
    let kind = type_of(line.property(), &name, version);
    let mut out = vec![json!(name), Value::Object(parameters(line)), json!(kind)];
    let text = line.property().value();
    let item_kind = item_type(&name, &kind, version);
    if is_structured(&name, version) {
        out.push(structured(&name, item_kind, text));
    } else if is_list(&name) {
        out.extend(split_value(text, ',').map(|item| value(item_kind, item)));
    } else {
        out.push(value(&kind, text));
    }
    Value::Array(out)
}

fn type_of(property: &Property, name: &str, version: Version) -> String {
    let usual = default_type(name, version);
    let written = property.get_param("VALUE").map(|v| v.trim().to_ascii_lowercase());
    let kind = match &written {
        // `VALUE=date` says less than the type of these properties, which readers know.
        Some(written) if is_moment(written) && is_moment(usual) => usual,
        Some(written) => written,
        // Most UIDs are no addresses, whatever RFC 6350 wishes, and hardly any says so.
        None if name == "uid" && !is_address(property.value()) => "text",
        None => usual,
    };
    let is_no_offset = name == "tz" && kind == "utc-offset" && Offset::parse(property.value()).is_none();
    if is_no_offset { "text" } else { kind }.to_owned()
}

/// Parameters by name; one that comes twice, as TYPE often does, is one with several values.
fn parameters(line: Line<'_>) -> Map<String, Value> {
    let mut out = Map::new();
    let group = line.group().map(|group| ("group".to_owned(), group));
    let params = line.property().params().iter().flat_map(|param| {
        // A word without a name is a type, as in version 2.1.
        let unnamed = param.values.is_empty().then_some(("type".to_owned(), param.name.as_str()));
        let named = param.values.iter().map(|value| (param.name.to_ascii_lowercase(), value.as_str()));
        unnamed.into_iter().chain(named).filter(|(name, _)| name != "value")
    });
    for (name, value) in group.into_iter().chain(params) {
        match out.entry(name).or_insert(Value::Null) {
            Value::Array(values) => values.push(json!(value)),
            first @ Value::Null => *first = json!(value),
            one => *one = json!([one.take(), value]),
        }
    }
    out
}

/// Parts as an array, each a string or an array of strings; a single part alone (RFC 7095 §3.3.1.3).
fn structured(name: &str, kind: &str, text: &str) -> Value {
    let part = |part: &str| {
        let mut values: Vec<Value> = split_value(part, ',').map(|item| value(kind, item)).collect();
        if values.len() == 1 { values.remove(0) } else { Value::Array(values) }
    };
    let mut parts: Vec<Value> = split_value(text, ';').map(part).collect();
    while name == "n" && parts.len() < NAME_PARTS {
        parts.push(json!(""));
    }
    if parts.len() == 1 { parts.remove(0) } else { Value::Array(parts) }
}

/// One value in the JSON form of its type; as written where it is not of that type.
fn value(kind: &str, text: &str) -> Value {
    match kind {
        "text" => json!(unescape_text(text)),
        "uri" => json!(plain_uri(text)),
        "integer" => text.trim().parse::<i64>().map_or_else(|_| json!(text), |n| json!(n)),
        "float" => {
            serde_json::from_str::<Value>(text.trim()).ok().filter(Value::is_number).unwrap_or_else(|| json!(text))
        }
        "boolean" if text.eq_ignore_ascii_case("TRUE") => json!(true),
        "boolean" if text.eq_ignore_ascii_case("FALSE") => json!(false),
        // The type says that it is a time, so nothing before it does (RFC 7095 §3.5.4).
        "time" => match Moment::parse(&format!("T{}", text.trim().trim_start_matches(['T', 't']))) {
            Some(moment) => json!(moment.write(Format::Extended).trim_start_matches('T')),
            None => json!(text),
        },
        _ if is_moment(kind) => Moment::parse(text).map_or_else(|| json!(text), |m| json!(m.write(Format::Extended))),
        "utc-offset" => Offset::parse(text).map_or_else(|| json!(text), |o| json!(o.write(Format::Extended))),
        _ => json!(text),
    }
}
