//! Schema versions: `user_version` counts the migrations that were applied, each in one transaction with its number.

use rusqlite::{Connection, TransactionBehavior};

use super::OpenError;
use super::db::Profile;

/// Brings the schema up to date.
///
/// # Errors
/// [`OpenError::Newer`] and [`OpenError::Foreign`] before anything is written.
pub(super) fn migrate(conn: &mut Connection, path: &str, profile: &Profile) -> Result<(), OpenError> {
    let engine = |e| OpenError::of(path, e);
    let known = u32::try_from(profile.migrations.len()).unwrap_or(u32::MAX);
    if check(conn, path, profile)? == known {
        return Ok(());
    }
    let tx = conn.transaction_with_behavior(TransactionBehavior::Exclusive).map_err(engine)?;
    // Read again under the lock: another process may have been quicker.
    let found = check(&tx, path, profile)?;
    for (sql, version) in profile.migrations.iter().zip(1_u32..).skip(found as usize) {
        tx.execute_batch(sql).map_err(engine)?;
        tx.pragma_update(None, "user_version", version).map_err(engine)?;
    }
    tx.pragma_update(None, "application_id", profile.application_id).map_err(engine)?;
    tx.commit().map_err(engine)
}

/// The version of the schema, 0 for an empty file.
fn check(conn: &Connection, path: &str, profile: &Profile) -> Result<u32, OpenError> {
    let foreign = |detail: String| OpenError::Foreign { path: path.to_owned(), detail };
    let number = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(|e| OpenError::of(path, e));
    let known = u32::try_from(profile.migrations.len()).unwrap_or(u32::MAX);
    let application = number("PRAGMA application_id")?;
    let found = u32::try_from(number("PRAGMA user_version")?).unwrap_or(u32::MAX);
    if application != i64::from(profile.application_id) {
        let tables = number("SELECT count(*) FROM sqlite_schema")?;
        if application != 0 || found != 0 || tables != 0 {
            return Err(foreign(format!("it is marked {application:#x}, not {:#x}", profile.application_id)));
        }
    }
    if found > known {
        return Err(OpenError::Newer { path: path.to_owned(), found, known });
    }
    Ok(found)
}
