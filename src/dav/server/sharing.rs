//! Sharing: what owners give, what readers take, and what becomes of it (dav §9, §13.3). The surfaces, XML and JSON, read a
//! request into the types here; what it means, who may do it and whom it is told to is decided here alone.

use serde_json::{Value, json};

use super::access::write_failed;
use super::audience::Audience;
use super::call::Call;
use super::publish_books::Book;
use super::rights::{Need, Sight};
use super::tenant::Tenant;
use crate::dav::announce::{calendar_changed, path_of};
use crate::dav::error::DavError;
use crate::dav::path::{Location, Space};
use crate::events::{CalendarChanged, Message, SubscriptionChanged, Topic};
use crate::ids::{CalendarPath, Email, HomeId};
use crate::itip::Address;
use crate::store::{
    Access, Batch, Collection, CollectionKind, CollectionProps, Delegation, Instance, InviteStatus, Op, PublicRight,
    Tie,
};

/// What an owner wants for one person.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sharee {
    /// Address of the person: `mailto:…`, or that of a principal.
    pub(super) href: String,
    /// What they may do; `None` takes everything back.
    pub(super) access: Option<Access>,
    /// Their name, as the owner writes it.
    pub(super) name: Option<String>,
}

/// What somebody subscribes to, and how it shall look.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wish {
    /// Whose home it is to stand in.
    pub(super) home: HomeId,
    /// Its segment there.
    pub(super) uri: String,
    /// Where the source is.
    pub(super) source: Location,
    /// Name, colour and order.
    pub(super) props: CollectionProps,
}

/// Messages about sharing, in the order of messaging §1.8.
struct Told<'c> {
    call: &'c Call,
    sight: &'c Sight,
    messages: Vec<Message>,
}

impl Told<'_> {
    /// Somebody has it, or has it with another right.
    fn given(&mut self, instance: &Instance, access: Access, is_new: bool) {
        if instance.kind == CollectionKind::AddressBook {
            if is_new {
                self.messages.push(self.book(instance).given());
            }
            return;
        }
        let topic = if is_new { Topic::CalendarCreated } else { Topic::CalendarUpdated };
        self.tell(topic, instance, json!({ "access": format!("dav:{}", access.word()) }));
    }

    /// Somebody has it no longer.
    fn taken(&mut self, instance: &Instance) {
        if instance.kind == CollectionKind::AddressBook {
            return self.messages.push(self.book(instance).taken_away());
        }
        self.tell(Topic::CalendarDeleted, instance, Value::Null);
    }

    fn book(&self, instance: &Instance) -> Book {
        self.call.book_told_to(Audience::at(instance, self.sight.source()))
    }

    /// The first message about a sharee is followed by one about the calendar, at the path that was used.
    fn tell(&mut self, topic: Topic, instance: &Instance, props: Value) {
        let is_first = self.messages.is_empty();
        let by = self.call.who.principal();
        self.messages.push(at_instance(topic, instance, props, &by));
        if is_first {
            let updated = json!({ "delegation_updated": true });
            self.messages.push(calendar_changed(Topic::CalendarUpdated, self.sight, updated, Some(&by)));
        }
    }
}

fn at_instance(topic: Topic, instance: &Instance, calendar_props: Value, by: &str) -> Message {
    let calendar_path = CalendarPath { home: instance.home, calendar: instance.uri.clone() };
    let key = calendar_path.to_string();
    let payload = CalendarChanged { calendar_path, calendar_props, connected_user: Some(by.to_owned()) };
    Message::new(topic, key, &payload)
}

/// A subscription to a calendar begins, looks different, or ends; only then its source is told.
pub(super) fn subscription(topic: Topic, instance: &Instance, source: &Collection, by: &str) -> Message {
    let calendar_path = CalendarPath { home: instance.home, calendar: instance.uri.clone() };
    let key = calendar_path.to_string();
    let source = (topic == Topic::SubscriptionDeleted).then(|| path_of(source).to_string());
    let payload =
        SubscriptionChanged { calendar_path, calendar_source_path: source, connected_user: Some(by.to_owned()) };
    Message::new(topic, key, &payload)
}

