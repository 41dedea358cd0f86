//! What a provider says about somebody: the JSON object of a token, of userinfo, or of introspection.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

/// A JSON object of claims.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Claims(Map<String, Value>);

impl Claims {
    /// Reads a JSON object; `None` when it is none.
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok().map(Self)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A text that is not blank.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str().filter(|text| !text.trim().is_empty())
    }

    /// A text, or a list of texts: providers write `aud` both ways.
    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        match self.get(name) {
            Some(Value::String(one)) => vec![one.clone()],
            Some(Value::Array(many)) => many.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
            _ => Vec::new(),
        }
    }

    /// A boolean; nothing else is taken for one.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.get(name)?.as_bool()
    }

    /// Whether the claim is there and anything but true. Some providers write booleans as texts, so a doubt counts
    /// against the claim.
    pub(super) fn says_otherwise_than_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value != &Value::Bool(true) && value != "true")
    }

    /// Seconds since 1970, whole or not (RFC 7519 §2 `NumericDate`).
    pub(super) fn instant(&self, name: &str) -> Option<DateTime<Utc>> {
        let number = self.get(name)?;
        #[expect(clippy::cast_possible_truncation, reason = "a float out of range saturates, and is then refused")]
        let seconds = number.as_i64().or_else(|| number.as_f64().map(|f| f.floor() as i64))?;
        // Bounded so that adding a clock skew cannot overflow.
        (0..=253_402_300_799).contains(&seconds).then(|| DateTime::from_timestamp(seconds, 0)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(json: &str) -> Claims {
        Claims::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn an_audience_is_a_text_or_a_list() {
        assert_eq!(claims(r#"{"aud":"a"}"#).texts("aud"), ["a"]);
        assert_eq!(claims(r#"{"aud":["a",1,"b"]}"#).texts("aud"), ["a", "b"]);
        assert!(claims(r#"{"aud":null}"#).texts("aud").is_empty());
        assert!(claims("{}").texts("aud").is_empty());
    }

    #[test]
    fn instants_are_whole_or_broken_seconds_and_beyond_32_bits() {
        for (json, seconds) in
            [("1790000000", 1_790_000_000), ("1790000000.9", 1_790_000_000), ("4102444800", 4_102_444_800)]
        {
            let found = claims(&format!(r#"{{"exp":{json}}}"#)).instant("exp");
            assert_eq!(found.map(|i| i.timestamp()), Some(seconds), "{json}");
        }
        for nonsense in ["\"1790000000\"", "null", "-1", "1e300", "9223372036854775807", "true"] {
            assert_eq!(claims(&format!(r#"{{"exp":{nonsense}}}"#)).instant("exp"), None, "{nonsense}");
        }
    }

    #[test]
    fn only_a_boolean_is_one() {
        assert_eq!(claims(r#"{"active":true}"#).flag("active"), Some(true));
        for other in ["\"true\"", "1", "null"] {
            assert_eq!(claims(&format!(r#"{{"active":{other}}}"#)).flag("active"), None);
        }
    }
}
