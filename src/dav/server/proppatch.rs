//! PROPPATCH (RFC 4918 §9.2): all changes or none.

use http::{Response, StatusCode};

use super::access::write_failed;
use super::audience::Audience;
use super::call::Call;
use super::chunked::{self, Written};
use super::principals::DEFAULT_CALENDAR;
use super::propfind::Target;
use super::put::ATTEMPTS;
use super::rights::{Need, Sight};
use super::store_props::{Moment, Refused, apply};
use super::{answer, held, properties, publish, sharing};
use crate::dav::error::{Condition, DavError};
use crate::dav::upstream::Body;
use crate::dav::xml::{PropChange, PropUpdate, Writer, read_update};
use crate::events::{Message, Topic};
use crate::store::{Batch, CollectionKind, CollectionProps, Instance, Op, Tie, WriteError};

impl Call {
    /// Changes the properties of a calendar or an address book. Nothing else has properties that people can set.
    pub(super) async fn proppatch(mut self) -> Result<Response<Body>, DavError> {
        let root = self.xml().await?;
        let update = read_update(root.as_ref())?;
        let (target, _) = self.target().await?;
        let results = match target {
            Target::Collection(collection) if collection.grants(Need::WriteProperties) => {
                self.change(collection, &update).await?
            }
            _ => {
                let refused = |change: &PropChange| match properties::find(change.name()) {
                    Some(_) => Refused::protected(),
                    None => Refused { status: StatusCode::FORBIDDEN, condition: None },
                };
                update.iter().map(|change| Err(refused(change))).collect()
            }
        };
        if self.prefers("return=minimal") && results.iter().all(Result::is_ok) {
            // RFC 8144 §2.2: all went well, and there is nothing to add.
            let mut response = answer::empty(StatusCode::OK);
            answer::applied(&mut response, "return=minimal");
            return Ok(response);
        }
        let mut w = Writer::default();
        write_results(&self.path_as_asked(), &update, &results, &mut w);
        chunked::multistatus(Written(w.take()), false).await
    }

    async fn change(&self, collection: Sight, update: &PropUpdate) -> Result<Vec<Result<(), Refused>>, DavError> {
        // What somebody has of others looks as they like.
        let stored = collection.instance().map_or(&collection.source().props, |instance| &instance.props);
        let mut props = stored.clone();
        let room = self.inner().settings.limits.xml_bytes;
        let mut results = Vec::with_capacity(update.len());
        for change in update {
            let chooses = collection.kind == CollectionKind::Inbox && *change.name() == DEFAULT_CALENDAR;
            results.push(match chooses {
                true => self.choose_default(&collection, change).await?.map(|uri| props.default_calendar = uri),
                false => apply(&mut props, collection.kind, change, Moment::Later, room),
            });
        }
        if results.iter().any(Result::is_err) {
            return Ok(results);
        }
        self.write_props(&collection, props).await?;
        Ok(results)
    }

    /// Stores how a collection looks where it is and tells of it: what somebody has of others looks as they like.
    pub(super) async fn write_props(&self, collection: &Sight, props: CollectionProps) -> Result<(), DavError> {
        if let Some(instance) = collection.instance() {
            let publish = vec![self.told_changed(collection, instance)];
            return self.change_held(instance, publish, |held| held.props = props.clone()).await;
        }
        let publish = match collection.kind {
            CollectionKind::Calendar => vec![publish::calendar_updated(collection, &self.who.principal())],
            CollectionKind::AddressBook => vec![self.book_of(collection).updated()],
            CollectionKind::Inbox | CollectionKind::Outbox => Vec::new(),
        };
        for _ in 0..ATTEMPTS {
            let mut ops = self.renamed_for_others(collection, &props).await?;
            ops.push(Op::SetProps { collection: collection.id, props: props.clone() });
            match self.inner().store.write(Batch { ops, publish: publish.clone() }).await {
                Ok(_) => return Ok(()),
                // What somebody else has of it was changed or taken back since it was read.
                Err(WriteError::Precondition(_)) => {}
                Err(error) => return Err(write_failed(error)),
            }
        }
        Err(DavError::conflict("The resource keeps being changed by somebody else"))
    }
}

impl Call {
    /// What is told of a change of the looks of what others gave.
    fn told_changed(&self, sight: &Sight, instance: &Instance) -> Message {
        let by = self.who.principal();
        match (sight.kind, &instance.tie) {
            (CollectionKind::AddressBook, _) => {
                self.book_told_to(Audience::at(instance, sight.source())).given_updated()
            }
            (_, Tie::Delegation(_)) => publish::calendar_updated(sight, &by),
            (_, Tie::Subscription { .. }) => {
                sharing::subscription(Topic::SubscriptionUpdated, instance, sight.source(), &by)
            }
        }
    }

    /// A new name goes to those who have the calendar under the old one (dav §9). Of books the name is a matter of each.
    async fn renamed_for_others(&self, own: &Sight, props: &CollectionProps) -> Result<Vec<Op>, DavError> {
        let old = &own.source().props.displayname;
        if own.kind != CollectionKind::Calendar || *old == props.displayname {
            return Ok(Vec::new());
        }
        let mut ops = Vec::new();
        for instance in self.server.instances(own.source()).await? {
            if instance.delegation().is_some() && instance.props.displayname == *old {
                ops.extend(held::changed(&instance, |held| held.props.displayname.clone_from(&props.displayname)));
            }
        }
        Ok(ops)
    }
}

/// Writes the `d:response` that says how each change went: where one failed, the others failed with it.
pub(super) fn write_results(href: &str, update: &PropUpdate, results: &[Result<(), Refused>], w: &mut Writer) {
    w.open("d:response");
    w.href(href);
    write_propstats(update, results, w);
    w.close("d:response");
}

/// Writes the `d:propstat`s of it.
pub(super) fn write_propstats(update: &PropUpdate, results: &[Result<(), Refused>], w: &mut Writer) {
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
}