impl Call {
    /// Gives people rights on a collection, or takes them back: all of them or none.
    ///
    /// # Errors
    /// 403 for who may not share, and for people of other domains; 400 for sharing with oneself; 405 for an address book
    /// that is not where its owner has it.
    pub(super) async fn share(&self, sight: &Sight, sharees: &[Sharee]) -> Result<(), DavError> {
        let is_book = sight.kind == CollectionKind::AddressBook;
        if is_book && sight.instance().is_some() {
            return Err(DavError::method_not_allowed("An address book is shared where its owner has it"));
        }
        self.server.require(sight, &self.location, Need::Share)?;
        self.require_domain(sharees).await?;
        let source = sight.source();
        let existing = self.server.instances(source).await?;
        let mut told = Told { call: self, sight, messages: Vec::new() };
        let mut ops = Vec::new();
        for sharee in sharees {
            let home = self.home_of_sharee(sharee).await?;
            let is_theirs = |instance: &&Instance| {
                let href = instance.delegation().map(|given| given.href.as_str());
                href.is_some_and(|href| home == Some(instance.home) || href.eq_ignore_ascii_case(&sharee.href))
            };
            let known = existing.iter().find(is_theirs);
            let Some(access) = sharee.access.filter(|access| !is_book || *access != Access::FreeBusy) else {
                // What is to be taken back; of address books nobody can be told when they are busy.
                if let (None, Some(known)) = (sharee.access, known) {
                    told.taken(known);
                    ops.push(Op::RemoveInstance(known.clone()));
                }
                continue;
            };
            let Some(home) = home else {
                match self.who {
                    Tenant::Technical(_) => return Err(DavError::forbidden("The sharee is nobody of this domain")),
                    // Nobody has that address: nothing is given, and nobody is told (dav §9).
                    _ => continue,
                }
            };
            let is_identical = known.and_then(Instance::delegation).is_some_and(|given| given.access == access);
            if self.who.home() == Some(home) && !is_identical {
                let what = if is_book { "an address book" } else { "a calendar" };
                return Err(DavError::bad_request(format!("Cannot delegate {what} to yourself")));
            }
            // What is theirs cannot be made less by anybody.
            if home == source.home {
                continue;
            }
            let instance = self.instance_for(sight, sharee, access, home, known);
            told.given(&instance, access, known.is_none());
            ops.push(Op::PutInstance(instance));
        }
        if ops.is_empty() {
            return Ok(());
        }
        let publish = told.messages;
        self.inner().store.write(Batch { ops, publish }).await.map_err(write_failed)?;
        Ok(())
    }

    /// A new instance looks as it does where it is shared; one that is there keeps its looks, and stays put away.
    fn instance_for(
        &self,
        sight: &Sight,
        sharee: &Sharee,
        access: Access,
        home: HomeId,
        known: Option<&Instance>,
    ) -> Instance {
        let before = known.and_then(Instance::delegation);
        let given = Delegation {
            access,
            status: InviteStatus::Accepted,
            href: before.map_or_else(|| sharee.href.clone(), |given| given.href.clone()),
            name: sharee.name.clone().or_else(|| before.and_then(|given| given.name.clone())),
            hidden: before.is_some_and(|given| given.hidden),
        };
        let tie = Tie::Delegation(given);
        if let Some(known) = known {
            return Instance { tie, ..known.clone() };
        }
        let env = &self.inner().env;
        let props = match sight.instance() {
            Some(instance) => instance.props.clone(),
            None => sight.source().props.clone(),
        };
        let props = CollectionProps { components: Vec::new(), dead: Default::default(), ..props };
        let (id, uri) = (env.object_id(), env.uuid().to_string());
        Instance { id, of: sight.id, kind: sight.kind, home, uri, props, tie }
    }

    /// Refuses the whole request where a mail address of another domain is given something (dav §3).
    async fn require_domain(&self, sharees: &[Sharee]) -> Result<(), DavError> {
        let domain = self.inner().directory.domain(self.who.domain()).await?;
        let is_foreign = |sharee: &Sharee| {
            let email = Email::from_calendar_address(&sharee.href).ok().filter(|_| is_mail(&sharee.href));
            sharee.access.is_some()
                && email.is_some_and(|email| domain.as_ref().is_none_or(|d| email.domain() != d.name))
        };
        if sharees.iter().any(is_foreign) {
            return Err(DavError::forbidden("Cross-domain delegation is not allowed"));
        }
        Ok(())
    }

