//! PROPPATCH (RFC 4918 §9.2): all changes or none.

use http::{Response, StatusCode};

use super::access::write_failed;
use super::call::Call;
use super::chunked::{self, Written};
use super::propfind::Target;
use super::publish;
use super::store_props::{Moment, Refused, apply};
use crate::dav::error::{Condition, DavError};
use crate::dav::upstream::Body;
use crate::dav::xml::{PropChange, PropUpdate, Writer, read_update};
use crate::store::{Batch, Collection, CollectionKind, Op};

impl Call {
    /// Changes the properties of a calendar or an address book. Nothing else has properties that people can set.
    pub(super) async fn proppatch(mut self) -> Result<Response<Body>, DavError> {
        let root = self.xml().await?;
        let update = read_update(root.as_ref())?;
        let (target, is_owner) = self.target().await?;
        let results = match target {
            Target::Collection(collection) if is_owner => self.change(collection, &update).await?,
            _ => {
                let refused = Refused { status: StatusCode::FORBIDDEN, condition: None };
                update.iter().map(|_| Err(refused.clone())).collect()
            }
        };
        let mut w = Writer::default();
        write_results(&self.path, &update, &results, &mut w);
        chunked::multistatus(Written(w.take()), false).await
    }

    async fn change(&self, collection: Collection, update: &PropUpdate) -> Result<Vec<Result<(), Refused>>, DavError> {
        let mut props = collection.props.clone();
        let room = self.inner().settings.limits.xml_bytes;
        let results: Vec<_> =
            update.iter().map(|change| apply(&mut props, collection.kind, change, Moment::Later, room)).collect();
        if results.iter().any(Result::is_err) {
            return Ok(results);
        }
        let mut batch = Batch { ops: vec![Op::SetProps { collection: collection.id, props }], publish: Vec::new() };
        if collection.kind == CollectionKind::Calendar {
            batch.publish.push(publish::calendar_updated(&collection, &self.who.principal()));
        }
        self.inner().store.write(batch).await.map_err(write_failed)?;
        Ok(results)
    }
}

/// Writes the `d:response` that says how each change went: where one failed, the others failed with it.
pub(super) fn write_results(href: &str, update: &PropUpdate, results: &[Result<(), Refused>], w: &mut Writer) {
    let failed = results.iter().any(Result::is_err);
    let outcome = |change: &PropChange, result: &Result<(), Refused>| match (result, change) {
        (Err(refused), _) => (refused.status, refused.condition.clone()),
        (Ok(()), _) if failed => (StatusCode::FAILED_DEPENDENCY, None),
        (Ok(()), PropChange::Set(_)) => (StatusCode::OK, None),
        (Ok(()), PropChange::Remove(_)) => (StatusCode::NO_CONTENT, None),
    };
    let outcomes: Vec<_> = update.iter().zip(results).map(|(change, result)| outcome(change, result)).collect();
    let mut groups: Vec<&(StatusCode, Option<Condition>)> = Vec::new();
    for outcome in &outcomes {
        if !groups.contains(&outcome) {
            groups.push(outcome);
        }
    }
    w.open("d:response");
    w.href(href);
    for group in groups {
        w.raw("<d:propstat><d:prop>");
        for (change, _) in update.iter().zip(&outcomes).filter(|(_, outcome)| *outcome == group) {
            w.empty_name(change.name());
        }
        w.raw("</d:prop>");
        w.status(group.0);
        if let Some(Condition::Empty(tag)) = &group.1 {
            w.within("d:error", |w| w.empty(tag));
        }
        w.raw("</d:propstat>");
    }
    w.close("d:response");
}
