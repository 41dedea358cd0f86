//! Managed attachments (RFC 8607): files that belong to calendar objects, which refer to them by `MANAGED-ID`.
//!
//! In come `POST …?action=attachment-add` and its like about an object, and GET of an attachment; what is added, replaced or
//! removed becomes another text of the object, which is then written by the steps of every PUT, so attendees hear of it as of
//! every change. Attachments themselves are kept by [`crate::store::attachments`]. Whoever can read an object that refers to
//! an attachment can read the attachment, and nobody else; so who writes an object may refer only to what they can read.

mod edit;
mod question;
mod readers;
mod settle;

use http::header::{CONTENT_LOCATION, ETAG, HeaderName, HeaderValue, LOCATION};
use http::{Method, Response, StatusCode};

use self::edit::Misfit;
use self::question::{Action, file_name};
use super::access::no_object;
use super::call::Call;
use super::files::{self, UNKNOWN_TYPE};
use super::put::{ATTEMPTS, Conditions, Draft, text_limits};
use super::rights::{Need, Sight};
use super::schedule_tag;
use crate::dav::error::{Condition, DavError};
use crate::dav::path::{Location, Space};
use crate::dav::upstream::Body;
use crate::ical::{CalendarObject, Property};
use crate::ids::ContentId;
use crate::store::attachments::{self, Attachment, AttachmentId, MANAGED_ID};
use crate::store::files::{FilePath, FileWriteError, Room, SharedFileStore};
use crate::store::{CollectionKind, Object};

const CAL_MANAGED_ID: HeaderName = HeaderName::from_static("cal-managed-id");

/// 403 for a parameter of the request (RFC 8607 §3.11).
fn not_valid(tag: &'static str, message: impl Into<String>) -> DavError {
    DavError::forbidden(message).because(Condition::Empty(tag))
}

impl From<Misfit> for DavError {
    fn from(misfit: Misfit) -> Self {
        match misfit {
            Misfit::Rid(rid) => not_valid("cal:valid-rid", format!("The object has no instance {rid:?}")),
            Misfit::ManagedId => not_valid("cal:valid-managed-id", "The object has no such attachment"),
        }
    }
}

/// What goes wrong when an attachment is kept.
fn not_kept(error: FileWriteError) -> DavError {
    match error {
        FileWriteError::NoRoom => DavError::insufficient_storage("There is not enough room left for this attachment")
            .because(Condition::Empty("d:quota-not-exceeded")),
        FileWriteError::Store(error) => error.into(),
        FileWriteError::Changed | FileWriteError::TooDeep => {
            DavError::conflict("The files keep being changed by somebody else")
        }
    }
}

impl Call {
    /// Whether the request is about the attachments of an object.
    pub(super) fn changes_attachments(&self) -> bool {
        self.method == Method::POST
            && matches!(self.location, Location::Member { space: Space::Calendars, .. })
            && self.has_parameter("action")
            && self.inner().files.get().is_some()
    }

    /// Adds an attachment to an object, replaces one, or takes one away (RFC 8607 §3.4 to §3.6).
    pub(super) async fn change_attachments(mut self) -> Result<Response<Body>, DavError> {
        let Some(files) = self.inner().files.get().cloned() else { return Err(DavError::no_node(&self.path)) };
        let action = Action::read(&self.query, self.inner().settings.limits.conditions)?;
        let sight = self.server.see(&self.who, &self.location, Need::WriteContent).await?;
        if sight.kind != CollectionKind::Calendar {
            return Err(self.server.needs(&self.location, Need::WriteContent.privilege()));
        }
        let conditions = Conditions::read(&self)?;
        let current = self.object_with_attachments(&sight, &conditions).await?;
        // What is refused anyway is refused before it is sent.
        let nothing = Property::new("ATTACH", "");
        self.edited(&current, &action, &nothing)?;
        let new = match &action {
            Action::Remove { .. } => None,
            Action::Add { .. } | Action::Update { .. } => {
                let body = self.take_body();
                Some(self.receive_attachment(&files, body, &sight, &current).await?)
            }
        };
        let written = self.write_attachments(&sight, &conditions, &action, new.as_ref()).await;
        match (written, new) {
            (Ok(response), new) if response.status().is_success() => {
                Ok(self.told_of_attachment(response, &action, new.as_ref()))
            }
            (refused, Some(new)) => {
                self.server.release_attachments([&new.id]).await;
                refused
            }
            (refused, None) => refused,
        }
    }

    /// The object as it is stored, if it is as the client expects.
    async fn object_with_attachments(&self, sight: &Sight, conditions: &Conditions) -> Result<Object, DavError> {
        let Some(current) = self.inner().store.object(sight.id, self.name()).await? else {
            conditions.check(self, None)?;
            return Err(no_object(Space::Calendars));
        };
        sight.guard(&current)?;
        conditions.check(self, Some(&current.meta.etag))?;
        schedule_tag::check(self, Some(&current.meta))?;
        Ok(current)
    }

    /// The object as it will be; `attach` is the property of a new attachment.
    fn edited(&self, current: &Object, action: &Action, attach: &Property) -> Result<CalendarObject, DavError> {
        let mut object = CalendarObject::parse_within(&current.data, text_limits(self))
            .map_err(|error| DavError::conflict(format!("The object cannot be changed: {error}")))?;
        let now = self.inner().env.now();
        match action {
            Action::Add { instances } => edit::add(&mut object, instances, attach, now)?,
            Action::Update { id } => edit::replace(&mut object, id, attach, now)?,
            Action::Remove { id, instances } => edit::remove(&mut object, instances, id, now)?,
        }
        Ok(object)
    }

