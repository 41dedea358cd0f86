//! Texts and questions taken apart as OpenSearch does it with the analyzers of storage §4.2, so that every engine finds the
//! same. Pure: in come texts, out go words. `tests/it/contracts/search_words.rs` compares it with the real thing.

mod fold;
mod mail_and_url;
mod simple_query;
mod standard;

pub use fold::{folded, lowercase};
pub use simple_query::{Leaf, Tree, parse};

/// Letters of a word's beginning that find it (`min.ngram`, `max.ngram.diff`).
const BEGINNINGS: std::ops::RangeInclusive<usize> = 3..=7;
/// Words of a question that count; a cluster takes no more than a thousand clauses.
const MOST_WORDS: usize = 64;
/// Letters of a question that count.
const MOST_LETTERS: usize = 1_000;
/// The filter `stop` of Lucene.
const STOP_WORDS: [&str; 33] = [
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no", "not", "of",
    "on", "or", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to", "was", "will", "with",
];

/// Words in lower case (`standard`).
pub fn words(text: &str) -> Vec<String> {
    standard::tokens(text).map(lowercase).collect()
}

/// Words in lower case with addresses and URLs left whole; `None` where a stop word stood
/// (`calendar_event_keep_mail_and_url_analyzer`).
pub fn words_with_addresses(text: &str) -> Vec<Option<String>> {
    let words = mail_and_url::tokens(text).map(lowercase);
    words.map(|word| Some(word).filter(|word| !STOP_WORDS.contains(&word.as_str()))).collect()
}

/// The beginnings of words, as written and without accents (`calendar_event_summary_prefix_analyzer`,
/// `calendar_event_cn_name_analyzer`).
pub fn beginnings(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    for word in standard::tokens(text) {
        let ends = word.char_indices().map(|(i, _)| i).chain([word.len()]);
        for (letters, end) in ends.enumerate().skip_while(|(n, _)| n < BEGINNINGS.start()) {
            if letters > *BEGINNINGS.end() {
                break;
            }
            both_spellings(&word[..end], &mut all);
        }
    }
    all
}

/// Words as written and without accents (`calendar_event_cn_name_search_analyzer`).
pub fn words_both_spellings(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    standard::tokens(text).for_each(|word| both_spellings(word, &mut all));
    all
}

/// The text as one word, as written and without accents (`calendar_event_summary_search_prefix_analyzer`).
pub fn whole_both_spellings(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    both_spellings(text, &mut all);
    all
}

/// An address as filters compare it (normalizer `case_insensitive`).
pub fn normalized(address: &str) -> String {
    let lower = lowercase(address);
    folded(&lower).unwrap_or(lower)
}

fn both_spellings(word: &str, all: &mut Vec<String>) {
    let word = lowercase(word);
    all.extend(folded(&word));
    all.push(word);
}

/// Whether a question is a simple query string: it holds one of `"~|*`, or a word with `-` before it (storage §4.6).
pub fn is_simple_query(question: &str) -> bool {
    question.contains(['"', '~', '|', '*']) || question.split(' ').any(|word| word.starts_with('-'))
}

/// As much of a question as is looked at.
pub fn clipped(question: &str) -> &str {
    let letters = question.char_indices().nth(MOST_LETTERS).map_or(question, |(end, _)| &question[..end]);
    match standard::tokens(letters).nth(MOST_WORDS) {
        Some(word) => &letters[..word.as_ptr() as usize - letters.as_ptr() as usize],
        None => letters,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_those_of_unicode() {
        for (text, expected) in [
            ("Réunion d'équipe", &["réunion", "d'équipe"][..]),
            ("foo_bar __ 3.14 1,000 e-mail", &["foo_bar", "3.14", "1,000", "e", "mail"]),
            ("来週の会議(東京)", &["来", "週", "の", "会", "議", "東", "京"]),
            ("カタカナ テスト", &["カタカナ", "テスト"]),
            ("ประชุมทีมขาย", &["ประชุมทีมขาย"]),
            ("회의를 준비", &["회의를", "준비"]),
            ("bob@partner.example", &["bob", "partner.example"]),
            ("👍 party ❤️ ½ x² ②", &["👍", "party", "❤️", "x"]),
            ("İstanbul", &["istanbul"]),
            (" \u{11347} \u{301}", &[]),
            ("!!! … - \u{0}", &[]),
            ("à 14\u{202f}h, réunion\u{202f}: \u{202f}", &["à", "14\u{202f}h", "réunion\u{202f}"]),
            ("\u{202f}x 𑌓\u{202f}", &["\u{202f}x", "𑌓\u{202f}"]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn addresses_and_urls_stay_whole_and_stop_words_leave_a_gap() {
        let text = "The plan by bob@example.org: http://visio.example.org/abc?x=1#f or www.example.org/path";
        let found: Vec<String> = words_with_addresses(text).into_iter().map(|w| w.unwrap_or("·".to_owned())).collect();
        let expected =
            ["·", "plan", "·", "bob@example.org", "http://visio.example.org/abc?x=1#f", "·", "www.example.org/path"];
        assert_eq!(found, expected);
    }

    #[test]
    fn beginnings_have_three_to_seven_letters_in_both_spellings() {
        assert_eq!(
            beginnings("Été ab Conférences"),
            ["ete", "été", "con", "conf", "confe", "confé", "confer", "confér", "confere", "confére"]
        );
        assert_eq!(beginnings("Straßen").last().unwrap(), "straßen");
        assert!(beginnings("Straßen").contains(&"strassen".to_owned()));
    }

    #[test]
    fn a_question_is_clipped_at_a_word() {
        assert_eq!(clipped("plain"), "plain");
        let clip = clipped(&"word ".repeat(5_000)).to_owned();
        assert_eq!(words(&clip).len(), MOST_WORDS);
        assert_eq!(clipped(&"x".repeat(5_000)).len(), MOST_LETTERS);
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in "\\PC{0,80}") {
            let parts = |c: char| c.is_whitespace() && c != '\u{202f}';
            for word in words(&text).iter().chain(&beginnings(&text)) {
                prop_assert!(!word.is_empty() && !word.contains(parts), "{word:?}");
            }
            let _ = (words_with_addresses(&text), whole_both_spellings(&text), clipped(&text));
        }
    }
}
