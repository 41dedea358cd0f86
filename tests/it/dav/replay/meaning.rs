//! What bodies mean, whatever they look like: multistatus answers as maps, calendars as sets of properties, lists without an
//! order as sets. Times of the run, ETags and the numbers of tokens are only there or not there.

use convoke::dav::xml::{DAV, Element, XmlLimits, parse};
use convoke::ical::{Component, jcal};
use serde_json::{Map, Value, json};

use super::bindings::uuids;

/// Keys whose lists have no order: Mongo gives what it finds (observed §1.17).
const SETS: [&str; 7] = ["dav:item", "dav:calendar", "dav:addressbook", "calendars", "busy", "invite", "{DAV:}invite"];
/// Keys that hold the number of a token.
const TOKENS: [&str; 2] = ["dav:syncToken", "{http://sabredav.org/ns}sync-token"];
/// Properties in XML that depend on when and how often, not on what.
const COUNTERS: [&str; 5] = ["getlastmodified", "getcontentlength", "sync-token", "getctag", "dtstamp"];
/// What we say beyond the reference (docs of `LocalDelivery`).
const OURS: [&str; 2] = ["delivered", "deletedObject"];

/// How calendars within JSON are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// As it is written: clients see it.
    Kept,
    /// Not at all: iTIP writes properties in another order than the reference does.
    Any,
}

/// The meaning of an answer's body.
pub fn of_body(media_type: &str, body: &str) -> Value {
    let body = body.trim_start_matches('\u{feff}');
    if body.trim().is_empty() {
        return Value::Null;
    }
    match media_type {
        _ if body.trim_start().starts_with("<?xml") => of_xml(body),
        _ if body.starts_with("BEGIN:") => of_text(body),
        _ => match serde_json::from_str(body) {
            Ok(value) => of_json(&value, Order::Kept),
            Err(_) => Value::String(plain(body)),
        },
    }
}

/// The meaning of a message.
pub fn of_message(body: &Value) -> Value {
    let mut body = body.clone();
    if let Some(map) = body.as_object_mut() {
        OURS.iter().for_each(|key| {
            map.remove(*key);
        });
    }
    of_json(&body, Order::Any)
}

fn of_json(value: &Value, order: Order) -> Value {
    match value {
        Value::String(text) if text.starts_with("BEGIN:") => of_text(text),
        Value::String(text) if text.starts_with("[\"vc") => match serde_json::from_str(text) {
            Ok(value) => of_json(&value, order),
            Err(_) => Value::String(plain(text)),
        },
        Value::String(text) => Value::String(plain(text)),
        Value::Array(items) if is_jcal(items) && order == Order::Any => sorted(value),
        Value::Array(items) => items.iter().map(|item| of_json(item, order)).collect(),
        Value::Object(map) => {
            let of = |(key, value): (&String, &Value)| {
                let meaning = match value {
                    Value::Number(_) if TOKENS.contains(&key.as_str()) => json!("#"),
                    other => of_json(other, order),
                };
                (key.clone(), if SETS.contains(&key.as_str()) { as_set(meaning) } else { meaning })
            };
            Value::Object(map.iter().map(of).collect())
        }
        other => other.clone(),
    }
}

fn as_set(value: Value) -> Value {
    let Value::Array(mut items) = value else { return value };
    items.sort_by_key(ToString::to_string);
    Value::Array(items)
}

fn is_jcal(items: &[Value]) -> bool {
    matches!(items, [Value::String(name), Value::Array(_), Value::Array(_)] if name.starts_with('v'))
}

/// jCal without the order of properties and components.
fn sorted(value: &Value) -> Value {
    let Value::Array(items) = value else { return value.clone() };
    let list = |value: &Value, of: &dyn Fn(&Value) -> Value| {
        let mut list: Vec<Value> = value.as_array().map(|l| l.iter().map(of).collect()).unwrap_or_default();
        list.sort_by_key(ToString::to_string);
        Value::Array(list)
    };
    json!([items[0], list(&items[1], &|p| of_json(p, Order::Kept)), list(&items[2], &sorted)])
}

/// A calendar or cards in text.
fn of_text(text: &str) -> Value {
    if text.starts_with("BEGIN:VCARD") {
        let unfolded = text.replace("\r\n ", "").replace("\n ", "");
        let mut lines: Vec<String> = unfolded.lines().map(plain).filter(|line| !line.is_empty()).collect();
        lines.sort();
        return json!(lines);
    }
    match Component::parse(text) {
        Ok(calendar) => sorted(&jcal::to_jcal(&calendar)),
        Err(_) => Value::String(plain(text)),
    }
}

fn of_xml(body: &str) -> Value {
    let limits = XmlLimits { bytes: 10 << 20, depth: 64 };
    let Ok(Some(root)) = parse(body.as_bytes(), limits) else { return Value::String(plain(body)) };
    match root.name.local.as_ref() {
        "multistatus" => of_multistatus(&root),
        "error" => {
            let text = |local: &str| root.elements().find(|e| e.name.local == local).map(|e| plain(&e.text()));
            json!({ "exception": text("exception"), "message": text("message") })
        }
        _ => json!([root.name.to_string(), of_element(&root)]),
    }
}