    /// Whose home an address leads to, within the domain.
    async fn home_of_sharee(&self, sharee: &Sharee) -> Result<Option<HomeId>, DavError> {
        let href = match sharee.href.strip_prefix("principals/") {
            Some(rest) => format!("/principals/{rest}"),
            None => sharee.href.clone(),
        };
        let person = self.calendar_user(&Address::read(&href), self.who.domain()).await?;
        Ok(person.filter(|person| person.user().is_some()).map(|person| person.home))
    }

    /// Sets what everybody of the domain may do with a collection. What cannot be read by everybody any more has no
    /// subscribers (dav §8.4, §13.2).
    ///
    /// # Errors
    /// 403 for who may not share it.
    pub(super) async fn set_public_right(&self, sight: &Sight, right: Option<PublicRight>) -> Result<(), DavError> {
        if !sight.grants(Need::Share) {
            return Err(match sight.grants(Need::WriteContent) && sight.instance().is_some() {
                true => DavError::forbidden("You do not have permission to modify public rights on this calendar"),
                false => self.server.needs(&self.location, "d:write-acl"),
            });
        }
        let (source, by) = (sight.source(), self.who.principal());
        let instances = self.server.instances(source).await?;
        let mut batch = Batch::default();
        if source.kind == CollectionKind::Calendar {
            let props = json!({ "public_right": right.as_ref().map_or("", PublicRight::privilege) });
            batch.publish.push(calendar_changed(Topic::CalendarUpdated, source, props.clone(), Some(&by)));
            let shown = instances.iter().filter(|instance| instance.is_shown());
            batch.publish.extend(shown.map(|i| at_instance(Topic::CalendarUpdated, i, props.clone(), &by)));
        }
        let is_readable = right.as_ref().is_some_and(PublicRight::reads);
        batch.ops.push(Op::SetPublicRight { collection: source.id, right });
        if !is_readable {
            let gone: Vec<Instance> = instances.into_iter().filter(|i| i.delegation().is_none()).collect();
            batch.publish.extend(self.told_taken_away(source, &gone));
            batch.ops.extend(gone.into_iter().map(Op::RemoveInstance));
        }
        self.inner().store.write(batch).await.map_err(write_failed)?;
        Ok(())
    }

    /// Takes a collection that everybody may read into a home. One that was shared with its owner, who put it away, comes
    /// back instead (dav §8.2).
    ///
    /// # Errors
    /// 403 for another person's home, and for what may not be read; 404 for a source that is not there; 405 for a path at
    /// which something is.
    pub(super) async fn subscribe(&self, wish: Wish) -> Result<(), DavError> {
        let Location::Collection { space, home: owner, uri } = &wish.source else {
            return Err(DavError::no_node(&wish.source.href()));
        };
        self.server.require_home(&self.who, *space, wish.home).await?;
        let found = self.server.sight(&self.who, *space, *owner, uri).await?;
        let (source, is_book) = (found.source().clone(), *space == Space::AddressBooks);
        if matches!(source.kind, CollectionKind::Inbox | CollectionKind::Outbox) {
            return Err(self.server.needs(&wish.source, Need::Read.privilege()));
        }
        self.server.require(&found, &wish.source, Need::Read)?;
        let mine = self.inner().store.instances_for(&source, wish.home).await?;
        let mut batch = Batch::default();
        if let Some(hidden) = mine.into_iter().find(|instance| !instance.is_shown()) {
            let mut instance = hidden;
            if let Tie::Delegation(given) = &mut instance.tie {
                given.hidden = false;
            }
            if wish.props.color.is_some() {
                instance.props.color = wish.props.color;
            }
            batch.ops.push(Op::PutInstance(instance));
        } else {
            if self.server.sight(&self.who, *space, wish.home, &wish.uri).await.is_ok() {
                return Err(DavError::method_not_allowed("The resource you tried to create already exists"));
            }
            let instance = Instance {
                id: self.inner().env.object_id(),
                of: source.id,
                kind: source.kind,
                home: wish.home,
                uri: wish.uri,
                props: CollectionProps { components: Vec::new(), ..wish.props },
                tie: Tie::Subscription { writes: found.grants(Need::WriteContent) },
            };
            let by = self.who.principal();
            batch.publish.push(match is_book {
                true => self.book_told_to(Audience::at(&instance, &source)).given(),
                false => subscription(Topic::SubscriptionCreated, &instance, &source, &by),
            });
            batch.ops.push(Op::PutInstance(instance));
        }
        self.inner().store.write(batch).await.map_err(write_failed)?;
        Ok(())
    }

