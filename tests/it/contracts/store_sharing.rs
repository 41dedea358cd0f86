//! The contract of `DavStore` for what people have of other people's collections.

use convoke::clock::Env;
use convoke::ids::HomeId;
use convoke::store::{
    Access, Collection, CollectionKind, Delegation, Expect, Instance, InviteStatus, Op, PublicRight, Tie, WriteError,
};

use super::samples::*;
use super::store_engines::{MongoHarness, SqliteStore, StoreHarness};
use super::{optional_suite, suite};

fn instance(of: &Collection, home: HomeId, uri: &str, tie: Tie) -> Instance {
    let id = Env::system().object_id();
    let props = convoke::store::CollectionProps { displayname: Some("Ours".to_owned()), ..Default::default() };
    Instance { id, of: of.id, kind: of.kind, home, uri: uri.to_owned(), props, tie }
}

fn given(of: &Collection, home: HomeId, uri: &str, access: Access) -> Instance {
    let delegation = Delegation {
        access,
        status: InviteStatus::Accepted,
        href: "mailto:bob@example.org".to_owned(),
        name: Some("Bob".to_owned()),
        hidden: false,
    };
    instance(of, home, uri, Tie::Delegation(delegation))
}

fn subscribed(of: &Collection, home: HomeId, uri: &str) -> Instance {
    instance(of, home, uri, Tie::Subscription { writes: false })
}

fn book(home: HomeId) -> Collection {
    collection(home, CollectionKind::AddressBook, "friends")
}

async fn an_instance_is_listed_found_and_told_of(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    let friends = book(work.home);
    write(&*store, vec![Op::CreateCollection(friends.clone())]).await.unwrap();
    let bob = home();
    let mut all = vec![
        given(&work, bob, "a1", Access::ReadWrite),
        given(&friends, bob, "a2", Access::Administration),
        subscribed(&work, bob, "a3"),
        instance(&friends, bob, "a4", Tie::Subscription { writes: true }),
    ];
    all[2].props.color = Some("#00ff00".to_owned());
    all[2].props.order = Some(1);
    write(&*store, all.iter().cloned().map(Op::PutInstance).collect()).await.unwrap();

    let listed = store.shared_in(bob).await.unwrap();
    let expected = [&all[2], &all[0], &all[1], &all[3]];
    assert_eq!(listed.iter().map(|s| &s.instance).collect::<Vec<_>>(), expected);
    assert_eq!(listed[0].source, work);
    assert_eq!(listed[2].source, friends);
    for wanted in &all {
        let found = store.shared_at(bob, wanted.kind, &wanted.uri).await.unwrap().unwrap();
        assert_eq!(found.instance, *wanted);
        assert_eq!(store.shared_at(work.home, wanted.kind, &wanted.uri).await.unwrap(), None);
    }
    assert_eq!(store.shared_at(bob, CollectionKind::AddressBook, "a1").await.unwrap(), None);
    assert_eq!(store.instances(&work).await.unwrap(), [all[0].clone(), all[2].clone()]);
    assert_eq!(store.instances_for(&friends, bob).await.unwrap(), [all[1].clone(), all[3].clone()]);
    assert!(store.instances_for(&friends, home()).await.unwrap().is_empty());
    // They are nobody's own.
    assert!(store.collections(bob).await.unwrap().is_empty());
    assert_eq!(store.collection(bob, CollectionKind::Calendar, "a1").await.unwrap(), None);
    assert_eq!(store.collections(work.home).await.unwrap().len(), 2);
}

