//! Tickets, by the hash of their value. Those that ended are removed in passing, a few with each new one, so that the table
//! keeps its size without a timer.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Sqlite, unreadable};
use crate::store::{StoreError, Ticket, TicketStore};

/// Tickets past their end that each new one clears away.
const PRUNED_EACH: u32 = 8;

#[async_trait]
impl TicketStore for Sqlite {
    async fn put_ticket(&self, ticket: &Ticket) -> Result<(), StoreError> {
        let (ticket, now) = (ticket.clone(), self.env().now().timestamp_millis());
        // A ticket that a power cut takes along is asked for again.
        self.db()
            .write_lazily(move |tx| {
                tx.prepare_cached(
                    "DELETE FROM tickets WHERE hash IN
                        (SELECT hash FROM tickets WHERE valid_until < ?1 ORDER BY valid_until LIMIT ?2)",
                )?
                .execute(params![now, PRUNED_EACH])?;
                tx.prepare_cached(
                    "INSERT INTO tickets (hash, username, client_address, generated, valid_until)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![
                    hash(ticket.value),
                    ticket.user.as_str(),
                    ticket.client_address,
                    ticket.generated.timestamp_millis(),
                    ticket.valid_until.timestamp_millis(),
                ])?;
                Ok(())
            })
            .await
    }

    async fn ticket(&self, value: Uuid) -> Result<Option<Ticket>, StoreError> {
        self.db()
            .read(move |conn| {
                one(conn, "SELECT username, client_address, generated, valid_until FROM tickets WHERE hash = ?1", value)
            })
            .await
    }

    async fn take_ticket(&self, value: Uuid) -> Result<Option<Ticket>, StoreError> {
        // Durable: a ticket that was used must not come back.
        self.db()
            .write(move |tx| {
                one(
                    tx,
                    "DELETE FROM tickets WHERE hash = ?1 RETURNING username, client_address, generated, valid_until",
                    value,
                )
            })
            .await
    }
}

fn hash(value: Uuid) -> [u8; 32] {
    Sha256::digest(value.as_bytes()).into()
}

fn one(conn: &Connection, sql: &str, value: Uuid) -> Result<Option<Ticket>, StoreError> {
    Ok(conn.prepare_cached(sql)?.query_row([hash(value)], |row| ticket(row, value)).optional()?)
}

fn ticket(row: &Row<'_>, value: Uuid) -> rusqlite::Result<Ticket> {
    Ok(Ticket {
        value,
        user: row.get::<_, String>(0)?.parse().map_err(|e| unreadable(0, e))?,
        client_address: row.get(1)?,
        generated: instant(row, 2)?,
        valid_until: instant(row, 3)?,
    })
}

fn instant(row: &Row<'_>, column: usize) -> rusqlite::Result<DateTime<Utc>> {
    let millis = row.get(column)?;
    DateTime::from_timestamp_millis(millis).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, millis))
}
