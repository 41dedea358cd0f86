//! Mail by SMTP (RFC 5321): a few connections to one server, protected and authenticated as configured, kept open between
//! mails.
//!
//! The answer decides whether a mail is tried again. What is about the connection or about us (no route, a time-out, TLS,
//! a refused password) is transient: the mail is not at fault, and an administrator can mend it. An answer about the mail is
//! transient with 4xx and permanent with 5xx (RFC 5321 §4.2.1).

mod examine;
mod session;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use lettre::Address;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use tokio::sync::Semaphore;

pub use self::examine::MailServer;
use self::session::{Broken, Outcome, Session};
use super::{OutgoingMail, SendError, Transport};
use crate::config::{self, SmtpSecurity};
use crate::ids::Email;

/// A connection that nobody used for this long is not used again: servers close theirs after five minutes
/// (RFC 5321 §4.5.3.2.7), many much sooner.
const IDLE: Duration = Duration::from_secs(60);

/// The server cannot be used as configured.
#[derive(Debug, thiserror::Error)]
pub enum SmtpConfigError {
    /// `mail.smtp.ca_file` cannot be read, or holds no certificate.
    #[error("mail.smtp.ca_file {path}: {reason}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A user name without password, or the other way round (mail-itip-alarms §3.1).
    #[error("mail.smtp.username and mail.smtp.password go together: set both or neither")]
    Credentials,
    /// The TLS parameters were refused.
    #[error("mail.smtp.host {host}: {reason}")]
    Tls {
        /// The host.
        host: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// An SMTP server and the connections to it. Clones share them.
#[derive(Debug, Clone)]
pub struct Smtp {
    server: Arc<Server>,
    idle: Arc<Mutex<Vec<Session>>>,
    connections: Arc<Semaphore>,
}

/// Where the server is and how it is spoken to.
struct Server {
    host: String,
    port: u16,
    security: SmtpSecurity,
    tls: Option<TlsParameters>,
    hello: ClientId,
    credentials: Option<Credentials>,
    /// For each command; the connection and the message have as long.
    timeout: Duration,
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl Smtp {
    /// The configured server; nothing is connected yet.
    ///
    /// # Errors
    /// [`SmtpConfigError`] names the key that is wrong.
    pub fn new(config: &config::Smtp) -> Result<Self, SmtpConfigError> {
        let credentials = match (&config.username, &config.password) {
            (Some(user), Some(password)) => Some(Credentials::new(user.clone(), password.clone())),
            (None, None) => None,
            _ => return Err(SmtpConfigError::Credentials),
        };
        let tls = match config.security {
            SmtpSecurity::None => None,
            _ => Some(tls_parameters(config)?),
        };
        let server = Server {
            host: config.host.clone(),
            port: config.port,
            security: config.security,
            tls,
            hello: config.helo.clone().map_or_else(ClientId::default, ClientId::Domain),
            credentials,
            timeout: Duration::from_secs(config.timeout_s),
        };
        let connections = Arc::new(Semaphore::new(config.pool.max(1) as usize));
        Ok(Self { server: Arc::new(server), idle: Arc::default(), connections })
    }

    /// A connection that works: one that is open, else a new one.
    async fn connection(&self) -> Result<Session, Broken> {
        loop {
            let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match kept {
                Some(session) if session.idle_for() > IDLE => drop(session),
                Some(session) => {
                    if let Some(session) = session.reset().await {
                        return Ok(session);
                    }
                }
                None => return Session::open(&self.server).await,
            }
        }
    }

    async fn hand_over(&self, from: Option<Address>, to: Address, mime: &str) -> Result<Outcome, Broken> {
        let (session, outcome) = self.connection().await?.deliver(from, to, mime.as_bytes()).await?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).extend(session);
        Ok(outcome)
    }
}

#[async_trait]
impl Transport for Smtp {
    async fn send(&self, mail: &OutgoingMail) -> Result<(), SendError> {
        let from = mail.from.as_ref().map(address).transpose()?;
        let to = address(&mail.to)?;
        let _permit = self.connections.acquire().await.map_err(|e| SendError::Transient(e.to_string()))?;
        match self.hand_over(from, to, &mail.mime).await {
            Ok(Outcome::Taken { answer }) => {
                tracing::debug!(server = %self.server, message_id = %mail.message_id, answer, "mail taken");
                Ok(())
            }
            Ok(Outcome::Refused { permanent: true, reason }) => Err(SendError::Permanent(reason)),
            Ok(Outcome::Refused { permanent: false, reason }) => Err(SendError::Transient(reason)),
            Err(Broken(reason)) => Err(SendError::Transient(format!("{}: {reason}", self.server))),
        }
    }
}

fn address(email: &Email) -> Result<Address, SendError> {
    email.as_str().parse().map_err(|e| SendError::Permanent(format!("{email} is no SMTP address: {e}")))
}

fn tls_parameters(config: &config::Smtp) -> Result<TlsParameters, SmtpConfigError> {
    let mut builder = TlsParameters::builder(config.host.clone());
    if let Some(path) = &config.ca_file {
        let bad = |reason: String| SmtpConfigError::CaFile { path: path.clone(), reason };
        let pem = std::fs::read(path).map_err(|e| bad(e.to_string()))?;
        if !pem.windows(5).any(|w| w == b"BEGIN") {
            return Err(bad("expected a PEM file with a certificate".to_owned()));
        }
        let certificate = Certificate::from_pem(&pem).map_err(|e| bad(e.to_string()))?;
        builder = builder.add_root_certificate(certificate);
    }
    builder.build_rustls().map_err(|e| SmtpConfigError::Tls { host: config.host.clone(), reason: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(config: &config::Smtp) -> String {
        Smtp::new(config).unwrap_err().to_string()
    }

    #[test]
    fn a_user_name_without_password_is_refused() {
        let config = config::Smtp { username: Some("convoke".to_owned()), ..config::Smtp::default() };
        assert_eq!(refusal(&config), "mail.smtp.username and mail.smtp.password go together: set both or neither");
    }

    #[test]
    fn a_ca_file_that_holds_no_certificate_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let ca_file = dir.path().join("ca.pem");
        let config = config::Smtp { ca_file: Some(ca_file.clone()), ..config::Smtp::default() };
        assert!(refusal(&config).starts_with("mail.smtp.ca_file"), "a missing file");
        std::fs::write(&ca_file, "hello").unwrap();
        assert!(refusal(&config).ends_with("expected a PEM file with a certificate"));
    }
}
