//! `[redis]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Remembered tokens and the bus between nodes (storage §6, §8.4).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Redis {
    /// `redis://host:6379/0`, or `rediss://` for TLS. The servers; with `topology = "sentinel"`, the sentinels.
    pub urls: Vec<String>,
    /// How the servers belong together.
    pub topology: RedisTopology,
    /// Name of the master that the sentinels watch.
    pub sentinel_master: Option<String>,
    /// Password of the sentinels, where they ask for one.
    pub sentinel_password: Option<String>,
    /// User of the servers' access control list.
    pub username: Option<String>,
    /// Password of the servers, where it is not in their URLs.
    pub password: Option<String>,
    /// PEM file of the certificate authority to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Time to connect, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Time for an answer, in milliseconds. Redis counts as away as soon as one takes longer.
    pub response_timeout_ms: u64,
    /// Name of the bus; nodes hear only nodes on the same bus.
    pub bus_name: String,
    /// Put before every key.
    pub key_prefix: String,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            urls: vec!["redis://127.0.0.1:6379".to_owned()],
            topology: RedisTopology::Standalone,
            sentinel_master: None,
            sentinel_password: None,
            username: None,
            password: None,
            ca_file: None,
            connect_timeout_ms: 2_000,
            response_timeout_ms: 500,
            bus_name: "tcalendarEvents".to_owned(),
            key_prefix: String::new(),
        }
    }
}

/// How the servers belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RedisTopology {
    /// One server.
    Standalone,
    /// A master and its replicas; whichever is the master is used.
    MasterReplica,
    /// Sentinels say which server is the master.
    Sentinel,
    /// A cluster; some of its nodes are enough to find the others.
    Cluster,
}

impl Redis {
    /// What is wrong with it: keys without their section, and why.
    pub(super) fn mistakes(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        if self.urls.is_empty() {
            found.push(("urls", "found none, expected at least one URL".to_owned()));
        }
        let parsed: Vec<_> = self.urls.iter().map(|url| url::Url::parse(url).ok()).collect();
        for url in &parsed {
            match url {
                Some(url) if matches!(url.scheme(), "redis" | "rediss") && url.has_host() => {
                    if url.fragment().is_some() {
                        found
                            .push(("urls", "found a \"#\", expected none: certificates are always checked".to_owned()));
                    }
                }
                // The URL itself may hold a password.
                _ => found.push(("urls", "expected redis://host:port or rediss://host:port".to_owned())),
            }
        }
        let mut schemes = parsed.iter().flatten().map(url::Url::scheme);
        if let Some(first) = schemes.next()
            && schemes.any(|scheme| scheme != first)
        {
            found.push(("urls", "found redis:// and rediss://, expected the same for all".to_owned()));
        }
        match self.topology {
            RedisTopology::Standalone if self.urls.len() > 1 => {
                found.push(("urls", "found several, expected one for topology = \"standalone\"".to_owned()));
            }
            RedisTopology::Sentinel if self.sentinel_master.is_none() => {
                found.push(("sentinel_master", "required with topology = \"sentinel\"".to_owned()));
            }
            _ => {}
        }
        if self.bus_name.is_empty() || self.bus_name.contains(['|', '\r', '\n']) {
            found.push(("bus_name", format!("found {:?}, expected a name without \"|\"", self.bus_name)));
        }
        for (key, value) in
            [("connect_timeout_ms", self.connect_timeout_ms), ("response_timeout_ms", self.response_timeout_ms)]
        {
            if value == 0 {
                found.push((key, "found 0, expected a positive number".to_owned()));
            }
        }
        found
    }
}
