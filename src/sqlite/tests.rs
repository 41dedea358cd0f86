//! The connection layer by itself: sharing a transaction, refusing files, closing.

use std::sync::Arc;

use rusqlite::Connection;

use super::*;

const COUNTERS: Profile = Profile {
    application_id: 0x7465_7374,
    migrations: &["CREATE TABLE numbers (n INTEGER PRIMARY KEY) STRICT;"],
    writer_cache_kib: 256,
    reader_cache_kib: 256,
    readers: 2,
};

fn fresh() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("numbers.db");
    (dir, path)
}

async fn insert(db: &Db, n: i64) -> Result<(), DbError> {
    db.write(move |tx| {
        tx.execute("INSERT INTO numbers VALUES (?1)", [n])?;
        Ok(())
    })
    .await
}

async fn numbers(db: &Db) -> Vec<i64> {
    db.read(|conn| {
        let rows =
            conn.prepare("SELECT n FROM numbers ORDER BY n")?.query_map([], |r| r.get(0))?.collect::<Result<_, _>>()?;
        Ok::<_, DbError>(rows)
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_change_that_fails_takes_only_itself_back() {
    let (_dir, path) = fresh();
    let db = Db::open(&path, &COUNTERS, Durability::Full).unwrap();
    // Hold the writer, so that the three that follow share a transaction.
    let (held, wait) = std::sync::mpsc::channel::<()>();
    let blocker = tokio::spawn({
        let db = db.clone();
        async move {
            let work = move |_: &mut Tx<'_>| {
                let _ = wait.recv();
                Ok::<_, DbError>(())
            };
            db.write(work).await
        }
    });
    tokio::task::yield_now().await;
    let outcomes = tokio::spawn({
        let db = db.clone();
        async move { tokio::join!(insert(&db, 1), insert(&db, 1), insert(&db, 2)) }
    });
    tokio::task::yield_now().await;
    held.send(()).unwrap();
    blocker.await.unwrap().unwrap();
    let (first, second, third) = outcomes.await.unwrap();
    assert!(first.is_ok());
    assert!(matches!(second, Err(DbError::Broken(_))), "{second:?}");
    assert!(third.is_ok());
    assert_eq!(numbers(&db).await, [1, 2]);
}

#[tokio::test]
async fn a_panic_is_an_error_and_the_database_goes_on() {
    let (_dir, path) = fresh();
    let db = Db::open(&path, &COUNTERS, Durability::Normal).unwrap();
    let written = db
        .write(|tx| -> Result<(), DbError> {
            tx.execute("INSERT INTO numbers VALUES (1)", [])?;
            panic!("a bug");
        })
        .await;
    assert!(matches!(written, Err(DbError::Broken(_))));
    let read = db.read(|_| -> Result<(), DbError> { panic!("a bug") }).await;
    assert!(matches!(read, Err(DbError::Broken(_))));
    insert(&db, 2).await.unwrap();
    assert_eq!(numbers(&db).await, [2]);
}

#[tokio::test]
async fn a_bell_rings_after_the_commit_and_not_for_what_was_taken_back() {
    let (_dir, path) = fresh();
    let db = Db::open(&path, &COUNTERS, Durability::Normal).unwrap();
    let bell = db.bells().bell(7);
    let failed = bell.notified();
    tokio::pin!(failed);
    failed.as_mut().enable();
    let _ = db
        .write(|tx| -> Result<(), DbError> {
            tx.ring(7);
            Err(DbError::Broken("no".into()))
        })
        .await;
    assert!(futures_util::poll!(failed.as_mut()).is_pending());
    db.write(|tx| {
        tx.ring(7);
        tx.execute("INSERT INTO numbers VALUES (1)", [])?;
        Ok::<_, DbError>(())
    })
    .await
    .unwrap();
    failed.await;
    assert_eq!(numbers(&db).await, [1]);
}

#[tokio::test]
async fn closing_finishes_what_was_accepted_and_refuses_the_rest() {
    let (_dir, path) = fresh();
    let db = Db::open(&path, &COUNTERS, Durability::Full).unwrap();
    let accepted: Vec<_> = (0..50)
        .map(|n| {
            let db = db.clone();
            tokio::spawn(async move { insert(&db, n).await })
        })
        .collect();
    for insert in accepted {
        insert.await.unwrap().unwrap();
    }
    db.close().await;
    assert!(matches!(insert(&db, 99).await, Err(DbError::Unavailable(_))));
    assert!(!path.with_extension("db-wal").exists(), "everything is in the main file");
    let db = Db::open(&path, &COUNTERS, Durability::Full).unwrap();
    assert_eq!(numbers(&db).await.len(), 50);
}

#[test]
fn an_older_schema_is_migrated_and_keeps_its_rows() {
    const NEXT: Profile = Profile {
        migrations: &[COUNTERS.migrations[0], "ALTER TABLE numbers ADD COLUMN word TEXT NOT NULL DEFAULT 'none';"],
        ..COUNTERS
    };
    let (_dir, path) = fresh();
    drop(Db::open(&path, &COUNTERS, Durability::Full).unwrap());
    Connection::open(&path).unwrap().execute("INSERT INTO numbers VALUES (5)", []).unwrap();
    drop(Db::open(&path, &NEXT, Durability::Full).unwrap());
    let word: String =
        Connection::open(&path).unwrap().query_row("SELECT word FROM numbers WHERE n = 5", [], |r| r.get(0)).unwrap();
    assert_eq!(word, "none");
    let error = Db::open(&path, &COUNTERS, Durability::Full).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 2, known: 1, .. }), "{error}");
    assert!(error.to_string().contains("newer version"), "{error}");
}

