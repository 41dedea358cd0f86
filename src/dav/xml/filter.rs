//! The filters of calendar-query (RFC 4791 §9.7) and addressbook-query (RFC 6352 §10.5).

use chrono::{NaiveDate, NaiveDateTime};

use super::name::{CALDAV, CARDDAV, DAV};
use super::read::{Element, ReadError};
use super::valid;
use crate::dav::collation::Collation;

/// A span of time in unix seconds, start included, end excluded. At least one side is bounded, and it is never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// Start, where bounded.
    pub start: Option<i64>,
    /// End, where bounded.
    pub end: Option<i64>,
}

impl TimeRange {
    /// Reads the attributes `start` and `end`, of which one may be missing.
    pub(super) fn read(element: &Element) -> Result<Self, ReadError> {
        let side = |name| element.attribute(name).map(read_instant).transpose();
        let range = Self { start: side("start")?, end: side("end")? };
        match (range.start, range.end) {
            (None, None) => Err(ReadError::unexpected("a time range needs a start or an end")),
            (Some(start), Some(end)) if start >= end => {
                Err(ReadError::unexpected("a time range must end after it starts"))
            }
            _ => Ok(range),
        }
    }

    /// Reads the attributes `start` and `end`, both of which must be there.
    pub(super) fn read_closed(element: &Element) -> Result<Self, ReadError> {
        let range = Self::read(element)?;
        match range {
            Self { start: Some(_), end: Some(_) } => Ok(range),
            _ => Err(ReadError::unexpected(format!("{} needs a start and an end", element.name.local))),
        }
    }

    /// Reads the `time-range` within a free-busy-query.
    ///
    /// # Errors
    /// [`ReadError::Unexpected`] when there is none, or it is not closed.
    pub fn read_free_busy(root: &Element) -> Result<Self, ReadError> {
        let element = root.child(CALDAV, "time-range");
        Self::read_closed(element.ok_or_else(|| ReadError::unexpected("a free-busy-query needs a time-range"))?)
    }

    /// Both sides, an open one as far away as it can be.
    pub fn bounds(&self) -> (i64, i64) {
        (self.start.unwrap_or(i64::MIN), self.end.unwrap_or(i64::MAX))
    }
}

/// Reads `20300107T000000Z`, and leniently a bare date, as unix seconds.
fn read_instant(text: &str) -> Result<i64, ReadError> {
    let time = NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%SZ")
        .or_else(|_| NaiveDate::parse_from_str(text, "%Y%m%d").map(Into::into));
    let time = time.map_err(|_| ReadError::unexpected(format!("{text:?} is not a UTC date-time")))?;
    Ok(time.and_utc().timestamp())
}

/// How several conditions combine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantifier {
    /// One is enough.
    AnyOf,
    /// All must hold.
    AllOf,
}

/// How a text is matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchType {
    /// The whole value.
    Equals,
    /// Anywhere in the value.
    Contains,
    /// At its start.
    StartsWith,
    /// At its end.
    EndsWith,
}

/// A text to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextMatch {
    /// The text, as the collation compares it.
    key: String,
    kind: MatchType,
    collation: Collation,
    negate: bool,
}

impl TextMatch {
    /// A test that passes where `text` is in the value as `kind` says; with `negate`, where it is not.
    pub fn new(text: &str, kind: MatchType, collation: Collation, negate: bool) -> Self {
        Self { key: collation.key(text).into_owned(), kind, collation, negate }
    }

    fn read(element: &Element, ns: &'static str) -> Result<Self, ReadError> {
        let kind = match element.attribute("match-type") {
            None | Some("contains") => MatchType::Contains,
            Some("equals") => MatchType::Equals,
            Some("starts-with") => MatchType::StartsWith,
            Some("ends-with") => MatchType::EndsWith,
            Some(other) => return Err(ReadError::unexpected(format!("unknown match-type {other:?}"))),
        };
        let collation = match element.attribute("collation") {
            // RFC 6352 §8.3, RFC 4791 §7.5.
            None | Some("default") if ns == CARDDAV => Collation::UnicodeCasemap,
            None | Some("default") => Collation::AsciiCasemap,
            Some(name) => Collation::named(name).ok_or_else(|| ReadError::Collation { name: name.to_owned(), ns })?,
        };
        let negate = element.attribute("negate-condition") == Some("yes");
        Ok(Self::new(&element.text(), kind, collation, negate))
    }

    /// Whether the value passes.
    pub fn matches(&self, value: &str) -> bool {
        let (value, text) = (self.collation.key(value), self.key.as_str());
        let found = match self.kind {
            MatchType::Equals => value == text,
            MatchType::Contains => value.contains(text),
            MatchType::StartsWith => value.starts_with(text),
            MatchType::EndsWith => value.ends_with(text),
        };
        found != self.negate
    }
}

