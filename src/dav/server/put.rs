//! PUT: the one way a client's text becomes an object. Each rule is a step with a name, run in the order of dav §10.

use bytes::Bytes;
use http::header::{ETAG, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use super::access::write_failed;
use super::call::Call;
use super::schedule::Scheduled;
use super::{answer, publish, schedule, schedule_tag};
use crate::dav::error::{Condition, DavError};
use crate::dav::path::{Location, Space};
use crate::dav::precondition::{Preconditions, ResourceState, etag_of, quoted};
use crate::dav::upstream::Body;
use crate::ical::object::Repair;
use crate::ical::{self, CalendarObject, Component, Limits, ObjectError, ParseErrorKind, Property, jcal, recur};
use crate::ids::Uid;
use crate::store::{Batch, Collection, CollectionKind, Expect, Object, ObjectMeta, Op, WriteError};

/// `PRODID` of what this server writes itself.
pub(super) const PRODID: &str = "-//convoke//convoke//EN";
/// How often a write is tried again when somebody else writes the same object at the same time.
pub(super) const ATTEMPTS: usize = 5;

const X_SABRE_EW_GROSS: HeaderName = HeaderName::from_static("x-sabre-ew-gross");

/// The conditions of a request, about the resource at its location.
pub(super) struct Conditions(Preconditions);

impl Conditions {
    pub(super) fn read(call: &Call) -> Result<Self, DavError> {
        Ok(Self(Preconditions::read(&call.headers)?))
    }

    /// Refuses the request where its conditions do not hold for what is there.
    pub(super) fn check(&self, call: &Call, etag: Option<&str>) -> Result<(), DavError> {
        let state = ResourceState { location: &call.location, etag, token: None };
        Ok(self.0.check(&[state], &call.server.0.settings.base)?)
    }
}

impl Call {
    /// Stores an object.
    pub(super) async fn put(mut self) -> Result<Response<Body>, DavError> {
        let Location::Member { space, home, ref uri, .. } = self.location else {
            self.target().await?;
            return Err(DavError::method_not_allowed("Only objects of calendars and address books can be put"));
        };
        self.server.require_owner(&self.who, &self.location, "d:write-content").await?;
        let collection = self.server.collection(space, home, &uri.clone()).await?;
        let limit = self.inner().settings.limits.object_bytes;
        let (text, mended) = self.object_text(space, limit).await?;
        match collection.kind {
            CollectionKind::Calendar => self.put_event(collection, text, mended).await,
            CollectionKind::AddressBook => self.put_card(collection, text, mended).await,
            CollectionKind::Inbox | CollectionKind::Outbox => Err(self.server.needs(&self.location, "d:write-content")),
        }
    }

    /// The upload, and whether its octets had to be mended to be text.
    async fn object_text(&mut self, space: Space, limit: usize) -> Result<(String, bool), DavError> {
        let condition = if space == Space::Calendars { "cal:max-resource-size" } else { "card:max-resource-size" };
        let too_large = DavError::forbidden(format!("The object is larger than {limit} octets"))
            .because(Condition::Empty(condition));
        let body: Bytes = self.body(limit, too_large).await?;
        ical::decode(body.into()).map_err(|_| DavError::unsupported_media_type("The object is not UTF-8 text"))
    }

    /// Stores a calendar object.
    async fn put_event(
        self,
        collection: Collection,
        uploaded: String,
        mended: bool,
    ) -> Result<Response<Body>, DavError> {
        let conditions = Conditions::read(&self)?;
        let draft = Draft::read(&self, &collection, uploaded, mended)?;
        let import = self.has_parameter("import");
        for attempt in 1..=ATTEMPTS {
            let store = &self.inner().store;
            let current = store.object(collection.id, self.name()).await?;
            conditions.check(&self, current.as_ref().map(|o| o.meta.etag.as_str()))?;
            schedule_tag::check(&self, current.as_ref().map(|o| &o.meta))?;
            let immediate = self.immediate_deliveries(attempt);
            match self.try_put_event(&collection, &draft, current, import, immediate).await? {
                Some(response) => return Ok(response),
                // Somebody else wrote the object since it was read: everything is decided anew.
                None => continue,
            }
        }
        Err(DavError::conflict("The object keeps being changed by somebody else"))
    }

    /// One attempt; `None` when the object is not any more what the decisions were based on.
    async fn try_put_event(
        &self,
        collection: &Collection,
        draft: &Draft,
        current: Option<Object>,
        import: bool,
        immediate: usize,
    ) -> Result<Option<Response<Body>>, DavError> {
        let old = current.as_ref().and_then(|o| Component::parse(&o.data).ok());
        let mut batch = Batch::default();
        let mut existing = current.as_ref().map(|object| (object, old.as_ref()));
        if import {
            batch = self.replaced_by_import(collection, draft).await?;
            existing = None;
        }
        let mut calendar = draft.object.root().clone();
        let mut scheduled = Scheduled::default();
        let owner = self.owner_of(collection).await?;
        schedule::name_alarms(self, &mut calendar);
        if !import {
            self.name_by_mail(&mut calendar, owner.domain).await?;
            let known = existing.and_then(|(_, old)| old);
            schedule::validate_organizer(self, known, &calendar, &owner).await?;
            if known.is_none() {
                schedule::require_unique(self, (collection, self.name()), None, &calendar, &owner).await?;
            }
        }
        if schedule::wanted(self) {
            if let Some((_, Some(old))) = existing {
                schedule::follow_participation(self, old, &mut calendar);
                schedule::guard_changes(self, old, &calendar, &owner)?;
                schedule::keep_answers(self, old, &mut calendar, &owner);
            }
            let before = existing.and_then(|(object, old)| Some((object.data.as_str(), old?)));
            scheduled = schedule::of_write(self, collection, &owner, before, &mut calendar, immediate).await?;
        }
        let data = if calendar == *draft.object.root() && !draft.repaired {
            draft.uploaded.clone()
        } else {
            calendar.to_text()
        };
        let unchanged = !draft.repaired && data == draft.uploaded;
        let now = self.inner().env.now();
        let mut object = object_of(self.name(), data, &calendar, draft.object.component_type(), now);
        object.meta.schedule_tag = schedule_tag::of_write(&object.meta, &calendar, &owner);
        let tag = object.meta.schedule_tag.clone();
        batch.publish.extend(self.told(collection, &object, &calendar, existing, import));
        batch.publish.append(&mut scheduled.publish);
        let etag = object.meta.etag.clone();
        let expect = match (&current, import) {
            (_, true) => Expect::Any,
            (Some(current), false) => Expect::Etag(current.meta.etag.clone()),
            (None, false) => Expect::Absent,
        };
        let put = batch.ops.len();
        batch.ops.push(Op::PutObject { collection: collection.id, object, expect });
        batch.ops.append(&mut scheduled.ops);
        match self.inner().store.write(batch).await {
            Ok(_) => {
                let status = if existing.is_some() { StatusCode::NO_CONTENT } else { StatusCode::CREATED };
                let mut response = stored(status, unchanged.then_some(etag.as_str()), &draft.warnings);
                schedule_tag::tell(&mut response, tag.as_deref());
                Ok(Some(response))
            }
            Err(WriteError::UidConflict { op, name }) if op == put => Err(self.uid_conflict(collection, &name)),
            // The object, or somebody's copy of it, is another by now.
            Err(WriteError::Precondition(_) | WriteError::UidConflict { .. }) => Ok(None),
            Err(error) => Err(write_failed(error)),
        }
    }

    /// How many messages are delivered together with the write. The last attempt leaves them to the queue: copies that
    /// keep being written by their owners must not keep this object from being written.
    pub(super) fn immediate_deliveries(&self, attempt: usize) -> usize {
        if attempt < ATTEMPTS { self.inner().settings.immediate_deliveries } else { 0 }
    }

    /// An import takes the place of whatever has its UID in the home (dav §10).
    async fn replaced_by_import(&self, collection: &Collection, draft: &Draft) -> Result<Batch, DavError> {
        let mut batch = Batch::default();
        let found = self.inner().store.find_uid(collection.home, &Uid(draft.object.uid().to_owned())).await?;
        let by = self.who.principal();
        for (from, object) in found {
            let is_overwritten = from.id == collection.id && object.meta.name == self.name();
            if let (false, Ok(calendar)) = (is_overwritten, Component::parse(&object.data)) {
                batch.publish.extend(publish::Subject::stored(&from, &object, &calendar, &by).deleted(Some(true)));
            }
            batch.ops.push(Op::DeleteObject { collection: from.id, name: object.meta.name, expect: Expect::Any });
        }
        Ok(batch)
    }

    fn told(
        &self,
        collection: &Collection,
        object: &Object,
        calendar: &Component,
        existing: Option<(&Object, Option<&Component>)>,
        import: bool,
    ) -> Vec<crate::events::Message> {
        let by = self.who.principal();
        let subject = publish::Subject::stored(collection, object, calendar, &by);
        match existing {
            Some((old_object, Some(old))) => {
                subject.updated(&publish::Subject::stored(collection, old_object, old, &by), Some(import))
            }
            // What was there could not be read: to the others it was never there.
            _ => subject.created(Some(import)),
        }
    }

    /// Stores a card.
    async fn put_card(
        self,
        collection: Collection,
        uploaded: String,
        mended: bool,
    ) -> Result<Response<Body>, DavError> {
        let conditions = Conditions::read(&self)?;
        let not_a_card = |reason: String| {
            DavError::unsupported_media_type(format!("This resource only supports valid vCard data. {reason}"))
                .because(Condition::Empty("card:valid-address-data"))
        };
        let limits = text_limits(&self);
        let mut card =
            Component::parse_within(&uploaded, limits).map_err(|e| not_a_card(format!("Parse error: {e}")))?;
        if !card.is("VCARD") {
            return Err(not_a_card(format!("Expected a VCARD, found {}", card.name())));
        }
        let mut warnings = Vec::new();
        if mended {
            warnings.push("A line was folded within a character".to_owned());
        }
        let mut data = uploaded;
        if card.value("UID").is_none_or(|uid| uid.trim().is_empty()) {
            card.set(Property::new("UID", self.inner().env.uuid().to_string()));
            warnings.push("Adding a UID to a vCard property is required".to_owned());
            data = card.to_text();
        }
        let uid = Uid(card.value("UID").unwrap_or_default().trim().to_owned());
        for _ in 0..ATTEMPTS {
            let store = &self.inner().store;
            let current = store.object(collection.id, self.name()).await?;
            conditions.check(&self, current.as_ref().map(|o| o.meta.etag.as_str()))?;
            let meta = ObjectMeta {
                name: self.name().to_owned(),
                etag: etag_of(&data),
                size: data.len() as u64,
                modified: self.inner().env.now(),
                component: "VCARD".to_owned(),
                uid: uid.clone(),
                first_occurrence: None,
                last_occurrence: None,
                schedule_tag: None,
            };
            let etag = meta.etag.clone();
            let object = Object { meta, data: data.clone() };
            let expect = current.as_ref().map_or(Expect::Absent, |o| Expect::Etag(o.meta.etag.clone()));
            let ops = vec![Op::PutObject { collection: collection.id, object, expect }];
            match store.write(Batch { ops, publish: Vec::new() }).await {
                Ok(_) => {
                    let status = if current.is_some() { StatusCode::NO_CONTENT } else { StatusCode::CREATED };
                    return Ok(stored(status, warnings.is_empty().then_some(etag.as_str()), &warnings));
                }
                Err(WriteError::Precondition(_)) => {}
                Err(WriteError::UidConflict { name, .. }) => return Err(self.uid_conflict(&collection, &name)),
                Err(error) => return Err(write_failed(error)),
            }
        }
        Err(DavError::conflict("The card keeps being changed by somebody else"))
    }

    /// 403: another object of the collection has the UID (RFC 4791 §5.3.2.1).
    pub(super) fn uid_conflict(&self, collection: &Collection, name: &str) -> DavError {
        let space = super::access::space_of(collection.kind);
        let tag = if space == Space::Calendars { "cal:no-uid-conflict" } else { "card:no-uid-conflict" };
        let taken =
            Location::Member { space, home: collection.home, uri: collection.uri.clone(), name: name.to_owned() };
        DavError::forbidden(format!("Another object of this collection has this UID: {name}"))
            .because(Condition::Href(tag, self.href(&taken)))
    }

    /// The segment of the object that the request is about.
    fn name(&self) -> &str {
        match &self.location {
            Location::Member { name, .. } => name,
            _ => "",
        }
    }
}

fn text_limits(call: &Call) -> Limits {
    let limits = &call.server.0.settings.limits;
    Limits { bytes: limits.object_bytes, depth: limits.object_depth, lines: limits.object_lines }
}

/// The answer to a stored object. The ETag is told only where the client knows the octets that have it.
fn stored(status: StatusCode, etag: Option<&str>, warnings: &[String]) -> Response<Body> {
    let mut response = answer::empty(status);
    if let Some(value) = etag.and_then(|etag| HeaderValue::from_str(&quoted(etag)).ok()) {
        response.headers_mut().insert(ETAG, value);
    }
    if !warnings.is_empty()
        && let Ok(value) = HeaderValue::from_str(&format!("iCalendar validation warning: {}", warnings.join(", ")))
    {
        response.headers_mut().insert(X_SABRE_EW_GROSS, value);
    }
    response
}

/// An object as the store keeps it, with what the index must know. Dates and floating times are indexed as if they were
/// UTC; queries in other zones look around by as much as zones differ.
pub(super) fn object_of(
    name: &str,
    data: String,
    calendar: &Component,
    component: &str,
    now: chrono::DateTime<chrono::Utc>,
) -> Object {
    let span = recur::span(calendar, chrono_tz::Tz::UTC);
    let uid = calendar.components().find_map(|c| if c.is("VTIMEZONE") { None } else { c.value("UID") });
    let meta = ObjectMeta {
        name: name.to_owned(),
        etag: etag_of(&data),
        size: data.len() as u64,
        modified: now,
        component: component.to_owned(),
        uid: Uid(uid.unwrap_or_default().trim().to_owned()),
        first_occurrence: span.first.map(|t| t.timestamp()),
        last_occurrence: span.last.map(|t| t.timestamp()),
        schedule_tag: None,
    };
    Object { meta, data }
}

/// An upload that was read and checked.
struct Draft {
    /// As the client sent it.
    uploaded: String,
    object: CalendarObject,
    /// Whether reading it mended or converted something.
    repaired: bool,
    warnings: Vec<String>,
}

impl Draft {
    /// Reads and checks an upload (dav §6.4).
    fn read(call: &Call, collection: &Collection, uploaded: String, mended: bool) -> Result<Self, DavError> {
        let is_json = uploaded.trim_start().starts_with('[');
        let mut object = if is_json { read_json(&uploaded)? } else { read_text(&uploaded, text_limits(call))? };
        let component = object.component_type();
        let taken = &collection.props.components;
        if !taken.is_empty() && !taken.iter().any(|c| c == component) {
            let message = format!("This calendar only supports {}. We found a {component}", taken.join(", "));
            return Err(DavError::new(
                StatusCode::FORBIDDEN,
                "Sabre\\CalDAV\\Exception\\InvalidComponentType",
                message,
            )
            .because(Condition::Empty("cal:supported-calendar-component")));
        }
        let most = call.inner().settings.limits.attendees;
        if object.components().any(|c| c.all("ATTENDEE").nth(most).is_some()) {
            return Err(DavError::forbidden(format!("An event invites at most {most} attendees"))
                .because(Condition::Empty("cal:max-attendees-per-instance")));
        }
        let faults = object.faults();
        if let (true, Some(fault)) = (call.prefers("handling=strict"), faults.first()) {
            return Err(invalid(&fault.to_string()));
        }
        if let Some(fault) = faults.iter().find(|fault| !fault.is_mendable()) {
            return Err(invalid(&fault.to_string()));
        }
        if !faults.is_empty() {
            let env = &call.inner().env;
            let uid = env.uuid().to_string();
            object.repair(&Repair { prodid: PRODID, uid: &uid, now: env.now() });
        }
        let warnings = faults.iter().map(ToString::to_string).collect();
        Ok(Self { uploaded, object, repaired: is_json || mended || !faults.is_empty(), warnings })
    }
}

fn read_text(uploaded: &str, limits: Limits) -> Result<CalendarObject, DavError> {
    CalendarObject::parse_within(uploaded, limits).map_err(|error| refused(&error))
}

/// Reads jCal, which clients may send in the place of iCalendar (dav §6.3).
fn read_json(uploaded: &str) -> Result<CalendarObject, DavError> {
    let not_jcal = |reason: String| DavError::unsupported_media_type(format!("The body is not valid jCal: {reason}"));
    let value = serde_json::from_str(uploaded).map_err(|e| not_jcal(e.to_string()))?;
    let root = jcal::from_jcal(&value).map_err(|e| not_jcal(e.to_string()))?;
    CalendarObject::from_root(root).map_err(|error| refused(&error))
}

fn refused(error: &ObjectError) -> DavError {
    match error {
        ObjectError::Parse(parse) if matches!(parse.kind, ParseErrorKind::TooLarge { .. }) => {
            DavError::forbidden(format!("The object is too large: {error}"))
                .because(Condition::Empty("cal:max-resource-size"))
        }
        _ if error.is_not_icalendar() => {
            let message = format!("This resource only supports valid iCalendar 2.0 data. Parse error: {error}");
            DavError::unsupported_media_type(message).because(Condition::Empty("cal:valid-calendar-data"))
        }
        ObjectError::NoComponent => {
            let message = "iCalendar objects must at least have a component of type VEVENT, VTODO";
            DavError::new(StatusCode::FORBIDDEN, "Sabre\\CalDAV\\Exception\\InvalidComponentType", message)
                .because(Condition::Empty("cal:supported-calendar-component"))
        }
        _ => invalid(&error.to_string()),
    }
}

fn invalid(detail: &str) -> DavError {
    DavError::bad_request(format!("Validation error in iCalendar: {detail}"))
        .because(Condition::Empty("cal:valid-calendar-object-resource"))
}
