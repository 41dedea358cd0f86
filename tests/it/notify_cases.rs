//! What an iTIP message brings about, case by case: each folder of `tests/notify` holds a message (`case.json`,
//! `message.ics`, `old.ics`, `deleted.ics`) and what the DAV server is asked and who is told of what (`told.txt`). `CONVOKE_BLESS=1` writes
//! what comes out; read it before you commit it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use convoke::events::{Message, Topic};
use serde::Deserialize;
use serde_json::Value;

use crate::notify_support::{World, first};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[expect(dead_code, reason = "for people")]
    about: String,
    now: DateTime<Utc>,
    delivery: Value,
}

impl Case {
    fn read(dir: &Path) -> Self {
        let mut case: Self = serde_json::from_str(&std::fs::read_to_string(dir.join("case.json")).unwrap()).unwrap();
        for (key, file) in [("message", "message.ics"), ("oldMessage", "old.ics"), ("deletedObject", "deleted.ics")] {
            if let Ok(text) = std::fs::read_to_string(dir.join(file)) {
                case.delivery[key] = text.into();
            }
        }
        case
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everyone_is_told_as_was_reviewed() {
    let mut differing = Vec::new();
    for dir in cases() {
        let case = Case::read(&dir);
        let world = World::at(case.now).await;
        world.delivery().handle(first(Topic::ItipLocalDelivery, case.delivery, case.now)).await.unwrap();
        let found = story(&world).await;
        let expected = dir.join("told.txt");
        if std::env::var_os("CONVOKE_BLESS").is_some() {
            std::fs::write(&expected, found).unwrap();
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != found {
            differing.push(format!("{}:\n{found}", dir.display()));
        }
    }
    assert!(differing.is_empty(), "{} cases differ\n{}", differing.len(), differing.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_comes_twice_is_told_once() {
    for dir in cases() {
        let case = Case::read(&dir);
        let world = World::at(case.now).await;
        let delivery = first(Topic::ItipLocalDelivery, case.delivery, case.now);
        world.delivery().handle(delivery.clone()).await.unwrap();
        world.published().await;
        world.delivery().handle(delivery).await.unwrap();
        assert_eq!(world.published().await, [], "{}", dir.display());
    }
}

fn cases() -> Vec<PathBuf> {
    let mut cases: Vec<_> = std::fs::read_dir("tests/notify").unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() > 60, "the cases are gone");
    cases
}

async fn story(world: &World) -> String {
    let mut out = String::new();
    let asked = world.asked.lock().unwrap().clone();
    for one in asked {
        let mut body = one.body.clone();
        if let Some(body) = body.as_object_mut() {
            body.remove("ical");
        }
        writeln!(out, "{} {} as {:?}: {body}", one.method, one.path, one.actor.unwrap()).unwrap();
    }
    for message in world.published().await {
        tell(&mut out, &message);
    }
    if out.is_empty() {
        out.push_str("nothing\n");
    }
    out
}

fn tell(out: &mut String, message: &Message) {
    let payload = &message.payload;
    match message.topic {
        Topic::NotificationEmail => {
            let text = |key: &str| payload[key].as_str().unwrap_or_default();
            let new = if payload["isNewEvent"] == true { " (new)" } else { "" };
            writeln!(out, "\n{}{new}: {} -> {}", text("method"), text("senderEmail"), text("recipientEmail")).unwrap();
            writeln!(out, "path: {}", text("eventPath")).unwrap();
            if let Some(changes) = payload["changes"].as_object() {
                for (what, change) in changes {
                    writeln!(out, "{what}: {} => {}", moment(&change["previous"]), moment(&change["current"])).unwrap();
                }
            }
            if payload["repetitionChanged"] == true {
                writeln!(out, "repetition changed").unwrap();
            }
            if let Some(before) = payload["statusBefore"].as_str() {
                writeln!(out, "status before: {before:?}").unwrap();
            }
            for key in ["event", "oldEvent"] {
                if !text(key).is_empty() {
                    writeln!(out, "{key}:\n{}", without_zones(text(key))).unwrap();
                }
            }
        }
        topic => writeln!(out, "\n{topic}: {}", payload["recipients"]).unwrap(),
    }
}

fn moment(value: &Value) -> String {
    match value.get("date") {
        Some(date) => format!("{date} {} all day: {}", value["timezone"], value["isAllDay"]),
        None => value.to_string(),
    }
}

/// Unfolded, with time zones left out.
fn without_zones(text: &str) -> String {
    let unfolded = text.replace("\r\n ", "").replace("\r\n", "\n");
    let mut out = String::new();
    let mut inside = false;
    for line in unfolded.lines() {
        inside |= line == "BEGIN:VTIMEZONE";
        if !inside {
            writeln!(out, "  {line}").unwrap();
        }
        inside &= line != "END:VTIMEZONE";
    }
    out.trim_end().to_owned()
}
