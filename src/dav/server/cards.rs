//! Cards as clients send them and as they want them: checked and mended on the way in (RFC 6352 §5.1, §6.3.2.1, dav §6.4),
//! converted and cut to size on the way out (§5.1.1, §8.4, §10.4). What is stored is what was sent.

use std::borrow::Cow;

use http::{Response, StatusCode};

use super::accept::Accept;
use super::access::write_failed;
use super::call::Call;
use super::put::{ATTEMPTS, Conditions, PRODID, stored, text_limits};
use super::rights::{Need, Sight};
use crate::dav::error::{Condition, DavError};
use crate::dav::precondition::etag_of;
use crate::dav::upstream::Body;
use crate::dav::xml::{DataRequest, PropSelection};
use crate::ical::{Item, ParseError, ParseErrorKind, Property};
use crate::ids::Uid;
use crate::store::{Batch, Collection, Expect, Object, ObjectFilter, ObjectMeta, Op, WriteError};
use crate::vcard::{self, Card, CardError, Fault, Severity, Version, jcard};

/// Media type of vCard.
const VCARD: &str = "text/vcard";
/// Properties that no selection leaves out (dav §6.5).
const ALWAYS: [&str; 3] = ["VERSION", "FN", "UID"];

/// A notation of cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// vCard.
    Text(Version),
    /// jCard, which is always 4.0.
    Json,
}

/// A card has no such form; only one that cannot be read has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotConvertible;

impl Form {
    /// What `address-data` asks for: vCard 3.0 where it does not say (RFC 6352 §10.4).
    pub(super) fn requested(data: Option<&DataRequest>) -> Result<Self, DavError> {
        let content_type = data.and_then(|d| d.content_type.as_deref()).unwrap_or(VCARD).trim();
        let version = data.and_then(|d| d.version.as_deref());
        let form = if content_type.eq_ignore_ascii_case(VCARD) {
            Version::parse(version.unwrap_or("3.0")).map(Self::Text)
        } else if content_type.eq_ignore_ascii_case(jcard::MEDIA_TYPE) {
            (version.is_none_or(|v| Version::parse(v) == Some(Version::V4))).then_some(Self::Json)
        } else {
            None
        };
        form.ok_or_else(|| {
            let version = version.map(|v| format!(", version {v}")).unwrap_or_default();
            DavError::forbidden(format!("Cards cannot be answered as {content_type}{version}"))
                .because(Condition::Empty("card:supported-address-data"))
        })
    }

    /// What Accept asks for of a card: `None` for the card as it is stored, which wins where the client does not mind.
    fn negotiated(accept: &Accept, stored: Version) -> Result<Option<Self>, DavError> {
        let text = |version: Version| accept.quality(VCARD, Some(version.as_str()));
        let other = if stored == Version::V3 { Version::V4 } else { Version::V3 };
        let json = accept.quality(jcard::MEDIA_TYPE, Some(Version::V4.as_str()));
        let (as_stored, converted) = (text(stored), text(other).max(json));
        if as_stored == 0 && converted == 0 && (accept.names(VCARD) || accept.names(jcard::MEDIA_TYPE)) {
            return Err(not_convertible());
        }
        Ok(match () {
            () if as_stored >= converted => None,
            () if text(other) >= json => Some(Self::Text(other)),
            () => Some(Self::Json),
        })
    }
}

/// 406: there is no such form of the card (RFC 6352 §5.1.1.1).
fn not_convertible() -> DavError {
    let exception = "Sabre\\DAV\\Exception\\NotAcceptable";
    DavError::new(StatusCode::NOT_ACCEPTABLE, exception, "The card cannot be converted to a media type of Accept")
        .because(Condition::Empty("card:supported-address-data-conversion"))
}

/// The text of `address-data` for a stored card.
pub(super) fn render<'a>(
    data: &'a str,
    form: Form,
    selection: Option<&[PropSelection]>,
) -> Result<Cow<'a, str>, NotConvertible> {
    let wanted = if let Form::Text(wanted) = form { wanted } else { Version::V4 };
    if form == Form::Text(wanted) && selection.is_none() && plain_version(data) == Some(wanted) {
        return Ok(Cow::Borrowed(data));
    }
    let Ok(mut card) = Card::parse(data) else {
        // One card that cannot be read must not make a book unreadable for who asks for nothing special.
        return if form == Form::Text(Version::V3) { Ok(Cow::Borrowed(data)) } else { Err(NotConvertible) };
    };
    // A card of an unknown version is left to readers of 3.0 as it is.
    let is_converted = card.version().unwrap_or(Version::V3) != wanted;
    if is_converted {
        card = card.to_version(wanted);
    }
    if let Some(selection) = selection {
        select(&mut card, selection);
    }
    Ok(match form {
        Form::Json => Cow::Owned(jcard::to_jcard(&card).to_string()),
        Form::Text(_) if is_converted || selection.is_some() => Cow::Owned(card.to_wire()),
        Form::Text(_) => Cow::Borrowed(data),
    })
}

