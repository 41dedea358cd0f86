//! Pages of objects: bounded by number and by octets, so that no reader holds more than a little of a collection in memory,
//! whatever people put there.

use super::Object;

/// Octets of text that the objects of one page have together; one object is always there, however large it is.
pub const PAGE_BYTES: u64 = 4 << 20;

/// A page of objects, in the order of their names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ObjectPage {
    /// The objects; never empty where there is more.
    pub objects: Vec<Object>,
    /// There may be more after the last of them.
    pub more: bool,
}

impl ObjectPage {
    /// The name after which the next page begins; `None` at the end.
    pub fn next(&self) -> Option<String> {
        self.objects.last().filter(|_| self.more).map(|object| object.meta.name.clone())
    }
}

/// How much a page that is being read has already.
#[derive(Debug, Default)]
pub(super) struct Weight {
    objects: usize,
    octets: u64,
}

impl Weight {
    /// Counts one more object; false where the page is full without it.
    pub(super) fn takes(&mut self, octets: u64) -> bool {
        let sum = self.octets.saturating_add(octets);
        if self.objects > 0 && sum > PAGE_BYTES {
            return false;
        }
        self.objects += 1;
        self.octets = sum;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_holds_one_object_however_large_and_then_what_fits() {
        let mut large = Weight::default();
        assert!(large.takes(PAGE_BYTES * 3));
        assert!(!large.takes(1));
        let mut small = Weight::default();
        assert!(small.takes(PAGE_BYTES - 1) && !small.takes(2) && small.takes(1) && !small.takes(1));
    }
}