fn of_multistatus(root: &Element) -> Value {
    let mut out = Map::new();
    for response in root.children(DAV, "response") {
        let mut told = Map::new();
        if let Some(status) = response.child(DAV, "status") {
            told.insert("status".to_owned(), json!(status.text()));
        }
        for propstat in response.children(DAV, "propstat") {
            let status = propstat.child(DAV, "status").map(Element::text).unwrap_or_default();
            for property in propstat.child(DAV, "prop").into_iter().flat_map(Element::elements) {
                let is_counter = COUNTERS.contains(&property.name.local.as_ref()) && status.contains("200");
                let value = if is_counter { json!("#") } else { of_element(property) };
                told.insert(property.name.to_string(), json!([status, value]));
            }
        }
        let href = response.child(DAV, "href").map(Element::text).unwrap_or_default();
        // With or without a slash at its end it is the same place.
        out.insert(plain(href.trim_end_matches('/')), Value::Object(told));
    }
    Value::Object(out)
}

fn of_element(element: &Element) -> Value {
    let mut inner: Vec<Value> = element.elements().map(|e| json!([e.name.to_string(), of_element(e)])).collect();
    inner.sort_by_key(ToString::to_string);
    inner.dedup();
    let text = element.text();
    let text = if text.starts_with("BEGIN:") { of_text(&text) } else { json!(plain(text.trim())) };
    let mut attributes: Vec<Value> = element.attributes.iter().map(|(n, v)| json!([n.to_string(), v])).collect();
    attributes.sort_by_key(ToString::to_string);
    match (inner.is_empty(), attributes.is_empty()) {
        (true, true) => text,
        _ => json!({ "in": inner, "text": text, "with": attributes }),
    }
}

/// A text without what depends on the run: its day, ETags, numbers of tokens, names of alarms, who wrote iCalendar.
pub fn plain(text: &str) -> String {
    let mut out =
        text.replace("-//Sabre//Sabre VObject 4.5.7//EN", "PRODID").replace("-//convoke//convoke//EN", "PRODID");
    for (start, len) in [("2026-11-21T", 20), ("20261121T", 16)] {
        out = replaced(&out, start, len, "NOW");
    }
    while let Some(at) = out.find('"').and_then(|_| etag_at(&out)) {
        out.replace_range(at..at + 34, "ETAG");
    }
    const SYNC: &str = "http://sabre.io/ns/sync/";
    if let Some(at) = out.find(SYNC) {
        let from = at + SYNC.len();
        let digits = out[from..].bytes().take_while(u8::is_ascii_digit).count();
        out.replace_range(from..from + digits, "#");
    }
    for uuid in uuids(&out.clone()) {
        out = out.replace(&format!("alarm-{uuid}"), "alarm-#");
    }
    out
}

fn etag_at(text: &str) -> Option<usize> {
    let is_etag = |at: usize| {
        let tag = text.get(at..at + 34)?;
        let hex = tag.strip_prefix('"')?.strip_suffix('"')?;
        hex.bytes().all(|b| b.is_ascii_hexdigit()).then_some(at)
    };
    text.match_indices('"').find_map(|(at, _)| is_etag(at))
}

fn replaced(text: &str, start: &str, len: usize, by: &str) -> String {
    let mut out = text.to_owned();
    while let Some(at) = out.find(start) {
        let end = (at + len).min(out.len());
        if !out.is_char_boundary(end) {
            break;
        }
        out.replace_range(at..end, by);
    }
    out
}

/// Leaves of a multistatus answer about all properties those that the other one has, too.
pub fn drop_extras(expected: &Value, got: &mut Value) {
    let (Some(expected), Some(got)) = (expected.as_object(), got.as_object_mut()) else { return };
    for (href, told) in got {
        let (Some(known), Some(told)) = (expected.get(href).and_then(Value::as_object), told.as_object_mut()) else {
            continue;
        };
        told.retain(|name, _| known.contains_key(name));
    }
}

/// Where two meanings differ first, and how.
pub fn difference(at: &str, expected: &Value, got: &Value) -> Option<String> {
    if expected == got {
        return None;
    }
    match (expected, got) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            keys.into_iter().find_map(|key| {
                let (a, b) = (a.get(key), b.get(key));
                match (a, b) {
                    (Some(a), Some(b)) => difference(&format!("{at}/{key}"), a, b),
                    (Some(a), None) => Some(format!("{at}/{key}: missing, expected {}", short(a))),
                    (None, Some(b)) => Some(format!("{at}/{key}: unexpected {}", short(b))),
                    (None, None) => None,
                }
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let pairs = a.iter().zip(b).enumerate();
            pairs.into_iter().find_map(|(n, (a, b))| difference(&format!("{at}/{n}"), a, b))
        }
        _ => Some(format!("{at}: expected {}, got {}", short(expected), short(got))),
    }
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(500).collect()
}
