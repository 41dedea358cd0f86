//! Text as the index sees it, and what people type as an expression of the index. Pure.
//!
//! The tokenizer of the index folds case and accents and splits at everything that is no letter or digit. What it cannot
//! do is done here for text and questions alike: letters that no accent can be taken off are spelt out (`ß`, `ø`), and
//! scripts that are written without spaces are split into single characters, so that a phrase of them finds any part of a
//! sentence.

/// Words of a question that count; the others are ignored.
const MOST_WORDS: usize = 32;
/// The columns that are searched.
const COLUMNS: &str = "{summary description location people}";

/// What a question asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Everything: the question is blank.
    Everything,
    /// Nothing: there is no word in it.
    Nothing,
    /// What matches this expression of FTS5. Words in it are quoted, so nothing that was typed is syntax.
    Matching(String),
}

/// Text as it goes into the index.
pub(super) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            'ß' | 'ẞ' => folded.push_str("ss"),
            'æ' | 'Æ' => folded.push_str("ae"),
            'œ' | 'Œ' => folded.push_str("oe"),
            'þ' | 'Þ' => folded.push_str("th"),
            'ø' | 'Ø' => folded.push('o'),
            'ł' | 'Ł' => folded.push('l'),
            'đ' | 'Đ' | 'ð' | 'Ð' => folded.push('d'),
            'ħ' | 'Ħ' => folded.push('h'),
            'ı' => folded.push('i'),
            // Full-width forms of ASCII.
            '\u{ff01}'..='\u{ff5e}' => folded.extend(char::from_u32(u32::from(c) - 0xfee0)),
            c if c.is_control() => folded.push(' '),
            c if unspaced(c) => folded.extend([' ', c, ' ']),
            c => folded.push(c),
        }
    }
    folded
}

/// Scripts that are written without spaces between words.
fn unspaced(c: char) -> bool {
    matches!(c,
        '\u{0e00}'..='\u{0eff}' // Thai, Lao
        | '\u{1000}'..='\u{109f}' // Myanmar
        | '\u{1780}'..='\u{17ff}' // Khmer
        | '\u{3005}'..='\u{3007}'
        | '\u{3040}'..='\u{312f}' // Hiragana, Katakana, Bopomofo
        | '\u{31f0}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}' // Han
        | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{ff66}'..='\u{ff9d}'
        | '\u{20000}'..='\u{323af}')
}

/// Reads a question (storage §4.6): words of which any may match, each also as the beginning of a longer one; or, where
/// it holds one of `"~|*` or a word with `-` before it, a simple query string of which all parts must match.
///
/// `scope` is the expression of everything that may be found.
pub(super) fn read(question: &str, scope: &str) -> Wanted {
    if question.trim().is_empty() {
        return Wanted::Everything;
    }
    let simple_query = question.contains(['"', '~', '|', '*']) || question.split(' ').any(|w| w.starts_with('-'));
    let expression = if simple_query { simple_query_string(question, scope) } else { any_word(question) };
    expression.map_or(Wanted::Nothing, |e| Wanted::Matching(format!("({scope}) AND ({e})")))
}

fn any_word(question: &str) -> Option<String> {
    let words: Vec<String> =
        question.split_whitespace().take(MOST_WORDS).filter_map(|word| term(word, is_long(word))).collect();
    (!words.is_empty()).then(|| words.join(" OR "))
}

/// Whether a word stands for all that begin with it too. Short ones would find too much; letters beyond ASCII say more.
fn is_long(word: &str) -> bool {
    word.chars().filter(|c| c.is_alphanumeric()).count() >= 3 || !word.is_ascii()
}

/// A word or phrase as a quoted term; `None` where there is nothing in it that the index knows.
fn term(words: &str, prefix: bool) -> Option<String> {
    if !words.chars().any(char::is_alphanumeric) {
        return None;
    }
    let folded = fold(words);
    let quoted = folded.trim().replace('"', "\"\"");
    let star = if prefix { " *" } else { "" };
    Some(format!("{COLUMNS} : \"{quoted}\"{star}"))
}

/// One part of a simple query string.
struct Part {
    term: String,
    /// `-`: it must not match.
    negated: bool,
    /// `|` before it: it may match instead of what stands before.
    or: bool,
}

/// What was read so far: all of `wanted` and none of `unwanted`.
#[derive(Default)]
struct Read {
    wanted: Option<String>,
    unwanted: Vec<String>,
}

impl Read {
    fn and(mut self, part: Part) -> Self {
        if part.negated {
            self.unwanted.push(part.term);
        } else {
            self.wanted = Some(match self.wanted {
                Some(wanted) => format!("{wanted} AND {}", part.term),
                None => part.term,
            });
        }
        self
    }

