//! From 4.0 to 3.0.

use super::draft::Draft;
use super::surroundings::Surroundings;
use super::{ANNIVERSARY_LABEL, NO_NAME, NO_YEAR, OMIT_YEAR, RENAMED, coordinates, gender, is_nothing, relation_of};
use crate::ical::{Component, Item, Param, Property, escape_text};
use crate::vcard::date::{Date, Format, Moment, Offset};
use crate::vcard::line::Line;
use crate::vcard::media::{self, DataUri};

/// The lines of 3.0 for the one of 4.0 at this place.
pub(super) fn lines(
    around: &Surroundings<'_>,
    place: usize,
    property: &Property,
) -> impl Iterator<Item = Property> + use<> {
    let source = Line::new(property);
    let name = source.name().to_ascii_uppercase();
    let mut draft = Draft::of(property);
    let mut more = None;
    draft.name_parameters();
    if media::PROPERTIES.contains(&name.as_str()) {
        medium(source, &mut draft);
    }
    draft.settle_preference();
    if draft.param("PREF") == Some("1") {
        draft.take("PREF");
        draft.add_type("pref");
    }
    match name.as_str() {
        "N" if is_nothing(property.value()) && property.params().is_empty() => NO_NAME.clone_into(&mut draft.value),
        "N" if around.is_first("N", place) => {
            more = draft.take("SORT-AS").map(|sort| beside(source, "SORT-STRING", Vec::new(), &sort));
        }
        "ADR" => {
            let types = |draft: &Draft| draft.params.iter().filter(|p| p.is("TYPE") || p.is("PREF")).cloned().collect();
            more = draft.take("LABEL").map(|label| beside(source, "LABEL", types(&draft), &label));
        }
        "BDAY" | "ANNIVERSARY" | "DEATHDATE" => date(&mut draft),
        "REV" => draft.revision(Format::Extended),
        "GENDER" => draft.value = gender(&draft.value),
        "TEL" => draft.plain_number(),
        "GEO" => position(&mut draft),
        "TZ" => zone(&mut draft),
        _ => {}
    }
    draft.plain_address();
    rename(around, source, &mut draft);
    [Some(draft.finish(property)), more].into_iter().flatten()
}

/// 3.0 asks for N in every card (RFC 2426 §3.1.2).
pub(super) fn add_name(card: &mut Component) {
    let at = |name: &str| card.items.iter().position(|i| matches!(i, Item::Property(p) if Line::new(p).is(name)));
    if at("N").is_none() {
        let after = at("FN").map_or(card.items.len(), |fn_at| fn_at + 1);
        card.items.insert(after, Item::Property(Property::new("N", NO_NAME)));
    }
}

/// A line in the group of another one.
fn beside(other: Line<'_>, name: &str, params: Vec<Param>, text: &str) -> Property {
    let name = other.group().map_or_else(|| name.to_owned(), |group| format!("{group}.{name}"));
    let mut property = Property::new(&name, escape_text(text));
    params.into_iter().for_each(|p| property.push_param(p));
    property
}

fn rename(around: &Surroundings<'_>, source: Line<'_>, draft: &mut Draft) {
    let name = draft.name.to_ascii_uppercase();
    let label = around.labels.get(source);
    match (name.as_str(), label) {
        ("ANNIVERSARY", Some(label)) if label == ANNIVERSARY_LABEL => "X-ABDATE".clone_into(&mut draft.name),
        ("RELATED", Some(label)) if draft.has_value_type("text") => {
            "X-ABRELATEDNAMES".clone_into(&mut draft.name);
            draft.take("VALUE");
            let mut types = source.types().filter(|t| !t.eq_ignore_ascii_case("pref"));
            if let (Some(relation), Some(only), None) = (relation_of(label), types.next(), types.next())
                && only.eq_ignore_ascii_case(relation)
            {
                draft.take_type(relation);
            }
        }
        ("RELATED", None) if is_agent(source) && !draft.has_value_type("text") => {
            "AGENT".clone_into(&mut draft.name);
            draft.take_type("agent");
            draft.set("VALUE", "uri");
        }
        _ => {
            if let Some((_, old)) = RENAMED.iter().find(|(new, _)| name == *new) {
                (*old).clone_into(&mut draft.name);
            }
        }
    }
}