#[test]
fn a_migration_that_fails_leaves_the_file_as_it_was() {
    const BAD: Profile = Profile {
        migrations: &[COUNTERS.migrations[0], "CREATE TABLE half (n INTEGER) STRICT; CREATE TABLE numbers (n);"],
        ..COUNTERS
    };
    let (_dir, path) = fresh();
    drop(Db::open(&path, &COUNTERS, Durability::Full).unwrap());
    assert!(matches!(Db::open(&path, &BAD, Durability::Full), Err(OpenError::Engine { .. })));
    let half: i64 = Connection::open(&path)
        .unwrap()
        .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'half'", [], |r| r.get(0))
        .unwrap();
    assert_eq!(half, 0);
    drop(Db::open(&path, &COUNTERS, Durability::Full).unwrap());
}

#[test]
fn files_of_others_are_refused_untouched() {
    let (_dir, path) = fresh();
    std::fs::write(&path, "Dear diary, today I was not a database. ".repeat(50)).unwrap();
    assert!(matches!(Db::open(&path, &COUNTERS, Durability::Full), Err(OpenError::Foreign { .. })));
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("Dear diary"));

    std::fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x); PRAGMA user_version = 1;").unwrap();
    assert!(matches!(Db::open(&path, &COUNTERS, Durability::Full), Err(OpenError::Foreign { .. })));
}

#[cfg(unix)]
#[test]
fn the_file_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let (_dir, path) = fresh();
    drop(Db::open(&path, &COUNTERS, Durability::Full).unwrap());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn reads_see_one_state_while_writes_go_on() {
    let (_dir, path) = fresh();
    let db = Arc::new(Db::open(&path, &COUNTERS, Durability::Normal).unwrap());
    let (started, go) = tokio::sync::oneshot::channel();
    let (written, wait) = std::sync::mpsc::channel::<()>();
    let reader = tokio::spawn({
        let db = Arc::clone(&db);
        async move {
            db.read(move |conn| {
                let count = |c: &Connection| c.query_row("SELECT count(*) FROM numbers", [], |r| r.get::<_, i64>(0));
                let before = count(conn)?;
                let _ = started.send(());
                let _ = wait.recv();
                Ok::<_, DbError>((before, count(conn)?))
            })
            .await
        }
    });
    go.await.unwrap();
    insert(&db, 1).await.unwrap();
    written.send(()).unwrap();
    assert_eq!(reader.await.unwrap().unwrap(), (0, 0));
    assert_eq!(numbers(&db).await, [1]);
}
