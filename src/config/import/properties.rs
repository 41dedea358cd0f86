//! The properties dialect of the reference (storage §8.1): comments, continued lines, escapes, three separators, lists.

/// The keys of one file, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Properties {
    entries: Vec<Entry>,
}

/// One key with everything that it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key, unescaped.
    pub key: String,
    /// Line of its first appearance, from 1.
    pub line: usize,
    /// Its values: parts between commas, of all appearances. A single empty one for `key=`.
    pub values: Vec<String>,
}

impl Properties {
    /// Reads a file. Never fails: every text is a list of properties.
    pub fn parse(text: &str) -> Self {
        let mut found = Self::default();
        for (line, logical) in logical_lines(text) {
            let (key, value) = split_at_separator(&logical);
            let values = split_at_commas(&unescape(value.trim()));
            let key = unescape(key);
            match found.entries.iter_mut().find(|e| e.key == key) {
                Some(entry) => entry.values.extend(values),
                None => found.entries.push(Entry { key, line, values }),
            }
        }
        found
    }

    /// All keys, in the order of their first appearance.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Takes a key out.
    pub fn take(&mut self, key: &str) -> Option<Entry> {
        let at = self.entries.iter().position(|e| e.key == key)?;
        Some(self.entries.remove(at))
    }
}

/// Lines without comments and blank ones, continued ones joined, each with the number of its first line.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in physical_lines(text).enumerate() {
        let line = line.trim();
        // Comments may stand between the parts of a continued line, too.
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let (begun, mut joined) = open.take().unwrap_or_else(|| (number + 1, String::new()));
        let backslashes = line.chars().rev().take_while(|c| *c == '\\').count();
        if backslashes % 2 == 1 {
            joined.push_str(&line[..line.len() - 1]);
            open = Some((begun, joined));
        } else {
            joined.push_str(line);
            lines.push((begun, joined));
        }
    }
    lines.extend(open);
    lines
}

/// `\n`, `\r\n` and `\r` end a line.
fn physical_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// The key ends at the first `=`, `:` or white space that no backslash stands before.
fn split_at_separator(line: &str) -> (&str, &str) {
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '=' | ':' => return (&line[..at], &line[at + 1..]),
            c if c.is_whitespace() => {
                let rest = line[at..].trim_start();
                return (&line[..at], rest.strip_prefix(['=', ':']).unwrap_or(rest));
            }
            _ => {}
        }
    }
    (line, "")
}

/// Resolves `\uXXXX`, `\t`, `\n`, `\r`, `\f`, `\b` and escaped punctuation. A backslash before anything else stays: before
/// a comma it has a meaning later.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // UTF-16, because characters beyond the first plane are written as two escapes.
    let mut units: Vec<u16> = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(unit) = rest.strip_prefix("\\u").and_then(hex_unit) {
            units.push(unit);
            rest = &rest[6..];
            continue;
        }
        flush(&mut units, &mut out);
        rest = &rest[c.len_utf8()..];
        match (c, rest.chars().next()) {
            ('\\', Some(next)) => {
                rest = &rest[next.len_utf8()..];
                match next {
                    't' => out.push('\t'),
                    'n' => out.push('\n'),
                    'r' => out.push('\r'),
                    'f' => out.push('\u{c}'),
                    'b' => out.push('\u{8}'),
                    ':' | '#' | '=' | '!' | '\\' | '\'' | '"' | ' ' => out.push(next),
                    _ => out.extend(['\\', next]),
                }
            }
            _ => out.push(c),
        }
    }
    flush(&mut units, &mut out);
    out
}

fn hex_unit(digits: &str) -> Option<u16> {
    let digits = digits.get(..4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u16::from_str_radix(digits, 16).ok()
}

fn flush(units: &mut Vec<u16>, out: &mut String) {
    out.extend(char::decode_utf16(units.drain(..)).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)));
}

