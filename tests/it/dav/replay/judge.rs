//! Which exchanges went as captured, and which differ for a reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::Value;

use super::bindings::{Bindings, body_text};
use super::captures::Exchange;
use super::house::Answer;
use super::meaning::{self, difference};

const LIST: &str = "tests/data/esn-sabre/differences.json";
const REPORT: &str = "target/replay-report.txt";

/// Headers whose values clients look at; of ETag, whether it is there.
const HEADERS: [&str; 3] = ["location", "x-sabre-status", "etag"];

/// How an exchange went. Where something differs, what was expected and what came.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    status: Option<u16>,
    headers: Vec<String>,
    body: Option<String>,
    messages: Option<String>,
    /// What was published.
    topics: Vec<String>,
}

impl Outcome {
    fn is_same(&self) -> bool {
        self.status.is_none() && self.headers.is_empty() && self.body.is_none() && self.messages.is_none()
    }

    fn told(&self) -> String {
        let mut out = String::new();
        if let Some(status) = self.status {
            let _ = write!(out, "\n    status: {status}");
        }
        if !self.headers.is_empty() {
            let _ = write!(out, "\n    headers: {:?}", self.headers);
        }
        for (part, difference) in [("body", &self.body), ("messages", &self.messages)] {
            if let Some(difference) = difference {
                let _ = write!(out, "\n    {part}: {difference}");
            }
        }
        if self.messages.is_some() {
            let _ = write!(out, "\n    published: {:?}", self.topics);
        }
        out
    }
}

/// Compares what came with what was captured.
pub fn compare(exchange: &Exchange, answer: &Answer, published: &[(String, Value)], bindings: &Bindings) -> Outcome {
    let mut outcome = Outcome { topics: published.iter().map(|(t, _)| t.clone()).collect(), ..Outcome::default() };
    let captured = &exchange.response;
    if answer.status != captured.status {
        outcome.status = Some(answer.status);
    }
    for name in HEADERS {
        let (expected, got) = (captured.headers.get(name).map(String::as_str), answer.header(name));
        let same = if name == "etag" { expected.is_some() == got.is_some() } else { expected == got };
        if !same {
            outcome.headers.push(name.to_owned());
        }
    }
    let media_type = |value: Option<&str>| {
        value.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    };
    let text = bindings.apply(&body_text(&captured.body));
    let expected_type = media_type(captured.headers.get("content-type").map(String::as_str));
    let expected = meaning::of_body(&expected_type, &text);
    let got_type = media_type(answer.header("content-type"));
    let mut got = meaning::of_body(&got_type, &answer.body);
    if exchange.request.method == "PROPFIND" && exchange.request.body.is_null() {
        meaning::drop_extras(&expected, &mut got);
    }
    // Where the reference says nothing about an error, we may.
    let is_silent_error = expected.is_null() && captured.status >= 400 && answer.status >= 400;
    // Pages of the web server in front of the reference are nobody's business.
    let is_page = expected_type == "text/html" && !expected.is_null();
    if !is_silent_error && !is_page {
        outcome.body = difference("", &expected, &got);
        if outcome.body.is_none() && !expected.is_null() && expected_type != got_type {
            outcome.headers.push("content-type".to_owned());
        }
    }
    let named = |messages: &[(String, Value)], bindings: Option<&Bindings>| -> Value {
        let of = |(topic, body): &(String, Value)| {
            let body = bindings.map_or_else(|| body.clone(), |bindings| bindings.apply_to(body));
            serde_json::json!([topic, meaning::of_message(&body)])
        };
        in_runs(messages.iter().map(of).collect())
    };
    outcome.messages = difference("", &named(&exchange.messages, Some(bindings)), &named(published, None));
    outcome
}

/// Messages of one topic that follow each other tell of one thing to several people, in no order (observed §1.17).
fn in_runs(messages: Vec<Value>) -> Value {
    let mut messages = messages;
    let mut from = 0;
    while from < messages.len() {
        let topic = messages[from][0].clone();
        let len = messages[from..].iter().take_while(|m| m[0] == topic).count();
        messages[from..from + len].sort_by_key(ToString::to_string);
        from += len;
    }
    Value::Array(messages)
}