fn is_agent(line: Line<'_>) -> bool {
    let mut types = line.types();
    types.next().is_some_and(|t| t.eq_ignore_ascii_case("agent")) && types.next().is_none()
}

/// PHOTO, LOGO, SOUND and KEY: a `data:` address becomes octets, and a media type a format in TYPE.
fn medium(source: Line<'_>, draft: &mut Draft) {
    if draft.has_value_type("text") {
        // Without address and encoding a key is text in 3.0.
        if source.is("KEY") {
            draft.take("VALUE");
        }
        return;
    }
    let format = |draft: &mut Draft, media_type: &str| match media::word_for(source.name(), media_type) {
        Some(word) => draft.add_type(&word),
        None => draft.set("MEDIATYPE", media_type),
    };
    if source.is_base64() || draft.value.trim().is_empty() {
        return;
    }
    let uri = media::plain_uri(&draft.value).into_owned();
    match DataUri::parse(&uri).filter(|data| media::is_base64(data.base64)) {
        Some(data) => {
            draft.take("VALUE");
            draft.take("MEDIATYPE");
            draft.set("ENCODING", "b");
            if !data.media_type.is_empty() && !data.media_type.eq_ignore_ascii_case("application/octet-stream") {
                format(draft, data.media_type);
            }
            draft.value = data.base64.to_owned();
        }
        None if !media::is_address(&uri) => {}
        None => {
            draft.set("VALUE", "uri");
            if let Some(media_type) = draft.take("MEDIATYPE") {
                format(draft, &media_type);
            }
            draft.value = uri;
        }
    }
}

/// 3.0 has whole dates only. Apple's clients know one without a year by a parameter; what else is missing makes it text.
fn date(draft: &mut Draft) {
    if draft.has_value_type("text") || draft.value.trim().is_empty() {
        return;
    }
    let Some(moment) = Moment::parse(&draft.value) else { return draft.be_text() };
    draft.take("VALUE");
    match (moment.date, moment.time) {
        (Some(Date::Full(..)), time) => {
            draft.value = moment.write(Format::Extended);
            if time.is_some() {
                draft.set("VALUE", "date-time");
            }
        }
        (Some(Date::MonthDay(month, day)), None) => {
            draft.set(OMIT_YEAR, &NO_YEAR.to_string());
            let date = Some(Date::Full(NO_YEAR, month, day));
            draft.value = Moment { date, time: None }.write(Format::Extended);
        }
        _ => {
            draft.set("VALUE", "text");
            draft.value = moment.write(Format::Basic);
        }
    }
}

/// `geo:48.85,2.35` as `48.85;2.35`; what says more than that (RFC 5870 §3.3) has no form in 3.0.
fn position(draft: &mut Draft) {
    let value = media::plain_uri(&draft.value).into_owned();
    if let Some((latitude, longitude)) = coordinates(value.strip_prefix("geo:").unwrap_or(&value)) {
        draft.take("VALUE");
        draft.value = format!("{latitude};{longitude}");
    } else if value.starts_with("geo:") {
        "X-GEO".clone_into(&mut draft.name);
        draft.value = value;
    }
}

fn zone(draft: &mut Draft) {
    match Offset::parse(&draft.value) {
        Some(offset) if draft.has_value_type("utc-offset") || draft.param("VALUE").is_none() => {
            draft.take("VALUE");
            draft.value = offset.write(Format::Extended);
        }
        _ if draft.param("VALUE").is_none() => draft.set("VALUE", "text"),
        _ => {}
    }
}
