//! Whether a text may hold a word, asked before it is parsed.

/// Whether the word stands anywhere in the text, in any case and however its lines are folded (RFC 5545 §3.1): true also where
/// it is not what is looked for, never false where it is. The first letter of the word must not come again in it.
pub fn mentions(text: &str, word: &str) -> bool {
    let (bytes, word) = (text.as_bytes(), word.as_bytes());
    let Some(first) = word.first() else { return true };
    let (mut matched, mut at) = (0, 0);
    while at < bytes.len() {
        let byte = bytes[at];
        if let (1.., Some(fold)) = (matched, fold(&bytes[at..])) {
            at += fold;
            continue;
        }
        if byte.eq_ignore_ascii_case(&word[matched]) {
            matched += 1;
            if matched == word.len() {
                return true;
            }
        } else {
            matched = usize::from(byte.eq_ignore_ascii_case(first));
        }
        at += 1;
    }
    false
}

/// Octets of the fold that a text begins with: the end of a line, and the blank at the beginning of the next.
fn fold(text: &[u8]) -> Option<usize> {
    let end = text.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let is_folded = end > 0 && matches!(text.get(end), Some(b' ' | b'\t'));
    is_folded.then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_however_it_is_folded() {
        for text in
            ["ATTACH;MANAGED-ID=1:x", "a;managed-id=1", "A;MANA\r\n GED-ID=1", "A;MANA\n\tGED-ID=1", "MMANAGED-ID"]
        {
            assert!(mentions(text, "MANAGED-ID"), "{text}");
        }
        for text in ["", "MANAGED ID", "MANAGED-\r\nID", "MANAGED"] {
            assert!(!mentions(text, "MANAGED-ID"), "{text}");
        }
    }
}
