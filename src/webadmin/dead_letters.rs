//! `/deadLetters`: what consumers gave up, for an administrator to look at, redeliver or discard.

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::error::AdminError;
use super::params::Params;
use super::{Shared, WebAdmin};
use crate::queue::DeadLetter;

/// Letters listed when no limit is given.
const PAGE: u64 = 50;
/// Letters listed at most.
const MAX_PAGE: u64 = 500;

/// A letter without its payload, which may be a whole mail.
#[derive(Serialize)]
struct Envelope {
    id: u64,
    consumer: String,
    topic: String,
    attempts: u32,
    error: String,
    published: chrono::DateTime<chrono::Utc>,
    died: chrono::DateTime<chrono::Utc>,
}

impl From<DeadLetter> for Envelope {
    fn from(letter: DeadLetter) -> Self {
        let DeadLetter { id, consumer, topic, attempts, error, published, died, payload: _ } = letter;
        Self { id, consumer, topic, attempts, error, published, died }
    }
}

fn consumer(params: &Params) -> Option<&str> {
    params.get("consumer").filter(|c| !c.is_empty())
}

fn parse(id: &str) -> Result<u64, AdminError> {
    id.parse().map_err(|_| AdminError::argument(format!("{id:?} is not the id of a dead letter")))
}

fn found(there: bool, id: u64) -> Result<StatusCode, AdminError> {
    match there {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(no_letter(id)),
    }
}

fn no_letter(id: u64) -> AdminError {
    AdminError::not_found(format!("There is no dead letter {id}"))
}

/// `GET /deadLetters`: a page of envelopes, newest first.
pub(super) async fn list(State(admin): State<Shared>, params: Params) -> Result<Json<Value>, AdminError> {
    let limit = params.number("limit")?.unwrap_or(PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(AdminError::argument(format!("limit is {limit}, 1 to {MAX_PAGE} is expected")));
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let letters = admin.queue.dead_letters(consumer(&params), params.number("before")?, limit).await?;
    let envelopes: Vec<Envelope> = letters.into_iter().map(Envelope::from).collect();
    Ok(Json(json!(envelopes)))
}

/// `GET /deadLetters/{id}`: one with its payload.
pub(super) async fn show(State(admin): State<Shared>, Path(id): Path<String>) -> Result<Json<DeadLetter>, AdminError> {
    let id = parse(&id)?;
    let page = admin.queue.dead_letters(None, id.checked_add(1), 1).await?;
    page.into_iter().find(|letter| letter.id == id).map(Json).ok_or_else(|| no_letter(id))
}

/// `POST /deadLetters/{id}/redelivery`.
pub(super) async fn redeliver(State(admin): State<Shared>, Path(id): Path<String>) -> Result<StatusCode, AdminError> {
    let id = parse(&id)?;
    found(admin.queue.redeliver(id).await?, id)
}

/// `POST /deadLetters/redelivery`: all there are, of one consumer where named. What dies again meanwhile stays dead.
pub(super) async fn redeliver_all(State(admin): State<Shared>, params: Params) -> Result<Json<Value>, AdminError> {
    let redelivered = redeliver_each(&admin, consumer(&params)).await?;
    Ok(Json(json!({ "redelivered": redelivered })))
}

async fn redeliver_each(admin: &WebAdmin, consumer: Option<&str>) -> Result<u64, AdminError> {
    let (mut before, mut redelivered) = (None, 0);
    loop {
        let page = admin.queue.dead_letters(consumer, before, 500).await?;
        let Some(oldest) = page.last() else { return Ok(redelivered) };
        before = Some(oldest.id);
        for letter in page {
            redelivered += u64::from(admin.queue.redeliver(letter.id).await?);
        }
    }
}

/// `DELETE /deadLetters/{id}`.
pub(super) async fn discard(State(admin): State<Shared>, Path(id): Path<String>) -> Result<StatusCode, AdminError> {
    let id = parse(&id)?;
    found(admin.queue.discard(id).await?, id)
}
