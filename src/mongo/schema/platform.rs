//! Indexes of the platform database (storage §2).

use super::Index;

/// In the order of storage §2.
pub(super) const INDEXES: &[Index] = &[];
