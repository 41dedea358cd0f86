//! Errors as DAV answers them: a status, the name of the reference's exception, a text, and the precondition element that
//! programs look at (dav §1.3–§1.5, RFC 4918 §16).

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

use super::precondition::ConditionError;
use super::upstream::Body;
use super::xml::{CARDDAV, ReadError, Writer};
use crate::store::StoreError;

/// Type of every XML body.
pub const XML_TYPE: HeaderValue = HeaderValue::from_static("application/xml; charset=utf-8");

/// The version that clients of the reference see.
pub const SABREDAV_VERSION: &str = "4.7.0";

/// The precondition or postcondition that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// An empty element, with its prefix (`d`, `cal`, `card`).
    Empty(&'static str),
    /// An element that holds an address.
    Href(&'static str, String),
    /// The actor lacks a privilege on a resource (RFC 3744 §7.1.1).
    NeedPrivileges {
        /// The resource.
        href: String,
        /// The privilege, with its prefix, e.g. `d:read`.
        privilege: &'static str,
    },
    /// A request header did not hold.
    Header(&'static str),
}

/// An answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {message}")]
pub struct DavError {
    /// Status.
    pub status: StatusCode,
    /// The reference's class of it.
    pub exception: &'static str,
    /// What went wrong and with what.
    pub message: String,
    /// What a program looks at.
    pub condition: Option<Condition>,
}

impl DavError {
    /// An error of this class.
    pub fn new(status: StatusCode, exception: &'static str, message: impl Into<String>) -> Self {
        Self { status, exception, message: message.into(), condition: None }
    }

    /// The same, with the element that names the failed condition.
    #[must_use]
    pub fn because(mut self, condition: Condition) -> Self {
        self.condition = Some(condition);
        self
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Sabre\\DAV\\Exception\\BadRequest", message)
    }

    /// 401.
    pub fn not_authenticated() -> Self {
        let exception = "Sabre\\DAV\\Exception\\NotAuthenticated";
        Self::new(StatusCode::UNAUTHORIZED, exception, "Authentification failure")
    }

    /// 403.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "Sabre\\DAV\\Exception\\Forbidden", message)
    }

    /// 403 for want of a privilege, given with its prefix, e.g. `d:read`.
    pub fn need_privileges(href: &str, privilege: &'static str) -> Self {
        let clark = match privilege.split_once(':') {
            Some(("cal", local)) => format!("{{urn:ietf:params:xml:ns:caldav}}{local}"),
            Some((_, local)) => format!("{{DAV:}}{local}"),
            None => privilege.to_owned(),
        };
        let path = href.trim_matches('/');
        let message = format!("User did not have the required privileges ({clark}) for path \"{path}\"");
        let condition = Condition::NeedPrivileges { href: href.trim_end_matches('/').to_owned(), privilege };
        Self::new(StatusCode::FORBIDDEN, "Sabre\\DAVACL\\Exception\\NeedPrivileges", message).because(condition)
    }

    /// 404.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "Sabre\\DAV\\Exception\\NotFound", message)
    }

    /// 404 for a path that leads nowhere.
    pub fn no_node(path: &str) -> Self {
        Self::not_found(format!("Could not find node at path: {}", path.trim_matches('/')))
    }

    /// 405.
    pub fn method_not_allowed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "Sabre\\DAV\\Exception\\MethodNotAllowed", message)
    }

    /// 409.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "Sabre\\DAV\\Exception\\Conflict", message)
    }

    /// 413.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "Sabre\\DAV\\Exception\\TooLarge", message)
    }

    /// 415.
    pub fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Sabre\\DAV\\Exception\\UnsupportedMediaType", message)
    }

    /// 423: a lock is in the way, whose root has this href (RFC 4918 §16 `lock-token-submitted`).
    pub fn locked(root: &str) -> Self {
        let message = "The resource is locked, and the token of the lock was not submitted";
        Self::new(StatusCode::LOCKED, "Sabre\\DAV\\Exception\\Locked", message)
            .because(Condition::Href("d:lock-token-submitted", root.to_owned()))
    }

    /// 507.
    pub fn insufficient_storage(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "Sabre\\DAV\\Exception\\InsufficientStorage", message)
    }

    /// 501.
    pub fn not_implemented(method: &http::Method) -> Self {
        let message = format!("There was no plugin in the system that was willing to handle this {method} method.");
        Self::new(StatusCode::NOT_IMPLEMENTED, "Sabre\\DAV\\Exception\\NotImplemented", message)
    }

    /// The answer.
    pub fn into_response(self) -> Response<Body> {
        let mut w = Writer::starting("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n");
        w.raw("<d:error xmlns:d=\"DAV:\" xmlns:s=\"http://sabredav.org/ns\">\n  ");
        w.element("s:sabredav-version", SABREDAV_VERSION);
        w.raw("\n  ");
        w.element("s:exception", self.exception);
        w.raw("\n  ");
        w.element("s:message", &self.message);
        w.raw("\n");
        if let Some(condition) = &self.condition {
            w.raw("  ");
            condition.write(&mut w);
            w.raw("\n");
        }
        w.raw("</d:error>\n");
        let mut response = Response::new(Body::from(w.take()));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, XML_TYPE);
        response
    }
}

