//! Letters without case and accents, one by one as Lucene does it (`lowercase`, `asciifolding`).

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// The text in lower case, letter by letter.
pub fn lowercase(text: &str) -> String {
    text.chars()
        .map(|c| {
            let mut lower = c.to_lowercase();
            // The one letter that becomes two, `İ`, loses its dot.
            lower.next().unwrap_or(c)
        })
        .collect()
}

/// The text in ASCII as far as it is Latin or punctuation; `None` when that changes nothing.
pub fn folded(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match special(c) {
            Some(letters) => out.push_str(letters),
            None => match plain(c) {
                Some(letters) => out.push_str(&letters),
                None => out.push(c),
            },
        }
    }
    (out != text).then_some(out)
}

/// A letter with its accents taken off, where ASCII is left.
fn plain(c: char) -> Option<String> {
    let is_folded = matches!(c,
        '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' | '\u{2070}'..='\u{209f}' | '\u{2460}'..='\u{24ff}'
        | '\u{fb00}'..='\u{fb06}' | '\u{ff01}'..='\u{ff5e}');
    if !is_folded {
        return None;
    }
    let letters: String = std::iter::once(c).nfkd().filter(|c| !is_combining_mark(*c)).collect();
    (!letters.is_empty() && letters.is_ascii()).then_some(letters)
}

/// Letters that no accent can be taken off, and punctuation.
fn special(c: char) -> Option<&'static str> {
    Some(match c {
        '²' => "2",
        '³' => "3",
        '¹' => "1",
        '‘' | '’' | '‚' | '‛' | '′' | '‵' | '‹' | '›' => "'",
        '«' | '»' | '“' | '”' | '„' | '″' | '‶' => "\"",
        '\u{2010}'..='\u{2014}' => "-",
        'ß' => "ss",
        'ẞ' => "SS",
        'æ' => "ae",
        'Æ' => "AE",
        'œ' => "oe",
        'Œ' => "OE",
        'þ' => "th",
        'Þ' => "TH",
        'ø' => "o",
        'Ø' => "O",
        'ł' | 'ŀ' | 'ƚ' => "l",
        'Ł' | 'Ŀ' => "L",
        'đ' | 'ð' | 'ɖ' | 'ɗ' | 'ƌ' => "d",
        'Đ' | 'Ð' => "D",
        'ħ' => "h",
        'Ħ' => "H",
        'ŧ' | 'ƫ' | 'ƭ' => "t",
        'Ŧ' => "T",
        'ı' | 'ɨ' => "i",
        'ŋ' | 'ɲ' | 'ƞ' => "n",
        'Ŋ' => "N",
        'ĸ' => "q",
        'ŉ' => "'n",
        'ſ' => "s",
        'ƒ' => "f",
        'ə' => "a",
        'ɛ' | 'ǝ' => "e",
        'ɔ' | 'ɵ' => "o",
        'ƀ' | 'ɓ' | 'ƃ' => "b",
        'ƙ' => "k",
        'ƥ' => "p",
        'ƴ' => "y",
        'ƶ' => "z",
        'ɠ' | 'ǥ' => "g",
        'ƈ' => "c",
        _ => return None,
    })
}
