//! Conditions that a client makes its request depend on: `If-Match`, `If-None-Match` (RFC 9110 §13.1) and `If` (RFC 4918
//! §10.4). Evaluated in one place, for every method.

use http::HeaderMap;
use http::header::{IF_MATCH, IF_NONE_MATCH};
use md5::{Digest as _, Md5};

use super::path::Location;

/// The ETag of these octets, without quotes: MD5 in hex, as esn-sabre's (dav §6.2).
pub fn etag_of(data: &str) -> String {
    hex::encode(Md5::digest(data.as_bytes()))
}

/// The ETag as it stands in headers and answers.
pub fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

/// A condition did not hold (412), or cannot be read (400).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// `If-Match` named no ETag that the resource has.
    #[error("An If-Match header was specified, but none of the specified ETags matched.")]
    IfMatch,
    /// `If-None-Match` named the ETag that the resource has, or `*`.
    #[error("An If-None-Match header was specified, but the ETag matched (or * was specified).")]
    IfNoneMatch,
    /// The resource was changed after the instant in `If-Unmodified-Since`.
    #[error("An If-Unmodified-Since header was specified, but the entity has been changed since the specified date.")]
    IfUnmodifiedSince,
    /// No list of `If` held.
    #[error("None of the conditions in the If header held.")]
    If,
    /// A header is not what its grammar says.
    #[error("The {0} header cannot be read.")]
    Malformed(&'static str),
}

impl ConditionError {
    /// The header it is about.
    pub const fn header(self) -> &'static str {
        match self {
            Self::IfMatch => "If-Match",
            Self::IfNoneMatch => "If-None-Match",
            Self::IfUnmodifiedSince => "If-Unmodified-Since",
            Self::If => "If",
            Self::Malformed(header) => header,
        }
    }
}

/// ETags as a header lists them.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tags {
    Any,
    These(Vec<String>),
}

impl Tags {
    /// Reads a list of ETags. Weakness is not looked at: our tags name octets. An unquoted one is taken as it is, for
    /// some clients send the tag that way.
    fn read(headers: &HeaderMap, name: &http::HeaderName, title: &'static str) -> Result<Option<Self>, ConditionError> {
        let mut tags = Vec::new();
        let mut present = false;
        for value in headers.get_all(name) {
            present = true;
            let value = value.to_str().map_err(|_| ConditionError::Malformed(title))?;
            for tag in value.split(',').map(str::trim).filter(|t| !t.is_empty()) {
                if tag == "*" {
                    return Ok(Some(Self::Any));
                }
                tags.push(bare(tag).to_owned());
            }
        }
        match (present, tags.is_empty()) {
            (false, _) => Ok(None),
            (true, true) => Err(ConditionError::Malformed(title)),
            (true, false) => Ok(Some(Self::These(tags))),
        }
    }

    fn name(&self, known: &Known<'_>) -> bool {
        match self {
            // `*` is about what is there, also where it has no ETag.
            Self::Any => known.exists,
            Self::These(tags) => known.etag.is_some_and(|current| tags.iter().any(|t| t == current)),
        }
    }
}

fn bare(tag: &str) -> &str {
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    tag.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(tag)
}

/// One condition of an `If` list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition {
    negated: bool,
    state: State,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Etag(String),
    /// A lock or sync token.
    Token(String),
}

/// `(cond cond …)`, about the resource of the request where it has no tag.
#[derive(Debug, Clone, PartialEq, Eq)]
struct List {
    tag: Option<String>,
    conditions: Vec<Condition>,
}

/// A resource as conditions see it.
#[derive(Debug, Clone, Copy)]
pub struct ResourceState<'a> {
    /// Where it is.
    pub location: &'a Location,
    /// Its ETag without quotes; `None` where there is none.
    pub etag: Option<&'a str>,
    /// Its sync token as written in answers.
    pub token: Option<&'a str>,
}

