//! `calendar-data` and `address-data` in requests: which part of an object, and in which form (RFC 4791 §9.6, RFC 6352
//! §10.4).

use chrono_tz::Tz;

use super::filter::TimeRange;
use super::name::{CALDAV, CARDDAV};
use super::read::{Element, ReadError};

/// How recurring objects shall look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occurrences {
    /// As stored.
    AsStored,
    /// One component per occurrence in the range, in UTC (RFC 4791 §9.6.5).
    Expand(TimeRange),
    /// The master, and only those overrides that matter for the range (RFC 4791 §9.6.6).
    Limit(TimeRange),
}

/// A property that shall be answered (RFC 4791 §9.6.4, RFC 6352 §10.4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropSelection {
    /// Its name; that of a card may begin with a group.
    pub name: String,
    /// Its value shall be left out.
    pub without_value: bool,
}

impl PropSelection {
    fn read(element: &Element) -> Option<Self> {
        let without_value = element.attribute("novalue").is_some_and(|v| v.eq_ignore_ascii_case("yes"));
        element.attribute("name").map(|name| Self { name: name.to_owned(), without_value })
    }
}

/// Which parts of a component (RFC 4791 §9.6.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompSelection {
    /// Name of the component.
    pub name: String,
    /// Its properties; `None` for all.
    pub props: Option<Vec<PropSelection>>,
    /// Its components; `None` for all.
    pub comps: Option<Vec<CompSelection>>,
}

/// What the data of an object shall look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataRequest {
    /// It is `address-data`, not `calendar-data`.
    pub is_of_cards: bool,
    /// Media type; `text/calendar` or `text/vcard` where none was given.
    pub content_type: Option<String>,
    /// Version, where one was given.
    pub version: Option<String>,
    /// Recurrences.
    pub occurrences: Occurrences,
    /// Times of free-busy components outside this range may be left out (RFC 4791 §9.6.7).
    pub freebusy: Option<TimeRange>,
    /// Parts of a calendar object; `None` for all.
    pub comp: Option<CompSelection>,
    /// Properties of a card; `None` for all.
    pub card_props: Option<Vec<PropSelection>>,
    /// Zone of dates and floating times, where the report around it names one; that of the calendar otherwise.
    pub zone: Option<Tz>,
    /// Whether definitions of well-known time zones shall be in it, where the request says so (RFC 7809 §3.1.3).
    pub with_zones: Option<bool>,
}

impl DataRequest {
    /// Whether the data is wanted byte for byte as stored.
    pub fn is_plain(&self) -> bool {
        self.occurrences == Occurrences::AsStored
            && self.freebusy.is_none()
            && self.comp.is_none()
            && self.card_props.is_none()
            && self.with_zones.is_none()
    }

    pub(super) fn read(element: &Element) -> Result<Self, ReadError> {
        let range = |local| element.child(CALDAV, local).map(TimeRange::read_closed).transpose();
        let occurrences = match (range("expand")?, range("limit-recurrence-set")?) {
            (Some(range), None) => Occurrences::Expand(range),
            (None, Some(range)) => Occurrences::Limit(range),
            (None, None) => Occurrences::AsStored,
            (Some(_), Some(_)) => {
                return Err(ReadError::unexpected("expand and limit-recurrence-set exclude each other"));
            }
        };
        let card_props: Vec<_> = element.children(CARDDAV, "prop").filter_map(PropSelection::read).collect();
        let all_card = card_props.is_empty() || element.child(CARDDAV, "allprop").is_some();
        Ok(Self {
            is_of_cards: element.name.is(CARDDAV, "address-data"),
            content_type: element.attribute("content-type").map(str::to_owned),
            version: element.attribute("version").map(str::to_owned),
            occurrences,
            freebusy: range("limit-freebusy-set")?,
            comp: element.child(CALDAV, "comp").map(CompSelection::read).transpose()?,
            card_props: (!all_card).then_some(card_props),
            zone: None,
            with_zones: None,
        })
    }
}

impl CompSelection {
    fn read(element: &Element) -> Result<Self, ReadError> {
        let name = element.attribute("name").ok_or_else(|| ReadError::unexpected("comp needs a name"))?;
        let all = |local| element.child(CALDAV, local).is_some();
        let props = element.children(CALDAV, "prop").filter_map(PropSelection::read);
        let comps = element.children(CALDAV, "comp").map(Self::read);
        Ok(Self {
            name: name.to_owned(),
            props: (!all("allprop")).then(|| props.collect()),
            comps: if all("allcomp") { None } else { Some(comps.collect::<Result<_, _>>()?) },
        })
    }
}