impl Condition {
    fn write(&self, w: &mut Writer) {
        match self {
            Self::Empty(tag) => w.raw(&format!("<{}/>", declared(tag))),
            Self::Href(tag, href) => {
                w.raw(&format!("<{}>", declared(tag)));
                w.href(href);
                w.close(tag);
            }
            Self::Header(name) => w.element("s:header", name),
            Self::NeedPrivileges { href, privilege } => {
                w.raw("<d:need-privileges>\n    <d:resource>\n      ");
                w.href(href);
                w.raw(&format!("\n      <d:privilege>\n        <{}/>\n      </d:privilege>", declared(privilege)));
                w.raw("\n    </d:resource>\n  </d:need-privileges>");
            }
        }
    }
}

/// A tag with a declaration of its prefix, where the root of an error has none.
fn declared(tag: &str) -> String {
    match tag.split_once(':') {
        Some(("cal", _)) => format!("{tag} xmlns:cal=\"urn:ietf:params:xml:ns:caldav\""),
        Some(("card", _)) => format!("{tag} xmlns:card=\"urn:ietf:params:xml:ns:carddav\""),
        _ => tag.to_owned(),
    }
}

impl From<StoreError> for DavError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => {
                tracing::warn!(%error, "the store is away");
                let exception = "Sabre\\DAV\\Exception\\ServiceUnavailable";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, exception, "The calendar store is unavailable")
            }
            StoreError::Exists(what) => Self::conflict(format!("{what} exists already")),
            StoreError::Missing(what) => Self::not_found(format!("{what} does not exist")),
            StoreError::Broken(_) => {
                tracing::error!(%error, "the store failed");
                let exception = "Sabre\\DAV\\Exception";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, exception, "The calendar store failed")
            }
        }
    }
}

impl From<ConditionError> for DavError {
    fn from(error: ConditionError) -> Self {
        if matches!(error, ConditionError::Malformed(_)) {
            return Self::bad_request(error.to_string());
        }
        let exception = "Sabre\\DAV\\Exception\\PreconditionFailed";
        Self::new(StatusCode::PRECONDITION_FAILED, exception, error.to_string())
            .because(Condition::Header(error.header()))
    }
}

impl From<ReadError> for DavError {
    fn from(error: ReadError) -> Self {
        let message = error.to_string();
        match error {
            ReadError::TooLarge(_) => Self::too_large(message),
            ReadError::Filter(_) => Self::forbidden(message).because(Condition::Empty("cal:valid-filter")),
            ReadError::UnsupportedFilter(_) | ReadError::TooManyConditions { of_calendar: true, .. } => {
                Self::forbidden(message).because(Condition::Empty("cal:supported-filter"))
            }
            ReadError::Collation { ns: CARDDAV, .. } => {
                Self::forbidden(message).because(Condition::Empty("card:supported-collation"))
            }
            ReadError::Collation { .. } => {
                Self::forbidden(message).because(Condition::Empty("cal:supported-collation"))
            }
            // RFC 4918 §17: the condition that stands for "no external entities here".
            ReadError::Doctype => Self::bad_request(message).because(Condition::Empty("d:no-external-entities")),
            _ => Self::bad_request(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    async fn body(error: DavError) -> String {
        let bytes = error.into_response().into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn an_error_reads_like_the_reference_s() {
        let text = body(DavError::need_privileges("/calendars/b/c/", "d:read")).await;
        assert_eq!(
            text,
            r#"<?xml version="1.0" encoding="utf-8"?>
<d:error xmlns:d="DAV:" xmlns:s="http://sabredav.org/ns">
  <s:sabredav-version>4.7.0</s:sabredav-version>
  <s:exception>Sabre\DAVACL\Exception\NeedPrivileges</s:exception>
  <s:message>User did not have the required privileges ({DAV:}read) for path &quot;calendars/b/c&quot;</s:message>
  <d:need-privileges>
    <d:resource>
      <d:href>/calendars/b/c</d:href>
      <d:privilege>
        <d:read/>
      </d:privilege>
    </d:resource>
  </d:need-privileges>
</d:error>
"#
        );
    }

    #[tokio::test]
    async fn what_the_client_sent_is_escaped() {
        let text = body(DavError::no_node("/<script>")).await;
        assert!(text.contains("Could not find node at path: &lt;script&gt;"), "{text}");
    }
}
