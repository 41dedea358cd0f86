//! What clients say, and what they are answered (messaging §5.3). Pure.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;
use serde_json::{Value, json};

use super::place::Place;

/// A frame of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    /// Subscriptions to begin and to end; both may be empty. No place is in both.
    Subscribe(Subscribe),
    /// Alarms are wanted, or no longer.
    DisplayAlarms(bool),
}

/// Subscriptions to begin and to end, each place once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Subscribe {
    /// To begin.
    pub(super) register: Vec<Place>,
    /// To end.
    pub(super) unregister: Vec<Place>,
}

impl Subscribe {
    /// Whether it asks for nothing: what the web client sends to see whether we are there.
    pub(super) fn is_empty(&self) -> bool {
        self.register.is_empty() && self.unregister.is_empty()
    }
}

/// Why a frame is not carried out. The texts are compared by clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadFrame {
    /// No JSON, or `enableDisplayNotification` is not alone or not a boolean.
    #[error("Internal Error")]
    Unreadable,
    /// A path that is none.
    #[error("Invalid Request")]
    Path,
    /// The same place is to begin and to end.
    #[error("register and unregister cannot contain duplicated entries")]
    Contradiction,
}

const DISPLAY: &str = "enableDisplayNotification";

impl Frame {
    /// Reads a text frame.
    ///
    /// # Errors
    /// [`BadFrame`]; nothing of the frame is carried out then.
    pub(super) fn read(text: &str) -> Result<Self, BadFrame> {
        let value: Value = serde_json::from_str(text).map_err(|_| BadFrame::Unreadable)?;
        // Any other JSON asks for nothing.
        let Value::Object(fields) = value else { return Ok(Self::Subscribe(Subscribe::default())) };
        if let Some(wanted) = fields.get(DISPLAY) {
            let wanted = wanted.as_bool().filter(|_| fields.len() == 1);
            return wanted.map(Self::DisplayAlarms).ok_or(BadFrame::Unreadable);
        }
        let (register, unregister) = (places(fields.get("register"))?, places(fields.get("unregister"))?);
        let ending: HashSet<&Place> = unregister.iter().collect();
        if register.iter().any(|place| ending.contains(place)) {
            return Err(BadFrame::Contradiction);
        }
        Ok(Self::Subscribe(Subscribe { register, unregister }))
    }
}

/// The paths of a list, each once. What is no list holds none, and what is no text is no path.
fn places(list: Option<&Value>) -> Result<Vec<Place>, BadFrame> {
    let mut places = Vec::new();
    let mut seen = HashSet::new();
    for path in list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        let place = Place::of_href(path).ok_or(BadFrame::Path)?;
        if seen.insert(place.clone()) {
            places.push(place);
        }
    }
    Ok(places)
}

/// The answer to a [`Subscribe`]; `{}` when it asked for nothing.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Subscribed {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) registered: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) unregistered: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) not_registered: BTreeMap<String, &'static str>,
}

impl Subscribed {
    /// The frame.
    pub(super) fn frame(&self) -> String {
        // Lists of texts: nothing that could not be written.
        serde_json::to_string(self).unwrap_or_else(|_| "{}".to_owned())
    }
}

/// `{"displayNotificationEnabled":true}`.
pub(super) fn display_frame(enabled: bool) -> String {
    json!({ "displayNotificationEnabled": enabled }).to_string()
}

/// `{"error":"…"}`.
pub(super) fn error_frame(error: &str) -> String {
    json!({ "error": error }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscribe(register: &[&str], unregister: &[&str]) -> Result<Frame, BadFrame> {
        let places = |paths: &[&str]| paths.iter().map(|p| Place::of_href(p).unwrap()).collect();
        Ok(Frame::Subscribe(Subscribe { register: places(register), unregister: places(unregister) }))
    }

    #[test]
    fn frames_are_read_as_the_web_client_writes_them() {
        let cases = [
            (r#"{"register":["/calendars/a/b"]}"#, subscribe(&["/calendars/a/b"], &[])),
            (r#"{"unregister":["/addressbooks/a/b"]}"#, subscribe(&[], &["/addressbooks/a/b"])),
            (
                r#"{"register":["/calendars/a/b","/calendars/a/b/x.ics",1,null],"unregister":["/calendars/a/c"],"x":1}"#,
                subscribe(&["/calendars/a/b"], &["/calendars/a/c"]),
            ),
            (r#"{"type":"ping","timestamp":1800000000000}"#, subscribe(&[], &[])),
            ("{}", subscribe(&[], &[])),
            ("[]", subscribe(&[], &[])),
            ("null", subscribe(&[], &[])),
            ("1", subscribe(&[], &[])),
            (r#"{"register":"/calendars/a/b","unregister":{}}"#, subscribe(&[], &[])),
            (r#"{"register":[]}"#, subscribe(&[], &[])),
            (r#"{"enableDisplayNotification":true}"#, Ok(Frame::DisplayAlarms(true))),
            (r#"{"enableDisplayNotification":false}"#, Ok(Frame::DisplayAlarms(false))),
        ];
        for (text, expected) in cases {
            assert_eq!(Frame::read(text), expected, "{text}");
        }
    }

    #[test]
    fn bad_frames_are_told_apart() {
        let deep = "[".repeat(100_000);
        let cases = [
            ("", BadFrame::Unreadable),
            ("{", BadFrame::Unreadable),
            ("register", BadFrame::Unreadable),
            (&deep, BadFrame::Unreadable),
            (r#"{"enableDisplayNotification":"true"}"#, BadFrame::Unreadable),
            (r#"{"enableDisplayNotification":null}"#, BadFrame::Unreadable),
            (r#"{"enableDisplayNotification":true,"register":[]}"#, BadFrame::Unreadable),
            (r#"{"register":["/principals/users/a"]}"#, BadFrame::Path),
            (r#"{"register":["/calendars/a/b","/calendars/a"]}"#, BadFrame::Path),
            (r#"{"unregister":[""]}"#, BadFrame::Path),
            (r#"{"register":["/calendars/a/b"],"unregister":["/calendars/a/b/x"]}"#, BadFrame::Contradiction),
        ];
        for (text, expected) in cases {
            assert_eq!(Frame::read(text), Err(expected), "{}", &text[..text.len().min(80)]);
        }
    }

    #[test]
    fn answers_leave_out_what_is_empty() {
        assert_eq!(Subscribed::default().frame(), "{}");
        let answer = Subscribed {
            registered: vec!["/calendars/a/b".to_owned()],
            not_registered: BTreeMap::from([("/calendars/c/d".to_owned(), "Forbidden")]),
            ..Subscribed::default()
        };
        let expected = r#"{"registered":["/calendars/a/b"],"notRegistered":{"/calendars/c/d":"Forbidden"}}"#;
        assert_eq!(answer.frame(), expected);
    }
}