/// The version of a card, seen without parsing: a line that begins with VERSION is nothing else, for what is folded begins
/// with a blank. `None` where it is written in some other way.
fn plain_version(data: &str) -> Option<Version> {
    const NAME: &str = "\nVERSION:";
    let value = &data[data.find(NAME)? + NAME.len()..];
    Version::parse(value.split(['\r', '\n']).next()?)
}

/// Leaves of a card what was asked for, and what makes it a card.
fn select(card: &mut Card, selection: &[PropSelection]) {
    card.root_mut().items.retain_mut(|item| match item {
        Item::Property(p) => match selection.iter().find(|s| vcard::names(&s.name, p)) {
            Some(chosen) => {
                if chosen.without_value {
                    p.set_value("");
                }
                true
            }
            None => ALWAYS.iter().any(|name| vcard::names(name, p)),
        },
        _ => false,
    });
}

/// A card as GET answers it: text and media type.
pub(super) struct Shown {
    pub(super) text: String,
    pub(super) media_type: String,
}

/// The form of a card that Accept asks for; `None` for the card as it is stored.
///
/// The converted card keeps the ETag of the stored one, as in the reference: it names the state that the next PUT replaces.
pub(super) fn negotiate(call: &Call, data: &str) -> Result<Option<Shown>, DavError> {
    let accept = Accept::read(&call.headers);
    let stored = plain_version(data).or_else(|| Card::parse(data).ok()?.version()).unwrap_or(Version::V3);
    let Some(form) = Form::negotiated(&accept, stored)? else { return Ok(None) };
    let card = Card::parse(data).map_err(|_| not_convertible())?;
    Ok(Some(match form {
        Form::Text(version) => Shown {
            text: card.to_version(version).to_wire(),
            media_type: format!("{VCARD}; charset=utf-8; version={version}"),
        },
        Form::Json => {
            let mut card = card.to_version(Version::V4);
            if card.root().get("PRODID").is_none() {
                // Who wrote the notation, which clients of the reference find there (dav §13.2).
                card.root_mut().items.insert(1, Item::Property(Property::new("PRODID", PRODID)));
            }
            Shown {
                text: jcard::to_jcard(&card).to_string(),
                media_type: format!("{}; charset=utf-8", jcard::MEDIA_TYPE),
            }
        }
    }))
}

impl Call {
    /// Stores a card.
    pub(super) async fn put_card(
        self,
        mut collection: Sight,
        uploaded: String,
        mended: bool,
    ) -> Result<Response<Body>, DavError> {
        let conditions = Conditions::read(&self)?;
        let draft = Draft::read(&self, uploaded, mended)?;
        for attempt in 1..=ATTEMPTS {
            if attempt > 1 {
                collection = self.place_to_write().await?;
            }
            let current = self.inner().store.object(collection.id, self.name()).await?;
            conditions.check(&self, current.as_ref().map(|o| o.meta.etag.as_str()))?;
            let (data, uid) = draft.finished(&self, current.as_ref());
            if current.as_ref().is_some_and(|o| o.meta.uid != uid) {
                return Err(self.other_uid());
            }
            if current.is_none() {
                self.check_card_uid(&collection, &uid, &[self.name()]).await?;
            }
            let etag = (!draft.rewritten && data == draft.uploaded).then(|| etag_of(&data));
            let book = self.book_at(&collection).await?;
            let publish = match &current {
                Some(_) => book.card_updated(self.name(), &data),
                None => book.card_created(self.name(), &data),
            };
            let expect = current.as_ref().map_or(Expect::Absent, |o| Expect::Etag(o.meta.etag.clone()));
            let object = object_of(self.name(), data, uid, self.inner().env.now());
            let put = Op::PutObject { collection: collection.id, object, expect };
            let ops = collection.expectation(Need::WriteContent).into_iter().chain([put]).collect();
            match self.server.write(Batch { ops, publish }, Some(collection.id)).await {
                Ok(_) => {
                    let status = if current.is_some() { StatusCode::NO_CONTENT } else { StatusCode::CREATED };
                    return Ok(stored(status, etag.as_deref(), "vCard", &draft.warnings));
                }
                Err(WriteError::Precondition(_)) => {}
                Err(error) => return Err(write_failed(error)),
            }
        }
        Err(DavError::conflict("The card keeps being changed by somebody else"))
    }

