//! How the cluster is: a word for monitoring, and a close look for `convoke doctor` (storage §4.8, §9).

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use super::OpenSearch;
use super::client::{Fault, Method, Question};
use super::schema::{self, Index};
use crate::health::{Examine, Finding, Health, HealthCheck};
use crate::net::certificate_end;

/// Time for one question of monitoring.
const PATIENCE: Duration = Duration::from_secs(5);
/// Days that a certificate should be good for at least.
const CERTIFICATE_DAYS: i64 = 21;
/// Shares of a disk from which on OpenSearch moves shards away, and makes indices read-only, in percent.
const DISK_HIGH: u64 = 85;
const DISK_FULL: u64 = 95;

#[async_trait]
impl HealthCheck for OpenSearch {
    fn component(&self) -> &str {
        "OpenSearch Backend"
    }

    async fn check(&self) -> Health {
        match self.status().await {
            Ok(status) if status == "green" || status == "yellow" => Health::Healthy,
            Ok(status) => {
                Health::Unhealthy(format!("the cluster is {status}; what it holds is not searched completely"))
            }
            Err(fault) => Health::Unhealthy(format!("{fault}; changes wait until it is back, searches fail")),
        }
    }
}

#[async_trait]
impl Examine for OpenSearch {
    fn engine(&self) -> String {
        format!("OpenSearch {}", self.config.urls.join(", "))
    }

    async fn examine(&self) -> Vec<Finding> {
        let mut findings = vec![self.examine_version().await];
        if matches!(findings[0].verdict, crate::health::Verdict::Bad { .. }) {
            return findings;
        }
        findings.push(self.examine_health().await);
        for index in [schema::events(&self.config)].iter().chain(&schema::contacts(&self.config)) {
            self.examine_index(index, &mut findings).await;
        }
        findings.extend(self.examine_disks().await);
        findings.extend(self.examine_certificate().await);
        findings
    }
}

impl OpenSearch {
    async fn look(&self, path: &str) -> Result<Value, Fault> {
        self.client
            .ask(&Question {
                operation: "health",
                method: Method::Get,
                path: path.to_owned(),
                query: &[],
                body: None,
                timeout: PATIENCE,
            })
            .await
    }

    async fn status(&self) -> Result<String, Fault> {
        let health = self.look("/_cluster/health").await?;
        Ok(health["status"].as_str().unwrap_or("without a status").to_owned())
    }

    async fn examine_version(&self) -> Finding {
        match self.look("/").await {
            Ok(root) => {
                let version = root["version"]["number"].as_str().unwrap_or("?").to_owned();
                match root["version"]["distribution"].as_str() {
                    Some("opensearch") => Finding::good("connection", format!("OpenSearch {version}")),
                    _ => Finding::doubtful(
                        "connection",
                        format!("a server of version {version} that does not call itself OpenSearch"),
                        "convoke is tested with OpenSearch 3; check that opensearch.urls is right",
                    ),
                }
            }
            Err(Fault::Denied(text)) => {
                Finding::bad("connection", text, "check opensearch.username and opensearch.password")
            }
            Err(fault) => Finding::bad(
                "connection",
                fault.to_string(),
                "check opensearch.urls, that the cluster runs, and for https that opensearch.ca_file is its authority",
            ),
        }
    }

    async fn examine_health(&self) -> Finding {
        match self.status().await {
            Ok(status) if status == "green" => Finding::good("cluster", status),
            Ok(status) if status == "yellow" => Finding::doubtful(
                "cluster",
                "yellow: some shards have no replica",
                "add a node, or set number_of_replicas to 0 where one node is meant (opensearch.replicas for new indices)",
            ),
            Ok(status) => Finding::bad(
                "cluster",
                format!("{status}: some shards are not there"),
                "see GET _cluster/allocation/explain; an index of events can be deleted and filled by `convoke reindex`",
            ),
            Err(fault) => Finding::doubtful("cluster", fault.to_string(), "let the user read cluster:monitor/health"),
        }
    }

