//! Sharing: what owners give, what readers take, and what becomes of it (dav §9, §13.3). The surfaces, XML and JSON, read a
//! request into the types here; what it means, who may do it and whom it is told to is decided here alone.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::access::{space_of, write_failed};
use super::audience::Audience;
use super::call::Call;
use super::publish_books::Book;
use super::put::ATTEMPTS;
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
    Tie, WriteError,
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
        if instance.delegation().is_none() {
            let by = self.call.who.principal();
            let ended = subscription(Topic::SubscriptionDeleted, instance, self.sight.source(), &by);
            return self.messages.push(ended);
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
        let mut sight = Cow::Borrowed(sight);
        for _ in 0..ATTEMPTS {
            let mut batch = self.share_of(&sight, sharees).await?;
            if batch.ops.is_empty() {
                return Ok(());
            }
            // First: whoever shares may take themselves out.
            batch.ops.splice(0..0, sight.expectation(Need::Share));
            match self.inner().store.write(batch).await {
                Ok(_) => return Ok(()),
                // Somebody else shared it, or answered, since it was read, or took the right to share it back.
                Err(WriteError::Precondition(_)) => {}
                Err(error) => return Err(write_failed(error)),
            }
            let shown = sight.shown();
            let now = self.server.sight(&self.who, space_of(shown.kind), shown.home, &shown.uri).await?;
            self.server.require(&now, &self.location, Need::Share)?;
            sight = Cow::Owned(now);
        }
        Err(DavError::conflict("What is shared keeps being changed by somebody else"))
    }

    /// The operations and messages that give and take back, on exactly what is shared now.
    async fn share_of(&self, sight: &Sight, sharees: &[Sharee]) -> Result<Batch, DavError> {
        let is_book = sight.kind == CollectionKind::AddressBook;
        let source = sight.source();
        let existing = self.server.instances(source).await?;
        let mut told = Told { call: self, sight, messages: Vec::new() };
        let mut ops = Vec::new();
        for (sharee, home) in self.each_once(sharees).await? {
            // An address may lead to somebody else by now than to whom it was given; only where it leads to nobody, it tells.
            let is_theirs = |instance: &&Instance| {
                instance.delegation().is_some_and(|given| match home {
                    Some(home) => instance.home == home,
                    None => given.href.eq_ignore_ascii_case(&sharee.href),
                })
            };
            // More than one only where another program, or an older version of this one, gave it twice.
            let mut theirs = existing.iter().filter(is_theirs);
            let Some(access) = sharee.access.filter(|access| !is_book || *access != Access::FreeBusy) else {
                // What is to be taken back; of address books nobody can be told when they are busy.
                if sharee.access.is_none() {
                    let gone: Vec<&Instance> = theirs.chain(subscribed(source, &existing, home)).collect();
                    gone.iter().for_each(|instance| told.taken(instance));
                    ops.extend(gone.into_iter().cloned().map(Op::RemoveInstance));
                }
                continue;
            };
            let known = theirs.next();
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
            ops.push(match known {
                Some(known) => Op::ExpectInstance(known.clone()),
                None => Op::ExpectNotGiven { collection: source.id, home },
            });
            ops.push(Op::PutInstance(instance));
            for double in theirs {
                told.taken(double);
                ops.push(Op::RemoveInstance(double.clone()));
            }
        }
        Ok(Batch { ops, publish: told.messages })
    }

    /// The people of a request with the homes that their addresses lead to. Of what is wanted for one person under several
    /// addresses, the last counts.
    async fn each_once<'s>(&self, sharees: &'s [Sharee]) -> Result<Vec<(&'s Sharee, Option<HomeId>)>, DavError> {
        let mut people: Vec<(&Sharee, Option<HomeId>)> = Vec::with_capacity(sharees.len());
        for sharee in sharees {
            let home = self.home_of_sharee(sharee).await?;
            people.retain(|(before, theirs)| match home {
                Some(_) => home != *theirs,
                None => theirs.is_some() || !before.href.eq_ignore_ascii_case(&sharee.href),
            });
            people.push((sharee, home));
        }
        Ok(people)
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
        batch.ops.extend(sight.expectation(Need::Share));
        if source.kind == CollectionKind::Calendar {
            let props = json!({ "public_right": right.as_ref().map_or("", PublicRight::privilege) });
            batch.publish.push(calendar_changed(Topic::CalendarUpdated, source, props.clone(), Some(&by)));
            let shown = instances.iter().filter(|instance| instance.is_shown());
            batch.publish.extend(shown.map(|i| at_instance(Topic::CalendarUpdated, i, props.clone(), &by)));
        }
        let is_readable = right.as_ref().is_some_and(PublicRight::reads);
        batch.ops.push(Op::SetPublicRight { collection: source.id, right });
        if is_readable {
            self.inner().store.write(batch).await.map_err(write_failed)?;
            return Ok(());
        }
        let subscriptions = |instances: Vec<Instance>| -> Vec<Instance> {
            instances.into_iter().filter(|instance| instance.delegation().is_none()).collect()
        };
        let mut gone = subscriptions(instances);
        loop {
            batch.publish.extend(self.told_taken_away(source, &gone));
            batch.ops.extend(gone.into_iter().map(Op::RemoveInstance));
            self.inner().store.write(std::mem::take(&mut batch)).await.map_err(write_failed)?;
            // Whoever subscribed while this was under way. From now on nobody can.
            gone = subscriptions(self.server.instances(source).await?);
            if gone.is_empty() {
                return Ok(());
            }
        }
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
        if let Some(hidden) = mine.iter().find(|instance| !instance.is_shown()) {
            return self.change_held(hidden, Vec::new(), |held| shown_again(held, &wish.props)).await;
        }
        // What was given to somebody is theirs as it was given; a subscription would outlive it.
        if !found.public_grants(Need::Read) {
            return Err(self.server.needs(&wish.source, Need::Read.privilege()));
        }
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
            tie: Tie::Subscription { writes: found.public_grants(Need::WriteContent) },
        };
        let by = self.who.principal();
        let told = match is_book {
            true => self.book_told_to(Audience::at(&instance, &source)).given(),
            false => subscription(Topic::SubscriptionCreated, &instance, &source, &by),
        };
        // What is private by now is subscribed to by nobody.
        let seen = Op::ExpectPublicRight { collection: source.id, right: source.public_right.clone() };
        let batch = Batch { ops: vec![seen, Op::PutInstance(instance)], publish: vec![told] };
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
        let instance = sight.instance().filter(|instance| sight.is_at_home() && instance.delegation().is_some());
        let Some(instance) = instance else {
            return Err(DavError::forbidden("Nobody shared this with you"));
        };
        let hidden = status == InviteStatus::Declined;
        let mut publish = Vec::new();
        if instance.kind == CollectionKind::AddressBook {
            let book = self.book_told_to(Audience::at(instance, sight.source()));
            publish.push(if hidden { book.taken_away() } else { book.given() });
        } else if hidden {
            publish.push(at_instance(Topic::CalendarDeleted, instance, Value::Null, &self.who.principal()));
        }
        let reply = |held: &mut Instance| {
            if let Tie::Delegation(given) = &mut held.tie {
                (given.status, given.hidden) = (status, hidden);
            }
            if name.is_some() {
                held.props.displayname.clone_from(&name);
            }
        };
        self.change_held(instance, publish, reply).await
    }

    /// Takes what somebody else owns out of the actor's home: what was given is put away and can come back, a subscription
    /// ends (dav §9).
    pub(super) async fn put_away(&self, sight: &Sight) -> Result<(), DavError> {
        let Some(instance) = sight.instance() else { return Ok(()) };
        let mut publish = self.told_taken_away(sight.source(), std::slice::from_ref(instance));
        // That it was shared is nothing new to its owner.
        publish.truncate(1);
        if instance.delegation().is_some() && instance.kind == CollectionKind::Calendar {
            let hide = |held: &mut Instance| {
                if let Tie::Delegation(given) = &mut held.tie {
                    given.hidden = true;
                }
            };
            return self.change_held(instance, publish, hide).await;
        }
        let batch = Batch { ops: vec![Op::RemoveInstance(instance.clone())], publish };
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

/// The subscriptions of a home that show it nothing, since the public right lets nobody read: what was given to a person
/// goes with them.
fn subscribed<'i>(
    source: &Collection,
    instances: &'i [Instance],
    home: Option<HomeId>,
) -> impl Iterator<Item = &'i Instance> {
    let is_public = source.public_right.as_ref().is_some_and(PublicRight::reads);
    let is_left = move |i: &&Instance| i.delegation().is_none() && home == Some(i.home) && !is_public;
    instances.iter().filter(is_left)
}

/// What was put away is shown again, in the colour that is wanted for it.
fn shown_again(held: &mut Instance, wanted: &CollectionProps) {
    if let Tie::Delegation(given) = &mut held.tie {
        given.hidden = false;
    }
    if wanted.color.is_some() {
        held.props.color.clone_from(&wanted.color);
    }
}

fn is_mail(href: &str) -> bool {
    href.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("mailto:"))
}
