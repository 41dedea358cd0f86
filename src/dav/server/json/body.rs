//! Bodies of requests: whether they are JSON, and what is in them. Whatever a client sends that is not what it should be is
//! answered with 400.

use http::header::CONTENT_ENCODING;
use serde_json::{Map, Value};

use crate::dav::error::DavError;
use crate::dav::server::call::Call;
use crate::dav::upstream::Body;

/// What a request brought.
pub(super) enum Sent {
    /// Nothing but white space.
    Nothing,
    /// Something that does not look like JSON. It is still there to be read.
    Other,
    /// JSON.
    Json(Value),
    /// What begins like JSON and is none.
    Broken(String),
}

impl Sent {
    /// The JSON object.
    ///
    /// # Errors
    /// 400 for anything else.
    pub(super) fn object(self) -> Result<Object, DavError> {
        match self {
            Self::Json(Value::Object(object)) => Ok(Object(object)),
            Self::Json(_) => Err(DavError::bad_request("The body must be a JSON object")),
            Self::Broken(why) => Err(DavError::bad_request(format!("The body is not valid JSON: {why}"))),
            Self::Nothing | Self::Other => Err(DavError::bad_request("The request needs a JSON body")),
        }
    }
}

/// The object in the body of a request.
#[derive(Debug)]
pub(super) struct Object(pub(super) Map<String, Value>);

impl Object {
    /// A value that is there and not null.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// A text that is there and not empty.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str().filter(|text| !text.is_empty())
    }
}

impl Call {
    /// Reads the body where it is JSON, whatever its type says; anything else is left for others to read.
    pub(super) async fn json_body(&mut self) -> Result<Sent, DavError> {
        let limits = &self.inner().settings.limits;
        let most = limits.json_bytes.max(limits.xml_bytes).max(limits.object_bytes);
        let json_bytes = limits.json_bytes;
        let too_large = |most| DavError::too_large(format!("The body is larger than {most} octets"));
        let octets = self.body(most, too_large(most)).await?;
        // What was packed is not any more.
        self.headers.remove(CONTENT_ENCODING);
        match octets.iter().find(|b| !b.is_ascii_whitespace()) {
            None => Ok(Sent::Nothing),
            Some(b'{' | b'[') if octets.len() > json_bytes => Err(too_large(json_bytes)),
            Some(b'{' | b'[') => Ok(match serde_json::from_slice(&octets) {
                Ok(value) => Sent::Json(value),
                Err(error) => Sent::Broken(error.to_string()),
            }),
            Some(_) => {
                self.put_back(Body::from(octets));
                Ok(Sent::Other)
            }
        }
    }
}
