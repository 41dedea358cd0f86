//! Tests of the room as a whole. Cases are files in `tests/data/ical`.

mod jcal;
mod objects;
mod oracle;
mod recurrence;
mod round_trip;
mod times;
mod xcal;
mod zones;

use super::Component;

fn data(name: &str) -> String {
    let path = format!("{}/tests/data/ical/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// A VCALENDAR with one VEVENT of these content lines.
fn event(lines: &str) -> Component {
    calendar(&format!("BEGIN:VEVENT\nUID:u\nDTSTAMP:20260101T000000Z\n{}\nEND:VEVENT", lines.trim()))
}

/// A VCALENDAR with these components.
fn calendar(components: &str) -> Component {
    let text = format!("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//t//t//EN\n{}\nEND:VCALENDAR\n", components.trim());
    let text: Vec<&str> = text.lines().map(str::trim_start).collect();
    Component::parse(&text.join("\r\n")).unwrap()
}

fn utc(text: &str) -> chrono::DateTime<chrono::Utc> {
    text.parse().unwrap()
}
