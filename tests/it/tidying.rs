//! What is forgotten from time to time.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use convoke::clock::{CountingEntropy, Env, ManualClock};
use convoke::config::{Dav, Durability};
use convoke::ids::{ContentId, TrashId, Uid};
use convoke::sqlite::Sqlite;
use convoke::store::attachments::{self, Attachment, AttachmentId};
use convoke::store::files::{FileContent, Room};
use convoke::store::{DavStore, Expect, Op, Purge, TrashView, Trashed, TrashedThing, Upkeep};
use convoke::tidying::{Tidied, Tidying};

use super::contracts::samples::{delete, event, put, stored_calendar, write};

#[tokio::test]
async fn the_trash_and_the_log_are_kept_for_their_time() {
    let dir = tempfile::tempdir().unwrap();
    let begin: DateTime<Utc> = "2026-11-21T06:20:15Z".parse().unwrap();
    let env = Env::new(ManualClock::at(begin), CountingEntropy::default());
    let store = Sqlite::open(&dir.path().join("convoke.db"), Durability::Normal, env.clone()).unwrap();
    let work = stored_calendar(&store, "work").await;
    for n in 0..250 {
        let object = event(&format!("{n}.ics"), 0);
        write(&store, vec![put(&work, object.clone(), Expect::Any)]).await.unwrap();
        let entry = Trashed {
            id: TrashId(env.object_id()),
            home: work.home,
            collection: work.id,
            kind: work.kind,
            uri: work.uri.clone(),
            deleted: begin,
            until: begin + TimeDelta::days(30),
            what: TrashedThing::Object { meta: object.meta, with_collection: false, summary: None },
        };
        let kept = Op::Trash { entry: Box::new(entry), data: object.data };
        write(&store, vec![kept, delete(&work, &format!("{n}.ics"), Expect::Any)]).await.unwrap();
    }
    let config = Dav { sync_log_days: 100, ..Dav::default() };
    let tidy = async |config: &Dav, after: TimeDelta| {
        let env = Env::new(ManualClock::at(begin + after), CountingEntropy::default());
        Tidying::new(Arc::new(store.clone()), Arc::new(store.clone()), config, env).once().await.unwrap()
    };
    let days = TimeDelta::days;

    assert_eq!(tidy(&config, days(30) - TimeDelta::milliseconds(1)).await, Tidied::default());
    assert_eq!(tidy(&config, days(30)).await, Tidied { trash: 250, ..Tidied::default() });
    assert!(store.trash(work.home, TrashView::Deleted, None, 9).await.unwrap().is_empty());
    assert!(store.changes(work.id, 2, 9).await.unwrap().is_some());
    assert_eq!(tidy(&config, days(101)).await, Tidied { log: 250, ..Tidied::default() });
    assert!(store.changes(work.id, 2, 9).await.unwrap().is_none());
    assert!(store.changes(work.id, 501, 9).await.unwrap().is_some());

    // Nobody who writes waits for all of what is long.
    for _ in 0..3 {
        let entry = Trashed {
            id: TrashId(env.object_id()),
            home: work.home,
            collection: work.id,
            kind: work.kind,
            uri: work.uri.clone(),
            deleted: begin,
            until: begin,
            what: TrashedThing::Object { meta: event("a.ics", 0).meta, with_collection: false, summary: None },
        };
        write(&store, vec![Op::Trash { entry: Box::new(entry), data: "x".repeat(3 << 20) }]).await.unwrap();
    }
    assert_eq!(store.purge(&Purge::Expired(begin), 100).await.unwrap(), 1);
    assert_eq!(tidy(&config, days(0)).await, Tidied { trash: 2, ..Tidied::default() });

    let content = FileContent {
        id: ContentId(env.object_id()),
        size: 0,
        etag: String::new(),
        media_type: "text/plain".to_owned(),
    };
    let unused = Attachment {
        id: AttachmentId::new(work.home, &env),
        name: "a.txt".to_owned(),
        content,
        created: begin,
        notes: [(work.home, Uid("a".to_owned()))].into(),
    };
    attachments::add(&store, &unused, Room { octets: 1000, entries: 9 }, &env).await.unwrap();
    assert_eq!(tidy(&config, TimeDelta::minutes(59)).await, Tidied::default());
    assert_eq!(tidy(&config, TimeDelta::minutes(61)).await, Tidied { attachments: 1, ..Tidied::default() });

    let for_ever = Dav { sync_log_days: 0, sync_log_names: 0, ..Dav::default() };
    write(&store, vec![put(&work, event("a.ics", 0), Expect::Any), delete(&work, "a.ics", Expect::Any)]).await.unwrap();
    assert_eq!(tidy(&for_ever, days(10_000)).await, Tidied::default());
}
