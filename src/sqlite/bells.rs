//! Who waits for a commit: a bell for each number, rung by the writer after the transaction that concerns it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// Bells by number; whoever wants to hear one takes it and waits.
#[derive(Debug, Clone, Default)]
pub struct Bells(Arc<Mutex<HashMap<i64, Arc<Notify>>>>);

impl Bells {
    /// The bell of this number. It wakes those who wait for it already, so enable the wait before looking at the
    /// database.
    pub fn bell(&self, number: i64) -> Arc<Notify> {
        Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(number).or_default())
    }

    pub(super) fn ring(&self, numbers: &[i64]) {
        let bells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for bell in numbers.iter().filter_map(|n| bells.get(n)) {
            bell.notify_waiters();
        }
    }
}
