//! Text to tree.

use std::string::FromUtf8Error;

use super::tree::{Component, Item, Layout, Param, Property};
use super::write;

/// What a text may cost before it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Octets of text.
    pub bytes: usize,
    /// Levels of nested components.
    pub depth: usize,
    /// Content lines.
    pub lines: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 10 << 20, depth: 16, lines: 200_000 }
    }
}

impl Limits {
    /// Refuses a text in another notation that would take much more memory than its octets once it is read: every value of
    /// it becomes something of its own, and a content line has but a few.
    ///
    /// # Errors
    /// [`ParseErrorKind::TooLarge`].
    pub fn check_notation(self, text: &str) -> Result<(), ParseError> {
        let fail = |what, max| Err(ParseError { line: 1, kind: ParseErrorKind::TooLarge { what, max } });
        if text.len() > self.bytes {
            return fail("octets", self.bytes);
        }
        let mut values = 0_usize;
        if text.trim_start_matches('\u{feff}').trim_start().starts_with('<') {
            values = text.bytes().filter(|b| *b == b'<').count();
        } else {
            let (mut in_text, mut is_escaped) = (false, false);
            for byte in text.bytes() {
                match byte {
                    _ if is_escaped => is_escaped = false,
                    b'\\' => is_escaped = in_text,
                    b'"' => in_text = !in_text,
                    // Objects take most by far.
                    b'{' if !in_text => values += 4,
                    b'[' | b',' if !in_text => values += 1,
                    _ => {}
                }
            }
        }
        let most = self.lines.saturating_mul(VALUES_OF_A_LINE);
        if values > most { fail("values", most) } else { Ok(()) }
    }
}

/// Values that a content line has in other notations, with what is around them.
const VALUES_OF_A_LINE: usize = 16;
/// Parameters, and values of parameters, that a content line has on average at most.
const PARAMETERS_OF_A_LINE: usize = 8;

/// Why a text is not iCalendar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {kind}")]
pub struct ParseError {
    /// Line of the text, from 1; the first of a folded one.
    pub line: usize,
    /// What is wrong there.
    pub kind: ParseErrorKind,
}

/// What can be wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// Nothing but blank lines.
    #[error("the text is empty")]
    Empty,
    /// A line outside any component.
    #[error("expected BEGIN:, found {0:?}")]
    OutsideComponent(String),
    /// A line without `:` (RFC 5545 §3.1).
    #[error("a content line needs a name and ':', found {0:?}")]
    NoColon(String),
    /// A name with characters that names do not have.
    #[error("{0:?} is not a property name")]
    BadName(String),
    /// A quoted parameter value that is never closed.
    #[error("a quoted parameter value is not closed")]
    UnclosedQuote,
    /// `END:` of another component.
    #[error("END:{found} closes BEGIN:{open}")]
    WrongEnd {
        /// Component that is open.
        open: String,
        /// Component that the line names.
        found: String,
    },
    /// The text stops within a component.
    #[error("BEGIN:{0} is never closed")]
    Unclosed(String),
    /// Something follows the outermost component.
    #[error("text after the end of the object: {0:?}")]
    Trailing(String),
    /// A control character (RFC 5545 §3.1 allows only TAB).
    #[error("control character U+{0:04X}")]
    Control(u32),
    /// More than [`Limits`] allow.
    #[error("more than {max} {what}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        max: usize,
    },
}

/// Octets as text. Some producers fold lines within a character (RFC 5545 §3.1 warns of them); such text is unfolded first,
/// and the flag says that the octets are no longer those that came in.
///
/// # Errors
/// The original octets with the place, when they are no UTF-8 either way.
pub fn decode(octets: Vec<u8>) -> Result<(String, bool), FromUtf8Error> {
    String::from_utf8(octets)
        .map(|text| (text, false))
        .or_else(|error| String::from_utf8(unfolded(error.as_bytes())).map(|text| (text, true)).map_err(|_| error))
}

fn unfolded(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len());
    let mut rest = octets;
    while let Some((&first, after)) = rest.split_first() {
        rest = match rest {
            [b'\r', b'\n', b' ' | b'\t', rest @ ..] | [b'\n', b' ' | b'\t', rest @ ..] => rest,
            _ => {
                out.push(first);
                after
            }
        };
    }
    out
}

/// One logical line: the physical lines it spans, without the last line ending.
struct Line<'a> {
    number: usize,
    raw: &'a str,
}

/// Cuts text into logical lines (a physical line that starts with SPACE or TAB continues the one before).
struct Lines<'a> {
    rest: &'a str,
    number: usize,
    /// Line endings are mixed: LF separates, and a CR before it is kept as part of the raw line.
    keep_cr: bool,
}

