//! Whether a text may hold a word, asked before it is parsed.

/// Whether the word stands anywhere in the text, in any case and however its lines are folded (RFC 5545 §3.1): true also where
/// it is not what is looked for, never false where it is. The first letter of the word must not come again in it.
pub fn mentions(text: &str, word: &str) -> bool {
    let (bytes, word) = (text.as_bytes(), word.as_bytes());
    let Some(first) = word.first() else { return true };
    let (mut matched, mut at) = (0, 0);
    while at < bytes.len() {
        let byte = bytes[at];
        // A fold in the middle of the word: the end of a line, and a blank at the beginning of the next.
        let is_break = byte == b'\r' || byte == b'\n';
        let is_blank = (byte == b' ' || byte == b'\t') && at > 0 && bytes[at - 1] == b'\n';
        if matched > 0 && (is_break || is_blank) {
            at += 1;
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
