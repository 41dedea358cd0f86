//! Recurrence.
pub(crate) mod dates;
pub mod rule;