async fn an_instance_is_replaced_hidden_and_taken_away(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    let bob = home();
    let mut one = given(&work, bob, "a1", Access::Read);
    let written = write(&*store, vec![Op::PutInstance(one.clone())]).await.unwrap();
    assert_eq!((written.sync_tokens[0], written.existed[0]), (1, false), "nothing of the calendar changed");

    if let Tie::Delegation(given) = &mut one.tie {
        given.access = Access::FreeBusy;
        given.status = InviteStatus::NoResponse;
        given.hidden = true;
    }
    let written = write(&*store, vec![Op::PutInstance(one.clone())]).await.unwrap();
    assert_eq!((written.sync_tokens[0], written.existed[0]), (1, true));
    assert_eq!(store.instances(&work).await.unwrap(), [one.clone()]);

    one.props.color = Some("#123456".to_owned());
    one.props.dead.insert("{urn:x}note".to_owned(), "<note xmlns=\"urn:x\">a</note>".to_owned());
    if let Tie::Delegation(given) = &mut one.tie {
        given.hidden = false;
    }
    let written = write(&*store, vec![Op::PutInstance(one.clone())]).await.unwrap();
    assert_eq!(written.sync_tokens[0], 2, "other properties are a change");
    assert_eq!(store.instances(&work).await.unwrap(), [one.clone()]);
    assert_eq!(store.collection(work.home, CollectionKind::Calendar, "work").await.unwrap().unwrap().sync_token, 2);

    let gone = vec![Op::RemoveInstance(one.clone()), Op::RemoveInstance(one.clone())];
    assert_eq!(write(&*store, gone).await.unwrap().existed, [true, false]);
    assert!(store.instances(&work).await.unwrap().is_empty());
    assert!(store.shared_in(bob).await.unwrap().is_empty());
    // The path is free again.
    write(&*store, vec![Op::CreateCollection(calendar(bob, "a1"))]).await.unwrap();
}

async fn one_path_leads_to_one_thing(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    let bob = home();
    let own = calendar(bob, "own");
    let first = given(&work, bob, "a1", Access::Read);
    write(&*store, vec![Op::CreateCollection(own), Op::PutInstance(first)]).await.unwrap();
    let taken = |error: Result<_, WriteError>| matches!(error, Err(WriteError::CollectionExists(0)));
    assert!(taken(write(&*store, vec![Op::PutInstance(given(&work, bob, "own", Access::Read))]).await));
    assert!(taken(write(&*store, vec![Op::PutInstance(given(&work, bob, "a1", Access::Read))]).await));
    assert!(taken(write(&*store, vec![Op::PutInstance(subscribed(&work, bob, "a1"))]).await));
    assert!(taken(write(&*store, vec![Op::CreateCollection(calendar(bob, "a1"))]).await));
    // Books have a name space of their own.
    write(&*store, vec![Op::CreateCollection(collection(bob, CollectionKind::AddressBook, "a1"))]).await.unwrap();
}

async fn with_the_collection_go_its_instances(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    let friends = book(work.home);
    let bob = home();
    let ops = vec![
        Op::CreateCollection(friends.clone()),
        Op::PutInstance(given(&work, bob, "a1", Access::Read)),
        Op::PutInstance(subscribed(&work, bob, "a2")),
        Op::PutInstance(given(&friends, bob, "a3", Access::Read)),
        Op::PutInstance(subscribed(&friends, bob, "a4")),
    ];
    write(&*store, ops).await.unwrap();
    assert_eq!(store.shared_in(bob).await.unwrap().len(), 4);
    write(&*store, vec![Op::DeleteCollection(work.id)]).await.unwrap();
    assert_eq!(store.shared_in(bob).await.unwrap().len(), 2);
    write(&*store, vec![Op::DeleteCollection(friends.id)]).await.unwrap();
    assert!(store.shared_in(bob).await.unwrap().is_empty());
    let error = write(&*store, vec![Op::PutInstance(given(&work, bob, "a5", Access::Read))]).await.unwrap_err();
    assert!(matches!(error, WriteError::NoCollection(0)), "{error}");
}

