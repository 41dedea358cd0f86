//! `auth_tickets` (storage §2.11). The server clears away what is past its time, a minute late; whoever takes a ticket looks
//! at the time, too.

use async_trait::async_trait;
use mongodb::Collection;
use mongodb::bson::{DateTime, Document, doc};
use uuid::Uuid;

use super::Mongo;
use crate::store::{StoreError, Ticket, TicketStore};

const TICKETS: &str = "auth_tickets";

#[async_trait]
impl TicketStore for Mongo {
    async fn put_ticket(&self, ticket: &Ticket) -> Result<(), StoreError> {
        let row = doc! {
            "_id": ticket.value.to_string(),
            "username": ticket.user.as_str(),
            "clientAddress": &ticket.client_address,
            "generatedOn": DateTime::from_millis(ticket.generated.timestamp_millis()),
            "validUntil": DateTime::from_millis(ticket.valid_until.timestamp_millis()),
        };
        let put = self.timed(tickets(self).insert_one(row)).await;
        put.map(drop).map_err(|error| match StoreError::from(error) {
            // The value is a secret.
            StoreError::Exists(_) => StoreError::Exists("the ticket".to_owned()),
            other => other,
        })
    }

    async fn ticket(&self, value: Uuid) -> Result<Option<Ticket>, StoreError> {
        let found = self.timed(tickets(self).find_one(doc! { "_id": value.to_string() })).await?;
        Ok(found.and_then(|row| ticket(value, &row)))
    }

    async fn take_ticket(&self, value: Uuid) -> Result<Option<Ticket>, StoreError> {
        let taken = async { tickets(self).find_one_and_delete(doc! { "_id": value.to_string() }).await };
        Ok(self.timed(taken).await?.and_then(|row| ticket(value, &row)))
    }
}

fn tickets(mongo: &Mongo) -> Collection<Document> {
    mongo.platform().collection(TICKETS)
}

/// `None` for what is no ticket, which opens nothing.
fn ticket(value: Uuid, row: &Document) -> Option<Ticket> {
    let instant = |field| chrono::DateTime::from_timestamp_millis(row.get_datetime(field).ok()?.timestamp_millis());
    Some(Ticket {
        value,
        user: row.get_str("username").ok()?.parse().ok()?,
        client_address: row.get_str("clientAddress").unwrap_or_default().to_owned(),
        generated: instant("generatedOn")?,
        valid_until: instant("validUntil")?,
    })
}
