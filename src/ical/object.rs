//! A calendar object resource (RFC 4791 §4.1): one VCALENDAR with the components of one UID and one type.

use super::event::Event;
use super::parse::{Limits, ParseError};
use super::tree::{Component, Property};
use super::when::When;
use super::zone::Zones;

/// The types of component a calendar object can hold.
pub const COMPONENT_TYPES: [&str; 5] = ["VEVENT", "VTODO", "VJOURNAL", "VFREEBUSY", "VAVAILABILITY"];

/// Why a text is no calendar object. `dav` maps these to preconditions and status codes (dav §6.4).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectError {
    /// Not iCalendar.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The outermost component is another one.
    #[error("expected a VCALENDAR, found {0}")]
    NotACalendar(String),
    /// METHOD, which belongs into messages only.
    #[error("A calendar object on a CalDAV server MUST NOT have a METHOD property.")]
    Method,
    /// Nothing but time zones.
    #[error("A calendar object on a CalDAV server must have at least 1 component (VTODO, VEVENT, VJOURNAL).")]
    NoComponent,
    /// Components of several types.
    #[error("A calendar object on a CalDAV server may only have 1 type of component (VEVENT, VTODO or VJOURNAL).")]
    MixedTypes(String, String),
    /// Components of several UIDs.
    #[error("A calendar object on a CalDAV server may only have components with the same UID.")]
    SeveralUids(String, String),
    /// A fault that [`CalendarObject::repair`] mends.
    #[error(transparent)]
    Repairable(#[from] Fault),
    /// A property that must be there exactly once and is there several times.
    #[error("{property} must not appear more than once in {component}")]
    Duplicate {
        /// Component type.
        component: String,
        /// Property name.
        property: &'static str,
    },
}

impl ObjectError {
    /// Whether the text is not an iCalendar stream at all (415), rather than one that CalDAV does not take (400).
    pub const fn is_not_icalendar(&self) -> bool {
        matches!(self, Self::Parse(_) | Self::NotACalendar(_))
    }
}

/// A fault that is mended on the way in, unless the client asked for strictness (dav §6.4).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// VERSION is missing or not 2.0.
    #[error("VERSION MUST appear exactly once in a VCALENDAR component, and be 2.0")]
    Version,
    /// PRODID is missing.
    #[error("PRODID MUST appear exactly once in a VCALENDAR component")]
    ProdId,
    /// UID is missing or empty.
    #[error("UID MUST appear exactly once in a {0} component")]
    Uid(String),
    /// DTSTAMP is missing or no time.
    #[error("DTSTAMP MUST appear exactly once in a {0} component")]
    DtStamp(String),
    /// DTSTART is missing or no time. Nothing can mend that.
    #[error("DTSTART MUST appear exactly once in a {0} component")]
    DtStart(String),
}

impl Fault {
    /// Whether [`CalendarObject::repair`] does something about it.
    pub const fn is_mendable(&self) -> bool {
        !matches!(self, Self::DtStart(_))
    }
}

/// What is written where a property that must be there is missing.
#[derive(Debug, Clone)]
pub struct Repair<'a> {
    /// PRODID of this program.
    pub prodid: &'a str,
    /// UID for an object without one.
    pub uid: &'a str,
    /// DTSTAMP.
    pub now: chrono::DateTime<chrono::Utc>,
}

/// A calendar object: parsed, checked, with its zones at hand.
#[derive(Debug, Clone)]
pub struct CalendarObject {
    root: Component,
    zones: Zones,
}

impl CalendarObject {
    /// Parses a calendar object and checks what `check` does not forgive: repairable faults are left
    /// for [`CalendarObject::faults`] to report.
    ///
    /// # Errors
    /// [`ObjectError`], never [`ObjectError::Repairable`].
    pub fn parse(text: &str) -> Result<Self, ObjectError> {
        Self::parse_within(text, Limits::default())
    }

    /// Parses a calendar object within the given limits; see [`CalendarObject::parse`].
    ///
    /// # Errors
    /// [`ObjectError`], never [`ObjectError::Repairable`].
    pub fn parse_within(text: &str, limits: Limits) -> Result<Self, ObjectError> {
        Self::from_root(Component::parse_within(text, limits)?)
    }

    /// Makes a calendar object of a VCALENDAR; see [`CalendarObject::parse`].
    ///
    /// # Errors
    /// [`ObjectError`], never [`ObjectError::Repairable`].
    pub fn from_root(root: Component) -> Result<Self, ObjectError> {
        if !root.is("VCALENDAR") {
            return Err(ObjectError::NotACalendar(root.name().to_owned()));
        }
        let zones = Zones::of(&root);
        let object = Self { root, zones };
        object.check()?;
        Ok(object)
    }

    /// Reads any VCALENDAR without checking what CalDAV asks of a calendar object: for messages, which carry METHOD.
    ///
    /// # Errors
    /// [`ObjectError`] when the text is not iCalendar or holds no VCALENDAR.
    pub fn parse_message(text: &str) -> Result<Self, ObjectError> {
        let root = Component::parse(text)?;
        if !root.is("VCALENDAR") {
            return Err(ObjectError::NotACalendar(root.name().to_owned()));
        }
        let zones = Zones::of(&root);
        Ok(Self { root, zones })
    }

