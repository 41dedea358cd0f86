//! Lucene's standard tokenizer: the words of Unicode's text segmentation (UAX #29), with runs of scripts that are written
//! without spaces and have no rule there (Thai, Lao, Khmer, Myanmar) as one word.

use unicode_segmentation::UnicodeSegmentation as _;

/// Letters of a word; a longer one is cut into pieces.
const LONGEST: usize = 255;

/// The words of a text.
pub(super) fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let (segment, is_word) = next(rest);
            let (now, after) = rest.split_at(segment);
            rest = after;
            if is_word {
                return Some(now);
            }
        }
        None
    })
}

/// Length of the segment that a text begins with, and whether it is a word.
pub(super) fn next(text: &str) -> (usize, bool) {
    let mut bounds = text.split_word_bounds();
    let mut length = bounds.next().map_or(0, str::len);
    if text[..length].starts_with(is_complex) {
        length += bounds.take_while(|segment| segment.starts_with(is_complex)).map(str::len).sum::<usize>();
    }
    // A mark may sit on what is no letter, a space for one.
    let begins = text.starts_with(|c| is_of_a_word(c) || is_connector(c));
    let is_word = begins && text[..length].chars().any(is_of_a_word);
    if is_word && length > LONGEST {
        length = text[..length].char_indices().nth(LONGEST).map_or(length, |(end, _)| end);
    }
    (length, is_word)
}

fn is_of_a_word(c: char) -> bool {
    c.is_alphabetic() || (c.is_numeric() && !is_ornate_number(c)) || is_pictograph(c)
}

/// What joins words, and may begin one (ExtendNumLet); the narrow space that French puts before a colon is one of them.
fn is_connector(c: char) -> bool {
    matches!(
        c,
        '_' | '\u{202f}' | '\u{203f}' | '\u{2040}' | '\u{2054}' | '\u{fe33}' | '\u{fe34}' | '\u{fe4d}'
            ..='\u{fe4f}' | '\u{ff3f}'
    )
}

/// Numbers that are no digits: superscripts, fractions, circled ones.
fn is_ornate_number(c: char) -> bool {
    matches!(c,
        '\u{b2}' | '\u{b3}' | '\u{b9}' | '\u{bc}'..='\u{be}' | '\u{2070}'..='\u{209f}' | '\u{2150}'..='\u{215f}'
        | '\u{2189}' | '\u{2460}'..='\u{24ff}' | '\u{2776}'..='\u{2793}' | '\u{3192}'..='\u{3195}'
        | '\u{3220}'..='\u{3229}' | '\u{3248}'..='\u{325f}' | '\u{3280}'..='\u{3289}' | '\u{32b1}'..='\u{32bf}')
}

fn is_pictograph(c: char) -> bool {
    matches!(c, '\u{2600}'..='\u{26ff}' | '\u{2702}'..='\u{27b0}' | '\u{1f1e6}'..='\u{1f1ff}' | '\u{1f300}'..='\u{1faff}')
}

/// Scripts whose words only a dictionary can tell apart (line breaking class SA).
fn is_complex(c: char) -> bool {
    matches!(c,
        '\u{e01}'..='\u{e3a}' | '\u{e40}'..='\u{e4e}' | '\u{e81}'..='\u{ecd}' | '\u{edc}'..='\u{edf}'
        | '\u{1000}'..='\u{103f}' | '\u{1050}'..='\u{108f}' | '\u{109a}'..='\u{109f}'
        | '\u{1780}'..='\u{17d3}' | '\u{17d7}' | '\u{17dc}' | '\u{17dd}' | '\u{1950}'..='\u{1974}'
        | '\u{1980}'..='\u{19c9}' | '\u{19da}' | '\u{1a20}'..='\u{1a5e}' | '\u{aa60}'..='\u{aadf}')
}
