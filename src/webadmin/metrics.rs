//! `/metrics`: Prometheus text 0.0.4 (webadmin §11, storage §10).

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

use super::Shared;
use super::params::Params;
use crate::queue::QueueDepth;

/// Timers are summaries with these quantiles.
const QUANTILES: &[f64] = &[0.5, 0.75, 0.95, 0.98, 0.99, 0.999];
/// How often what was recorded is folded together, so that it does not pile up between scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// The recorder of metrics cannot be put in place.
#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be recorded: {0}")]
pub struct MetricsError(#[from] BuildError);

/// What the program counts and times. One per process.
#[derive(Debug, Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Starts to record, before anything that counts is made; a process that records already goes on. Must be called on a
    /// runtime: recording needs upkeep.
    ///
    /// # Errors
    /// When something else records in this process.
    pub fn install() -> Result<Self, MetricsError> {
        static INSTALLED: Mutex<Option<Metrics>> = Mutex::new(None);
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(metrics) = installed.as_ref() {
            return Ok(metrics.clone());
        }
        let builder = PrometheusBuilder::new().set_quantiles(QUANTILES)?.with_recommended_naming(true);
        let handle = builder.install_recorder()?;
        let upkeep = handle.clone();
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(UPKEEP);
            loop {
                tick.tick().await;
                upkeep.run_upkeep();
            }
        });
        Ok(installed.insert(Self(handle)).clone())
    }
}

/// `GET /metrics?name[]=`: everything, or the families named.
pub(super) async fn render(State(admin): State<Shared>, params: Params) -> Response {
    match admin.queue.depths().await {
        Ok(depths) => record_depths(&depths),
        // Better old figures than none: everything else is still shown.
        Err(error) => tracing::warn!(%error, "the queue's depth is not known"),
    }
    let mut text = admin.metrics.0.render();
    process_figures(&mut text);
    let names: Vec<&str> = params.all("name[]").collect();
    let text = if names.is_empty() { text } else { only_families(&text, &names) };
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

fn record_depths(depths: &[QueueDepth]) {
    for depth in depths {
        let consumer = depth.consumer.clone();
        metrics::gauge!("queue_waiting", "consumer" => consumer.clone()).set(as_figure(depth.waiting));
        metrics::gauge!("queue_dead_letters", "consumer" => consumer.clone()).set(as_figure(depth.dead));
        metrics::gauge!("queue_oldest_seconds", "consumer" => consumer).set(as_figure(depth.oldest_seconds));
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn as_figure(count: u64) -> f64 {
    count as f64
}

/// What Linux says of this process, under the names that Prometheus' own clients use. Nothing on other systems.
fn process_figures(text: &mut String) {
    let mut gauge = |name: &str, value: f64| {
        let _ = write!(text, "# TYPE {name} gauge\n{name} {value}\n\n");
    };
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    if let Some(kib) = field("VmRSS:") {
        gauge("process_resident_memory_bytes", as_figure(kib * 1024));
    }
    if let Some(threads) = field("Threads:") {
        gauge("process_threads", as_figure(threads));
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        gauge("process_open_fds", as_figure(open.count() as u64));
    }
}

/// The families with exactly these names. Each begins with its `# HELP` or `# TYPE` line.
fn only_families(text: &str, names: &[&str]) -> String {
    let mut kept = String::new();
    let mut keep = false;
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let name = comment.split_whitespace().nth(1).unwrap_or_default();
            keep = names.contains(&name);
        }
        if keep {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_families_are_shown() {
        let text = "# HELP a_total x\n# TYPE a_total counter\na_total{b=\"c\"} 1\n\n# TYPE a gauge\na 2\n\n# TYPE d gauge\nd 3\n";
        assert_eq!(only_families(text, &["a"]), "# TYPE a gauge\na 2\n\n");
        assert_eq!(only_families(text, &["d", "a_total"]).lines().filter(|l| !l.starts_with('#')).count(), 3);
        assert_eq!(only_families(text, &["b"]), "");
    }
}
