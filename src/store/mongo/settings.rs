//! Documents of `configurations` (storage §2.5), read and changed without I/O.
//!
//! A document holds modules, a module entries, each with a name. OpenPaaS and the reference write there, too: what this
//! program cannot read, and further fields of modules and entries, stay.

use std::collections::BTreeSet;

use mongodb::bson::{Array, Bson, Document, doc};
use serde_json::Value;

use crate::store::Settings;

/// What is to happen with values that the new settings do not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    /// They stay.
    Keep,
    /// They go.
    Remove,
}

/// The settings in a list of modules. Of two entries of one name the first counts.
pub(super) fn read(modules: &[Bson]) -> Settings {
    let mut settings = Settings::default();
    for (name, module) in modules.iter().filter_map(named) {
        let Ok(entries) = module.get_array(ENTRIES) else { continue };
        let values = settings.0.entry(name.to_owned()).or_default();
        for (key, entry) in entries.iter().filter_map(named) {
            if let Some(value) = entry.get(VALUE) {
                values.entry(key.to_owned()).or_insert_with(|| to_json(value));
            }
        }
    }
    settings
}

/// Puts the settings into a list of modules.
pub(super) fn write(modules: &[Bson], settings: &Settings, others: Others) -> Array {
    let mut open = settings.clone();
    let mut seen = BTreeSet::new();
    let mut written: Array = Vec::with_capacity(modules.len());
    for module in modules {
        let Some((name, document)) = named(module).filter(|(_, m)| m.get_array(ENTRIES).is_ok()) else {
            written.push(module.clone());
            continue;
        };
        let wanted = settings.0.contains_key(name);
        let mut values = open.0.remove(name).unwrap_or_default();
        let entries = document.get_array(ENTRIES).map_or(&[][..], Vec::as_slice);
        let mut kept: Array = Vec::with_capacity(entries.len());
        for entry in entries {
            match named(entry).and_then(|(key, entry)| Some((key, entry, entry.get(VALUE)?))) {
                None => kept.push(entry.clone()),
                // The second of one name: nobody reads it, and it would come to light when the first goes.
                Some((key, ..)) if !seen.insert((name.to_owned(), key.to_owned())) => {}
                Some((key, entry, old)) => match values.remove(key) {
                    Some(new) if to_json(old) != new => kept.push(with(entry, VALUE, to_bson(&new))),
                    None if others == Others::Remove => {}
                    _ => kept.push(Bson::Document(entry.clone())),
                },
            }
        }
        kept.extend(values.iter().map(entry));
        let further = document.keys().any(|field| field != NAME && field != ENTRIES);
        if wanted || others == Others::Keep || further || !kept.is_empty() {
            written.push(with(document, ENTRIES, Bson::Array(kept)));
        }
    }
    let new = open.0.iter().map(|(name, values)| {
        let entries: Array = values.iter().map(entry).collect();
        doc! { NAME: name, ENTRIES: entries }.into()
    });
    written.extend(new);
    written
}

const NAME: &str = "name";
const ENTRIES: &str = "configurations";
const VALUE: &str = "value";

fn named(value: &Bson) -> Option<(&str, &Document)> {
    let document = value.as_document()?;
    Some((document.get_str(NAME).ok()?, document))
}

fn entry((key, value): (&String, &Value)) -> Bson {
    doc! { NAME: key, VALUE: to_bson(value) }.into()
}

fn with(document: &Document, field: &str, value: Bson) -> Bson {
    let mut document = document.clone();
    document.insert(field, value);
    document.into()
}

/// Types that JSON does not have become extended JSON, e.g. `{"$date": …}`.
fn to_json(value: &Bson) -> Value {
    match value {
        Bson::Array(all) => all.iter().map(to_json).collect(),
        Bson::Document(document) => document.iter().map(|(k, v)| (k.clone(), to_json(v))).collect(),
        // Only types of the driver's own are left: none of them fails.
        other => serde_json::to_value(other).unwrap_or_default(),
    }
}

