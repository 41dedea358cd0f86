//! Names that servers make up: objects that came by invitation, calendars that were shared. Each captured one is bound to the
//! one that the server under test made up in its place.

use std::collections::{BTreeMap, BTreeSet};

use convoke::ids::{HomeId, Uid};
use serde_json::Value;

use super::captures::{Exchange, Request, as_text};
use super::house::{Answer, House};

#[derive(Debug, Default)]
pub struct Bindings(BTreeMap<String, String>);

impl Bindings {
    /// A text with our names in place of those captured.
    pub fn apply(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (captured, ours) in &self.0 {
            if text.contains(captured.as_str()) {
                text = text.replace(captured.as_str(), ours);
            }
        }
        text
    }

    /// A captured value with our names.
    pub fn apply_to(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.apply(text)),
            Value::Array(items) => items.iter().map(|item| self.apply_to(item)).collect(),
            Value::Object(map) => map.iter().map(|(k, v)| (k.clone(), self.apply_to(v))).collect(),
            other => other.clone(),
        }
    }

    /// A captured request with our names.
    pub fn rewritten(&self, request: &Request) -> Request {
        let mut request = request.clone();
        request.path = self.apply(&request.path);
        request.headers.values_mut().for_each(|value| *value = self.apply(value));
        request.body = self.apply_to(&request.body);
        request
    }

    /// Binds the names that an exchange shows for the first time: those at the same place of answer and messages.
    pub fn learn(&mut self, exchange: &Exchange, answer: &Answer, published: &[(String, Value)]) {
        let (mut captured, mut ours) = (Places::default(), Places::default());
        captured.add_body(&exchange.response.body);
        ours.add_body(&serde_json::from_str(&answer.body).unwrap_or(Value::String(answer.body.clone())));
        for (places, messages) in [(&mut captured, exchange.messages.as_slice()), (&mut ours, published)] {
            for (topic, body) in messages {
                places.walk(topic, body);
            }
        }
        for (place, theirs) in &captured.0 {
            let Some(here) = ours.0.get(place) else { continue };
            let theirs: Vec<&String> = theirs.iter().filter(|path| self.is_unbound(path)).collect();
            let used: BTreeSet<&String> = self.0.values().collect();
            let is_new = |path: &&String| uuids(path).iter().any(|uuid| !used.contains(&(*uuid).to_owned()));
            let here: Vec<&String> = here.iter().filter(is_new).collect();
            if theirs.len() != here.len() {
                continue;
            }
            let pairs: Vec<(String, String)> = theirs
                .iter()
                .zip(here)
                .flat_map(|(a, b)| uuids(a).into_iter().map(str::to_owned).zip(uuids(b).into_iter().map(str::to_owned)))
                .collect();
            for (captured, ours) in pairs {
                self.0.entry(captured).or_insert(ours);
            }
        }
    }

    fn is_unbound(&self, path: &str) -> bool {
        uuids(path).iter().any(|uuid| !self.0.contains_key(*uuid))
    }

    /// Binds the shared calendar that a path names and nothing has shown yet.
    pub async fn find_instance(&mut self, path: &str, house: &House, exchanges: &[Exchange]) {
        let mut segments = path.split('/').skip(2);
        let (Some(home), Some(calendar)) = (segments.next(), segments.next()) else { return };
        if uuids(calendar) != [calendar] || self.0.contains_key(calendar) {
            return;
        }
        let place = format!("/calendars/{home}/{calendar}/");
        let (Some(source), Ok(home)) = (source_of(&place, exchanges), home.parse::<HomeId>()) else { return };
        let shared = house.store.shared_in(home).await.unwrap();
        if let Some(found) = shared.into_iter().find(|shared| shared.source.home == source) {
            self.0.insert(calendar.to_owned(), found.instance.uri);
        }
    }

    /// Binds the objects that a path names and nothing has shown yet, by what the captured messages say of them.
    pub async fn find_objects(&mut self, path: &str, house: &House, exchanges: &[Exchange]) {
        for token in uuids(path).into_iter().filter(|t| path.contains(&format!("sabredav-{t}"))) {
            if self.0.contains_key(token) {
                continue;
            }
            let messages = exchanges.iter().flat_map(|e| &e.messages);
            let found = messages.filter_map(|(_, body)| {
                let path = body["eventPath"].as_str().filter(|path| path.contains(token))?;
                let home: HomeId = path.split('/').nth(2)?.parse().ok()?;
                let events = body["event"][2].as_array()?;
                let event = events.iter().find(|c| c[0] == "vevent")?;
                let uid = event[1].as_array()?.iter().find(|p| p[0] == "uid")?[3].as_str()?.to_owned();
                Some((home, Uid(uid)))
            });
            let Some((home, uid)) = found.into_iter().next() else { continue };
            let objects = house.store.find_uid(home, &uid).await.unwrap();
            if let Some((_, object)) = objects.first()
                && let Some(ours) = uuids(&object.meta.name).first()
            {
                self.0.insert(token.to_owned(), (*ours).to_owned());
            }
        }
    }
}