    fn check(&self) -> Result<(), ObjectError> {
        if self.root.get("METHOD").is_some() {
            return Err(ObjectError::Method);
        }
        let mut components = self.components();
        let first = components.next().ok_or(ObjectError::NoComponent)?;
        for other in components {
            if !other.is(first.name()) {
                return Err(ObjectError::MixedTypes(first.name().to_owned(), other.name().to_owned()));
            }
            let uid = |c: &Component| c.value("UID").unwrap_or("").to_owned();
            if uid(other) != uid(first) {
                return Err(ObjectError::SeveralUids(uid(first), uid(other)));
            }
        }
        for component in self.components() {
            for property in ["UID", "DTSTART", "DTEND", "DUE", "DURATION", "RECURRENCE-ID", "ORGANIZER"] {
                if component.all(property).nth(1).is_some() {
                    return Err(ObjectError::Duplicate { component: component.name().to_owned(), property });
                }
            }
        }
        Ok(())
    }

    /// The VCALENDAR.
    pub const fn root(&self) -> &Component {
        &self.root
    }

    /// The VCALENDAR, for editing. Zones added by the edit are known after [`CalendarObject::refresh_zones`].
    pub const fn root_mut(&mut self) -> &mut Component {
        &mut self.root
    }

    /// Reads the VTIMEZONEs anew, after an edit that changed them.
    pub fn refresh_zones(&mut self) {
        self.zones = Zones::of(&self.root);
    }

    /// The VCALENDAR itself.
    pub fn into_root(self) -> Component {
        self.root
    }

    /// The zones of the object.
    pub const fn zones(&self) -> &Zones {
        &self.zones
    }

    /// The components that are not time zones, in order.
    pub fn components(&self) -> impl Iterator<Item = &Component> {
        self.root.components().filter(|c| is_scheduled(c))
    }

    /// The components that are not time zones, in order, for editing.
    pub fn components_mut(&mut self) -> impl Iterator<Item = &mut Component> {
        self.root.components_mut().filter(|c| is_scheduled(c))
    }

    /// Typed views of the components, in order.
    pub fn events(&self) -> impl Iterator<Item = Event<'_>> {
        self.components().map(|c| Event::new(c, &self.zones))
    }

    /// UID of the object; empty where it is missing.
    pub fn uid(&self) -> &str {
        self.components().find_map(|c| c.value("UID")).unwrap_or("").trim()
    }

    /// Type of its components, upper-case: `VEVENT`, `VTODO`, …
    pub fn component_type(&self) -> &'static str {
        let first = self.components().next();
        first.and_then(|c| COMPONENT_TYPES.into_iter().find(|t| c.is(t))).unwrap_or("VEVENT")
    }

    /// The component without RECURRENCE-ID.
    pub fn master(&self) -> Option<&Component> {
        self.components().find(|c| c.get("RECURRENCE-ID").is_none())
    }

    /// The component without RECURRENCE-ID, for editing.
    pub fn master_mut(&mut self) -> Option<&mut Component> {
        self.components_mut().find(|c| c.get("RECURRENCE-ID").is_none())
    }

    /// The components with RECURRENCE-ID, in order.
    pub fn overrides(&self) -> impl Iterator<Item = &Component> {
        self.components().filter(|c| c.get("RECURRENCE-ID").is_some())
    }

    /// The override of one occurrence, found by the instant of its RECURRENCE-ID, whatever zone that is written in.
    pub fn override_at(&self, recurrence_id: &When, floating: chrono_tz::Tz) -> Option<&Component> {
        self.overrides().find(|c| {
            let own = Event::new(c, &self.zones).recurrence_id();
            own.is_some_and(|own| own.same_instant(recurrence_id, floating))
        })
    }

    /// The faults that are forgiven, in order; [`CalendarObject::repair`] mends all that are
    /// [mendable](Fault::is_mendable).
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        if self.root.value("VERSION").map(str::trim) != Some("2.0") {
            faults.push(Fault::Version);
        }
        if self.root.get("PRODID").is_none() {
            faults.push(Fault::ProdId);
        }
        for event in self.events() {
            let name = event.component().name();
            if event.uid().is_none() {
                faults.push(Fault::Uid(name.to_owned()));
            }
            if event.dtstamp().is_none() && !event.component().is("VAVAILABILITY") {
                faults.push(Fault::DtStamp(name.to_owned()));
            }
            if event.component().is("VEVENT") && event.start().is_none() {
                faults.push(Fault::DtStart(name.to_owned()));
            }
        }
        faults
    }

    /// Mends what [`CalendarObject::faults`] reports, and gives what was mended.
    pub fn repair(&mut self, with: &Repair<'_>) -> Vec<Fault> {
        let mut faults = self.faults();
        faults.retain(Fault::is_mendable);
        let has = |test: fn(&Fault) -> bool| faults.iter().any(test);
        if has(|f| *f == Fault::Version) {
            self.put_first(Property::new("VERSION", "2.0"));
        }
        if has(|f| *f == Fault::ProdId) {
            self.put_first(Property::new("PRODID", with.prodid));
        }
        let no_uid = has(|f| matches!(f, Fault::Uid(_)));
        let now = When::Utc(with.now).to_property("DTSTAMP");
        let zones = self.zones.clone();
        for component in self.components_mut() {
            if no_uid {
                component.set(Property::with_text("UID", with.uid));
            }
            if Event::new(component, &zones).dtstamp().is_none() && !component.is("VAVAILABILITY") {
                component.set(now.clone());
            }
        }
        faults
    }

    fn put_first(&mut self, property: Property) {
        if self.root.get(property.name()).is_some() {
            self.root.set(property);
        } else {
            self.root.items.insert(0, super::tree::Item::Property(property));
        }
    }
}

/// Whether a component of a VCALENDAR is what the object is about.
fn is_scheduled(component: &Component) -> bool {
    COMPONENT_TYPES.iter().any(|t| component.is(t))
}