/// What a parameter must be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParamTest {
    /// Absent.
    IsNotDefined,
    /// Present, and its value passes.
    Defined(Option<TextMatch>),
}

/// A condition on a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamFilter {
    /// Name of the parameter.
    pub name: String,
    /// What it must be like.
    pub test: ParamTest,
}

/// What a property must be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropTest {
    /// Absent.
    IsNotDefined,
    /// Some property of the name passes these.
    Defined {
        /// Its time lies in the range.
        range: Option<TimeRange>,
        /// Its value.
        texts: Vec<TextMatch>,
        /// Its parameters.
        params: Vec<ParamFilter>,
        /// How texts and parameters combine.
        quantifier: Quantifier,
    },
}

/// A condition on a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropFilter {
    /// Name of the property.
    pub name: String,
    /// What it must be like.
    pub test: PropTest,
}

/// What a component must be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompTest {
    /// Absent.
    IsNotDefined,
    /// Some component of the name passes all of these.
    Defined {
        /// An occurrence lies in the range.
        range: Option<TimeRange>,
        /// Its properties.
        props: Vec<PropFilter>,
        /// Its components.
        comps: Vec<CompFilter>,
    },
}

/// A condition on a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompFilter {
    /// Name of the component.
    pub name: String,
    /// What it must be like.
    pub test: CompTest,
}

/// A condition on a whole resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// On a calendar object.
    Calendar(CompFilter),
    /// On a card.
    Card {
        /// Conditions on its properties; without any, every card passes.
        props: Vec<PropFilter>,
        /// How they combine.
        quantifier: Quantifier,
        /// Cards wanted at most (RFC 6352 §10.6.1).
        limit: Option<usize>,
    },
}

fn name_of(element: &Element) -> Result<String, ReadError> {
    let name = element.attribute("name").filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| ReadError::unexpected(format!("{} needs a name", element.name.local)))?;
    Ok(name.to_owned())
}

fn quantifier(element: &Element, default: Quantifier) -> Result<Quantifier, ReadError> {
    match element.attribute("test") {
        None => Ok(default),
        Some("anyof") => Ok(Quantifier::AnyOf),
        Some("allof") => Ok(Quantifier::AllOf),
        Some(other) => Err(ReadError::unexpected(format!("unknown test {other:?}"))),
    }
}

impl Filter {
    /// Reads the filter of a calendar-query.
    ///
    /// # Errors
    /// [`ReadError::Filter`] when it is missing or means nothing, [`ReadError::UnsupportedFilter`] when it cannot be
    /// applied, [`ReadError::Collation`].
    pub fn read_calendar(query: &Element) -> Result<Self, ReadError> {
        let invalid = |what: &str| ReadError::Filter(what.to_owned());
        let filter = query.child(CALDAV, "filter").ok_or_else(|| invalid("there is none"))?;
        let mut comps = filter.children(CALDAV, "comp-filter");
        let (Some(comp), None) = (comps.next(), comps.next()) else {
            return Err(invalid("it needs exactly one comp-filter"));
        };
        let filter = CompFilter::read(comp).map_err(|error| match error {
            ReadError::Unexpected(what) => ReadError::Filter(what),
            other => other,
        })?;
        valid::check(&filter)?;
        Ok(Self::Calendar(filter))
    }

    /// Reads the filter of an addressbook-query.
    ///
    /// # Errors
    /// [`ReadError::Unexpected`] when it means nothing.
    pub fn read_card(query: &Element) -> Result<Self, ReadError> {
        let limit = query.child(CARDDAV, "limit").and_then(|l| l.child(CARDDAV, "nresults"));
        let limit = limit.map(|n| n.text().trim().parse());
        let limit = limit.transpose().map_err(|_| ReadError::unexpected("nresults is not a number"))?;
        let Some(filter) = query.child(CARDDAV, "filter") else {
            return Ok(Self::Card { props: Vec::new(), quantifier: Quantifier::AnyOf, limit });
        };
        let props = filter.children(CARDDAV, "prop-filter").map(|p| PropFilter::read(p, CARDDAV, Quantifier::AnyOf));
        let quantifier = quantifier(filter, Quantifier::AnyOf)?;
        Ok(Self::Card { props: props.collect::<Result<_, _>>()?, quantifier, limit })
    }
}

impl CompFilter {
    fn read(element: &Element) -> Result<Self, ReadError> {
        let name = name_of(element)?;
        if element.child(CALDAV, "is-not-defined").is_some() {
            return Ok(Self { name, test: CompTest::IsNotDefined });
        }
        let range = element.child(CALDAV, "time-range").map(TimeRange::read).transpose()?;
        let props = element.children(CALDAV, "prop-filter").map(|p| PropFilter::read(p, CALDAV, Quantifier::AllOf));
        let props = props.collect::<Result<_, _>>()?;
        let comps = element.children(CALDAV, "comp-filter").map(Self::read).collect::<Result<_, _>>()?;
        Ok(Self { name, test: CompTest::Defined { range, props, comps } })
    }
}

