//! Whole mails, read in review: each folder of `tests/mail` holds a notification with its people (`case.json`, `event.ics`)
//! and the mail it makes (`mail.txt`, parts decoded). `CONVOKE_BLESS=1` writes what comes out; read it before you commit it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use convoke::clock::{CountingEntropy, Env, ManualClock};
use convoke::config;
use convoke::events::Notification;
use convoke::mail::OutgoingMail;
use convoke::mail::render::Renderer;
use convoke::notify::{Composer, Preferences};
use mail_parser::{HeaderValue, Message, MessageParser, MimeHeaders, PartType};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[expect(dead_code, reason = "for people")]
    about: String,
    now: DateTime<Utc>,
    reader: Person,
    author: Person,
    notification: serde_json::Value,
}

#[derive(Deserialize)]
struct Person {
    language: String,
    zone: String,
    display_name: Option<String>,
}

impl From<Person> for Preferences {
    fn from(person: Person) -> Self {
        Self { language: person.language, zone: person.zone.parse().unwrap(), display_name: person.display_name }
    }
}

fn compose(dir: &Path) -> OutgoingMail {
    let case: Case = serde_json::from_str(&std::fs::read_to_string(dir.join("case.json")).unwrap()).unwrap();
    let mut notification = case.notification;
    notification["event"] = std::fs::read_to_string(dir.join("event.ics")).unwrap().into();
    let notification: Notification = serde_json::from_value(notification).unwrap();
    let env = Env::new(ManualClock::at(case.now), CountingEntropy::default());
    let spa = config::Spa { calendar_url: "https://calendar.example.org/".to_owned() };
    let composer = Composer::new(Renderer::new(), env, &spa);
    let mail = composer.compose(&notification, &case.reader.into(), &case.author.into()).unwrap();
    mail.expect("the notification calls for a mail")
}

#[test]
fn every_mail_is_as_it_was_reviewed() {
    let mut differing = Vec::new();
    for dir in cases() {
        let found = normalised(&compose(&dir));
        let expected = dir.join("mail.txt");
        if std::env::var_os("CONVOKE_BLESS").is_some() {
            std::fs::write(&expected, found).unwrap();
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != found {
            differing.push(format!("{}:\n{found}", dir.display()));
        }
    }
    assert!(differing.is_empty(), "{} mails differ\n{}", differing.len(), differing.join("\n"));
}

/// What can be said of every mail, whatever its content.
#[test]
fn every_mail_is_well_formed_and_harmless() {
    for dir in cases() {
        let mail = compose(&dir);
        assert!(mail.mime.is_ascii(), "{}", dir.display());
        assert!(!mail.mime.replace("\r\n", "").contains(['\r', '\n']), "{}: a bare line break", dir.display());
        assert!(mail.mime.lines().all(|line| line.len() <= 998), "{}: RFC 5322 §2.1.1", dir.display());
        let message = MessageParser::default().parse(mail.mime.as_bytes()).unwrap();
        let names: Vec<String> = message.headers().iter().map(|h| h.name().to_ascii_lowercase()).collect();
        let known = ["message-id", "date", "from", "to", "subject", "auto-submitted", "mime-version", "content-type"];
        assert!(names.iter().all(|name| known.contains(&name.as_str())), "{}: {names:?}", dir.display());
        assert_eq!(message.message_id(), Some(mail.message_id.as_str()));

        let html = part(&message, "html");
        for word in ["<script", "javascript:\"", "href=\"javascript", "<img", "onerror=\"", "{{", "{%"] {
            let escaped = html.replace("{{ config }}", "").replace("{% raw %}", "");
            assert!(!escaped.to_lowercase().contains(word), "{}: {word} in the HTML", dir.display());
        }
        assert_eq!(html.matches("<a ").count(), html.matches("href=\"http").count(), "{}", dir.display());

        let calendars: Vec<&[u8]> = message.parts.iter().filter(|p| is_calendar(p)).map(|p| p.contents()).collect();
        assert_eq!(calendars.len(), 2, "{}: text/calendar and application/ics", dir.display());
        assert_eq!(calendars[0], calendars[1], "{}: the same bytes", dir.display());
    }
}

fn is_calendar(part: &mail_parser::MessagePart<'_>) -> bool {
    part.is_content_type("text", "calendar") || part.is_content_type("application", "ics")
}

fn part(message: &Message<'_>, subtype: &str) -> String {
    let part = message.parts.iter().find(|part| part.is_content_type("text", subtype)).unwrap();
    String::from_utf8(part.contents().to_vec()).unwrap()
}

fn cases() -> Vec<PathBuf> {
    let mut cases: Vec<_> = std::fs::read_dir("tests/mail").unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() > 10, "the cases are gone");
    cases
}

/// The mail with its parts decoded, line ends as LF.
fn normalised(mail: &OutgoingMail) -> String {
    let mut out = String::new();
    let from = mail.from.as_ref().map_or("", |from| from.as_str());
    writeln!(out, "envelope: {from} -> {}", mail.to).unwrap();
    let message = MessageParser::default().parse(mail.mime.as_bytes()).unwrap();
    write_part(&mut out, &message, 0, 0);
    out
}

fn write_part(out: &mut String, message: &Message<'_>, at: u32, depth: usize) {
    let part = message.part(at).unwrap();
    writeln!(out, "{} part", "=".repeat(depth + 1)).unwrap();
    for header in part.headers() {
        let raw = message.raw_message.get(header.offset_field() as usize..header.offset_end() as usize).unwrap();
        let raw = String::from_utf8_lossy(raw).replace("\r\n", "");
        let decoded = match header.value() {
            HeaderValue::Text(text) => format!("{}: {text}", header.name()),
            _ => raw.trim().to_owned(),
        };
        writeln!(out, "{decoded}").unwrap();
    }
    match &part.body {
        PartType::Multipart(children) => children.iter().for_each(|child| write_part(out, message, *child, depth + 1)),
        _ => {
            let text = String::from_utf8(part.contents().to_vec()).unwrap().replace("\r\n", "\n");
            writeln!(out, "\n{text}").unwrap();
        }
    }
}
