//! The captures, and what happened between them that nobody captured.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

const FOLDER: &str = "tests/data/esn-sabre";

/// Two servers were driven: the usual one, and one with organizer validation and principal privacy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Run {
    Main,
    Strict,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub body: Value,
}

impl Request {
    pub fn text(&self) -> String {
        as_text(&self.body)
    }
}

#[derive(Debug, Clone, Deserialize)]
pub struct Response {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub body: Value,
}

/// A request, its answer, and the topics of the messages it caused, in order.
#[derive(Debug, Clone, Deserialize)]
pub struct Exchange {
    pub name: String,
    pub run: Run,
    pub request: Request,
    pub response: Response,
    #[serde(rename = "messages")]
    topics: Vec<String>,
    /// Topic and body, in order.
    #[serde(skip)]
    pub messages: Vec<(String, Value)>,
}

/// What happened before an exchange and was not captured.
#[derive(Debug, Clone, Deserialize)]
pub struct Step {
    pub before: String,
    pub run: Run,
    #[serde(flatten)]
    pub action: Action,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Action {
    /// A request of somebody.
    Request {
        #[serde(rename = "as")]
        who: String,
        method: String,
        path: String,
        #[serde(default)]
        body: Value,
    },
    /// The iTIP messages of an exchange are delivered.
    Deliver { deliver: String },
    /// Those that the step before this one caused are.
    DeliverPublished {
        #[serde(rename = "deliver_published")]
        _yes: bool,
    },
}

/// A body as it was sent.
pub fn as_text(body: &Value) -> String {
    match body {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Every exchange, in order, with its messages.
pub fn exchanges() -> Vec<Exchange> {
    let mut bodies: BTreeMap<(String, u64), (String, Value)> = BTreeMap::new();
    for entry in std::fs::read_dir(format!("{FOLDER}/messages")).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_stem().unwrap().to_str().unwrap().to_owned();
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let mut line: Value = serde_json::from_str(line).unwrap();
            let key = (line["action"].as_str().unwrap().to_owned(), line["position"].as_u64().unwrap());
            bodies.insert(key, (file.clone(), line["body"].take()));
        }
    }
    let mut exchanges: Vec<Exchange> = lines("http.jsonl");
    for exchange in &mut exchanges {
        let range = (exchange.name.clone(), 0)..(exchange.name.clone(), u64::MAX);
        let found = bodies.range(range).map(|(_, message)| message.clone());
        exchange.messages = found
            .zip(&exchange.topics)
            .map(|((file, body), topic)| {
                assert_eq!(file, topic.replace(':', "-"), "{}", exchange.name);
                (topic.clone(), body)
            })
            .collect();
        assert_eq!(exchange.messages.len(), exchange.topics.len(), "{}", exchange.name);
    }
    exchanges
}

/// What happened between them.
pub fn steps() -> Vec<Step> {
    lines("setup.jsonl")
}

fn lines<T: serde::de::DeserializeOwned>(file: &str) -> Vec<T> {
    let text = std::fs::read_to_string(format!("{FOLDER}/{file}")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}
