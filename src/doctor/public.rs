//! The public address: whether people can reach it.

use std::time::Duration;

use async_trait::async_trait;
use tokio::net::lookup_host;
use url::Url;

use crate::clock::Env;
use crate::health::{Examine, Finding};
use crate::net::{Opening, examine_certificate, is_loopback};

/// An address that people open in their browsers, e.g. `server.public_url`.
pub struct PublicUrl {
    /// Where it is configured.
    pub key: &'static str,
    /// The address.
    pub url: String,
    /// The public port is reachable from other machines.
    pub listens_publicly: bool,
    /// The time.
    pub env: Env,
    /// Time for one look.
    pub time: Duration,
}

#[async_trait]
impl Examine for PublicUrl {
    fn engine(&self) -> String {
        format!("{} ({})", self.url, self.key)
    }

    async fn examine(&self) -> Vec<Finding> {
        let key = self.key;
        let Some((url, host)) = Url::parse(&self.url).ok().and_then(|u| Some((u.clone(), u.host_str()?.to_owned())))
        else {
            return vec![Finding::bad("address", "is no URL", format!("set {key}"))];
        };
        let loopback = is_loopback(&host);
        let mut found = Vec::new();
        if loopback && self.listens_publicly {
            found.push(Finding::doubtful(
                "address",
                format!(
                    "leads people to their own machine, and server.listen is open to others; links in mails use {key}"
                ),
                format!("set {key} to the address that people use"),
            ));
        }
        if url.scheme() == "http" && !loopback {
            found.push(Finding::doubtful(
                "scheme",
                "passwords and tokens go in plain text",
                format!("put a reverse proxy with TLS in front, and set {key} to https://"),
            ));
        }
        let port = url.port_or_known_default().unwrap_or(443);
        match lookup_host((host.trim_matches(['[', ']']), port)).await {
            Ok(mut addresses) => match addresses.next() {
                Some(address) => found.push(Finding::good("name", format!("resolves to {}", address.ip()))),
                None => found.push(unresolved(key, "no addresses")),
            },
            Err(error) => {
                found.push(unresolved(key, &error.to_string()));
                return found;
            }
        }
        if url.scheme() == "https" {
            found.push(examine_certificate(&host, port, Opening::Tls, None, self.env.now(), self.time).await);
        }
        found
    }
}

fn unresolved(key: &str, problem: &str) -> Finding {
    Finding::bad("name", format!("does not resolve: {problem}"), format!("enter it into the DNS, or correct {key}"))
}