async fn a_public_right_is_set_and_taken_back(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let mut work = calendar(home(), "work");
    work.public_right = Some(PublicRight::Read);
    let friends = book(work.home);
    let bob = given(&work, home(), "a1", Access::Read);
    let ops =
        vec![Op::CreateCollection(work.clone()), Op::CreateCollection(friends.clone()), Op::PutInstance(bob.clone())];
    write(&*store, ops).await.unwrap();
    let right = async |c: &Collection| store.collection(c.home, c.kind, &c.uri).await.unwrap().unwrap().public_right;
    assert_eq!(right(&work).await, Some(PublicRight::Read));
    assert_eq!(right(&friends).await, None);
    for wanted in [Some(PublicRight::Write), Some(PublicRight::FreeBusy), None] {
        for collection in [&work, &friends] {
            let op = Op::SetPublicRight { collection: collection.id, right: wanted.clone() };
            let expect = |right: Option<PublicRight>| Op::ExpectPublicRight { collection: collection.id, right };
            let other = if wanted == Some(PublicRight::Write) { None } else { Some(PublicRight::Write) };
            let stale = write(&*store, vec![op.clone(), expect(other.clone())]).await;
            assert!(matches!(stale, Err(WriteError::Precondition(1))), "as the batch has it by then");
            assert_ne!(right(collection).await, wanted);
            assert_eq!(write(&*store, vec![op, expect(wanted.clone())]).await.unwrap().sync_tokens, [1, 1]);
            assert_eq!(right(collection).await, wanted);
            assert_eq!(write(&*store, vec![expect(wanted.clone())]).await.unwrap().sync_tokens, [1]);
            assert!(matches!(write(&*store, vec![expect(other)]).await, Err(WriteError::Precondition(0))));
        }
        assert_eq!(store.shared_at(bob.home, bob.kind, "a1").await.unwrap().unwrap().source.public_right, wanted);
    }
}

async fn what_is_shared_in_one_batch_is_shared_as_a_whole(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = calendar(home(), "work");
    let (one, two) = (given(&work, home(), "a1", Access::Read), given(&work, home(), "a1", Access::ReadWrite));
    let same = given(&work, one.home, "a1", Access::Read);
    let create = Op::CreateCollection(work.clone());
    let all = vec![create.clone(), Op::PutInstance(one.clone()), Op::PutInstance(two.clone()), Op::PutInstance(same)];
    assert!(matches!(write(&*store, all).await, Err(WriteError::CollectionExists(3))));
    assert!(store.shared_in(one.home).await.unwrap().is_empty());
    write(&*store, vec![create, Op::PutInstance(one.clone()), Op::PutInstance(two.clone())]).await.unwrap();
    assert_eq!(store.instances(&work).await.unwrap(), [one, two]);
}

async fn an_expected_instance_is_there_with_the_tie_that_was_seen(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    let friends = book(work.home);
    write(&*store, vec![Op::CreateCollection(friends.clone())]).await.unwrap();
    let refused = |done: Result<_, WriteError>, at: usize| matches!(done, Err(WriteError::Precondition(n)) if n == at);
    for seen in [given(&work, home(), "a", Access::ReadWrite), given(&friends, home(), "a", Access::ReadWrite)] {
        let expect = |instance: &Instance| Op::ExpectInstance(instance.clone());
        let put = |instance: &Instance| Op::PutInstance(instance.clone());
        assert!(refused(write(&*store, vec![expect(&seen)]).await, 0), "it is not there yet");
        write(&*store, vec![put(&seen), expect(&seen)]).await.unwrap();
        let mut looks = seen.clone();
        looks.props.color = Some("#00ff00".to_owned());
        let before = store.shared_at(seen.home, seen.kind, "a").await.unwrap().unwrap().source.sync_token;
        let written = write(&*store, vec![expect(&looks)]).await.unwrap();
        assert_eq!((written.sync_tokens, written.existed), (vec![before], vec![true]), "its looks do not matter");
        let mut lower = seen.clone();
        if let Tie::Delegation(given) = &mut lower.tie {
            given.access = Access::Read;
        }
        assert!(refused(write(&*store, vec![put(&lower), expect(&seen)]).await, 1), "as the batch has it by then");
        assert_eq!(store.shared_in(seen.home).await.unwrap()[0].instance, seen);
        write(&*store, vec![expect(&seen), put(&lower)]).await.unwrap();
        assert!(refused(write(&*store, vec![expect(&seen), put(&looks)]).await, 0));
        assert_eq!(store.shared_in(seen.home).await.unwrap()[0].instance, lower);
        assert!(refused(write(&*store, vec![Op::RemoveInstance(lower.clone()), expect(&lower)]).await, 1));
        write(&*store, vec![Op::RemoveInstance(lower.clone())]).await.unwrap();
        assert!(refused(write(&*store, vec![expect(&lower), put(&lower)]).await, 0));
        assert!(store.shared_in(seen.home).await.unwrap().is_empty());
    }
    let follows = instance(&friends, home(), "b", Tie::Subscription { writes: true });
    write(&*store, vec![Op::PutInstance(follows.clone()), Op::ExpectInstance(follows.clone())]).await.unwrap();
    let less = Instance { tie: Tie::Subscription { writes: false }, ..follows };
    assert!(refused(write(&*store, vec![Op::ExpectInstance(less)]).await, 0));
    write(&*store, vec![Op::DeleteCollection(work.id)]).await.unwrap();
    let gone = write(&*store, vec![Op::ExpectInstance(given(&work, home(), "a", Access::Read))]).await;
    assert!(matches!(gone, Err(WriteError::NoCollection(0))));
}