    /// Keeps what the body holds, in the home of the calendar's owner.
    async fn receive_attachment(
        &self,
        files: &SharedFileStore,
        mut body: Body,
        sight: &Sight,
        object: &Object,
    ) -> Result<Attachment, DavError> {
        let settings = &self.inner().settings.files;
        let home = sight.source().home;
        let used = files.look(home, &[FilePath::default()]).await?.home.used;
        let check = |size: u64| {
            if size > settings.attachment_bytes {
                let message = format!("An attachment has at most {} octets", settings.attachment_bytes);
                return Err(not_valid("cal:max-attachment-size", message));
            }
            let is_full = size > settings.quota_bytes.saturating_sub(used);
            if is_full { Err(not_kept(FileWriteError::NoRoom)) } else { Ok(()) }
        };
        let env = &self.inner().env;
        let id = ContentId(env.object_id());
        let kept = async {
            check(files::declared_size(&self.headers))?;
            let content = files::receive(files, &mut body, id, &self.headers, check).await?;
            let new = Attachment {
                id: AttachmentId::new(home, env),
                name: file_name(&self.headers),
                content,
                created: env.now(),
                notes: [(home, object.meta.uid.clone())].into(),
            };
            let room = Room { octets: settings.quota_bytes, entries: settings.entries };
            attachments::add(&**files, &new, room, env).await.map_err(not_kept)?;
            Ok(new)
        };
        let kept = kept.await;
        if kept.is_err()
            && let Err(error) = files.discard(id).await
        {
            tracing::debug!(%error, "an upload that failed is cleared away later");
        }
        kept
    }

    /// Writes the object as it will be, until nobody was faster.
    async fn write_attachments(
        &self,
        sight: &Sight,
        conditions: &Conditions,
        action: &Action,
        new: Option<&Attachment>,
    ) -> Result<Response<Body>, DavError> {
        let mut attach = Property::new("ATTACH", "");
        if let Some(new) = new {
            self.describe_attachment(&mut attach, new);
        }
        for attempt in 1..=ATTEMPTS {
            let current = self.object_with_attachments(sight, conditions).await?;
            let object = self.edited(&current, action, &attach)?;
            let draft = Draft::of_server(self, object, new.map(|new| new.id.clone()))?;
            let immediate = self.immediate_deliveries(attempt);
            if let Some(response) = self.try_put_event(sight, &draft, Some(current), false, immediate).await? {
                return Ok(response);
            }
        }
        Err(DavError::conflict("The object keeps being changed by somebody else"))
    }

    /// Writes into an ATTACH what there is to know of an attachment (RFC 8607 §4).
    fn describe_attachment(&self, attach: &mut Property, attachment: &Attachment) {
        attach.set_value(self.attachment_url(attachment));
        attach.set_param(MANAGED_ID, &attachment.id.to_string());
        let media_type = attachment.content.media_type.split(';').next().map_or(UNKNOWN_TYPE, str::trim);
        attach.set_param("FMTTYPE", media_type);
        attach.set_param("SIZE", &attachment.content.size.to_string());
        attach.set_param("FILENAME", &attachment.name);
        attach.remove_param("ENCODING");
        attach.remove_param("VALUE");
    }

    /// The address of an attachment as it stands in objects: absolute.
    fn attachment_url(&self, attachment: &Attachment) -> String {
        let location = Location::Attachment { id: attachment.id.clone(), name: attachment.name.clone() };
        format!("{}{}", self.inner().settings.public_url.trim_end_matches('/'), self.href(&location))
    }

    /// The answer to an action (RFC 8607 §3.4 to §3.6, §5).
    fn told_of_attachment(
        &self,
        mut response: Response<Body>,
        action: &Action,
        new: Option<&Attachment>,
    ) -> Response<Body> {
        let shows_object = response.status() == StatusCode::OK;
        if let Action::Add { .. } = action {
            *response.status_mut() = StatusCode::CREATED;
        }
        let headers = response.headers_mut();
        let mut lines = Vec::new();
        if shows_object {
            lines.push((CONTENT_LOCATION, self.href(&self.location)));
        } else {
            // The client does not know the octets that have it.
            headers.remove(ETAG);
        }
        if let Some(new) = new {
            lines.push((CAL_MANAGED_ID, new.id.to_string()));
            lines.push((LOCATION, self.attachment_url(new)));
        }
        for (name, value) in lines {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        response
    }

    /// Answers with an attachment (RFC 8607 §3.10).
    pub(super) async fn attachment(self, id: AttachmentId) -> Result<Response<Body>, DavError> {
        let Some(files) = self.inner().files.get().cloned() else { return Err(DavError::no_node(&self.path)) };
        if ![Method::GET, Method::HEAD].contains(&self.method) {
            let message = "An attachment is changed by a POST to an object that refers to it";
            let mut response = DavError::method_not_allowed(message).into_response();
            response.headers_mut().insert(http::header::ALLOW, crate::dav::options::ATTACHMENT_METHODS);
            return Ok(response);
        }
        let found = attachments::find(&*files, &id).await?.ok_or_else(|| DavError::no_node(&self.path))?;
        if !self.reads_attachment(&found).await? {
            return Err(self.server.needs(&self.location, Need::Read.privilege()));
        }
        let mut response = self.send_file(files, id.home(), id.path()).await?;
        if let Ok(value) = HeaderValue::from_str(&question::disposition(&found.name)) {
            response.headers_mut().insert(http::header::CONTENT_DISPOSITION, value);
        }
        let private = HeaderValue::from_static("private");
        response.headers_mut().insert(http::header::CACHE_CONTROL, private);
        Ok(response)
    }
}
