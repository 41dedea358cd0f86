//! Scheduling rules, one folder per rule under `tests/itip/`. Each has a README line that says what it shows.
//!
//! - `as` with `old.ics` and/or `new.ics`: the write is compared; `expected/messages` lists role and messages,
//!   `expected/<n>-<METHOD>-<recipient>.ics` holds each message, `expected/stored.ics` (where it matters) what to store.
//! - `message.ics` with or without `existing.ics`, and `recipient`: the message is applied (from `sender` and addressed `to`
//!   somebody, where that is not who the text names); `outcome` says what happened,
//!   `result.ics` is the object afterwards.
//! - `forbidden`: names of the properties that `as` may not change from `old.ics` to `new.ics`.
//! - `kept.ics`: `new.ics` after what a writer of that `knowledge` (`whole`, `tag`, `unknown`) has not seen was put back.
//! - `guarded.ics`: `new.ics` after what is the organizer's in the copy of `as` was put back.
//! - `synced.ics`: `new.ics` after the answer of `as` to the series was written into the overrides.
//!
//! `CONVOKE_BLESS=1 cargo test --test it itip` writes down what comes out; read the difference before committing it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use convoke::ical::Component;
use convoke::ids::Email;
use convoke::itip::{self, ItipMessage, Knowledge, Outcome};

/// When every case takes place.
const NOW: &str = "2026-11-21T07:00:00Z";

/// File name and content of what a case produced.
type Produced = BTreeMap<String, String>;

struct Case {
    folder: PathBuf,
    now: DateTime<Utc>,
}

impl Case {
    fn text(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(name)).ok()
    }

    fn calendar(&self, name: &str) -> Option<Component> {
        // A text that is no iCalendar never reaches the rules.
        Some(Component::parse(&self.text(name)?).unwrap_or_else(|e| panic!("{}/{name}: {e}", self.folder.display())))
    }

    fn addresses(&self, name: &str) -> Option<Vec<Email>> {
        let text = self.text(name)?;
        Some(text.split_whitespace().map(|a| Email::from_calendar_address(a).unwrap()).collect())
    }

    fn run(&self) -> Produced {
        let mut produced = Produced::new();
        match self.calendar("message.ics") {
            Some(message) => self.apply(message, &mut produced),
            None => self.diff(&mut produced),
        }
        produced
    }

    fn diff(&self, produced: &mut Produced) {
        let (old, new) = (self.calendar("old.ics"), self.calendar("new.ics"));
        let actor = self.addresses("as").expect("`as` names the actor");
        if let (Some(old), Some(new)) = (&old, &new) {
            if self.text("forbidden").is_some() {
                let forbidden = itip::forbidden_attendee_changes(old, new, &actor);
                produced.insert("forbidden".to_owned(), lines(&forbidden));
                return;
            }
            if let Some(knowledge) = self.text("knowledge") {
                let knowledge = match knowledge.trim() {
                    "whole" => Knowledge::Whole,
                    "tag" => Knowledge::UpToTag,
                    "unknown" => Knowledge::Unknown,
                    other => panic!("{}: no knowledge is called {other}", self.folder.display()),
                };
                let mut kept = new.clone();
                itip::keep_answers(old, &mut kept, &actor, knowledge);
                produced.insert("kept.ics".to_owned(), readable(&kept));
                return;
            }
            if self.text("guarded.ics").is_some() {
                let mut guarded = new.clone();
                itip::keep_organizers(old, &mut guarded, &actor);
                produced.insert("guarded.ics".to_owned(), readable(&guarded));
                return;
            }
            if self.text("synced.ics").is_some() {
                let mut synced = new.clone();
                itip::sync_participation(old, &mut synced, &actor);
                produced.insert("synced.ics".to_owned(), readable(&synced));
                return;
            }
        }
        let summary = match itip::diff(old.as_ref(), new.as_ref(), &actor, self.now) {
            Err(error) => lines(&[format!("error {}", error.code())]),
            Ok(diff) => {
                if self.text("expected/stored.ics").is_some() {
                    produced.insert(
                        "expected/stored.ics".to_owned(),
                        diff.stored.as_ref().map_or_else(String::new, readable),
                    );
                }
                let mut summary = vec![format!("{:?}", diff.role).to_lowercase()];
                for (n, message) in diff.messages.iter().enumerate() {
                    check_message(message);
                    let recipient = message.recipient.trim_start_matches("mailto:");
                    let name = format!("expected/{}-{}-{recipient}.ics", n + 1, message.method);
                    produced.insert(name, readable(&message.calendar));
                    summary.push(summary_line(message));
                }
                lines(&summary)
            }
        };
        produced.insert("expected/messages".to_owned(), summary);
    }

    fn apply(&self, message: Component, produced: &mut Produced) {
        let existing = self.calendar("existing.ics");
        let recipient = self.addresses("recipient").unwrap_or_default();
        let mut message = ItipMessage::read(message).unwrap();
        if let Some(sender) = self.text("sender") {
            message.sender = format!("mailto:{}", sender.trim());
        }
        if let Some(to) = self.text("to") {
            message.recipient = format!("mailto:{}", to.trim());
        }
        let outcome = match itip::apply(existing.as_ref(), &message, &recipient, self.now) {
            Err(error) => format!("error {}", error.code()),
            Ok(applied) => {
                if let Some(result) = &applied.result {
                    produced.insert("result.ics".to_owned(), readable(result));
                    let again = itip::apply(Some(result), &message, &recipient, self.now).unwrap();
                    assert!(
                        again.result.is_none_or(|r| r == *result),
                        "{}: applied twice, it changes something twice",
                        self.folder.display()
                    );
                }
                match applied.outcome {
                    Outcome::Created => "created".to_owned(),
                    Outcome::Updated => "updated".to_owned(),
                    Outcome::Unchanged => "unchanged".to_owned(),
                    Outcome::Ignored(reason) => format!("ignored: {reason}"),
                }
            }
        };
        produced.insert("outcome".to_owned(), lines(&[outcome]));
    }

    /// The files that are expectations: those a run could have produced.
    fn expected(&self) -> Produced {
        let mut names: Vec<String> = ["outcome", "result.ics", "forbidden", "synced.ics", "guarded.ics", "kept.ics"]
            .into_iter()
            .map(str::to_owned)
            .collect();
        if let Ok(folder) = fs::read_dir(self.folder.join("expected")) {
            names.extend(folder.map(|e| format!("expected/{}", e.unwrap().file_name().into_string().unwrap())));
        }
        names.into_iter().filter_map(|n| Some((n.clone(), self.text(&n)?))).collect()
    }

    fn bless(&self, produced: &Produced) {
        for name in self.expected().keys().filter(|n| !produced.contains_key(*n)) {
            fs::remove_file(self.folder.join(name)).unwrap();
        }
        for (name, text) in produced {
            let path = self.folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }
}

