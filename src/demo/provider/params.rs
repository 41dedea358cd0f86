//! Parameters of a query or a form.

use url::form_urlencoded;

/// Parameters, each at most once (RFC 6749 §3.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Params(Vec<(String, String)>);

/// A parameter was given twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Repeated(pub(super) String);

impl Params {
    pub(super) fn parse(encoded: &[u8]) -> Result<Self, Repeated> {
        let mut params = Vec::<(String, String)>::new();
        for (name, value) in form_urlencoded::parse(encoded).into_owned() {
            if params.iter().any(|(known, _)| *known == name) {
                return Err(Repeated(name));
            }
            params.push((name, value));
        }
        Ok(Self(params))
    }

    /// The value; an empty one is as good as none (RFC 6749 §3.1).
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_comes_once_and_an_empty_one_is_none() {
        let params = Params::parse(b"a=1+2&b=&c=%C3%A9").unwrap();
        assert_eq!((params.get("a"), params.get("b"), params.get("c")), (Some("1 2"), None, Some("é")));
        assert_eq!(Params::parse(b"a=1&a=1"), Err(Repeated("a".to_owned())));
    }
}
