//! The machine: limits of the process, memory, time zones.

use async_trait::async_trait;
use chrono::Datelike as _;
use rustix::process::{Resource, getrlimit};

use super::octets;
use crate::clock::Env;
use crate::health::{Examine, Finding};

/// Files that convoke has open besides connections: databases, logs, connections to engines.
const OTHER_FILES: u64 = 256;
/// What the program needs to work, idle ones far less.
const MEMORY: u64 = 128 << 20;
/// Time zones change several times a year.
const ZONES_YEARS: i32 = 2;

/// The machine that this process runs on.
pub struct Machine {
    /// `server.connections`.
    pub connections: usize,
    /// The time.
    pub env: Env,
}

#[async_trait]
impl Examine for Machine {
    fn engine(&self) -> String {
        "Machine".to_owned()
    }

    async fn examine(&self) -> Vec<Finding> {
        let mut found = vec![files(getrlimit(Resource::Nofile).current, self.connections as u64)];
        found.extend(memory(available_memory()));
        found.push(zones(chrono_tz::IANA_TZDB_VERSION, self.env.now().year()));
        found
    }
}

fn files(limit: Option<u64>, connections: u64) -> Finding {
    let wanted = connections + OTHER_FILES;
    match limit {
        Some(limit) if limit < wanted => Finding::doubtful(
            "open files",
            format!("{limit} at most, and server.connections is {connections}"),
            format!("allow {wanted}: `LimitNOFILE={wanted}` in the systemd unit, or `ulimit -n {wanted}`"),
        ),
        Some(limit) => Finding::good("open files", format!("{limit} at most")),
        None => Finding::good("open files", "no limit"),
    }
}

/// What is free, and what a control group leaves of it. `None` where the system does not say.
fn available_memory() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let free = read("/proc/meminfo").and_then(|text| mem_available(&text))?;
    let number = |path: &str| read(path).and_then(|text| text.trim().parse::<u64>().ok());
    let group = number("/sys/fs/cgroup/memory.max").zip(number("/sys/fs/cgroup/memory.current"));
    Some(group.map_or(free, |(most, used)| free.min(most.saturating_sub(used))))
}

fn mem_available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

fn memory(available: Option<u64>) -> Option<Finding> {
    let available = available?;
    Some(match available {
        ..MEMORY => Finding::doubtful(
            "memory",
            format!("{} available", octets(available)),
            format!("let convoke have {}, in its control group too", octets(MEMORY)),
        ),
        _ => Finding::good("memory", format!("{} available", octets(available))),
    })
}

/// The time zones are part of the program: `2026a` is the first version of 2026.
fn zones(version: &str, year: i32) -> Finding {
    let of = version.get(..4).and_then(|y| y.parse::<i32>().ok());
    match of {
        Some(of) if year - of < ZONES_YEARS => Finding::good("time zones", version),
        _ => Finding::doubtful("time zones", format!("of {version}"), "update convoke: countries change their zones"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Verdict;

    #[test]
    fn limits_are_compared_with_what_is_configured() {
        assert!(matches!(files(Some(1_024), 10_000).verdict, Verdict::Doubtful { .. }));
        assert!(matches!(files(Some(10_256), 10_000).verdict, Verdict::Good(_)));
        assert!(matches!(files(None, 10_000).verdict, Verdict::Good(_)));
        assert!(matches!(memory(Some(100 << 20)).unwrap().verdict, Verdict::Doubtful { .. }));
        assert!(matches!(memory(Some(2 << 30)).unwrap().verdict, Verdict::Good(_)));
        assert_eq!(memory(None), None);
    }

    #[test]
    fn what_linux_says_of_its_memory_is_read() {
        let text = "MemTotal:       4030632 kB\nMemFree:          114572 kB\nMemAvailable:    2031820 kB\n";
        assert_eq!(mem_available(text), Some(2_031_820 << 10));
        assert_eq!(mem_available("MemTotal: 1 kB\n"), None);
    }

    #[test]
    fn old_time_zones_are_told() {
        assert!(matches!(zones("2025b", 2026).verdict, Verdict::Good(_)));
        assert!(matches!(zones("2023c", 2026).verdict, Verdict::Doubtful { .. }));
        assert!(matches!(zones("", 2026).verdict, Verdict::Doubtful { .. }));
        assert!(matches!(zones(chrono_tz::IANA_TZDB_VERSION, 2026).verdict, Verdict::Good(_)));
    }
}
