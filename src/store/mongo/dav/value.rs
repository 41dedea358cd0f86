//! Reading fields that several programs in several languages have written: numbers of any kind, what is missing, what is
//! null.

use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document};

/// A whole number, whatever kind of number it is; a date counts as its unix timestamp, a boolean as 0 or 1.
pub(super) fn number(value: Option<&Bson>) -> Option<i64> {
    match value? {
        Bson::Int32(n) => Some(i64::from(*n)),
        Bson::Int64(n) => Some(*n),
        #[expect(clippy::cast_possible_truncation, reason = "a fraction of a second or of a change means nothing")]
        Bson::Double(n) if n.is_finite() => Some(*n as i64),
        Bson::Boolean(b) => Some(i64::from(*b)),
        Bson::DateTime(date) => Some(date.timestamp_millis().div_euclid(1000)),
        Bson::Decimal128(n) => n.to_string().parse().ok(),
        Bson::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A text; a number counts as its digits.
pub(super) fn text(value: Option<&Bson>) -> Option<String> {
    match value? {
        Bson::String(text) => Some(text.clone()),
        Bson::Symbol(text) => Some(text.clone()),
        Bson::Int32(n) => Some(n.to_string()),
        Bson::Int64(n) => Some(n.to_string()),
        _ => None,
    }
}

/// A text that says something.
pub(super) fn words(value: Option<&Bson>) -> Option<String> {
    text(value).filter(|text| !text.is_empty())
}

/// An id, also where it is written as hex digits.
pub(super) fn object_id(value: Option<&Bson>) -> Option<ObjectId> {
    match value? {
        Bson::ObjectId(id) => Some(*id),
        Bson::String(hex) => ObjectId::parse_str(hex).ok(),
        _ => None,
    }
}

/// The smallest kind of whole number that holds it, as PHP's driver writes them.
pub(super) fn int(n: i64) -> Bson {
    i32::try_from(n).map_or(Bson::Int64(n), Bson::Int32)
}

/// As above; for what is counted.
pub(super) fn count(n: u64) -> Bson {
    int(i64::try_from(n).unwrap_or(i64::MAX))
}

/// The document in a field; an empty one where there is none.
pub(super) fn inner<'d>(document: &'d Document, field: &str) -> Option<&'d Document> {
    document.get(field).and_then(Bson::as_document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_kind_are_read() {
        let kinds = [
            Bson::Int32(5),
            Bson::Int64(5),
            Bson::Double(5.0),
            Bson::Double(5.9),
            Bson::String("5".to_owned()),
            Bson::DateTime(mongodb::bson::DateTime::from_millis(5_999)),
        ];
        for kind in kinds {
            assert_eq!(number(Some(&kind)), Some(5), "{kind}");
        }
        assert_eq!(number(Some(&Bson::Boolean(true))), Some(1));
        for nothing in [Bson::Null, Bson::Double(f64::NAN), Bson::String("x".to_owned())] {
            assert_eq!(number(Some(&nothing)), None);
        }
    }

    #[test]
    fn whole_numbers_are_written_as_small_as_they_are() {
        assert_eq!(int(2_147_483_647), Bson::Int32(i32::MAX));
        assert_eq!(int(2_147_483_648), Bson::Int64(2_147_483_648));
        assert_eq!(count(u64::MAX), Bson::Int64(i64::MAX));
    }
}
