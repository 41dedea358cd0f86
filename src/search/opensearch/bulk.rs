//! Bulk requests: many writes at once, the outcome of each, and patience with a cluster that takes only some of them.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::client::{Client, Fault, Method, Question};

/// One write, guarded by its version: of a document there is only ever the newest.
#[derive(Debug, Clone)]
pub(super) struct Write {
    pub id: String,
    pub routing: String,
    /// Version of the document in the index (`external_gte`).
    pub version: i64,
    /// The document; `None` removes it.
    pub source: Option<Bytes>,
}

impl Write {
    /// Octets that it takes in a request, nearly.
    pub(super) fn octets(&self) -> usize {
        self.source.as_ref().map_or(0, Bytes::len) + self.id.len() + 150
    }
}

/// What became of a write that the cluster took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is done.
    Done,
    /// There was nothing to remove.
    Absent,
    /// A newer state is there; nothing was changed.
    Older,
}

#[derive(Serialize)]
struct Action<'a> {
    #[serde(rename = "_id")]
    id: &'a str,
    routing: &'a str,
    version: i64,
    version_type: &'static str,
}

#[derive(Deserialize)]
struct Answer {
    items: Vec<std::collections::HashMap<String, Item>>,
}

#[derive(Deserialize)]
struct Item {
    status: u16,
    error: Option<ItemError>,
}

#[derive(Deserialize)]
struct ItemError {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    reason: Option<String>,
    caused_by: Option<Box<Self>>,
}

impl ItemError {
    fn text(&self) -> String {
        let cause = self.caused_by.as_ref().map(|cause| format!(": {}", cause.text()));
        self.reason.clone().unwrap_or_default() + cause.as_deref().unwrap_or_default()
    }
}

/// Carries out writes in order, in requests of a bounded size; the outcome of each. What the cluster is too busy for is sent
/// again after growing waits, and nothing else is sent meanwhile.
pub(super) async fn write(
    client: &Client,
    alias: &str,
    limits: Limits,
    writes: &[Write],
) -> Vec<Result<Outcome, Fault>> {
    let mut outcomes = Vec::with_capacity(writes.len());
    let mut rest = writes;
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(limits.fitting(rest));
        outcomes.extend(patiently(client, alias, limits.timeout, chunk).await);
        rest = after;
    }
    outcomes
}

/// What one request may cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub writes: usize,
    pub octets: usize,
    pub timeout: Duration,
}

impl Limits {
    /// How many of these go into one request; at least one.
    fn fitting(&self, writes: &[Write]) -> usize {
        let mut octets = 0;
        let fits = |write: &&Write| {
            octets += write.octets();
            octets <= self.octets
        };
        writes.iter().take(self.writes).take_while(fits).count().max(1)
    }
}

async fn patiently(client: &Client, alias: &str, timeout: Duration, writes: &[Write]) -> Vec<Result<Outcome, Fault>> {
    let mut outcomes: Vec<Option<Result<Outcome, Fault>>> = vec![None; writes.len()];
    let mut waits = client.waits();
    loop {
        let open: Vec<usize> = (0..writes.len())
            .filter(|i| outcomes[*i].as_ref().is_none_or(|o| matches!(o, Err(fault) if fault.is_passing())))
            .collect();
        let asked = once(client, alias, timeout, open.iter().map(|i| &writes[*i])).await;
        match asked {
            Ok(answers) => open.iter().zip(answers).for_each(|(i, answer)| outcomes[*i] = Some(answer)),
            Err(fault) => open.iter().for_each(|i| outcomes[*i] = Some(Err(fault.clone()))),
        }
        let rejected = outcomes.iter().flatten().filter(|o| matches!(o, Err(fault) if fault.is_passing())).count();
        if rejected == 0 {
            break;
        }
        metrics::counter!("convoke_opensearch_bulk_rejected_total").increment(rejected as u64);
        let Some(wait) = waits.next() else { break };
        tracing::debug!(rejected, of = writes.len(), wait_ms = wait.as_millis() as u64, "writes are sent again");
        tokio::time::sleep(wait).await;
    }
    let unanswered = || Err(Fault::Away("the answer lacks a write".to_owned()));
    outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(unanswered)).collect()
}

async fn once(
    client: &Client,
    alias: &str,
    timeout: Duration,
    writes: impl Iterator<Item = &Write>,
) -> Result<Vec<Result<Outcome, Fault>>, Fault> {
    let mut body = Vec::new();
    for write in writes {
        let action =
            Action { id: &write.id, routing: &write.routing, version: write.version, version_type: "external_gte" };
        let verb = if write.source.is_some() { "index" } else { "delete" };
        let line = serde_json::to_vec(&std::collections::HashMap::from([(verb, action)]));
        body.extend(line.map_err(|e| Fault::Refused(e.to_string()))?);
        body.push(b'\n');
        if let Some(source) = &write.source {
            body.extend_from_slice(source);
            body.push(b'\n');
        }
    }
    let question = Question {
        operation: "bulk",
        method: Method::Post,
        path: format!("/{alias}/_bulk"),
        // Without the alias a first write would make an index of that name, with none of our mapping.
        query: &[("require_alias", "true"), ("filter_path", "items.*.status,items.*.error")],
        body: Some(Bytes::from(body)),
        timeout,
    };
    let answer: Value = client.ask(&question).await?;
    let answer: Answer = serde_json::from_value(answer).map_err(|e| Fault::Away(format!("a bulk answer: {e}")))?;
    Ok(answer.items.into_iter().map(|item| outcome(item.into_values().next())).collect())
}

fn outcome(item: Option<Item>) -> Result<Outcome, Fault> {
    let Some(item) = item else { return Err(Fault::Away("an empty item in a bulk answer".to_owned())) };
    match (item.status, item.error) {
        (200..300, _) => Ok(Outcome::Done),
        (404, None) => Ok(Outcome::Absent),
        (409, _) => Ok(Outcome::Older),
        (status, Some(error)) => Err(Fault::of(status, &error.kind, &error.text())),
        (status, None) => Err(Fault::of(status, "", "")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_bounded_in_number_and_octets_and_never_empty() {
        let write = |octets: usize| Write {
            id: String::new(),
            routing: String::new(),
            version: 1,
            source: Some(Bytes::from(vec![b'x'; octets])),
        };
        let limits = Limits { writes: 3, octets: 1_000, timeout: Duration::ZERO };
        assert_eq!(limits.fitting(&[write(1), write(1), write(1), write(1)]), 3);
        assert_eq!(limits.fitting(&[write(500), write(200), write(200)]), 2);
        assert_eq!(limits.fitting(&[write(5_000), write(1)]), 1);
    }

    #[test]
    fn a_fault_does_not_quote_the_document() {
        let item = serde_json::from_str::<Item>(
            r#"{"status":400,"error":{"type":"mapper_parsing_exception",
                "reason":"failed to parse field [start] of type [date]. Preview of field's value: 'secret'",
                "caused_by":{"type":"illegal_argument_exception","reason":"no date"}}}"#,
        );
        let Err(Fault::Refused(text)) = outcome(item.ok()) else { panic!("a bad document is refused") };
        assert!(text.contains("failed to parse field [start]") && !text.contains("secret"), "{text}");
    }
}
