//! From 3.0 to 4.0.

use super::draft::Draft;
use super::surroundings::Surroundings;
use super::{NO_NAME, OMIT_YEAR, RENAMED, SINGLE, coordinates, gender, is_nothing, relation_of, without_omitted_year};
use crate::ical::Property;
use crate::vcard::date::{Format, Moment, Offset};
use crate::vcard::line::Line;
use crate::vcard::media;

/// Value types that 4.0 does not have, or that say what is the case anyway.
const OLD_TYPES: [&str; 4] = ["phone-number", "binary", "vcard", "ptext"];

/// The line of 4.0 for the one of 3.0 at this place; none where it is part of another.
pub(super) fn line(around: &Surroundings<'_>, place: usize, property: &Property) -> Option<Property> {
    let source = Line::new(property);
    let name = source.name().to_ascii_uppercase();
    let is_first = |name| around.is_first(name, place);
    match name.as_str() {
        "LABEL" if around.is_taken(place) => return None,
        "SORT-STRING" if is_first("SORT-STRING") && around.first("N").is_some() => return None,
        _ => {}
    }
    let mut draft = Draft::of(property);
    draft.name_parameters();
    draft.drop_value_type(&OLD_TYPES);
    if media::PROPERTIES.contains(&name.as_str()) {
        medium(source, &mut draft);
    }
    draft.settle_preference();
    if name == "SORT-STRING" && is_first("SORT-STRING") {
        // There is no N to sort by.
        "N".clone_into(&mut draft.name);
        draft.set("SORT-AS", &source.text());
        NO_NAME.clone_into(&mut draft.value);
    }
    rename(around, place, source, &mut draft);
    match draft.name.to_ascii_uppercase().as_str() {
        "N" if is_first("N") => {
            if let (Some(sort), None) = (around.first("SORT-STRING"), draft.param("SORT-AS")) {
                draft.set("SORT-AS", &sort.text());
            }
        }
        "ADR" => {
            if let (Some(label), None) = (around.label_of_address(place), draft.param("LABEL")) {
                draft.set("LABEL", &label.text());
            }
        }
        "EMAIL" => {
            // The type of every address of mail there is; 4.0 has no word for it.
            draft.take_type("internet");
        }
        "TEL" => draft.plain_number(),
        "BDAY" | "ANNIVERSARY" | "DEATHDATE" => date(property, &mut draft),
        "REV" => draft.revision(Format::Basic),
        "GEO" => position(&mut draft),
        "TZ" => zone(&mut draft),
        "GENDER" => draft.value = gender(&draft.value),
        _ => {}
    }
    draft.plain_address();
    if draft.name.eq_ignore_ascii_case("N") && draft.params.is_empty() && is_nothing(&draft.value) {
        return None;
    }
    Some(draft.finish(property))
}

fn rename(around: &Surroundings<'_>, place: usize, source: Line<'_>, draft: &mut Draft) {
    let name = draft.name.to_ascii_uppercase();
    match name.as_str() {
        "X-ABDATE" if around.is_anniversary(place) => "ANNIVERSARY".clone_into(&mut draft.name),
        "X-ABRELATEDNAMES" => {
            if let Some(label) = around.labels.get(source) {
                "RELATED".clone_into(&mut draft.name);
                if draft.param("VALUE").is_none() {
                    draft.set("VALUE", "text");
                }
                if let (Some(relation), None) = (relation_of(label), draft.param("TYPE")) {
                    draft.set("TYPE", relation);
                }
            }
        }
        "AGENT" if draft.has_value_type("uri") => {
            "RELATED".clone_into(&mut draft.name);
            draft.add_type("agent");
        }
        "X-GEO" if draft.value.starts_with("geo:") => "GEO".clone_into(&mut draft.name),
        _ => {
            let Some((new, old)) = RENAMED.iter().find(|(_, old)| name == *old) else { return };
            let is_free = around.first(new).is_none() && around.is_first(old, place);
            if is_free || !SINGLE.contains(new) {
                (*new).clone_into(&mut draft.name);
            }
        }
    }
}

/// PHOTO, LOGO, SOUND and KEY: octets become a `data:` address, and the format leaves TYPE.
fn medium(source: Line<'_>, draft: &mut Draft) {
    let format = media::format_of(source);
    let media_type = format.as_deref().map(|word| media::media_type_of(source.name(), word));
    let forget_format = |draft: &mut Draft| {
        if let Some(word) = &format {
            draft.take_type(word);
        }
    };
    if source.is_base64() {
        if !media::is_base64(&draft.value) {
            return;
        }
        let base64: String = draft.value.chars().filter(|c| !c.is_whitespace()).collect();
        forget_format(draft);
        draft.take("ENCODING");
        draft.take("VALUE");
        let known = media_type.or_else(|| draft.take("MEDIATYPE"));
        let media_type = known.or_else(|| media::sniff_base64(&base64).map(str::to_owned));
        draft.value = format!("data:{};base64,{base64}", media_type.as_deref().unwrap_or("application/octet-stream"));
        return;
    }
    let uri = media::plain_uri(&draft.value);
    if !media::is_address(&uri) {
        // A key may be text; a picture that is neither octets nor an address is nothing we know.
        if source.is("KEY") && draft.param("VALUE").is_none() && !draft.value.is_empty() {
            draft.set("VALUE", "text");
        }
        return;
    }
    draft.value = uri.into_owned();
    draft.take("VALUE");
    let says_itself = media::DataUri::parse(&draft.value).is_some();
    if says_itself {
        draft.take("MEDIATYPE");
    }
    if let Some(media_type) = media_type {
        forget_format(draft);
        if !says_itself && draft.param("MEDIATYPE").is_none() {
            draft.set("MEDIATYPE", &media_type);
        }
    }
}

/// BDAY and its kin. What is no date is text.
fn date(property: &Property, draft: &mut Draft) {
    if draft.value.trim().is_empty() {
        return;
    }
    let parsed = Moment::parse(&draft.value);
    if draft.has_value_type("text") {
        // `down` writes what 3.0 has no form for as text.
        if let Some(moment) = parsed.filter(|m| !m.is_full_date()) {
            draft.take("VALUE");
            draft.value = moment.write(Format::Basic);
        }
        return;
    }
    match parsed {
        Some(moment) => {
            let shown = without_omitted_year(moment, property);
            // Without a year there is none to leave out.
            if shown != moment || !moment.is_full_date() {
                draft.take(OMIT_YEAR);
            }
            draft.take("VALUE");
            draft.value = shown.write(Format::Basic);
        }
        None => draft.be_text(),
    }
}

/// `48.85;2.35` as `geo:48.85,2.35` (RFC 5870).
fn position(draft: &mut Draft) {
    if let Some((latitude, longitude)) = coordinates(&draft.value) {
        draft.take("VALUE");
        draft.value = format!("geo:{latitude},{longitude}");
    }
}

/// An offset is the usual form of TZ in 3.0, a name in 4.0; one that is called text is an offset all the same.
fn zone(draft: &mut Draft) {
    let is_text = draft.has_value_type("text");
    match Offset::parse(&draft.value) {
        Some(offset) if is_text || draft.param("VALUE").is_none() => {
            draft.set("VALUE", "utc-offset");
            draft.value = offset.write(Format::Basic);
        }
        None if is_text => {
            draft.take("VALUE");
        }
        _ => {}
    }
}