/// What is known of a resource; nothing where there is none.
#[derive(Debug, Clone, Default)]
pub struct Known<'a> {
    /// Whether there is one.
    pub exists: bool,
    /// Its ETag without quotes; folders have none.
    pub etag: Option<&'a str>,
    /// Its sync token, and the tokens of the locks that it is under.
    pub tokens: Vec<&'a str>,
}

/// The conditions of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preconditions {
    if_match: Option<Tags>,
    if_none_match: Option<Tags>,
    if_lists: Option<Vec<List>>,
}

impl Preconditions {
    /// Reads them from the headers.
    ///
    /// # Errors
    /// [`ConditionError::Malformed`].
    pub fn read(headers: &HeaderMap) -> Result<Self, ConditionError> {
        let if_lists = match headers.get("if") {
            None => None,
            Some(value) => {
                let value = value.to_str().map_err(|_| ConditionError::Malformed("If"))?;
                Some(read_lists(value).ok_or(ConditionError::Malformed("If"))?)
            }
        };
        Ok(Self {
            if_match: Tags::read(headers, &IF_MATCH, "If-Match")?,
            if_none_match: Tags::read(headers, &IF_NONE_MATCH, "If-None-Match")?,
            if_lists,
        })
    }

    /// Whether there is any.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Checks them; the first resource is that of the request, others are those that `If` may name.
    ///
    /// # Errors
    /// The condition that does not hold.
    pub fn check(&self, resources: &[ResourceState<'_>], base: &str) -> Result<(), ConditionError> {
        let Some(first) = resources.first() else { return Ok(()) };
        self.check_by(first.location, base, &|location| {
            let known = resources.iter().find(|r| r.location == location);
            let etag = known.and_then(|r| r.etag);
            Known { exists: etag.is_some(), etag, tokens: known.and_then(|r| r.token).into_iter().collect() }
        })
    }

    /// Checks them for the resource at `here`; `state` tells what is known of any resource.
    ///
    /// # Errors
    /// The condition that does not hold.
    pub fn check_by<'a>(
        &self,
        here: &Location,
        base: &str,
        state: &dyn Fn(&Location) -> Known<'a>,
    ) -> Result<(), ConditionError> {
        let known = state(here);
        if self.if_match.as_ref().is_some_and(|tags| !tags.name(&known)) {
            return Err(ConditionError::IfMatch);
        }
        if self.if_none_match.as_ref().is_some_and(|tags| tags.name(&known)) {
            return Err(ConditionError::IfNoneMatch);
        }
        match &self.if_lists {
            Some(lists) if !lists.iter().any(|list| list.holds(here, base, state)) => Err(ConditionError::If),
            _ => Ok(()),
        }
    }

    /// The resources that lists of `If` are tagged with.
    pub fn tagged<'a>(&'a self, base: &'a str) -> impl Iterator<Item = Location> + 'a {
        let tags = self.if_lists.iter().flatten().filter_map(|list| list.tag.as_deref());
        tags.filter_map(|tag| Location::parse_href(tag, base))
    }

    /// The state tokens in `If`: whoever names the token of a lock submits it (RFC 4918 §10.4.1).
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        let conditions = self.if_lists.iter().flatten().flat_map(|list| &list.conditions);
        conditions.filter_map(|condition| match &condition.state {
            State::Token(token) => Some(token.as_str()),
            State::Etag(_) => None,
        })
    }
}

impl List {
    fn holds<'a>(&self, here: &Location, base: &str, state: &dyn Fn(&Location) -> Known<'a>) -> bool {
        let known = match &self.tag {
            None => state(here),
            Some(tag) => Location::parse_href(tag, base).map(|tagged| state(&tagged)).unwrap_or_default(),
        };
        self.conditions.iter().all(|condition| {
            let held = match &condition.state {
                State::Etag(etag) => known.etag == Some(etag),
                State::Token(token) => known.tokens.contains(&token.as_str()),
            };
            held != condition.negated
        })
    }
}