/// Parts between commas, trimmed; `\,` is a comma and `\\` a backslash.
fn split_at_commas(value: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        let next = chars.peek().copied();
        match (c, next, parts.last_mut()) {
            ('\\', Some(escaped @ (',' | '\\')), Some(part)) => {
                part.push(escaped);
                chars.next();
            }
            (',', _, _) => parts.push(String::new()),
            (c, _, Some(part)) => part.push(c),
            (_, _, None) => {}
        }
    }
    parts.iter().map(|p| p.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(text: &str) -> Vec<(String, Vec<String>)> {
        Properties::parse(text).entries.into_iter().map(|e| (e.key, e.values)).collect()
    }

    fn one(text: &str) -> (String, String) {
        let mut all = values(text);
        assert_eq!(all.len(), 1, "{text:?} gave {all:?}");
        let (key, values) = all.remove(0);
        (key, values.join(","))
    }

    #[test]
    fn equals_colon_and_space_separate() {
        for text in ["a.b=c d", "a.b = c d", "a.b:c d", "a.b : c d", "a.b c d", "  a.b\tc d  ", "a.b\t=\tc d"] {
            assert_eq!(one(text), ("a.b".to_owned(), "c d".to_owned()), "{text:?}");
        }
        assert_eq!(one("url=http://x:80/?a=b"), ("url".to_owned(), "http://x:80/?a=b".to_owned()));
        assert_eq!(one("a="), ("a".to_owned(), String::new()));
        assert_eq!(one("a"), ("a".to_owned(), String::new()));
        assert_eq!(one(r"a\=b\:c\ d=e"), ("a=b:c d".to_owned(), "e".to_owned()));
    }

    #[test]
    fn comments_and_blank_lines_are_skipped() {
        assert_eq!(values("# a=b\n! c=d\n\n   # e=f\n"), []);
        assert_eq!(one("a=b # no comment"), ("a".to_owned(), "b # no comment".to_owned()));
        assert_eq!(one("a=b!c"), ("a".to_owned(), "b!c".to_owned()));
    }

    #[test]
    fn a_line_that_ends_in_a_backslash_goes_on() {
        assert_eq!(one("a = b\\\n    c\\\r\n  d"), ("a".to_owned(), "bcd".to_owned()));
        assert_eq!(one("a = b,\\\n# in between\n c"), ("a".to_owned(), "b,c".to_owned()));
        assert_eq!(one("a = b\\"), ("a".to_owned(), "b".to_owned()));
        let two = values("a = b\\\\\nc = d");
        assert_eq!(two.len(), 2, "an escaped backslash continues nothing");
        assert_eq!(two[0].1, [r"b\"]);
    }

    #[test]
    fn escapes_are_resolved() {
        assert_eq!(one(r"a=caf\u00e9 \uD83D\uDCC5").1, "café 📅");
        assert_eq!(one(r"a=x\ty\=z\:\#\!\'").1, "x\ty=z:#!'");
        assert_eq!(one(r"a=p\u12 \q").1, r"p\u12 \q", "what is no escape stays");
    }

    #[test]
    fn commas_and_repeated_keys_make_lists() {
        let list = |text| values(text).remove(0).1;
        assert_eq!(list("a=b, c ,d"), ["b", "c", "d"]);
        assert_eq!(list("a=b\na=c,d"), ["b", "c", "d"]);
        assert_eq!(list(r"a=b\,c,d"), ["b,c", "d"]);
        assert_eq!(list(r"a=dc\\,x"), ["dc,x"], "a comma behind an escaped backslash is escaped as well");
    }

    /// Writes a value so that the reader gives it back.
    fn escape(value: &str) -> String {
        let listed = value.replace('\\', r"\\").replace(',', r"\,");
        let mut out = String::new();
        for unit in listed.encode_utf16() {
            match char::from_u32(u32::from(unit)) {
                Some('\\') => out.push_str(r"\\"),
                Some(c) if c.is_ascii_alphanumeric() => out.push(c),
                _ => out.push_str(&format!("\\u{unit:04x}")),
            }
        }
        out
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fail(text in any::<String>()) {
            Properties::parse(&text);
        }

        #[test]
        fn no_text_of_its_own_characters_makes_it_fail(text in r"[ab=: \t\\,\r\nu0dD#!]{0,80}") {
            for entry in Properties::parse(&text).entries() {
                prop_assert!(!entry.values.is_empty());
            }
        }

        #[test]
        fn what_is_escaped_comes_back(value in r"[^\s](.*[^\s])?") {
            prop_assert_eq!(one(&format!("key = {}", escape(&value))).1, value);
        }
    }
}