/// What differs of an exchange, and how.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Parts {
    /// Our status.
    status: Option<u16>,
    headers: BTreeSet<String>,
    /// The body means something else.
    body: bool,
    /// The topics that we publish instead.
    messages: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    /// What the reference does.
    reference: String,
    /// What we do, and why.
    convoke: String,
    exchanges: BTreeMap<String, Parts>,
}

/// The list of differences.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    differences: Vec<Difference>,
}

impl Ledger {
    pub fn read() -> Self {
        serde_json::from_str(&std::fs::read_to_string(LIST).unwrap()).unwrap()
    }

    fn listed(&self, exchange: &str) -> Option<Parts> {
        let mut all: Option<Parts> = None;
        for parts in self.differences.iter().filter_map(|d| d.exchanges.get(exchange)) {
            let all = all.get_or_insert_with(Parts::default);
            all.status = all.status.or(parts.status);
            all.headers.extend(parts.headers.iter().cloned());
            all.body |= parts.body;
            all.messages = all.messages.take().or_else(|| parts.messages.clone());
        }
        all
    }

    /// Whether the outcome is what the list says.
    fn explains(&self, name: &str, outcome: &Outcome) -> bool {
        let parts = self.listed(name).unwrap_or_default();
        parts.status == outcome.status
            && parts.headers == outcome.headers.iter().cloned().collect()
            && parts.body == outcome.body.is_some()
            && parts.messages == outcome.messages.as_ref().map(|_| outcome.topics.clone())
    }

    /// Checks every outcome against the list.
    pub fn check(&self, outcomes: &[(String, Outcome)]) {
        let known: BTreeSet<&str> = outcomes.iter().map(|(name, _)| name.as_str()).collect();
        let named = self.differences.iter().flat_map(|d| d.exchanges.keys());
        let unknown: Vec<&String> = named.filter(|name| !known.contains(name.as_str())).collect();
        assert!(unknown.is_empty(), "no such exchange: {unknown:?}");
        let mut wrong = String::new();
        let mut report = String::new();
        for (name, outcome) in outcomes {
            let is_explained = self.explains(name, outcome);
            let verdict = match self.listed(name) {
                _ if is_explained => "as expected",
                Some(_) => "differs from the list",
                None => "differs",
            };
            let line = format!("{name}: {verdict}{}\n", outcome.told());
            if !is_explained {
                wrong.push_str(&line);
            }
            if !outcome.is_same() {
                report.push_str(&line);
            }
        }
        // For whoever works on it; nothing depends on it.
        let _ = std::fs::write(REPORT, &report);
        assert!(wrong.is_empty(), "{wrong}\n(everything that differs is in {REPORT})");
    }

    /// The page for administrators.
    pub fn page(&self) -> String {
        let mut page = String::from(HEAD);
        for difference in &self.differences {
            let names: Vec<String> = difference.exchanges.keys().map(|name| format!("`{name}`")).collect();
            let _ = writeln!(page, "| {} | {} | {} |", difference.reference, difference.convoke, names.join(", "));
        }
        page
    }
}

const HEAD: &str = "# Differences from esn-sabre

308 requests to a running esn-sabre were captured with their answers and messages (`tests/data/esn-sabre`). The tests replay
them in order against the built-in server, on SQLite and on MongoDB, and compare status, meaning of the body, and messages. They
are the same but for what is listed here. This page is made from `tests/data/esn-sabre/differences.json`, against which the tests
check every exchange; `CONVOKE_BLESS=1` writes it anew.

What is not compared: the exact text of XML and iCalendar, the order in which a database without a sort gives things, names that
a server makes up, ETags and times of the run, the text of an error where the reference says nothing, and properties that we tell
beyond the reference where all are asked for.

| esn-sabre | convoke | exchanges |
|---|---|---|
";