    /// Refuses a UID that another card of the book has than these, where the configuration asks for it. Of two that come at
    /// the same moment both may be taken: nothing depends on it but that clients are told.
    pub(super) async fn check_card_uid(&self, book: &Collection, uid: &Uid, but: &[&str]) -> Result<(), DavError> {
        if !self.inner().settings.unique_card_uids {
            return Ok(());
        }
        let filter = ObjectFilter { uid: Some(uid.clone()), ..ObjectFilter::default() };
        let mut after: Option<String> = None;
        loop {
            let found = self.inner().store.query(book.id, &filter, after.as_deref(), but.len() + 1).await?;
            if let Some(other) = found.objects.iter().find(|other| !but.contains(&other.meta.name.as_str())) {
                return Err(self.uid_conflict(book, &other.meta.name));
            }
            after = found.next();
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// 403: a card keeps its UID for as long as it lives (RFC 6352 §6.3.2.1).
    fn other_uid(&self) -> DavError {
        let href = self.href(&self.location);
        DavError::forbidden("The card that is there has another UID")
            .because(Condition::Href("card:no-uid-conflict", href))
    }
}

/// A card as the store keeps it.
pub(super) fn object_of(name: &str, data: String, uid: Uid, now: chrono::DateTime<chrono::Utc>) -> Object {
    let meta = ObjectMeta {
        name: name.to_owned(),
        etag: etag_of(&data),
        size: data.len() as u64,
        modified: now,
        component: "VCARD".to_owned(),
        uid,
        first_occurrence: None,
        last_occurrence: None,
        schedule_tag: None,
    };
    Object { meta, data }
}

/// An uploaded card that was read and checked.
struct Draft {
    /// As the client sent it.
    uploaded: String,
    card: Card,
    /// Whether reading it changed the octets.
    rewritten: bool,
    /// Whether something must be mended.
    broken: bool,
    warnings: Vec<String>,
}

impl Draft {
    fn read(call: &Call, uploaded: String, mended: bool) -> Result<Self, DavError> {
        let is_json = uploaded.trim_start().starts_with('[');
        let card = if is_json { read_json(call, &uploaded)? } else { read_text(call, &uploaded)? };
        let faults = card.faults();
        let strict = call.prefers("handling=strict");
        if let Some(fault) = faults.iter().find(|f| strict || f.severity() == Severity::Refused) {
            return Err(refused(fault, strict));
        }
        let broken = faults.iter().any(|f| f.severity() == Severity::Mended);
        let folded = mended.then(|| "A line was folded within a character".to_owned());
        let warnings = folded.into_iter().chain(faults.iter().map(ToString::to_string)).collect();
        Ok(Self { uploaded, card, rewritten: is_json || mended, broken, warnings })
    }

    /// The text to store and its UID. A card that comes without one keeps that of the card in its place.
    fn finished(&self, call: &Call, current: Option<&Object>) -> (String, Uid) {
        let mut card = self.card.clone();
        if self.broken {
            let uid = current.map_or_else(|| call.inner().env.uuid().to_string(), |o| o.meta.uid.0.clone());
            card.repair(&uid);
        }
        let uid = Uid(card.uid().unwrap_or_default());
        (if self.broken || self.rewritten { card.to_text() } else { self.uploaded.clone() }, uid)
    }
}

fn not_a_card(condition: &'static str, reason: impl std::fmt::Display) -> DavError {
    DavError::unsupported_media_type(format!("This resource only supports valid vCard or jCard data. {reason}"))
        .because(Condition::Empty(condition))
}

fn read_text(call: &Call, uploaded: &str) -> Result<Card, DavError> {
    Card::parse_within(uploaded, text_limits(call)).map_err(|error| match &error {
        CardError::Parse(parse) if matches!(parse.kind, ParseErrorKind::TooLarge { .. }) => too_large(parse),
        CardError::NotACard(_) => not_a_card("card:supported-address-data", format!("It {error}")),
        _ => not_a_card("card:valid-address-data", format!("Parse error: {error}")),
    })
}

fn too_large(error: &ParseError) -> DavError {
    DavError::forbidden(format!("The card is too large: {error}")).because(Condition::Empty("card:max-resource-size"))
}

/// Reads jCard, within the limits of the text that it becomes.
fn read_json(call: &Call, uploaded: &str) -> Result<Card, DavError> {
    let wrong = |reason: String| not_a_card("card:valid-address-data", format!("Parse error: {reason}"));
    text_limits(call).check_notation(uploaded).map_err(|error| too_large(&error))?;
    let value = serde_json::from_str(uploaded).map_err(|e| wrong(e.to_string()))?;
    let card = jcard::from_jcard(&value).map_err(|e| wrong(e.to_string()))?;
    read_text(call, &card.to_wire())
}

/// RFC 6352 §6.3.2.1. Who asks for strictness hears of it as the reference says it (dav §6.4).
fn refused(fault: &Fault, strict: bool) -> DavError {
    let message = format!("Validation error in vCard: {fault}");
    match fault {
        Fault::OtherVersion(_) => DavError::forbidden(message).because(Condition::Empty("card:supported-address-data")),
        _ if strict => DavError::bad_request(message).because(Condition::Empty("card:valid-address-data")),
        _ => DavError::forbidden(message).because(Condition::Empty("card:valid-address-data")),
    }
}
