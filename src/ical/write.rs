//! Tree to text, and the escapes of values.

use std::borrow::Cow;

use super::tree::{Component, Item, Property};

/// Octets of a physical line, line ending not counted (RFC 5545 §3.1).
const FOLD_AT: usize = 75;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Untouched parts as they came in.
    AsWritten,
    /// CRLF, folded at 75 octets.
    Canonical,
}

pub(super) fn to_text(root: &Component, form: Form) -> String {
    let newline = if form == Form::AsWritten && root.layout.lf_only { "\n" } else { "\r\n" };
    let mut out = String::with_capacity(1024);
    if form == Form::AsWritten {
        out.push_str(&root.layout.before);
    }
    component(root, form, newline, &mut out);
    if form == Form::AsWritten {
        if root.layout.unterminated {
            out.truncate(out.len() - newline.len());
        }
        out.push_str(&root.layout.after);
    }
    out
}

fn component(c: &Component, form: Form, newline: &str, out: &mut String) {
    edge(c.layout.begin.as_deref(), "BEGIN:", c.name(), form, newline, out);
    for item in &c.items {
        match item {
            Item::Property(p) => {
                match p.raw() {
                    Some(raw) if form == Form::AsWritten => out.push_str(raw),
                    _ => fold_into(&content_line(p), newline, out),
                }
                out.push_str(newline);
            }
            Item::Component(child) => component(child, form, newline, out),
            Item::Blank(raw) if form == Form::AsWritten => {
                out.push_str(raw);
                out.push_str(newline);
            }
            Item::Blank(_) => {}
        }
    }
    edge(c.layout.end.as_deref(), "END:", c.name(), form, newline, out);
}

fn edge(raw: Option<&str>, prefix: &str, name: &str, form: Form, newline: &str, out: &mut String) {
    match raw {
        Some(raw) if form == Form::AsWritten => out.push_str(raw),
        _ => {
            out.push_str(prefix);
            out.push_str(name);
        }
    }
    out.push_str(newline);
}

/// The content line of a property, unfolded.
fn content_line(p: &Property) -> String {
    let mut line = String::with_capacity(p.name().len() + p.value().len() + 32);
    pieces(p, |piece| {
        line.push_str(piece);
        true
    });
    line
}

/// Gives the content line piece by piece, as long as it is wanted; false when it was not wanted to its end.
fn pieces(p: &Property, mut take: impl FnMut(&str) -> bool) -> bool {
    let mut write = || -> Option<()> {
        let mut put = |piece: &str| take(piece).then_some(());
        put(p.name())?;
        for param in p.params() {
            put(";")?;
            put(&param.name)?;
            for (i, value) in param.values.iter().enumerate() {
                put(if i == 0 { "=" } else { "," })?;
                let value = encode_carets(value);
                let quote = value.contains([':', ';', ',']);
                if quote {
                    put("\"")?;
                }
                put(&value)?;
                if quote {
                    put("\"")?;
                }
            }
        }
        put(":")?;
        if p.value().contains(['\r', '\n']) {
            // A line break in a value would start a content line of its own; as TEXT it is `\n`.
            put(&p.value().replace("\r\n", "\n").replace(['\r', '\n'], "\\n"))
        } else {
            put(p.value())
        }
    };
    write().is_some()
}

/// Whether we would write the property just as `raw`, so that `raw` need not be kept.
pub(super) fn is_canonical(p: &Property, raw: &str) -> bool {
    let mut rest = raw;
    let same = |piece: &str| match rest.strip_prefix(piece) {
        Some(after) => {
            rest = after;
            true
        }
        None => false,
    };
    raw.len() <= FOLD_AT && pieces(p, same) && rest.is_empty()
}

/// Appends one content line, folded at 75 octets between characters (RFC 5545 §3.1), without the last line ending.
pub fn fold_into(line: &str, newline: &str, out: &mut String) {
    let mut rest = line;
    let mut room = FOLD_AT;
    while rest.len() > room {
        let mut cut = room;
        while !rest.is_char_boundary(cut) {
            cut -= 1;
        }
        out.push_str(&rest[..cut]);
        out.push_str(newline);
        out.push(' ');
        rest = &rest[cut..];
        room = FOLD_AT - 1;
    }
    out.push_str(rest);
}

/// Escapes a TEXT value (RFC 5545 §3.3.11); CRLF and CR become one newline.
pub fn escape_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' | ';' | ',' => {
                out.push('\\');
                out.push(c);
            }
            '\r' => {
                if chars.peek() == Some(&'\n') {
                    chars.next();
                }
                out.push_str("\\n");
            }
            '\n' => out.push_str("\\n"),
            c if c.is_ascii_control() && c != '\t' => {}
            c => out.push(c),
        }
    }
    out
}

/// Splits a value at separators that are not escaped; what comes out is still escaped.
pub fn split_value(value: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    value.split(move |c| {
        let cut = c == separator && !escaped;
        escaped = c == '\\' && !escaped;
        cut
    })
}

/// Decodes a TEXT value (RFC 5545 §3.3.11). A backslash before any other character stands for that character.
pub fn unescape_text(value: &str) -> String {
    if !value.contains('\\') {
        return value.to_owned();
    }
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n' | 'N') => out.push('\n'),
            Some(other) => out.push(other),
            None => out.push('\\'),
        }
    }
    out
}

/// Decodes `^n`, `^^` and `^'` in a parameter value (RFC 6868).
pub(super) fn decode_carets(value: &str) -> String {
    if !value.contains('^') {
        return value.to_owned();
    }
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        let decoded = match (c, chars.peek()) {
            ('^', Some('n')) => Some('\n'),
            ('^', Some('^')) => Some('^'),
            ('^', Some('\'')) => Some('"'),
            _ => None,
        };
        if decoded.is_some() {
            chars.next();
        }
        out.push(decoded.unwrap_or(c));
    }
    out
}

/// Encodes what a parameter value cannot hold (RFC 6868); other control characters are dropped.
fn encode_carets(value: &str) -> Cow<'_, str> {
    if !value.contains(|c: char| c == '^' || c == '"' || c.is_ascii_control()) {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len() + 8);
    for c in value.chars() {
        match c {
            '^' => out.push_str("^^"),
            '"' => out.push_str("^'"),
            '\n' => out.push_str("^n"),
            c if c.is_ascii_control() && c != '\t' => {}
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}