/// Reads `1*( [Resource-Tag] "(" 1*Condition ")" )`.
fn read_lists(mut rest: &str) -> Option<Vec<List>> {
    let mut lists = Vec::new();
    let mut tag = None;
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix('<') {
            let (url, after) = after.split_once('>')?;
            tag = Some(url.to_owned());
            rest = after;
        } else if let Some(after) = rest.strip_prefix('(') {
            let (conditions, after) = read_conditions(after)?;
            lists.push(List { tag: tag.clone(), conditions });
            rest = after;
        } else {
            return (rest.is_empty() && !lists.is_empty()).then_some(lists);
        }
    }
}

fn read_conditions(mut rest: &str) -> Option<(Vec<Condition>, &str)> {
    let mut conditions = Vec::new();
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix(')') {
            return (!conditions.is_empty()).then_some((conditions, after));
        }
        let not = rest.get(..3).is_some_and(|word| word.eq_ignore_ascii_case("not"));
        rest = if not { rest[3..].trim_start() } else { rest };
        let state;
        if let Some(after) = rest.strip_prefix('<') {
            let (token, after) = after.split_once('>')?;
            state = State::Token(token.to_owned());
            rest = after;
        } else {
            let (tag, after) = rest.strip_prefix('[')?.split_once(']')?;
            state = State::Etag(bare(tag).to_owned());
            rest = after;
        }
        conditions.push(Condition { negated: not, state });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&'static str, &str)], etag: Option<&str>) -> Result<(), ConditionError> {
        let map = headers.iter().map(|(n, v)| (http::HeaderName::from_static(n), v.parse().unwrap())).collect();
        let location = Location::parse("/calendars/6650c0ffee0123456789abcd/work/x.ics").unwrap();
        let state = ResourceState { location: &location, etag, token: Some("http://sabre.io/ns/sync/3") };
        Preconditions::read(&map)?.check(&[state], "")
    }

    #[test]
    fn conditions_hold_or_fail_as_the_table_says() {
        use ConditionError::{If, IfMatch, IfNoneMatch, Malformed};
        let (there, gone) = (Some("a"), None);
        for (header, value, etag, expected) in [
            ("if-match", "\"a\"", there, Ok(())),
            ("if-match", "\"b\", \"a\"", there, Ok(())),
            ("if-match", "W/\"a\"", there, Ok(())),
            ("if-match", "a", there, Ok(())),
            ("if-match", "\"b\"", there, Err(IfMatch)),
            ("if-match", "\"a\"", gone, Err(IfMatch)),
            ("if-match", "*", there, Ok(())),
            ("if-match", "*", gone, Err(IfMatch)),
            ("if-match", "", there, Err(Malformed("If-Match"))),
            ("if-none-match", "*", there, Err(IfNoneMatch)),
            ("if-none-match", "*", gone, Ok(())),
            ("if-none-match", "\"a\"", there, Err(IfNoneMatch)),
            ("if-none-match", "\"b\"", there, Ok(())),
            ("if", "([\"a\"])", there, Ok(())),
            ("if", "([\"b\"])", there, Err(If)),
            ("if", "([\"b\"]) ([\"a\"])", there, Ok(())),
            ("if", "(Not [\"b\"])", there, Ok(())),
            ("if", "(<opaquelocktoken:x>)", there, Err(If)),
            ("if", "(<http://sabre.io/ns/sync/3>)", there, Ok(())),
            ("if", "(Not <DAV:no-lock>)", there, Ok(())),
            ("if", "</calendars/6650c0ffee0123456789abcd/work/x.ics> ([\"a\"])", there, Ok(())),
            ("if", "<http://h/calendars/6650c0ffee0123456789abcd/work/y.ics> ([\"a\"])", there, Err(If)),
            ("if", "nonsense", there, Err(Malformed("If"))),
            ("if", "()", there, Err(Malformed("If"))),
        ] {
            assert_eq!(check(&[(header, value)], etag), expected, "{header}: {value} on {etag:?}");
        }
    }

    #[test]
    fn all_conditions_must_hold() {
        let both = [("if-match", "\"a\""), ("if-none-match", "\"a\"")];
        assert_eq!(check(&both, Some("a")), Err(ConditionError::IfNoneMatch));
        assert_eq!(check(&[], None), Ok(()));
    }
}
