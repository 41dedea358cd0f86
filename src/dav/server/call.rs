//! One request: who, where, what; and which file answers it.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName};
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::Server;
use super::gzip::{self, UnpackError};
use super::json::{Address, Manner, Routed};
use super::tenant::Tenant;
use crate::dav::error::DavError;
use crate::dav::path::Location;
use crate::dav::upstream::{Actor, Body, Imported};
use crate::dav::xml::{Asked, Element, XmlLimits, parse};
use crate::store::home::OUTBOX;

const X_HTTP_METHOD_OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");

/// Why there is no [`Call`].
pub(super) enum Refusal {
    /// The request names nobody to act as.
    NoActor,
    /// The request is answered with this.
    Answer(DavError),
}

impl From<DavError> for Refusal {
    fn from(error: DavError) -> Self {
        Self::Answer(error)
    }
}

/// A request that is being answered.
pub(super) struct Call {
    pub(super) server: Server,
    pub(super) who: Tenant,
    pub(super) method: Method,
    /// Where the request points.
    pub(super) location: Location,
    /// The path as the client wrote it, without the base.
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    /// How the client says that it speaks JSON.
    pub(super) manner: Manner,
    /// What is written was made elsewhere and carried in.
    pub(super) imported: bool,
    /// Bodies are not `Sync`, and a call is shared by reference; nobody ever waits for this lock.
    body: Mutex<Body>,
}

/// `Depth` (RFC 4918 §10.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    Zero,
    One,
    Infinity,
}

/// Why nothing is done at a path that leads nowhere. What is to be made there lacks a parent (RFC 4918 §9.3.1), or has
/// one that takes nothing from clients.
fn nowhere(method: &Method, path: &str) -> DavError {
    if !matches!(method.as_str(), "MKCOL" | "MKCALENDAR") {
        return DavError::no_node(path);
    }
    let parent = path.trim_end_matches('/').rsplit_once('/').map_or("", |(parent, _)| parent);
    match Location::parse(parent) {
        Some(_) => DavError::method_not_allowed("Collections cannot be made here"),
        None => DavError::conflict("Parent node does not exist"),
    }
}

impl Call {
    pub(super) async fn read(server: &Server, actor: Option<Actor>, request: Request<Body>) -> Result<Self, Refusal> {
        let (head, body) = request.into_parts();
        let who = server.0.tenants.resolve(&actor.ok_or(Refusal::NoActor)?).await?;
        let address = Address::read(&head.uri);
        let manner = Manner::read(&address, &head.headers);
        let Address { path, query, .. } = address;
        let overridden = head.headers.get(X_HTTP_METHOD_OVERRIDE).filter(|_| head.method == Method::POST);
        let method = match overridden {
            Some(name) => Method::from_bytes(name.as_bytes().to_ascii_uppercase().as_slice())
                .map_err(|_| DavError::bad_request("X-Http-Method-Override names no method"))?,
            None => head.method,
        };
        let location = Location::parse(&path).ok_or_else(|| nowhere(&method, &path))?;
        Ok(Self {
            server: server.clone(),
            who,
            method,
            location,
            path,
            query,
            headers: head.headers,
            manner,
            imported: head.extensions.get::<Imported>().is_some(),
            body: Mutex::new(body),
        })
    }

    /// The answer: one arm per method.
    pub(super) async fn answer(self) -> Result<Response<Body>, DavError> {
        if matches!(self.location, Location::File { .. } | Location::FileHomes) {
            return self.about_files().await;
        }
        if let Location::Trash(home, id) = self.location {
            return self.about_trash(home, id).await;
        }
        if let Location::Attachment { id, .. } = &self.location {
            let id = id.clone();
            return self.attachment(id).await;
        }
        match self.json().await? {
            Routed::Answered(response) => Ok(response),
            Routed::Other(call) => call.answer_as_dav().await,
        }
    }

    async fn answer_as_dav(self) -> Result<Response<Body>, DavError> {
        match self.method.as_str() {
            "GET" | "HEAD" => self.get().await,
            "PROPFIND" => self.propfind().await,
            "REPORT" => self.report().await,
            "PUT" => self.put().await,
            "DELETE" => self.delete().await,
            "PROPPATCH" => self.proppatch().await,
            "MKCALENDAR" | "MKCOL" => self.make_collection().await,
            "COPY" | "MOVE" => self.copy_or_move().await,
            "POST" => self.post().await,
            "ITIP" => self.deliver().await,
            "ACL" => self.set_acl().await,
            _ => Err(DavError::not_implemented(&self.method)),
        }
    }

    async fn post(self) -> Result<Response<Body>, DavError> {
        match &self.location {
            Location::Itip => self.deliver().await,
            Location::Member { .. } if self.changes_attachments() => self.change_attachments().await,
            Location::Collection { uri, .. } if uri == OUTBOX => self.post_to_outbox().await,
            Location::Collection { .. } => self.post_sharing().await,
            _ => Err(DavError::not_implemented(&self.method)),
        }
    }