impl PropFilter {
    fn read(element: &Element, ns: &'static str, default: Quantifier) -> Result<Self, ReadError> {
        let name = name_of(element)?;
        if element.child(ns, "is-not-defined").is_some() {
            return Ok(Self { name, test: PropTest::IsNotDefined });
        }
        let range = element.child(CALDAV, "time-range").map(TimeRange::read).transpose()?;
        let texts = element.children(ns, "text-match").map(|t| TextMatch::read(t, ns)).collect::<Result<_, _>>()?;
        let params = element.children(ns, "param-filter").map(|p| ParamFilter::read(p, ns));
        let params = params.collect::<Result<_, _>>()?;
        let quantifier = quantifier(element, default)?;
        Ok(Self { name, test: PropTest::Defined { range, texts, params, quantifier } })
    }
}

impl ParamFilter {
    fn read(element: &Element, ns: &'static str) -> Result<Self, ReadError> {
        let name = name_of(element)?;
        if element.child(ns, "is-not-defined").is_some() {
            return Ok(Self { name, test: ParamTest::IsNotDefined });
        }
        let text = element.child(ns, "text-match").map(|t| TextMatch::read(t, ns)).transpose()?;
        Ok(Self { name, test: ParamTest::Defined(text) })
    }
}

/// Reads `d:limit/d:nresults` (RFC 5323 §5.17, used by RFC 6578 §3.2).
///
/// # Errors
/// [`ReadError::Unexpected`] when it is not a number above zero.
pub fn read_limit(report: &Element) -> Result<Option<usize>, ReadError> {
    let Some(limit) = report.child(DAV, "limit").and_then(|l| l.child(DAV, "nresults")) else { return Ok(None) };
    let number = limit.text().trim().parse::<usize>().ok().filter(|n| *n > 0);
    number.map(Some).ok_or_else(|| ReadError::unexpected("nresults is not a number above zero"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dav::xml::{XmlLimits, parse};

    fn query(filter: &str) -> Result<Filter, ReadError> {
        let body = format!(
            r#"<calendar-query xmlns="urn:ietf:params:xml:ns:caldav"><filter>{filter}</filter></calendar-query>"#
        );
        Filter::read_calendar(&parse(body.as_bytes(), XmlLimits { bytes: 4096, depth: 16 }).unwrap().unwrap())
    }

    #[test]
    fn the_query_of_a_week_is_read() {
        let read = query(
            r#"<comp-filter name="VCALENDAR"><comp-filter name="VEVENT">
               <time-range start="20300107T000000Z" end="20300114T000000Z"/></comp-filter></comp-filter>"#,
        );
        let Filter::Calendar(CompFilter { test: CompTest::Defined { comps, .. }, .. }) = read.unwrap() else {
            panic!("not a calendar filter")
        };
        let CompTest::Defined { range: Some(range), .. } = comps[0].test else { panic!("no range") };
        assert_eq!(range.end.unwrap() - range.start.unwrap(), 7 * 86_400);
    }

    #[test]
    fn filters_that_mean_nothing_are_refused() {
        for filter in [
            "",
            "<comp-filter/>",
            r#"<comp-filter name="A"/><comp-filter name="B"/>"#,
            r#"<comp-filter name="A"><time-range/></comp-filter>"#,
            r#"<comp-filter name="A"><time-range start="20300107T000000"/></comp-filter>"#,
            r#"<comp-filter name="A"><time-range start="20300108T000000Z" end="20300107T000000Z"/></comp-filter>"#,
            r#"<comp-filter name="A"><prop-filter name="B"><text-match collation="i;klingon">x</text-match></prop-filter></comp-filter>"#,
        ] {
            assert!(query(filter).is_err(), "{filter}");
        }
    }

    #[test]
    fn texts_match_as_their_collation_says() {
        let text = |kind, collation, negate| TextMatch::new("Café", kind, collation, negate);
        assert!(text(MatchType::Contains, Collation::UnicodeCasemap, false).matches("the CAFÉ upstairs"));
        assert!(!text(MatchType::Contains, Collation::AsciiCasemap, false).matches("the CAFÉ upstairs"));
        assert!(text(MatchType::Contains, Collation::AsciiCasemap, false).matches("the CAFé upstairs"));
        assert!(!text(MatchType::Contains, Collation::Octet, false).matches("the CAFÉ upstairs"));
        assert!(text(MatchType::Contains, Collation::Octet, true).matches("the CAFÉ upstairs"));
        assert!(text(MatchType::StartsWith, Collation::UnicodeCasemap, false).matches("café upstairs"));
        assert!(!text(MatchType::Equals, Collation::UnicodeCasemap, false).matches("café upstairs"));
        assert!(text(MatchType::EndsWith, Collation::UnicodeCasemap, false).matches("the café"));
    }
}