impl<'a> Lines<'a> {
    /// Length of the physical line at `from`, without and with its line ending.
    fn physical(&self, from: usize) -> (usize, usize) {
        let bytes = &self.rest.as_bytes()[from..];
        match bytes.iter().position(|&b| b == b'\n') {
            Some(n) => {
                let cr = n > 0 && bytes[n - 1] == b'\r' && !self.keep_cr;
                (from + n - usize::from(cr), from + n + 1)
            }
            None => (self.rest.len(), self.rest.len()),
        }
    }

    fn next(&mut self) -> Option<Line<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let number = self.number + 1;
        let (mut end, mut next) = self.physical(0);
        self.number += 1;
        // A blank line is not continued: some producers leave one before an indented line.
        while end > 0 && matches!(self.rest.as_bytes().get(next), Some(b' ' | b'\t')) {
            (end, next) = self.physical(next);
            self.number += 1;
        }
        let raw = &self.rest[..end];
        self.rest = &self.rest[next..];
        Some(Line { number, raw })
    }
}

pub(super) fn parse_one(text: &str, limits: Limits) -> Result<Component, ParseError> {
    let fail = |line, kind| Err(ParseError { line, kind });
    if text.len() > limits.bytes {
        return fail(1, ParseErrorKind::TooLarge { what: "octets", max: limits.bytes });
    }
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let start = body.len() - body.trim_start_matches(['\r', '\n', ' ', '\t']).len();
    let crlf = text.matches("\r\n").count();
    let mixed = crlf > 0 && crlf != text.matches('\n').count();
    let mut outer = Layout {
        before: text[..text.len() - body.len() + start].into(),
        lf_only: crlf == 0 || mixed,
        ..Layout::default()
    };
    let mut lines = Lines { rest: &body[start..], number: body[..start].matches('\n').count(), keep_cr: mixed };
    let mut open: Vec<Component> = Vec::new();
    let mut unfolded = String::new();
    let mut parameters = limits.lines.saturating_mul(PARAMETERS_OF_A_LINE);
    while let Some(line) = lines.next() {
        if lines.number > limits.lines {
            return fail(line.number, ParseErrorKind::TooLarge { what: "lines", max: limits.lines });
        }
        if line.raw.trim().is_empty() {
            if let Some(c) = open.last_mut() {
                c.items.push(Item::Blank(line.raw.into()));
            }
            continue;
        }
        let logical = unfold(line.raw, &mut unfolded);
        if let Some(name) = strip_ci(logical, "BEGIN:") {
            if open.len() == limits.depth {
                return fail(line.number, ParseErrorKind::TooLarge { what: "nested components", max: limits.depth });
            }
            let name = name.trim_end();
            let layout = Layout { begin: differs(line.raw, "BEGIN:", name), ..Layout::default() };
            open.push(Component::parsed(name.to_owned(), layout));
        } else if let Some(name) = strip_ci(logical, "END:") {
            let name = name.trim_end();
            let Some(mut done) = open.pop() else {
                return fail(line.number, ParseErrorKind::OutsideComponent(excerpt(logical)));
            };
            if !done.is(name) {
                let kind = ParseErrorKind::WrongEnd { open: done.name().to_owned(), found: excerpt(name) };
                return fail(line.number, kind);
            }
            done.layout.end = differs(line.raw, "END:", done.name());
            match open.last_mut() {
                Some(parent) => parent.items.push(Item::Component(done)),
                None => {
                    outer.begin = done.layout.begin.take();
                    outer.end = done.layout.end.take();
                    return finish(done, outer, text, &lines);
                }
            }
        } else {
            let Some(parent) = open.last_mut() else {
                return fail(line.number, ParseErrorKind::OutsideComponent(excerpt(logical)));
            };
            let property = content_line(logical, line.raw).map_err(|kind| ParseError { line: line.number, kind })?;
            let taken: usize = property.params().iter().map(|param| 1 + param.values.len()).sum();
            let Some(left) = parameters.checked_sub(taken) else {
                let max = limits.lines.saturating_mul(PARAMETERS_OF_A_LINE);
                return fail(line.number, ParseErrorKind::TooLarge { what: "parameters", max });
            };
            parameters = left;
            parent.items.push(Item::Property(property));
        }
    }
    match open.pop() {
        Some(c) => fail(lines.number, ParseErrorKind::Unclosed(c.name().to_owned())),
        None => fail(1, ParseErrorKind::Empty),
    }
}