/// What holds for every message: nothing in it is between client and server only (RFC 6638 §7), and it is addressed.
fn check_message(message: &ItipMessage) {
    let text = message.to_ics();
    for name in ["SCHEDULE-STATUS", "SCHEDULE-AGENT", "SCHEDULE-FORCE-SEND"] {
        assert!(!text.contains(name), "{name} in a message:\n{text}");
    }
    assert_ne!(message.sender, message.recipient);
    assert_eq!(message.calendar.value("METHOD"), Some(message.method.as_str()));
}

fn summary_line(message: &ItipMessage) -> String {
    let mut line = format!("{} {} -> {}", message.method, message.sender, message.recipient);
    write!(line, " sequence={}", message.sequence).unwrap();
    write!(line, " significant={} changed={}", message.significant_change, message.has_change).unwrap();
    line
}

fn lines(lines: &[impl AsRef<str>]) -> String {
    lines.iter().map(|l| format!("{}\n", l.as_ref())).collect()
}

/// iCalendar as people read it: one line per property, LF.
fn readable(calendar: &Component) -> String {
    calendar.to_wire().replace("\r\n ", "").replace("\r\n", "\n")
}

/// Differences line by line, with `-` for what was expected and `+` for what came.
fn difference(expected: &str, found: &str) -> String {
    let (a, b): (Vec<_>, Vec<_>) = (expected.lines().collect(), found.lines().collect());
    let mut common = vec![vec![0_usize; b.len() + 1]; a.len() + 1];
    for (i, x) in a.iter().enumerate().rev() {
        for (j, y) in b.iter().enumerate().rev() {
            common[i][j] = if x == y { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut text) = (0, 0, String::new());
    while i < a.len() || j < b.len() {
        let (sign, line) = if i < a.len() && j < b.len() && a[i] == b[j] {
            (i, j) = (i + 1, j + 1);
            (' ', a[i - 1])
        } else if j == b.len() || i < a.len() && common[i + 1][j] >= common[i][j + 1] {
            i += 1;
            ('-', a[i - 1])
        } else {
            j += 1;
            ('+', b[j - 1])
        };
        writeln!(text, "  {sign} {line}").unwrap();
    }
    text
}

fn compare(case: &Case, expected: &Produced, produced: &Produced) -> String {
    let mut report = String::new();
    for name in expected.keys().chain(produced.keys().filter(|n| !expected.contains_key(*n))) {
        let (want, got) = (expected.get(name).map_or("", |s| s), produced.get(name).map_or("", |s| s));
        if want != got {
            writeln!(report, "{}/{name}\n{}", case.folder.display(), difference(want, got)).unwrap();
        }
    }
    report
}

#[test]
fn every_case_comes_out_as_written_down() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/itip");
    let mut folders: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|e| e.unwrap().path()).collect();
    folders.retain(|f| f.is_dir());
    folders.sort();
    assert!(folders.len() >= 60, "only {} cases found", folders.len());
    let bless = std::env::var_os("CONVOKE_BLESS").is_some();
    let mut report = String::new();
    for folder in folders {
        let case = Case { folder, now: NOW.parse().unwrap() };
        let readme = case.text("README").unwrap_or_default();
        assert!(readme.trim().len() > 20, "{}: README says nothing", case.folder.display());
        let produced = case.run();
        if bless {
            case.bless(&produced);
        }
        report += &compare(&case, &case.expected(), &produced);
    }
    assert!(report.is_empty(), "\n{report}");
}
