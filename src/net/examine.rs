//! What every server is examined for: its certificate and its clock.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use http::HeaderMap;
use http::header::DATE;

use super::certificate::{Opening, ShownCertificate, shown_certificate};
use crate::health::Finding;

/// A certificate that ends within so many days is to be renewed.
const SOON_DAYS: i64 = 21;
/// Clocks may differ by this much; `Date` has whole seconds.
const SKEW_S: i64 = 5;
/// From here on tokens and signatures are refused.
const SKEW_TOO_LARGE_S: i64 = 30;

/// Looks at the certificate of a server. `now` is the time, `time` how long to wait.
pub async fn examine_certificate(
    host: &str,
    port: u16,
    opening: Opening,
    ca_pem: Option<&[u8]>,
    now: DateTime<Utc>,
    time: Duration,
) -> Finding {
    match shown_certificate(host, port, opening, ca_pem, time).await {
        Ok(shown) => judge_certificate(&shown, now),
        Err(error) => Finding::bad(
            "certificate",
            format!("cannot be looked at: {error}"),
            format!("is there TLS on {host}:{port}? `openssl s_client -connect {host}:{port}` shows more"),
        ),
    }
}

fn judge_certificate(shown: &ShownCertificate, now: DateTime<Utc>) -> Finding {
    let days = (shown.ends - now).num_days();
    let ends = format!("{} ({})", shown.ends.format("%Y-%m-%d"), in_days(days));
    match &shown.problem {
        Some(_) if shown.ends <= now => {
            Finding::bad("certificate", format!("ended {ends}"), "renew the server's certificate")
        }
        Some(problem) => Finding::bad(
            "certificate",
            format!("is not trusted: {problem}; ends {ends}"),
            "use the name that the certificate has, or add its authority to those of the system",
        ),
        None if days < SOON_DAYS => {
            Finding::doubtful("certificate", format!("ends {ends}"), "renew the server's certificate in time")
        }
        None => Finding::good("certificate", format!("trusted, ends {ends}")),
    }
}

fn in_days(days: i64) -> String {
    match days {
        0 => "today".to_owned(),
        days if days < 0 => format!("{} days ago", -days),
        days => format!("in {days} days"),
    }
}

/// Compares the clock of a server, as `Date` tells it (RFC 9110 §6.6.1), with ours: `asked` and `answered` are the instants
/// around its answer. `None` when it does not tell the time.
pub fn examine_clock(headers: &HeaderMap, asked: DateTime<Utc>, answered: DateTime<Utc>) -> Option<Finding> {
    let date = headers.get(DATE)?.to_str().ok()?;
    let Ok(theirs) = DateTime::parse_from_rfc2822(date) else {
        return Some(Finding::doubtful("clock", format!("Date says {date:?}"), "correct the server's time"));
    };
    let theirs = theirs.with_timezone(&Utc);
    // The server said so at some moment in between, with a second's precision.
    let skew = if theirs < asked { theirs + TimeDelta::seconds(1) - asked } else { theirs - answered };
    let skew = if (asked - TimeDelta::seconds(1)..=answered).contains(&theirs) { TimeDelta::zero() } else { skew };
    let found = match skew.num_seconds() {
        0 => "as ours".to_owned(),
        s if s > 0 => format!("{s} s before ours"),
        s => format!("{} s behind ours", -s),
    };
    let advice = "let both machines take their time from the network (NTP)";
    Some(match skew.num_seconds().abs() {
        s if s > SKEW_TOO_LARGE_S => Finding::bad("clock", found, advice),
        s if s > SKEW_S => Finding::doubtful("clock", found, advice),
        _ => Finding::good("clock", found),
    })
}

/// Whether a host is this machine.
pub fn is_loopback(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Verdict;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn word(finding: &Finding) -> (&'static str, &str) {
        match &finding.verdict {
            Verdict::Good(found) => ("good", found),
            Verdict::Doubtful { found, .. } => ("doubtful", found),
            Verdict::Bad { found, .. } => ("bad", found),
        }
    }

    #[test]
    fn certificates_are_judged_by_their_end_and_their_trust() {
        let now = at("2026-03-01T12:00:00Z");
        let judge = |ends: &str, problem: Option<&str>| {
            let finding =
                judge_certificate(&ShownCertificate { ends: at(ends), problem: problem.map(str::to_owned) }, now);
            let (verdict, found) = word(&finding);
            (verdict, found.to_owned())
        };
        assert_eq!(judge("2026-06-01T12:00:00Z", None), ("good", "trusted, ends 2026-06-01 (in 92 days)".to_owned()));
        assert_eq!(judge("2026-03-22T12:00:00Z", None).0, "good");
        assert_eq!(judge("2026-03-22T11:59:59Z", None), ("doubtful", "ends 2026-03-22 (in 20 days)".to_owned()));
        assert_eq!(judge("2026-02-20T12:00:00Z", Some("expired")), ("bad", "ended 2026-02-20 (9 days ago)".to_owned()));
        let (verdict, found) = judge("2026-06-01T12:00:00Z", Some("unknown issuer"));
        assert!(verdict == "bad" && found.starts_with("is not trusted: unknown issuer"), "{found}");
    }

    #[test]
    fn clocks_are_compared_with_the_precision_that_there_is() {
        let judge = |date: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(DATE, date.parse().unwrap());
            let finding =
                examine_clock(&headers, at("2026-03-01T12:00:00.900Z"), at("2026-03-01T12:00:01.200Z")).unwrap();
            let (verdict, found) = word(&finding);
            (verdict, found.to_owned())
        };
        assert_eq!(judge("Sun, 01 Mar 2026 12:00:00 GMT"), ("good", "as ours".to_owned()));
        assert_eq!(judge("Sun, 01 Mar 2026 12:00:01 GMT"), ("good", "as ours".to_owned()));
        assert_eq!(judge("Sun, 01 Mar 2026 12:00:05 GMT").0, "good");
        assert_eq!(judge("Sun, 01 Mar 2026 12:00:12 GMT"), ("doubtful", "10 s before ours".to_owned()));
        assert_eq!(judge("Sun, 01 Mar 2026 11:59:00 GMT"), ("bad", "59 s behind ours".to_owned()));
        assert_eq!(judge("yesterday").0, "doubtful");
        assert_eq!(examine_clock(&HeaderMap::new(), at("2026-03-01T12:00:00Z"), at("2026-03-01T12:00:00Z")), None);
    }
}