    async fn examine_index(&self, index: &Index, findings: &mut Vec<Finding>) {
        for (alias, purpose) in [(&index.write_alias, "written to"), (&index.read_alias, "searched")] {
            findings.push(self.examine_alias(index, alias, purpose).await);
        }
        let subject = format!("index {}", index.name);
        let found = match self.look(&format!("/{}", index.read_alias)).await {
            Ok(found) => found,
            Err(Fault::NoIndex(_)) => return,
            Err(fault) => {
                findings.push(Finding::bad(subject, fault.to_string(), "let the user read the index and its mapping"));
                return;
            }
        };
        for (name, found) in found.as_object().into_iter().flatten() {
            let subject = format!("index {name}");
            findings.push(examine_mapping(&subject, &index.body["mappings"], &found["mappings"]));
            findings.extend(examine_blocks(&subject, &found["settings"]["index"]["blocks"]));
        }
    }

    async fn examine_alias(&self, index: &Index, alias: &str, purpose: &str) -> Finding {
        let subject = format!("alias {alias}");
        match self.look(&format!("/_alias/{alias}")).await {
            Ok(Value::Object(behind)) if behind.len() == 1 => {
                Finding::good(subject, format!("{} is {purpose}", behind.keys().next().map_or("?", String::as_str)))
            }
            Ok(Value::Object(behind)) if purpose == "searched" => {
                Finding::good(subject, format!("{} indices are searched", behind.len()))
            }
            Ok(Value::Object(behind)) => Finding::bad(
                subject,
                format!("it stands for {} indices", behind.len()),
                "let it stand for the one index that is to be written to",
            ),
            Err(Fault::Refused(_) | Fault::NoIndex(_)) => Finding::doubtful(
                subject,
                "it is missing",
                format!("it is made for {} at the next start of `convoke serve`", index.name),
            ),
            Ok(_) => Finding::bad(subject, "the answer makes no sense", "check opensearch.urls"),
            Err(fault) => Finding::bad(subject, fault.to_string(), "let the user read aliases"),
        }
    }

    async fn examine_disks(&self) -> Vec<Finding> {
        let Ok(Value::Array(nodes)) = self.look("/_cat/allocation?format=json&h=node,disk.percent").await else {
            return Vec::new();
        };
        let percent = |node: &Value| node["disk.percent"].as_str().and_then(|p| p.parse::<u64>().ok());
        let fullest = nodes.iter().filter_map(|node| Some((percent(node)?, node["node"].as_str()?))).max();
        let Some((percent, node)) = fullest else { return Vec::new() };
        let found = format!("the disk of {node} is full to {percent} %");
        let advice = "make room: from 95 % on indices become read-only, and changes wait";
        vec![match percent {
            ..DISK_HIGH => Finding::good("disks", found),
            DISK_HIGH..DISK_FULL => Finding::doubtful("disks", found, advice),
            _ => Finding::bad("disks", found, advice),
        }]
    }

    async fn examine_certificate(&self) -> Option<Finding> {
        let url = self.client.first_url();
        let host = url.host_str().filter(|_| url.scheme() == "https")?;
        let authority = self.config.ca_file.as_ref().and_then(|file| std::fs::read(file).ok());
        let port = url.port_or_known_default().unwrap_or(443);
        let subject = format!("certificate of {host}:{port}");
        Some(match certificate_end(host, port, authority.as_deref(), PATIENCE).await {
            Ok(end) if (end - self.env.now()).num_days() < CERTIFICATE_DAYS => {
                Finding::doubtful(subject, format!("it ends on {end}"), "renew it")
            }
            Ok(end) => Finding::good(subject, format!("it is good until {end}")),
            Err(error) => Finding::bad(subject, error.to_string(), "check the certificate and opensearch.ca_file"),
        })
    }
}

/// Compares a mapping with the one that is wanted (storage §4.8).
fn examine_mapping(subject: &str, wanted: &Value, found: &Value) -> Finding {
    let (mut missing, mut other) = (Vec::new(), Vec::new());
    compare("", &wanted["properties"], &found["properties"], &mut missing, &mut other);
    let advice = |what: &str| format!("see docs/search.md: {what}");
    // Documents of the scheme before calendars were owners.
    if missing.iter().any(|field| ["baseCalendarId", "calendarURL"].contains(&field.as_str())) {
        let advice =
            advice("name a new index and new aliases, start, run `convoke reindex`, then delete the old index");
        return Finding::bad(subject, format!("of an older scheme: it lacks {}", missing.join(", ")), advice);
    }
    if other.iter().any(|field| field.ends_with(".cn")) {
        let advice = advice(
            "close the index, put the analyzer calendar_event_cn_name_search_analyzer, open it, put the mapping",
        );
        return Finding::doubtful(subject, format!("mapped differently: {}", other.join(", ")), advice);
    }
    if !missing.is_empty() || !other.is_empty() {
        let what = format!("lacks [{}], differs in [{}]", missing.join(", "), other.join(", "));
        let advice = advice("put the mapping of the missing fields, or name a new index, then run `convoke reindex`");
        return Finding::doubtful(subject, what, advice);
    }
    Finding::good(subject, "mapped as it should be")
}

