//! What every engine of a port must do, written once for each port and run over all its engines.
//!
//! A suite is a list of cases, each given a fresh engine. To add an engine, implement the suite's harness for it and
//! name it in a `suite!` line at the end of the suite's file.

mod attachments;
mod cache;
mod consume;
mod directory;
mod files;
mod nodes;
pub mod queue;
mod resources;
pub mod search;
mod search_queries;
mod search_words;
mod store;
mod store_engines;
mod store_pages;
mod store_sharing;
mod store_sync;
mod store_upkeep;
mod tickets;
mod transport;

/// Makes one test of each case for an engine.
macro_rules! suite {
    ($engine:ident, $harness:expr, [$($case:ident),* $(,)?]) => {
        mod $engine {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$case(&$harness).await;
                }
            )*
        }
    };
}
pub(crate) use suite;

/// The same for an engine whose server may not have been started.
macro_rules! optional_suite {
    ($engine:ident, $harness:expr, [$($case:ident),* $(,)?]) => {
        mod $engine {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let Some(harness) = $harness else { return };
                    super::$case(&harness).await;
                }
            )*
        }
    };
}
pub(crate) use optional_suite;

/// The engines that keep documents and queue, opened on data of their own.
pub mod engines {
    use std::sync::Arc;
    use std::time::Duration;

    use async_trait::async_trait;
    use convoke::clock::Env;
    use convoke::config::Durability;
    use convoke::queue::SharedQueue;
    use convoke::store::sqlite::Sqlite;
    use convoke::store::{SharedDavStore, SharedDirectory};

    /// Time after which unsettled deliveries come back: longer than any case takes.
    pub const PATIENT: Duration = Duration::from_secs(60);
    /// The same for cases about just that.
    pub const IMPATIENT: Duration = Duration::from_millis(300);

    /// The ports over one engine.
    pub struct Ports {
        pub dav: SharedDavStore,
        pub directory: SharedDirectory,
        pub queue: SharedQueue,
    }

    /// Opens an engine on its data, which is fresh the first time and kept until the harness is dropped.
    #[async_trait]
    pub trait Harness: Send + Sync {
        async fn open(&self) -> Ports {
            self.open_with_visibility(PATIENT).await
        }
        /// The same with a time after which unsettled deliveries come back.
        async fn open_with_visibility(&self, visibility: Duration) -> Ports;
        /// Stops the engine that was opened last, so that it can be opened again.
        async fn close(&self);
    }

    /// SQLite in a temporary folder.
    pub struct SqliteHarness {
        dir: tempfile::TempDir,
        opened: std::sync::Mutex<Option<Sqlite>>,
    }

    impl SqliteHarness {
        pub fn new() -> Self {
            Self { dir: tempfile::tempdir().unwrap(), opened: std::sync::Mutex::default() }
        }
    }

    #[async_trait]
    impl Harness for SqliteHarness {
        async fn open_with_visibility(&self, visibility: Duration) -> Ports {
            let path = self.dir.path().join("convoke.db");
            let sqlite = Sqlite::open(&path, Durability::Normal, Env::system()).unwrap().with_visibility(visibility);
            *self.opened.lock().unwrap() = Some(sqlite.clone());
            Ports { dav: Arc::new(sqlite.clone()), directory: Arc::new(sqlite.clone()), queue: Arc::new(sqlite) }
        }

        async fn close(&self) {
            let opened = self.opened.lock().unwrap().take();
            if let Some(sqlite) = opened {
                sqlite.close().await;
            }
        }
    }
}

/// Documents for the suites.
pub mod samples {
    use chrono::{DateTime, Utc};
    use convoke::clock::Env;
    use convoke::events::{Message, Topic};
    use convoke::ids::{CollectionId, DomainId, HomeId, ResourceId, TeamCalendarId, Uid};
    use convoke::store::{
        Batch, Collection, CollectionKind, CollectionProps, DavStore, Expect, Object, ObjectMeta, Op, Resource,
        TeamCalendar, WriteError, Written,
    };
    use md5::{Digest as _, Md5};

    /// A resource without administrators.
    pub fn resource(domain: DomainId, name: &str) -> Resource {
        Resource {
            id: ResourceId(Env::system().object_id()),
            domain,
            name: name.to_owned(),
            description: "Second floor".to_owned(),
            icon: "laptop".to_owned(),
            is_room: true,
            creator: None,
            administrators: Vec::new(),
            deleted: false,
            created: "2026-02-01T09:00:00.123Z".parse().unwrap(),
            updated: "2026-02-02T09:00:00Z".parse().unwrap(),
        }
    }

    pub fn team(domain: DomainId, name: &str) -> TeamCalendar {
        TeamCalendar {
            id: TeamCalendarId(Env::system().object_id()),
            domain,
            name: name.to_owned(),
            display_name: format!("The {name} team"),
            email: None,
            created: "2026-03-01T09:00:00.5Z".parse().unwrap(),
            updated: "2026-03-02T09:00:00Z".parse().unwrap(),
        }
    }

    pub fn home() -> HomeId {
        HomeId(Env::system().object_id())
    }

    pub fn collection(home: HomeId, kind: CollectionKind, uri: &str) -> Collection {
        Collection {
            id: CollectionId(Env::system().object_id()),
            home,
            kind,
            uri: uri.to_owned(),
            props: CollectionProps::default(),
            sync_token: 1,
            public_right: None,
        }
    }

    pub fn calendar(home: HomeId, uri: &str) -> Collection {
        collection(home, CollectionKind::Calendar, uri)
    }

    pub fn instant(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// An event of one hour that begins at a unix timestamp.
    pub fn event(name: &str, start: i64) -> Object {
        spanning(name, Some(start), Some(start + 3600))
    }

    pub fn spanning(name: &str, first: Option<i64>, last: Option<i64>) -> Object {
        let uid = name.trim_end_matches(".ics");
        let data = format!("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:{uid}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n");
        with_data(name, &data, first, last)
    }

    pub fn with_data(name: &str, data: &str, first: Option<i64>, last: Option<i64>) -> Object {
        Object {
            meta: ObjectMeta {
                name: name.to_owned(),
                etag: hex::encode(Md5::digest(data)),
                size: data.len() as u64,
                modified: instant("2026-05-01T10:00:00Z"),
                component: "VEVENT".to_owned(),
                uid: Uid(name.trim_end_matches(".ics").to_owned()),
                first_occurrence: first,
                last_occurrence: last,
                schedule_tag: None,
            },
            data: data.to_owned(),
        }
    }

    pub fn put(collection: &Collection, object: Object, expect: Expect) -> Op {
        Op::PutObject { collection: collection.id, object, expect }
    }

    pub fn delete(collection: &Collection, name: &str, expect: Expect) -> Op {
        Op::DeleteObject { collection: collection.id, name: name.to_owned(), expect }
    }

    pub fn message(topic: Topic, key: &str, n: u32) -> Message {
        Message::new(topic, key, &serde_json::json!({ "n": n }))
    }

    pub async fn write(store: &dyn DavStore, ops: Vec<Op>) -> Result<Written, WriteError> {
        store.write(Batch { ops, publish: Vec::new() }).await
    }

    /// A calendar that exists.
    pub async fn stored_calendar(store: &dyn DavStore, uri: &str) -> Collection {
        let calendar = calendar(home(), uri);
        write(store, vec![Op::CreateCollection(calendar.clone())]).await.unwrap();
        calendar
    }
}
