//! Query parameters: a list of names and values, repeated and valueless ones included.

use axum::extract::{FromRequestParts, Query};
use http::request::Parts;

use super::error::AdminError;

/// The parameters of a request's query, in order.
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// The first value of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every value of a parameter.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// A whole number; absent or blank is `None`.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, AdminError> {
        match self.get(name).map(str::trim) {
            None | Some("") => Ok(None),
            Some(text) => match text.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(AdminError::argument(format!("{name} is {text:?}, a whole number is expected"))),
            },
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = AdminError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AdminError> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        pairs.map(|Query(pairs)| Self(pairs)).map_err(|e| AdminError::argument(e.to_string()))
    }
}
