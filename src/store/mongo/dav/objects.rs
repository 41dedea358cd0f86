//! Rows of objects: `calendarobjects`, `cards`, `schedulingobjects`.
//!
//! Where dav §14 has no field for what we know, it is in `convoke`, which is believed only as long as its `etag` is that of
//! the row: esn-sabre writes objects without knowing of it.

use md5::{Digest as _, Md5};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, DateTime, Document, doc};

use super::collections::OURS;
use super::place::{Place, Shelf};
use super::value;
use crate::ical::Component;
use crate::ids::Uid;
use crate::store::{Object, ObjectMeta};

/// `lastoccurence` of what never ends: 2038-01-01T00:00:00Z.
pub(super) const FAR: i64 = 2_145_916_800;
/// esn-sabre takes midnight of its own time zone.
const FAR_ANYWHERE: i64 = FAR - 86_400;

/// A row lacks something that only its text can tell.
pub(super) struct NeedsText;

/// Everything but the text.
pub(super) fn without_text(shelf: Shelf) -> Document {
    doc! { shelf.data(): 0 }
}

/// An object with its text; `None` for a row without name or text.
pub(super) fn object(shelf: Shelf, row: &Document) -> Option<Object> {
    let data = text_of(shelf, row)?;
    let meta = meta_of(shelf, row, Some(&data)).ok()??;
    Some(Object { meta, data })
}

fn text_of(shelf: Shelf, row: &Document) -> Option<String> {
    match row.get(shelf.data())? {
        Bson::String(text) => Some(text.clone()),
        // Written as octets by some importer.
        Bson::Binary(octets) => Some(String::from_utf8_lossy(&octets.bytes).into_owned()),
        _ => None,
    }
}

/// Octets of the text in a row.
pub(super) fn octets(shelf: Shelf, row: &Document) -> u64 {
    match row.get(shelf.data()) {
        Some(Bson::String(text)) => text.len() as u64,
        Some(Bson::Binary(octets)) => octets.bytes.len() as u64,
        _ => 0,
    }
}

/// What is known of an object; `None` for a row without name.
pub(super) fn meta(shelf: Shelf, row: &Document) -> Result<Option<ObjectMeta>, NeedsText> {
    meta_of(shelf, row, None)
}

/// An object's ETag without quotes; `None` where the row has none.
pub(super) fn etag(row: &Document) -> Option<String> {
    value::words(row.get("etag")).map(|etag| etag.trim_matches('"').to_owned())
}

/// What we wrote down beside the row, while it is about this row.
fn ours(row: &Document) -> Option<&Document> {
    let ours = value::inner(row, OURS)?;
    let about = ours.get_str("etag").ok()?;
    (etag(row)? == about).then_some(ours)
}

fn meta_of(shelf: Shelf, row: &Document, data: Option<&str>) -> Result<Option<ObjectMeta>, NeedsText> {
    let Some(name) = value::words(row.get("uri")) else { return Ok(None) };
    let ours = ours(row);
    let etag = match (etag(row), data) {
        (Some(etag), _) => etag,
        (None, Some(data)) => hex::encode(Md5::digest(data)),
        (None, None) => return Err(NeedsText),
    };
    let size = match (value::number(row.get("size")), data) {
        (Some(size), _) => u64::try_from(size).unwrap_or(0),
        (None, Some(data)) => data.len() as u64,
        (None, None) => return Err(NeedsText),
    };
    let told = told(shelf, row, ours);
    let (component, uid) = match (told.component, told.uid, data) {
        (Some(component), Some(uid), _) => (component, uid),
        (component, uid, Some(data)) => {
            let read = Main::of(data);
            (component.unwrap_or(read.component), uid.unwrap_or(read.uid))
        }
        (_, _, None) => return Err(NeedsText),
    };
    let modified = value::number(row.get("lastmodified")).unwrap_or(0);
    Ok(Some(ObjectMeta {
        name,
        etag,
        size,
        modified: chrono::DateTime::from_timestamp(modified, 0).unwrap_or_default(),
        component,
        uid: Uid(uid),
        first_occurrence: told.first,
        last_occurrence: told.last,
        schedule_tag: ours.and_then(|ours| value::words(ours.get("scheduleTag"))),
    }))
}

/// What a row tells by itself.
struct Told {
    component: Option<String>,
    uid: Option<String>,
    first: Option<i64>,
    last: Option<i64>,
}