fn to_bson(value: &Value) -> Bson {
    match value {
        Value::Null => Bson::Null,
        Value::Bool(b) => Bson::Boolean(*b),
        Value::String(text) => Bson::String(text.clone()),
        Value::Number(number) => match number.as_i64() {
            Some(n) => i32::try_from(n).map_or(Bson::Int64(n), Bson::Int32),
            None => Bson::Double(number.as_f64().unwrap_or_default()),
        },
        Value::Array(all) => Bson::Array(all.iter().map(to_bson).collect()),
        Value::Object(fields) => {
            // What was read as extended JSON is written as what it was.
            let extended =
                fields.keys().any(|k| k.starts_with('$')).then(|| serde_json::from_value(value.clone()).ok());
            match extended.flatten() {
                Some(typed) if !matches!(typed, Bson::Document(_)) => typed,
                _ => Bson::Document(fields.iter().map(|(k, v)| (k.clone(), to_bson(v))).collect()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(value: Value) -> Settings {
        serde_json::from_value(value).unwrap()
    }

    fn openpaas() -> Array {
        vec![
            doc! { "name": "core", "_id": 1, "configurations": [
                { "name": "language", "value": "fr", "note": "kept" },
                { "name": "homePage" },
                { "name": "language", "value": "de" },
                { "name": "since", "value": mongodb::bson::DateTime::from_millis(1_780_304_400_000) },
            ] }
            .into(),
            doc! { "name": "features" }.into(),
            doc! { "name": "calendar", "configurations": [{ "name": "alarmEmails", "value": false }] }.into(),
            Bson::Null,
        ]
    }

    #[test]
    fn what_can_be_read_is_read() {
        let read = read(&openpaas());
        assert_eq!(read.get("core", "language"), Some(&json!("fr")));
        assert_eq!(read.get("calendar", "alarmEmails"), Some(&json!(false)));
        assert_eq!(read.0["core"].keys().collect::<Vec<_>>(), ["language", "since"]);
        assert!(read.get("core", "since").unwrap().get("$date").is_some());
        assert!(!read.0.contains_key("features"));
    }

    #[test]
    fn what_is_not_changed_stays_as_it_is() {
        let unchanged = write(&openpaas(), &read(&openpaas()), Others::Remove);
        let mut expected = openpaas();
        let core = expected[0].as_document_mut().unwrap();
        core.get_array_mut("configurations").unwrap().remove(2);
        assert_eq!(unchanged, expected);
        assert_eq!(write(&openpaas(), &Settings::default(), Others::Keep), expected);
    }

    #[test]
    fn a_merge_touches_only_what_it_names() {
        let merged = write(&openpaas(), &settings(json!({"core": {"language": "en"}, "x": {"y": [1]}})), Others::Keep);
        let read = read(&merged);
        assert_eq!(read.get("core", "language"), Some(&json!("en")));
        assert_eq!(read.get("calendar", "alarmEmails"), Some(&json!(false)));
        assert_eq!(read.get("x", "y"), Some(&json!([1])));
        let core = merged[0].as_document().unwrap();
        assert_eq!(core.get_i32("_id").unwrap(), 1);
        assert_eq!(
            core.get_array("configurations").unwrap()[0],
            doc! { "name": "language", "value": "en", "note": "kept" }.into()
        );
    }

    #[test]
    fn replacing_removes_what_is_not_named_and_keeps_what_cannot_be_read() {
        let less = settings(json!({"core": {"datetime": {"timeZone": "Europe/Paris"}}}));
        let written = write(&openpaas(), &less, Others::Remove);
        assert_eq!(read(&written), less);
        assert_eq!(written.len(), 3, "{written:?}");
        assert_eq!(written[1], doc! { "name": "features" }.into());
        let core = written[0].as_document().unwrap().get_array("configurations").unwrap();
        assert_eq!(core[0], doc! { "name": "homePage" }.into());
    }

    #[test]
    fn json_goes_there_and_back() {
        for value in [
            json!(null),
            json!([1, -2.5, 9_007_199_254_740_993_i64, i64::MIN, true, "ü", {}, []]),
            json!({"a": {"b": null}, "$odd": 1, "c.d": 2}),
            json!({"$oid": "6650c0ffee0123456789abcd"}),
        ] {
            assert_eq!(to_json(&to_bson(&value)), value);
        }
        assert!(matches!(to_bson(&json!({"$oid": "6650c0ffee0123456789abcd"})), Bson::ObjectId(_)));
        let date = Bson::DateTime(mongodb::bson::DateTime::from_millis(1_780_304_400_000));
        assert_eq!(to_bson(&to_json(&date)), date);
    }
}