    /// Answers what somebody was given, in whose home it stands. What is declined is put away.
    ///
    /// # Errors
    /// 403 where there is nothing to be answered.
    pub(super) async fn invite_reply(
        &self,
        sight: &Sight,
        status: InviteStatus,
        name: Option<String>,
    ) -> Result<(), DavError> {
        let instance = sight.instance().filter(|_| sight.is_at_home());
        let Some((instance, given)) = instance.and_then(|i| Some((i, i.delegation()?))) else {
            return Err(DavError::forbidden("Nobody shared this with you"));
        };
        let mut props = instance.props.clone();
        if name.is_some() {
            props.displayname = name;
        }
        let hidden = status == InviteStatus::Declined;
        let tie = Tie::Delegation(Delegation { status, hidden, ..given.clone() });
        let replied = Instance { props, tie, ..instance.clone() };
        let mut batch = Batch::default();
        if replied.kind == CollectionKind::AddressBook {
            let book = self.book_told_to(Audience::at(&replied, sight.source()));
            batch.publish.push(if hidden { book.taken_away() } else { book.given() });
        } else if hidden {
            batch.publish.push(at_instance(Topic::CalendarDeleted, &replied, Value::Null, &self.who.principal()));
        }
        batch.ops.push(Op::PutInstance(replied));
        self.inner().store.write(batch).await.map_err(write_failed)?;
        Ok(())
    }

    /// Takes what somebody else owns out of the actor's home: what was given is put away and can come back, a subscription
    /// ends (dav §9).
    pub(super) async fn put_away(&self, sight: &Sight) -> Result<(), DavError> {
        let Some(instance) = sight.instance() else { return Ok(()) };
        let mut batch =
            Batch { ops: Vec::new(), publish: self.told_taken_away(sight.source(), std::slice::from_ref(instance)) };
        // That it was shared is nothing new to its owner.
        batch.publish.truncate(1);
        batch.ops.push(match &instance.tie {
            Tie::Delegation(given) if instance.kind == CollectionKind::Calendar => {
                let tie = Tie::Delegation(Delegation { hidden: true, ..given.clone() });
                Op::PutInstance(Instance { tie, ..instance.clone() })
            }
            _ => Op::RemoveInstance(instance.clone()),
        });
        self.inner().store.write(batch).await.map_err(write_failed)?;
        Ok(())
    }

    /// What is told to those who had something of a collection and have it no longer: sharees, then subscribers.
    pub(super) fn told_taken_away(&self, source: &Collection, instances: &[Instance]) -> Vec<Message> {
        let by = self.who.principal();
        let mut messages = Vec::new();
        for instance in instances.iter().filter(|instance| instance.is_shown()) {
            if instance.kind == CollectionKind::AddressBook {
                messages.push(self.book_told_to(Audience::at(instance, source)).taken_away());
            } else if instance.delegation().is_some() {
                let is_first = messages.is_empty();
                messages.push(at_instance(Topic::CalendarDeleted, instance, Value::Null, &by));
                if is_first {
                    let updated = json!({ "delegation_updated": true });
                    messages.push(calendar_changed(Topic::CalendarUpdated, source, updated, Some(&by)));
                }
            } else {
                messages.push(subscription(Topic::SubscriptionDeleted, instance, source, &by));
            }
        }
        messages
    }
}

fn is_mail(href: &str) -> bool {
    href.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("mailto:"))
}
