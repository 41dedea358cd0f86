//! What others have of a collection, and what everybody may do with it.

use super::homes::place;
use super::{CopyError, Differences, End, patiently};
use crate::store::{Batch, Collection, Instance, Op, StoreError, WriteError};

/// Brings the target in step for a collection that it has under the same id: what the source does not have is taken away,
/// all else is as it is there. What cannot be is told.
pub(super) async fn bring_in_step(
    from: &End,
    to: &End,
    ours: &Collection,
    left: &mut Differences,
) -> Result<(), CopyError> {
    let find = async || to.dav.collection(ours.home, ours.kind, &ours.uri).await;
    let theirs = patiently(find).await.map_err(CopyError::Target)?;
    let Some(theirs) = theirs.filter(|theirs| theirs.id == ours.id) else { return Ok(()) };
    let wanted = instances(from, ours).await.map_err(CopyError::Source)?;
    let there = instances(to, &theirs).await.map_err(CopyError::Target)?;
    let gone = there.iter().filter(|t| !wanted.iter().any(|w| w.id == t.id));
    let mut ops: Vec<Op> = gone.cloned().map(Op::RemoveInstance).collect();
    ops.extend(wanted.iter().filter(|w| !there.contains(w)).cloned().map(Op::PutInstance));
    if theirs.public_right != ours.public_right {
        ops.push(Op::SetPublicRight { collection: ours.id, right: ours.public_right.clone() });
    }
    for op in ops {
        let ops = vec![op];
        match patiently(async || to.dav.write(Batch { ops: ops.clone(), publish: Vec::new() }).await).await {
            Ok(_) => {}
            Err(WriteError::Store(error)) => return Err(CopyError::Target(error)),
            Err(refused) => left.add(format!("{}, shared with others: {refused}", place(ours))),
        }
    }
    Ok(())
}

/// What is different about a collection that both have.
pub(super) async fn compare(
    from: &End,
    to: &End,
    ours: &Collection,
    theirs: &Collection,
) -> Result<Option<&'static str>, CopyError> {
    if ours.public_right != theirs.public_right {
        return Ok(Some("may be used by others than in the source"));
    }
    let wanted = instances(from, ours).await.map_err(CopyError::Source)?;
    let there = instances(to, theirs).await.map_err(CopyError::Target)?;
    let same = wanted.len() == there.len() && wanted.iter().all(|w| there.contains(w));
    Ok((!same).then_some("is shared with others than in the source, or otherwise"))
}

async fn instances(end: &End, collection: &Collection) -> Result<Vec<Instance>, StoreError> {
    patiently(async || end.dav.instances(collection).await).await
}