fn told(shelf: Shelf, row: &Document, ours: Option<&Document>) -> Told {
    if shelf != Shelf::Calendars {
        let field = |name| ours.and_then(|ours| ours.get(name));
        let component = value::words(field("component"));
        return Told {
            component: if shelf == Shelf::Books { component.or_else(|| Some("VCARD".to_owned())) } else { component },
            uid: value::text(field("uid")),
            first: value::number(field("first")),
            last: value::number(field("last")),
        };
    }
    let last = value::number(row.get("lastoccurence"));
    let is_endless = match ours {
        Some(ours) => ours.get_bool("endless").unwrap_or(false),
        None => last.is_some_and(|last| last >= FAR_ANYWHERE),
    };
    Told {
        component: value::words(row.get("componenttype")),
        uid: value::text(row.get("uid")),
        first: value::number(row.get("firstoccurence")),
        last: last.filter(|_| !is_endless),
    }
}

/// What the text says where the row does not.
struct Main {
    component: String,
    uid: String,
    class: Option<String>,
    fn_: Option<String>,
}

impl Main {
    fn of(data: &str) -> Self {
        let none = Self { component: "VEVENT".to_owned(), uid: String::new(), class: None, fn_: None };
        let Ok(root) = Component::parse(data) else { return none };
        let main = if root.is("VCARD") {
            Some(&root)
        } else {
            // A component that is no time zone; all of them have one UID.
            root.components().find(|c| !c.is("VTIMEZONE"))
        };
        let Some(main) = main else { return none };
        Self {
            component: main.name().to_ascii_uppercase(),
            uid: main.value("UID").unwrap_or_default().trim().to_owned(),
            class: main.value("CLASS").map(|class| class.trim().to_ascii_uppercase()),
            fn_: main.text("FN"),
        }
    }
}

/// The fields that a write of ours sets.
pub(super) fn fields(shelf: Shelf, object: &Object, rev: ObjectId) -> Document {
    let ObjectMeta { etag, size, modified, component, uid, first_occurrence, last_occurrence, schedule_tag, .. } =
        &object.meta;
    let tag = schedule_tag.as_ref().map_or(Bson::Null, |tag| Bson::String(tag.clone()));
    let mut ours = doc! { "etag": etag, "rev": rev, "scheduleTag": tag };
    let mut set = doc! {
        shelf.data(): &object.data,
        "lastmodified": value::int(modified.timestamp()),
        "size": value::count(*size),
    };
    let optional = |n: Option<i64>| n.map_or(Bson::Null, value::int);
    match shelf {
        Shelf::Calendars => {
            let is_endless = first_occurrence.is_some() && last_occurrence.is_none();
            let last = if is_endless { first_occurrence.map(|first| first.max(FAR)) } else { *last_occurrence };
            ours.insert("endless", is_endless);
            set.extend(doc! {
                "etag": etag,
                "componenttype": component,
                "firstoccurence": optional(*first_occurrence),
                "lastoccurence": optional(last),
                "uid": &uid.0,
                "classification": Main::of(&object.data).class.map_or(Bson::Null, Bson::String),
            });
        }
        Shelf::Books => {
            let letter = Main::of(&object.data).fn_.and_then(|name| name.trim().chars().next());
            let letter = letter.map(|c| c.to_ascii_lowercase()).filter(char::is_ascii_lowercase).unwrap_or('#');
            set.extend(doc! { "etag": format!("\"{etag}\""), "fn": letter.to_string() });
        }
        Shelf::Boxes => {
            set.insert("etag", etag);
        }
    }
    if shelf != Shelf::Calendars {
        ours.extend(doc! {
            "uid": &uid.0,
            "component": component,
            "first": optional(*first_occurrence),
            "last": optional(*last_occurrence),
        });
    }
    set.insert(OURS, ours);
    set
}

/// A row for an object that is not there yet.
pub(super) fn new_row(place: &Place, object: &Object, id: ObjectId, now: DateTime) -> Document {
    let mut row = doc! { "_id": id, place.shelf.parent(): place.parent.clone(), "uri": &object.meta.name };
    row.extend(fields(place.shelf, object, id));
    if place.shelf == Shelf::Boxes {
        // What a TTL index looks at.
        row.insert("dateCreated", now);
    }
    row
}

/// Fields of our document one by one, so that an update leaves what others may have put there.
pub(super) fn as_update(mut fields: Document) -> Document {
    if let Some(Bson::Document(ours)) = fields.remove(OURS) {
        for (name, value) in ours {
            fields.insert(format!("{OURS}.{name}"), value);
        }
    }
    doc! { "$set": fields }
}

/// Rows of one name, made by programs that did not see each other: the one that counts is the last in this order.
pub(super) fn age(row: &Document) -> (i64, Vec<u8>) {
    let id = value::object_id(row.get("_id")).map(|id| id.bytes().to_vec()).unwrap_or_default();
    (value::number(row.get("lastmodified")).unwrap_or(0), id)
}