    /// The `Depth` of the request; `infinity` where it is not a value of RFC 4918.
    pub(super) fn depth(&self) -> Option<Depth> {
        let value = self.headers.get("depth")?.to_str().ok()?;
        Some(match value.trim() {
            "0" => Depth::Zero,
            "1" => Depth::One,
            _ => Depth::Infinity,
        })
    }

    /// The `Depth` of the request, where it must be one of RFC 4918 §10.2.
    pub(super) fn strict_depth(&self) -> Result<Option<Depth>, DavError> {
        let Some(value) = self.headers.get("depth") else { return Ok(None) };
        match value.as_bytes().trim_ascii() {
            b"0" => Ok(Some(Depth::Zero)),
            b"1" => Ok(Some(Depth::One)),
            value if value.eq_ignore_ascii_case(b"infinity") => Ok(Some(Depth::Infinity)),
            _ => Err(DavError::bad_request("Depth is 0, 1 or infinity")),
        }
    }

    /// Whether what is there may be overwritten (RFC 4918 §10.6).
    pub(super) fn overwrites(&self) -> Result<bool, DavError> {
        match self.headers.get("overwrite").map(|v| v.as_bytes().trim_ascii()) {
            None | Some(b"T" | b"t") => Ok(true),
            Some(b"F" | b"f") => Ok(false),
            Some(_) => Err(DavError::bad_request("Overwrite is T or F")),
        }
    }

    /// Whether the query string has this parameter, with any value or none.
    pub(super) fn has_parameter(&self, name: &str) -> bool {
        self.query.split('&').any(|p| p.split('=').next() == Some(name))
    }

    /// The value of a parameter of the query string, as written.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.split('&').filter_map(|p| p.split_once('=')).find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// Whether `Prefer` holds this preference (RFC 7240). `Brief: t`, and `return-minimal` of the drafts, are what older
    /// clients of Apple and Microsoft write for `return=minimal`.
    pub(super) fn prefers(&self, preference: &str) -> bool {
        let is_brief =
            || self.headers.get("brief").is_some_and(|v| v.as_bytes().trim_ascii().eq_ignore_ascii_case(b"t"));
        if preference == "return=minimal" && (is_brief() || self.prefers("return-minimal")) {
            return true;
        }
        let values = self.headers.get_all("prefer").iter().filter_map(|v| v.to_str().ok());
        values.flat_map(|v| v.split([',', ';'])).any(|p| p.trim().eq_ignore_ascii_case(preference))
    }

    /// The path of the request as the client wrote it.
    pub(super) fn path_as_asked(&self) -> String {
        format!("{}{}", self.server.0.settings.base, self.path)
    }

    /// The href of a location as clients see it.
    pub(super) fn href(&self, location: &Location) -> String {
        format!("{}{}", self.server.0.settings.base, location.href())
    }

    /// The body, to be read as it comes.
    pub(super) fn take_body(&mut self) -> Body {
        std::mem::take(self.body.get_mut().unwrap_or_else(PoisonError::into_inner))
    }

    /// Leaves a body to be read again.
    pub(super) fn put_back(&mut self, body: Body) {
        *self.body.get_mut().unwrap_or_else(PoisonError::into_inner) = body;
    }

    /// Reads the body, up to `limit` octets, also when they come packed. `too_large` says what to answer to more.
    pub(super) async fn body(&mut self, limit: usize, too_large: DavError) -> Result<Bytes, DavError> {
        let body = self.take_body();
        match Limited::new(body, limit).collect().await {
            Ok(collected) => gzip::unpack(&self.headers, collected.to_bytes(), limit).map_err(|error| match error {
                UnpackError::TooLarge(_) => too_large,
                UnpackError::Broken(_) => DavError::bad_request(error.to_string()),
                UnpackError::Unknown => DavError::unsupported_media_type(error.to_string()),
            }),
            Err(error) if error.is::<LengthLimitError>() => Err(too_large),
            Err(error) => Err(DavError::bad_request(format!("The body broke off: {error}"))),
        }
    }

    /// Reads the body as XML.
    pub(super) async fn xml(&mut self) -> Result<Option<Element>, DavError> {
        let most = self.server.0.settings.limits.xml_bytes;
        let too_large = DavError::too_large(format!("The XML body is larger than {most} octets"));
        let body = self.body(most, too_large).await?;
        self.read_xml(&body)
    }

    /// Reads a body as XML that asks for no more than one request may.
    pub(super) fn read_xml(&self, body: &[u8]) -> Result<Option<Element>, DavError> {
        let limits = &self.server.0.settings.limits;
        let root = parse(body, XmlLimits { bytes: limits.xml_bytes, depth: limits.xml_depth })?;
        let most = Asked { properties: limits.properties, conditions: limits.conditions };
        root.iter().try_for_each(|root| most.check(root))?;
        Ok(root)
    }
}