    fn or(self, part: Part, scope: &str) -> Self {
        let other = Self::default().and(part);
        let either = match (self.expression(scope), other.expression(scope)) {
            (Some(one), Some(two)) => Some(format!("({one} OR {two})")),
            (one, two) => one.or(two),
        };
        Self { wanted: either, unwanted: Vec::new() }
    }

    fn expression(self, scope: &str) -> Option<String> {
        if self.unwanted.is_empty() {
            return self.wanted.map(|w| format!("({w})"));
        }
        let wanted = self.wanted.unwrap_or_else(|| scope.to_owned());
        Some(format!("(({wanted}) NOT ({}))", self.unwanted.join(" OR ")))
    }
}

/// Operators bind from left to right, and everything is forgiven: what cannot be read is left out.
fn simple_query_string(question: &str, scope: &str) -> Option<String> {
    parts(question)
        .into_iter()
        .fold(Read::default(), |read, part| if part.or { read.or(part, scope) } else { read.and(part) })
        .expression(scope)
}

fn parts(question: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let (mut negated, mut or) = (false, false);
    let mut rest = question.trim_start();
    while let Some(first) = rest.chars().next()
        && parts.len() < MOST_WORDS
    {
        let read = match first {
            '|' => {
                or = true;
                rest = &rest[1..];
                None
            }
            '-' => {
                negated = true;
                rest = &rest[1..];
                None
            }
            '"' => {
                let (phrase, after) = rest[1..].split_once('"').unwrap_or((&rest[1..], ""));
                // `~3` after a phrase would allow words in between: not offered.
                rest = after.trim_start_matches(|c: char| c == '~' || c.is_ascii_digit());
                Some(term(phrase, false))
            }
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || c == '|' || c == '"').unwrap_or(rest.len());
                let (word, after) = rest.split_at(end);
                rest = after;
                // `~2` after a word would forgive typing errors: not offered.
                let word = word.split('~').next().unwrap_or_default();
                let prefix = word.ends_with('*');
                Some(term(word.trim_end_matches('*'), prefix))
            }
        };
        if let Some(term) = read {
            parts.extend(term.map(|term| Part { term, negated, or }));
            (negated, or) = (false, false);
        }
        rest = rest.trim_start();
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expression(question: &str) -> String {
        match read(question, "S") {
            Wanted::Matching(e) => {
                e.replace(&format!("{COLUMNS} : "), "").strip_prefix("(S) AND ").unwrap_or_default().to_owned()
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn questions_become_expressions() {
        for (question, expected) in [
            ("", "Everything"),
            ("  \t", "Everything"),
            ("!?", "Nothing"),
            ("* | \"\" -", "Nothing"),
            ("sync", r#"("sync" *)"#),
            ("to", r#"("to")"#),
            ("sync to Zürich", r#"("sync" * OR "to" OR "Zürich" *)"#),
            ("alice@example.org", r#"("alice@example.org" *)"#),
            ("Straße", r#"("Strasse" *)"#),
            ("会議室", r#"("会  議  室" *)"#),
            (r#""weekly sync""#, r#"(("weekly sync"))"#),
            ("plan* review", r#"(("plan" * AND "review"))"#),
            ("plan | review", r#"(((("plan") OR ("review"))))"#),
            ("a b | c", r#"(((("a" AND "b") OR ("c"))))"#),
            ("plan -draft", r#"((("plan") NOT ("draft")))"#),
            ("-draft", r#"(((S) NOT ("draft")))"#),
            ("plan | -draft", r#"(((("plan") OR ((S) NOT ("draft")))))"#),
            (r#"-"not this" -that x"#, r#"((("x") NOT ("not this" OR "that")))"#),
            ("fuzzy~2", r#"(("fuzzy"))"#),
            (r#""a b"~3 c"#, r#"(("a b" AND "c"))"#),
            (r#""open end"#, r#"(("open end"))"#),
            ("e-mail", r#"("e-mail" *)"#),
        ] {
            assert_eq!(expression(question), expected, "{question}");
        }
    }

    proptest! {
        /// Outside of quotes there is only what this module wrote.
        #[test]
        fn nothing_that_was_typed_is_syntax(question in r#"[\PC"*|~^:(){}+-]{0,60}|\PC{0,60}"#) {
            if let Wanted::Matching(expression) = read(&question, "S") {
                let outside: String = expression.replace(COLUMNS, "").split('"').step_by(2).collect();
                let known = outside
                    .split(|c: char| c.is_whitespace() || "():*".contains(c))
                    .all(|word| ["", "S", "AND", "OR", "NOT"].contains(&word));
                prop_assert!(known, "{expression}");
                prop_assert_eq!(expression.matches('"').count() % 2, 0);
            }
        }
    }
}