/// The home of the calendar that is called so in the home of somebody else, by what the captured messages say.
fn source_of(place: &str, exchanges: &[Exchange]) -> Option<HomeId> {
    let paths = |e: &Exchange| -> Vec<String> {
        let told = e.messages.iter().filter_map(|(_, body)| body["eventPath"].as_str());
        told.map(str::to_owned).collect()
    };
    let named = exchanges.iter().map(paths).find(|paths| paths.iter().any(|path| path.starts_with(place)))?;
    named.iter().find_map(|path| {
        let mut segments = path.split('/').skip(2);
        let (home, calendar) = (segments.next()?, segments.next()?);
        (home == calendar).then(|| home.parse().ok())?
    })
}

/// Paths with made-up names, by where they stand and what they look like without these names.
#[derive(Default)]
struct Places(BTreeMap<(String, String), Vec<String>>);

impl Places {
    fn add_body(&mut self, body: &Value) {
        match body {
            Value::String(xml) => {
                for href in xml.split("<d:href>").skip(1).filter_map(|rest| rest.split("</d:href>").next()) {
                    self.add("href", href);
                }
            }
            other => self.walk("", other),
        }
    }

    fn walk(&mut self, place: &str, value: &Value) {
        match value {
            Value::String(text) => self.add(place, text),
            Value::Array(items) => items.iter().for_each(|item| self.walk(&format!("{place}/*"), item)),
            Value::Object(map) => map.iter().for_each(|(key, value)| self.walk(&format!("{place}/{key}"), value)),
            _ => {}
        }
    }

    fn add(&mut self, place: &str, text: &str) {
        let is_path = text.starts_with("/calendars") || text.trim_start_matches('/').starts_with("addressbooks/");
        if !is_path || uuids(text).is_empty() {
            return;
        }
        let mut mask = text.to_owned();
        for uuid in uuids(text) {
            mask = mask.replace(uuid, "#");
        }
        let list = self.0.entry((place.to_owned(), mask)).or_default();
        if !list.contains(&text.to_owned()) {
            list.push(text.to_owned());
        }
    }
}

/// The UUIDs in a text.
pub fn uuids(text: &str) -> Vec<&str> {
    const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
    let is_uuid = |candidate: &str| {
        let groups: Vec<&str> = candidate.split('-').collect();
        groups.len() == 5
            && groups.iter().zip(GROUPS).all(|(g, len)| g.len() == len && g.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    let mut found = Vec::new();
    let mut at = 0;
    while at + 36 <= text.len() {
        match text.get(at..at + 36).filter(|candidate| is_uuid(candidate)) {
            Some(uuid) => {
                found.push(uuid);
                at += 36;
            }
            None => at += 1,
        }
    }
    found
}

/// The body of a captured answer as text.
pub fn body_text(body: &Value) -> String {
    as_text(body)
}
