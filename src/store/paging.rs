//! Tokens of a first synchronisation that is told in pages.
//!
//! A client that knows nothing is told of all objects in the order of their last change, and the token of a page is the
//! number of the last of them. Once the log was cut ([`Upkeep::trim_log`](super::Upkeep::trim_log)), that number may be older
//! than what is kept, although nothing is missing for this client: it has to hear only of what was deleted since it began.
//! Its token then says both, where it is and when it began.

/// Marks such a token. Numbers of changes are far below.
const MARK: u64 = 1 << 62;
/// Bits of each of the two numbers.
const BITS: u32 = 31;
const MASK: u64 = (1 << BITS) - 1;

/// Where a client stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stand {
    /// It has been told of all objects up to this number.
    pub(crate) at: u64,
    /// It need not hear of anything that was gone before this number. Decides whether the log reaches back far enough.
    pub(crate) began: u64,
}

impl Stand {
    /// Reads the token of a client.
    pub(crate) fn read(token: u64) -> Self {
        match token & MARK {
            0 => Self { at: token, began: token },
            _ => Self { at: token & MASK, began: (token >> BITS) & MASK },
        }
    }

    /// A client that is told of the first page, while the collection has this token.
    pub(crate) fn beginning(token: u64) -> Self {
        Self { at: 0, began: token }
    }

    /// The token after a page that ends with the number `at`, where the log is kept from `oldest` on.
    pub(crate) fn token_at(self, at: u64, oldest: u64) -> u64 {
        if at >= oldest || at > MASK || self.began > MASK { at } else { MARK | (self.began << BITS) | at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_token_says_both_numbers() {
        assert_eq!(Stand::read(7), Stand { at: 7, began: 7 });
        assert_eq!(Stand::beginning(9).token_at(7, 5), 7);
    }

    #[test]
    fn a_page_before_the_cut_of_the_log_tells_when_its_reader_began() {
        let token = Stand::beginning(1_000).token_at(12, 900);
        assert_eq!(Stand::read(token), Stand { at: 12, began: 1_000 });
        assert_eq!(Stand::read(token).token_at(950, 900), 950);
        assert!(i64::try_from(token).is_ok(), "the engines keep numbers with a sign");
    }
}