async fn who_was_given_a_collection_already_is_known(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let work = stored_calendar(&*store, "work").await;
    let friends = book(work.home);
    write(&*store, vec![Op::CreateCollection(friends.clone())]).await.unwrap();
    let refused = |done: Result<_, WriteError>, at: usize| matches!(done, Err(WriteError::Precondition(n)) if n == at);
    let put = Op::PutInstance;
    for of in [&work, &friends] {
        let (bob, carol) = (home(), home());
        let new = |home: HomeId| Op::ExpectNotGiven { collection: of.id, home };
        // What they took themselves was not given to them, and what was given to others neither.
        let ops = vec![new(bob), put(subscribed(of, bob, "s")), put(given(of, carol, "g", Access::Read))];
        write(&*store, ops).await.unwrap();
        let first = given(of, bob, "a", Access::FreeBusy);
        write(&*store, vec![new(bob), put(first.clone())]).await.unwrap();
        assert!(refused(write(&*store, vec![put(given(of, bob, "b", Access::Read)), new(bob)]).await, 1));
        assert!(refused(write(&*store, vec![new(bob), put(given(of, bob, "b", Access::Read))]).await, 0));
        let again = given(of, bob, "c", Access::Read);
        let ops = vec![Op::RemoveInstance(first), new(bob), put(again.clone())];
        write(&*store, ops).await.unwrap();
        let theirs = store.instances_for(of, bob).await.unwrap();
        assert_eq!(theirs.iter().filter(|i| i.delegation().is_some()).collect::<Vec<_>>(), [&again]);
        let dave = home();
        let twice = vec![
            new(dave),
            put(given(of, dave, "d", Access::Read)),
            new(dave),
            put(given(of, dave, "e", Access::Read)),
        ];
        assert!(refused(write(&*store, twice).await, 2), "within one batch, too");
        assert!(store.shared_in(dave).await.unwrap().is_empty());
    }
    // Two at the same time: one of them.
    let eve = home();
    let one = vec![Op::ExpectNotGiven { collection: work.id, home: eve }, put(given(&work, eve, "a", Access::Read))];
    let two = vec![Op::ExpectNotGiven { collection: work.id, home: eve }, put(given(&work, eve, "b", Access::Read))];
    let (one, two) = tokio::join!(write(&*store, one), write(&*store, two));
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    assert_eq!(store.shared_in(eve).await.unwrap().len(), 1);
}

