//! PUT: the one way a client's text becomes an object. Each rule is a step with a name, run in the order of dav §10.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LAST_MODIFIED};
use http::{Response, StatusCode};

use super::access::write_failed;
use super::call::Call;
use super::media::Format;
use super::properties::{http_date, media_type};
use super::rights::{Need, Sight};
use super::schedule::Scheduled;
use super::{answer, inline_attachments, publish, put_limits, schedule, schedule_tag};
use crate::dav::error::{Condition, DavError};
use crate::dav::path::{Location, Space};
use crate::dav::precondition::{Preconditions, ResourceState, etag_of, quoted};
use crate::dav::upstream::Body;
use crate::events::{Message, Topic};
use crate::ical::object::{Fault, Repair};
use crate::ical::{self, CalendarObject, Component, Limits, Property, recur, strict};
use crate::ids::Uid;
use crate::itip;
use crate::store::attachments::{self, AttachmentId};
use crate::store::{Batch, Collection, CollectionKind, Expect, Object, ObjectMeta, Op, WriteError};

/// `PRODID` of what this server writes itself.
pub(super) const PRODID: &str = "-//convoke//convoke//EN";
/// How often a write is tried again when somebody else writes the same object at the same time.
pub(super) const ATTEMPTS: usize = 5;

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
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
        let Location::Member { space, .. } = self.location else {
            self.target().await?;
            return Err(DavError::method_not_allowed("Only objects of calendars and address books can be put"));
        };
        let limit = self.inner().settings.limits.object_bytes;
        let (text, mended) = self.object_text(space, limit).await?;
        // The body may take its time: what may be done is what may be done when it is there.
        let collection = self.place_to_write().await?;
        match collection.kind {
            CollectionKind::Calendar => self.put_event(collection, text, mended).await,
            CollectionKind::AddressBook => self.put_card(collection, text, mended).await,
            CollectionKind::Inbox | CollectionKind::Outbox => {
                Err(self.server.needs(&self.location, Need::WriteContent.privilege()))
            }
        }
    }

    /// Where the object goes, as the actor may write there now.
    pub(super) async fn place_to_write(&self) -> Result<Sight, DavError> {
        self.server.see(&self.who, &self.location, Need::WriteContent).await
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
        mut collection: Sight,
        uploaded: String,
        mended: bool,
    ) -> Result<Response<Body>, DavError> {
        let conditions = Conditions::read(&self)?;
        let draft = Draft::read(&self, &collection, uploaded, mended)?;
        let import = self.has_parameter("import");
        for attempt in 1..=ATTEMPTS {
            if attempt > 1 {
                collection = self.place_to_write().await?;
            }
            let current = self.inner().store.object(collection.id, self.name()).await?;
            current.as_ref().map_or(Ok(()), |current| collection.guard(current))?;
            if let Err(error) = conditions.check(&self, current.as_ref().map(|o| o.meta.etag.as_str())) {
                return self.not_as_expected(error, current.as_ref(), &collection);
            }
            schedule_tag::check(&self, current.as_ref().map(|o| &o.meta))?;
            self.keeps_uid(&collection, &draft, current.as_ref())?;
            self.knows_zones(&draft, current.as_ref())?;
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
    pub(super) async fn try_put_event(
        &self,
        collection: &Sight,
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
            // To the others it is a new one.
            existing = None;
        }
        let mut calendar = draft.object.root().clone();
        if let Some((current, _)) =
            existing.filter(|(current, _)| !draft.named_itself && !current.meta.uid.0.is_empty())
        {
            let named = calendar.components_mut().filter(|c| !c.is("VTIMEZONE"));
            named.for_each(|c| c.set(Property::with_text("UID", &current.meta.uid.0)));
        }
        let held = existing.and_then(|(_, old)| old);
        self.settle_attachments(held, &mut calendar, draft.attached.as_ref(), import || self.imported).await?;
        let mut scheduled = Scheduled::default();
        let known: Vec<&Component> = existing.iter().filter_map(|(_, old)| *old).chain([&calendar]).collect();
        let owner = self.scheduler_at(collection, &known).await?;
        inline_attachments::settle(self.inner().settings.inline_attachments, &mut calendar)?;
        itip::pair_conferences(&mut calendar);
        schedule::name_alarms(self, &mut calendar);
        self.name_team(collection.source(), &mut calendar);
        if !import {
            self.name_by_mail(&mut calendar, owner.domain).await?;
            let known = existing.and_then(|(_, old)| old);
            schedule::validate_organizer(self, known, &calendar, &owner).await?;
            if known.is_none() {
                schedule::require_unique(self, (collection.source(), self.name()), None, &calendar, &owner).await?;
            }
        }
        // Also where nobody is to be told.
        if let (false, Some((_, Some(old)))) = (import, existing) {
            schedule::follow_participation(self, old, &mut calendar, &owner);
            schedule::guard_changes(self, old, &mut calendar, &owner)?;
            schedule::keep_answers(self, old, &mut calendar, &owner);
        }
        if schedule::wanted(self) {
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
        let told = self.told(collection, &object, &calendar, existing, import || self.imported).await?;
        batch.publish.extend(told);
        batch.publish.extend(self.besides(&scheduled.topics, collection, &object, &calendar).await?);
        batch.publish.append(&mut scheduled.publish);
        let etag = object.meta.etag.clone();
        let answered = self.prefers("return=representation").then(|| object.clone());
        let mut let_go = old.as_ref().map(attachments::referred).unwrap_or_default();
        if !let_go.is_empty() {
            let kept = attachments::referred(&calendar);
            let_go.retain(|id| !kept.contains(id));
        }
        let expect = current.as_ref().map_or(Expect::Absent, |current| Expect::Etag(current.meta.etag.clone()));
        batch.ops.extend(collection.expectation(Need::WriteContent));
        let put = batch.ops.len();
        batch.ops.push(Op::PutObject { collection: collection.id, object, expect });
        batch.ops.append(&mut scheduled.ops);
        match self.server.write(batch, Some(collection.id)).await {
            Ok(_) => {
                self.server.release_attachments(&let_go).await;
                let status = if existing.is_some() { StatusCode::NO_CONTENT } else { StatusCode::CREATED };
                let mut response = stored(status, unchanged.then_some(etag.as_str()), "iCalendar", &draft.warnings);
                schedule_tag::tell(&mut response, tag.as_deref());
                if let Some(object) = answered {
                    response = self.represented(response, &object, collection);
                }
                Ok(Some(response))
            }
            // Somebody else's calendar is full: the queue sees to what is for them.
            Err(WriteError::NoRoom(op)) if op > put && immediate > 0 => {
                let again = self.try_put_event(collection, draft, current.clone(), import, 0);
                Box::pin(again).await
            }
            Err(WriteError::UidConflict { op, name }) if op == put && !import => {
                Err(self.uid_conflict(collection, &name))
            }
            // The object, or somebody's copy of it, is another by now; or the right to write it is.
            Err(WriteError::Precondition(_) | WriteError::UidConflict { .. }) => Ok(None),
            Err(error) => Err(write_failed(error)),
        }
    }

    /// How many messages are delivered together with the write. The last attempt leaves them to the queue: copies that
    /// keep being written by their owners must not keep this object from being written.
    pub(super) fn immediate_deliveries(&self, attempt: usize) -> usize {
        if attempt < ATTEMPTS { self.inner().settings.immediate_deliveries } else { 0 }
    }

    /// Refuses time zones that nobody knows, unless they came with what is stored: an invitation must be answerable. What is
    /// imported was made elsewhere, and nobody is there to mend it.
    fn knows_zones(&self, draft: &Draft, current: Option<&Object>) -> Result<(), DavError> {
        let unknown = put_limits::check_zones(&draft.object);
        let Some(current) = current.filter(|_| unknown.is_err()) else {
            return if self.has_parameter("import") { Ok(()) } else { unknown };
        };
        let held = CalendarObject::parse(&current.data).is_ok_and(|held| put_limits::check_zones(&held).is_err());
        if held || self.has_parameter("import") { Ok(()) } else { unknown }
    }

    /// RFC 4791 §5.3.2.1: an object keeps its UID for life. One that the client gave none goes on under the old.
    fn keeps_uid(&self, collection: &Collection, draft: &Draft, current: Option<&Object>) -> Result<(), DavError> {
        let Some(current) = current.filter(|_| draft.named_itself && !self.has_parameter("import")) else {
            return Ok(());
        };
        let old = &current.meta.uid.0;
        if old.is_empty() || old == draft.object.uid() {
            Ok(())
        } else {
            Err(self.uid_conflict(collection, &current.meta.name))
        }
    }

    /// The answer to conditions that do not hold: with the object as it is, where the client would ask for it next
    /// (RFC 8144 §3.2).
    fn not_as_expected(
        &self,
        error: DavError,
        current: Option<&Object>,
        collection: &Collection,
    ) -> Result<Response<Body>, DavError> {
        let wanted = error.status == StatusCode::PRECONDITION_FAILED && self.prefers("return=representation");
        match current.filter(|_| wanted) {
            Some(object) => Ok(self.represented(answer::empty(StatusCode::PRECONDITION_FAILED), object, collection)),
            None => Err(error),
        }
    }

    /// The answer with the object as it is stored (RFC 8144 §2.2).
    fn represented(&self, mut response: Response<Body>, object: &Object, collection: &Collection) -> Response<Body> {
        if response.status() == StatusCode::NO_CONTENT {
            *response.status_mut() = StatusCode::OK;
        }
        *response.body_mut() = Body::from(object.data.clone());
        let headers = response.headers_mut();
        let lines = [
            (ETAG, quoted(&object.meta.etag)),
            (CONTENT_TYPE, media_type(collection, &object.meta)),
            (LAST_MODIFIED, http_date(object.meta.modified)),
            (PREFERENCE_APPLIED, "return=representation".to_owned()),
        ];
        for (name, value) in lines {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        response
    }

    /// An import takes the place of whatever has its UID in the home (dav §10). What is at its own place is overwritten.
    async fn replaced_by_import(&self, collection: &Sight, draft: &Draft) -> Result<Batch, DavError> {
        let mut batch = Batch::default();
        // Of somebody else's home only the calendar that they let one write to.
        let is_own = collection.is_own();
        let found = self.inner().store.find_uid(collection.source().home, &Uid(draft.object.uid().to_owned())).await?;
        let by = self.who.principal();
        for (from, object) in found {
            if !is_own && from.id != collection.id {
                continue;
            }
            if from.id == collection.id && object.meta.name == self.name() {
                continue;
            }
            collection.guard(&object)?;
            if let Ok(calendar) = Component::parse(&object.data) {
                let audience = self.server.audience_at_home(&from).await?;
                batch.publish.extend(publish::Subject::stored(&audience, &object, &calendar, &by).deleted(Some(true)));
            }
            // What was judged, and nothing that somebody has put in its place since.
            let expect = Expect::Etag(object.meta.etag);
            batch.ops.push(Op::DeleteObject { collection: from.id, name: object.meta.name, expect });
        }
        Ok(batch)
    }

    async fn told(
        &self,
        collection: &Sight,
        object: &Object,
        calendar: &Component,
        existing: Option<(&Object, Option<&Component>)>,
        import: bool,
    ) -> Result<Vec<Message>, DavError> {
        let by = self.who.principal();
        let audience = self.server.audience(collection).await?;
        let subject = publish::Subject::stored(&audience, object, calendar, &by);
        Ok(match existing {
            Some((old_object, Some(old))) => {
                subject.updated(&publish::Subject::stored(&audience, old_object, old, &by), Some(import))
            }
            // What was there could not be read: to the others it was never there.
            _ => subject.created(Some(import)),
        })
    }

    /// What is told of a written object besides.
    async fn besides(
        &self,
        topics: &[Topic],
        sight: &Sight,
        object: &Object,
        calendar: &Component,
    ) -> Result<Vec<Message>, DavError> {
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let audience = self.server.audience_at_home(sight.source()).await?;
        Ok(publish::besides(topics, &audience, sight.source(), (object, calendar), &self.who.principal()))
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
    pub(super) fn name(&self) -> &str {
        match &self.location {
            Location::Member { name, .. } => name,
            _ => "",
        }
    }
}

pub(super) fn text_limits(call: &Call) -> Limits {
    let limits = &call.server.0.settings.limits;
    Limits { bytes: limits.object_bytes, depth: limits.object_depth, lines: limits.object_lines }
}

/// The answer to a stored object. The ETag is told only where the client knows the octets that have it.
pub(super) fn stored(status: StatusCode, etag: Option<&str>, format: &str, warnings: &[String]) -> Response<Body> {
    let mut response = answer::empty(status);
    if let Some(value) = etag.and_then(|etag| HeaderValue::from_str(&quoted(etag)).ok()) {
        response.headers_mut().insert(ETAG, value);
    }
    if !warnings.is_empty()
        && let Ok(value) = HeaderValue::from_str(&format!("{format} validation warning: {}", warnings.join(", ")))
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

/// An upload that was read and checked, or what the server made of an object that is stored.
pub(super) struct Draft {
    /// As the client sent it.
    uploaded: String,
    object: CalendarObject,
    /// Whether reading it mended or converted something.
    repaired: bool,
    /// Whether the client gave it a UID.
    named_itself: bool,
    warnings: Vec<String>,
    /// The attachment that was made for it.
    attached: Option<AttachmentId>,
}

impl Draft {
    /// What the server itself made of an object, whose new attachment this is.
    ///
    /// # Errors
    /// 403 where it is larger than an object may be.
    pub(super) fn of_server(
        call: &Call,
        object: CalendarObject,
        attached: Option<AttachmentId>,
    ) -> Result<Self, DavError> {
        let (uploaded, most) = (object.root().to_text(), call.inner().settings.limits.object_bytes);
        if uploaded.len() > most {
            return Err(DavError::forbidden(format!("The object would be larger than {most} octets"))
                .because(Condition::Empty("cal:max-resource-size")));
        }
        Ok(Self { uploaded, object, repaired: false, named_itself: true, warnings: Vec::new(), attached })
    }

    /// Reads and checks an upload (dav §6.4, RFC 4791 §5.3.2.1).
    fn read(call: &Call, collection: &Collection, uploaded: String, mended: bool) -> Result<Self, DavError> {
        let (mut object, format) = call.read_object(&uploaded, text_limits(call))?;
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
        put_limits::check(&object, &call.inner().settings.limits)?;
        let faults = object.faults();
        if call.prefers("handling=strict") {
            if let Some(fault) = faults.first() {
                return Err(not_strict(&format!("Validation error in iCalendar: {fault}")));
            }
            strict::check(&object)
                .map_err(|fault| not_strict(&format!("Validation error in iCalendar (RFC 5545: {fault})")))?;
        }
        if let Some(fault) = faults.iter().find(|fault| !fault.is_mendable()) {
            return Err(invalid_object(&fault.to_string()));
        }
        let named_itself = !faults.iter().any(|fault| matches!(fault, Fault::Uid(_)));
        if !faults.is_empty() {
            let env = &call.inner().env;
            let uid = env.uuid().to_string();
            object.repair(&Repair { prodid: PRODID, uid: &uid, now: env.now() });
        }
        let warnings = faults.iter().map(ToString::to_string).collect();
        let repaired = format != Format::ICalendar || mended || !faults.is_empty();
        Ok(Self { uploaded, object, repaired, named_itself, warnings, attached: None })
    }
}

/// 403: the object is iCalendar, but not what CalDAV keeps (RFC 4791 §4.1).
pub(super) fn invalid_object(detail: &str) -> DavError {
    DavError::forbidden(format!("Validation error in iCalendar: {detail}"))
        .because(Condition::Empty("cal:valid-calendar-object-resource"))
}

/// 400: the client asked for strictness, and gets it (dav §6.4, §18.14).
fn not_strict(message: &str) -> DavError {
    DavError::bad_request(message).because(Condition::Empty("cal:valid-calendar-object-resource"))
}