fn finish(mut done: Component, mut outer: Layout, text: &str, rest: &Lines<'_>) -> Result<Component, ParseError> {
    if !rest.rest.trim_matches(['\r', '\n', ' ', '\t', '\0', '\u{1a}']).is_empty() {
        let kind = ParseErrorKind::Trailing(excerpt(rest.rest.trim_start()));
        return Err(ParseError { line: rest.number + 1, kind });
    }
    outer.after = rest.rest.into();
    outer.unterminated = rest.rest.is_empty() && !text.ends_with('\n');
    done.layout = outer;
    Ok(done)
}

/// Removes folds (RFC 5545 §3.1); borrows when there are none.
fn unfold<'a>(raw: &'a str, buffer: &'a mut String) -> &'a str {
    if !raw.contains('\n') {
        return raw.strip_suffix('\r').unwrap_or(raw);
    }
    buffer.clear();
    for (i, physical) in raw.split('\n').enumerate() {
        let physical = physical.strip_suffix('\r').unwrap_or(physical);
        buffer.push_str(if i == 0 { physical } else { &physical[1..] });
    }
    buffer
}

fn strip_ci<'a>(line: &'a str, prefix: &str) -> Option<&'a str> {
    let head = line.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &line[prefix.len()..])
}

fn differs(raw: &str, prefix: &str, name: &str) -> Option<Box<str>> {
    let same = raw.strip_prefix(prefix) == Some(name);
    (!same).then(|| raw.into())
}

fn excerpt(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Whether this can be the name of a component, property or parameter.
pub fn is_name(name: &str) -> bool {
    // `.` is the group separator of vCard; `_` and `/` occur in the wild.
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/'))
}

/// Whether this can be the name of a property: what begins and ends a component is none.
pub fn is_property_name(name: &str) -> bool {
    is_name(name) && !["BEGIN", "END"].iter().any(|word| name.eq_ignore_ascii_case(word))
}

/// Reads `name *(";" param) ":" value`.
fn content_line(line: &str, raw: &str) -> Result<Property, ParseErrorKind> {
    if let Some(c) = line.chars().find(|c| c.is_ascii_control() && *c != '\t') {
        return Err(ParseErrorKind::Control(c as u32));
    }
    let end = line.find([':', ';']).ok_or_else(|| ParseErrorKind::NoColon(excerpt(line)))?;
    let name = line[..end].trim_end();
    if !is_property_name(name) {
        return Err(ParseErrorKind::BadName(excerpt(name)));
    }
    let mut params = Vec::new();
    let mut at = end;
    while line.as_bytes()[at] == b';' {
        let (param, next) = parameter(line, at + 1)?;
        params.extend(param);
        at = next;
    }
    let value = &line[at + 1..];
    let mut property = Property::new(name, value);
    property.set_parsed_params(params);
    if !write::is_canonical(&property, raw) {
        property.keep_raw(raw);
    }
    Ok(property)
}

/// Reads one parameter from `from`; gives it and the index of the `;` or `:` after it. An empty one (`;;`) is none.
fn parameter(line: &str, from: usize) -> Result<(Option<Param>, usize), ParseErrorKind> {
    let no_colon = || ParseErrorKind::NoColon(excerpt(line));
    let rest = &line[from..];
    let name_len = rest.find(['=', ';', ':']).ok_or_else(no_colon)?;
    let name = rest[..name_len].trim().to_owned();
    if rest.as_bytes()[name_len] != b'=' {
        let param = (!name.is_empty()).then_some(Param { name, values: Vec::new() });
        return Ok((param, from + name_len));
    }
    let mut values = Vec::new();
    let mut at = from + name_len + 1;
    loop {
        let (value, next) = parameter_value(line, at)?;
        values.push(value);
        at = next;
        match line.as_bytes().get(at) {
            Some(b',') => at += 1,
            Some(b';' | b':') => return Ok((Some(Param { name, values }), at)),
            _ => return Err(no_colon()),
        }
    }
}

/// Reads one parameter value, quoted or not. Quotes within an unquoted value are tolerated.
fn parameter_value(line: &str, from: usize) -> Result<(String, usize), ParseErrorKind> {
    let rest = &line[from..];
    if let Some(quoted) = rest.strip_prefix('"') {
        let len = quoted.find('"').ok_or(ParseErrorKind::UnclosedQuote)?;
        let after = from + len + 2;
        if matches!(line.as_bytes().get(after), Some(b',' | b';' | b':')) {
            return Ok((write::decode_carets(&quoted[..len]), after));
        }
    }
    let len = rest.find([',', ';', ':']).ok_or_else(|| ParseErrorKind::NoColon(excerpt(line)))?;
    Ok((write::decode_carets(&rest[..len]), from + len))
}
