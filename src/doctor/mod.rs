//! What `convoke doctor` looks at, and how it reports.
//!
//! In come examinations ([`Examine`]): those of the engines, and those here, of what no engine owns: the machine, the data
//! folder, the ports, the public address, the choices of the configuration. They run side by side, each within its time, so
//! that one that hangs hides nothing of the others. Out comes a [`Report`], for people or for machines. Nothing is changed:
//! what an examination has to write in order to see whether it can, it takes away again.

mod choices;
mod data;
mod machine;
mod ports;
mod public;

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

pub use choices::Choices;
pub use data::DataFolder;
pub use machine::Machine;
pub use ports::ListeningPort;
pub use public::PublicUrl;

use crate::health::{Examine, Finding, Verdict};

/// How long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For one examination.
    pub each: Duration,
    /// For all of them.
    pub total: Duration,
}

/// What one examination found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// What was examined.
    pub engine: String,
    /// What was found, in the order in which it was looked at.
    pub findings: Vec<Finding>,
}

/// What all examinations found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// In the order of the examinations.
    pub sections: Vec<Section>,
}

/// Runs all examinations side by side.
pub async fn examine(examinations: Vec<Box<dyn Examine>>, patience: Patience) -> Report {
    let end = Instant::now() + patience.total.min(patience.each);
    let running: Vec<_> = examinations
        .into_iter()
        .map(|examination| {
            let engine = examination.engine();
            (engine, tokio::spawn(async move { examination.examine().await }))
        })
        .collect();
    let mut report = Report::default();
    for (engine, mut task) in running {
        let findings = match timeout_at(end, &mut task).await {
            Ok(Ok(findings)) => findings,
            Ok(Err(_)) => {
                let advice = "look at the error above, and report it: this is a defect of convoke";
                vec![Finding::bad("examination", "broke off", advice)]
            }
            Err(_) => {
                task.abort();
                let within = patience.total.min(patience.each);
                let advice =
                    "it takes connections and does not answer: look at its own logs, and at firewalls in between";
                vec![Finding::bad("examination", format!("not done within {within:?}"), advice)]
            }
        };
        report.sections.push(Section { engine, findings });
    }
    report
}

impl Report {
    /// Findings that need somebody: errors, then warnings.
    pub fn counts(&self) -> (usize, usize) {
        let all = || self.sections.iter().flat_map(|section| &section.findings);
        let errors = all().filter(|f| matches!(f.verdict, Verdict::Bad { .. })).count();
        let warnings = all().filter(|f| matches!(f.verdict, Verdict::Doubtful { .. })).count();
        (errors, warnings)
    }

    /// One line per finding below a line per section, and a summary.
    pub fn for_people(&self) -> String {
        let mut out = String::new();
        for section in &self.sections {
            let _ = writeln!(out, "{}", section.engine);
            for Finding { subject, verdict } in &section.findings {
                let _ = match verdict {
                    Verdict::Good(found) => writeln!(out, "  ok       {subject}: {found}"),
                    Verdict::Doubtful { found, advice } => writeln!(out, "  warning  {subject}: {found} -> {advice}"),
                    Verdict::Bad { found, advice } => writeln!(out, "  error    {subject}: {found} -> {advice}"),
                };
            }
        }
        let (errors, warnings) = self.counts();
        let _ = match (errors, warnings) {
            (0, 0) => writeln!(out, "everything is as it should be"),
            _ => writeln!(out, "{}, {}", counted(errors, "error"), counted(warnings, "warning")),
        };
        out
    }

    /// The same as JSON.
    pub fn for_machines(&self) -> Value {
        let (errors, warnings) = self.counts();
        let finding = |Finding { subject, verdict }: &Finding| match verdict {
            Verdict::Good(found) => json!({ "subject": subject, "verdict": "ok", "found": found }),
            Verdict::Doubtful { found, advice } => {
                json!({ "subject": subject, "verdict": "warning", "found": found, "advice": advice })
            }
            Verdict::Bad { found, advice } => {
                json!({ "subject": subject, "verdict": "error", "found": found, "advice": advice })
            }
        };
        let sections = self.sections.iter().map(|section| {
            json!({ "engine": section.engine, "findings": section.findings.iter().map(finding).collect::<Vec<_>>() })
        });
        json!({ "errors": errors, "warnings": warnings, "engines": sections.collect::<Vec<_>>() })
    }
}

fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

/// A number of octets for people.
fn octets(bytes: u64) -> String {
    match bytes {
        0..0x10_0000 => format!("{} KiB", bytes >> 10),
        0x10_0000..0x4000_0000 => format!("{} MiB", bytes >> 20),
        _ => format!("{}.{} GiB", bytes >> 30, ((bytes >> 20) & 1023) * 10 / 1024),
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;

    struct Says(&'static str, Vec<Finding>);

    #[async_trait]
    impl Examine for Says {
        fn engine(&self) -> String {
            self.0.to_owned()
        }

        async fn examine(&self) -> Vec<Finding> {
            self.1.clone()
        }
    }

    struct Hangs;

    #[async_trait]
    impl Examine for Hangs {
        fn engine(&self) -> String {
            "Hangs".to_owned()
        }

        async fn examine(&self) -> Vec<Finding> {
            std::future::pending().await
        }
    }

    fn patience(each_ms: u64, total_ms: u64) -> Patience {
        Patience { each: Duration::from_millis(each_ms), total: Duration::from_millis(total_ms) }
    }

    #[tokio::test]
    async fn one_that_hangs_hides_nothing_of_the_others() {
        let all: Vec<Box<dyn Examine>> = vec![
            Box::new(Hangs),
            Box::new(Says("Sun", vec![Finding::good("light", "shines"), Finding::doubtful("heat", "much", "wait")])),
        ];
        let report = examine(all, patience(100, 3_600_000)).await;
        assert_eq!(report.counts(), (1, 1));
        assert_eq!(
            report.for_people(),
            "Hangs\n  error    examination: not done within 100ms -> it takes connections and does not answer: look at its own \
             logs, and at firewalls in between\nSun\n  ok       light: shines\n  warning  heat: much -> wait\n1 error, 1 \
             warning\n"
        );
        let machine = report.for_machines();
        assert_eq!(machine["errors"], 1);
        assert_eq!(
            machine["engines"][1]["findings"][1],
            json!({
                "subject": "heat", "verdict": "warning", "found": "much", "advice": "wait"
            })
        );
    }

    #[tokio::test]
    async fn the_total_time_holds_however_many_hang() {
        let all: Vec<Box<dyn Examine>> = (0..20).map(|_| Box::new(Hangs) as Box<dyn Examine>).collect();
        let report = tokio::time::timeout(Duration::from_secs(60), examine(all, patience(3_600_000, 100))).await;
        assert_eq!(report.unwrap().counts(), (20, 0));
    }

    #[test]
    fn octets_are_told_in_units_that_people_read() {
        assert_eq!(octets(5 << 10), "5 KiB");
        assert_eq!(octets(700 << 20), "700 MiB");
        assert_eq!(octets((3 << 30) + (512 << 20)), "3.5 GiB");
    }
}
