//! Changes of what somebody has of others: how it looks, whether it is put away, what was answered. What may be done with it
//! is its owner's matter, and none of these changes touches that.

use super::access::write_failed;
use super::call::Call;
use super::put::ATTEMPTS;
use crate::dav::error::DavError;
use crate::events::Message;
use crate::store::{Batch, Instance, Op, WriteError};

impl Call {
    /// Changes an instance, and tells of it. A right that was lowered since it was seen stays as low.
    ///
    /// # Errors
    /// 404 where it was taken back since.
    pub(super) async fn change_held(
        &self,
        seen: &Instance,
        publish: Vec<Message>,
        change: impl Fn(&mut Instance),
    ) -> Result<(), DavError> {
        let store = &self.inner().store;
        let mut seen = seen.clone();
        for _ in 0..ATTEMPTS {
            let batch = Batch { ops: changed(&seen, &change).into(), publish: publish.clone() };
            match store.write(batch).await {
                Ok(_) => return Ok(()),
                Err(WriteError::Precondition(_)) => {}
                Err(error) => return Err(write_failed(error)),
            }
            let now = store.shared_at(seen.home, seen.kind, &seen.uri).await?.map(|shared| shared.instance);
            let now = now.filter(|now| now.id == seen.id);
            seen = now.ok_or_else(|| DavError::not_found("What was shared was taken back"))?;
        }
        Err(DavError::conflict("The resource keeps being changed by somebody else"))
    }
}

/// The operations that change an instance, if what was given is still what was seen.
pub(super) fn changed(seen: &Instance, change: impl Fn(&mut Instance)) -> [Op; 2] {
    let mut changed = seen.clone();
    change(&mut changed);
    [Op::ExpectInstance(seen.clone()), Op::PutInstance(changed)]
}