fn compare(path: &str, wanted: &Value, found: &Value, missing: &mut Vec<String>, other: &mut Vec<String>) {
    for (name, field) in wanted.as_object().into_iter().flatten() {
        let at = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let Some(there) = found.get(name) else {
            missing.push(at);
            continue;
        };
        for inner in ["properties", "fields"] {
            compare(&at, &field[inner], &there[inner], missing, other);
        }
        // What the default is, is not told. An analyzer that is looked for in a text is also that of questions.
        let same =
            |key: &str| field.get(key).is_none_or(|value| there.get(key) == Some(value) || is_default(key, value));
        let searched = |field: &Value| field.get("index").and_then(Value::as_bool) != Some(false);
        let kept_only = searched(field) && !searched(there);
        if !["type", "analyzer", "search_analyzer", "normalizer"].into_iter().all(same) || kept_only {
            other.push(at);
        }
    }
}

fn is_default(key: &str, value: &Value) -> bool {
    key == "analyzer" && value == "standard"
}

fn examine_blocks(subject: &str, blocks: &Value) -> Option<Finding> {
    let set = blocks.as_object()?.iter().filter(|(_, set)| *set == "true" || **set == true);
    let names: Vec<&str> = set.map(|(name, _)| name.as_str()).collect();
    if names.is_empty() {
        return None;
    }
    let found = format!("blocked: {}", names.join(", "));
    Some(Finding::bad(subject, found, "make room on the disks, then set the block to null with PUT <index>/_settings"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config;
    use crate::health::Verdict;

    fn verdict(change: impl FnOnce(&mut Value)) -> Verdict {
        let wanted = schema::events(&config::OpenSearch::default()).body["mappings"].clone();
        let mut found = wanted.clone();
        // As a cluster tells it.
        found["properties"]["description"].as_object_mut().unwrap().remove("analyzer");
        change(&mut found["properties"]);
        examine_mapping("index", &wanted, &found).verdict
    }

    #[test]
    fn an_index_of_an_older_release_is_told_with_what_to_do() {
        assert!(matches!(verdict(|_| ()), Verdict::Good(_)));
        assert!(matches!(verdict(|fields| fields["more"] = json!({"type": "text"})), Verdict::Good(_)));
        type Change = fn(&mut Value);
        let cases: [(Change, &str, &str); 4] = [
            (|f| drop(f.as_object_mut().unwrap().remove("collapseRank")), "collapseRank", "reindex"),
            (|f| f["sequence"]["index"] = json!(false), "sequence", "reindex"),
            (
                |f| drop(f["organizer"]["properties"]["cn"].as_object_mut().unwrap().remove("search_analyzer")),
                "cn",
                "close",
            ),
            (
                |f| drop(f["organizer"]["properties"]["email"].as_object_mut().unwrap().remove("fields")),
                "email.raw",
                "reindex",
            ),
        ];
        for (change, field, what) in cases {
            let Verdict::Doubtful { found, advice } = verdict(change) else { panic!("{field}") };
            assert!(found.contains(field) && advice.contains(what), "{found} {advice}");
        }
        let old = verdict(|f| drop(f.as_object_mut().unwrap().remove("calendarURL")));
        assert!(matches!(old, Verdict::Bad { advice, .. } if advice.contains("new index")));
    }

    #[test]
    fn blocks_are_told() {
        assert!(examine_blocks("index", &json!({"read_only_allow_delete": "true"})).is_some());
        assert!(examine_blocks("index", &json!({"read_only_allow_delete": "false"})).is_none());
        assert!(examine_blocks("index", &Value::Null).is_none());
    }
}