async fn a_path_tells_no_token_twice_whatever_stands_there(engine: &dyn StoreHarness) {
    let store = engine.open().await.dav;
    let (alices, carols) = (stored_calendar(&*store, "work").await, stored_calendar(&*store, "team").await);
    let bob = home();
    let grow = async |c: &Collection, n: i64| {
        for n in 0..n {
            write(&*store, vec![put(c, event(&format!("{n}.ics"), n), Expect::Any)]).await.unwrap();
        }
    };
    let there = async || store.shared_at(bob, CollectionKind::Calendar, "x").await.unwrap().unwrap();
    grow(&alices, 9).await;
    let first = subscribed(&alices, bob, "x");
    write(&*store, vec![Op::PutInstance(first.clone())]).await.unwrap();
    let told = there().await;
    assert_eq!((told.source.sync_token, told.since), (10, Some(10)), "nothing was there before");
    assert!(told.issued(10) && !told.issued(9));
    grow(&alices, 2).await;
    assert_eq!(there().await.since, Some(10));

    // Another calendar, with a lower token, at the same path.
    grow(&carols, 2).await;
    let second = subscribed(&carols, bob, "x");
    let ops = vec![Op::RemoveInstance(first), Op::PutInstance(second.clone())];
    let written = write(&*store, ops).await.unwrap();
    assert_eq!(written.sync_tokens, [12, 13]);
    let told = there().await;
    assert_eq!((told.source.sync_token, told.since), (13, Some(13)), "beyond all that were told there");
    assert!(!told.issued(12) && told.issued(13));
    let changes = store.changes(carols.id, 3, 9).await.unwrap().unwrap();
    assert_eq!((changes.changes.len(), changes.token), (0, 13), "nobody else hears of anything");
    grow(&carols, 1).await;
    assert_eq!(store.changes(carols.id, 13, 9).await.unwrap().unwrap().changes.len(), 1);
    // Written again it stays where it is.
    write(&*store, vec![Op::PutInstance(second)]).await.unwrap();
    assert_eq!((there().await.source.sync_token, there().await.since), (14, Some(13)));

    // The calendar itself goes, and bob makes one of his own there.
    let gone = write(&*store, vec![Op::DeleteCollection(carols.id)]).await.unwrap().sync_tokens[0];
    let own = calendar(bob, "x");
    assert_eq!(write(&*store, vec![Op::CreateCollection(own.clone())]).await.unwrap().sync_tokens, [gone + 1]);
    assert!(store.changes(own.id, gone, 9).await.unwrap().is_none());
    // And then one that was made in the same write.
    write(&*store, vec![Op::DeleteCollection(own.id)]).await.unwrap();
    let new = calendar(alices.home, "new");
    let ops = vec![
        Op::CreateCollection(new.clone()),
        put(&new, event("a.ics", 0), Expect::Any),
        Op::PutInstance(subscribed(&new, bob, "x")),
    ];
    write(&*store, ops).await.unwrap();
    let told = there().await;
    assert_eq!((told.source.sync_token, told.since), (gone + 2, Some(gone + 2)));
    let everything = store.changes(new.id, 0, 9).await.unwrap().unwrap();
    assert_eq!((everything.changes.len(), everything.token), (1, gone + 2));
}

macro_rules! sharing_suite {
    ($suite:ident, $engine:ident, $harness:expr) => {
        $suite!(
            $engine,
            $harness,
            [
                an_instance_is_listed_found_and_told_of,
                an_instance_is_replaced_hidden_and_taken_away,
                one_path_leads_to_one_thing,
                a_path_tells_no_token_twice_whatever_stands_there,
                with_the_collection_go_its_instances,
                a_public_right_is_set_and_taken_back,
                what_is_shared_in_one_batch_is_shared_as_a_whole,
                an_expected_instance_is_there_with_the_tie_that_was_seen,
                who_was_given_a_collection_already_is_known,
            ]
        );
    };
}
sharing_suite!(suite, sqlite, super::SqliteStore::new());
sharing_suite!(optional_suite, mongo, super::MongoHarness::replica_set());
sharing_suite!(optional_suite, mongo_standalone, super::MongoHarness::standalone());
