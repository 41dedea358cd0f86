//! The addresses to listen on: free, or ours already.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use async_trait::async_trait;
use bytes::Bytes;
use http::Request;
use tokio::net::TcpListener;

use crate::health::{Examine, Finding};
use crate::net::{Client, X_REQUEST_ID};

/// An address that the program listens on.
pub struct ListeningPort {
    /// Where it is configured, e.g. `server.listen`.
    pub key: &'static str,
    /// The address.
    pub address: SocketAddr,
    /// Asks who is there.
    pub client: Client,
}

#[async_trait]
impl Examine for ListeningPort {
    fn engine(&self) -> String {
        format!("Port {} ({})", self.address, self.key)
    }

    async fn examine(&self) -> Vec<Finding> {
        let error = match TcpListener::bind(self.address).await {
            Ok(_) => return vec![Finding::good("listening", "free")],
            Err(error) => error,
        };
        let key = self.key;
        vec![match error.kind() {
            ErrorKind::AddrInUse if self.is_ours().await => Finding::good("listening", "convoke is there already"),
            ErrorKind::AddrInUse => Finding::bad(
                "listening",
                "another program is there",
                format!("end it (`ss -tlnp` names it), or set {key} to another port"),
            ),
            ErrorKind::AddrNotAvailable => Finding::bad(
                "listening",
                "this machine has no such address",
                format!("set {key} to an address of this machine, or to 0.0.0.0 for all"),
            ),
            ErrorKind::PermissionDenied => Finding::bad(
                "listening",
                "not allowed",
                format!(
                    "ports below 1024 need CAP_NET_BIND_SERVICE; or set {key} to a higher one, behind a reverse proxy"
                ),
            ),
            _ => Finding::bad("listening", error.to_string(), format!("set {key} to another address")),
        }]
    }
}

impl ListeningPort {
    /// Every answer of convoke has a request id, whatever was asked.
    async fn is_ours(&self) -> bool {
        let ip = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        let url = format!("http://{}/healthcheck", SocketAddr::new(ip, self.address.port()));
        let Ok(request) = Request::get(url).body(Bytes::new()) else { return false };
        self.client.fetch(request).await.is_ok_and(|answer| answer.headers().contains_key(X_REQUEST_ID))
    }
}
