//! One connection to an SMTP server, from greeting to the last mail.
//!
//! A session is consumed by each step and given back only when it may be used again, so that one which was dropped in the
//! middle of a command (a time-out, a cancelled task) can never answer the next mail with an answer meant for the last.

use std::fmt::Display;
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::authentication::Mechanism;
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Quit, Rcpt, Rset};
use lettre::transport::smtp::extension::{Extension, MailParameter};
use lettre::transport::smtp::response::Response;
use tokio::time::Instant;

use super::Server;
use crate::config::SmtpSecurity;

/// In this order of preference.
const MECHANISMS: &[Mechanism] = &[Mechanism::Plain, Mechanism::Login];

type SmtpResult = Result<Response, lettre::transport::smtp::Error>;

/// The connection is of no more use.
pub(super) struct Broken(pub String);

/// What the server said to a mail.
pub(super) enum Outcome {
    /// It is theirs now.
    Taken {
        /// The answer's first line, which often names the server's queue id.
        answer: String,
    },
    /// They do not want it.
    Refused {
        /// Trying again does not help.
        permanent: bool,
        /// The command and the answer.
        reason: String,
    },
}

/// An open, authenticated connection between two mails.
pub(super) struct Session {
    connection: AsyncSmtpConnection,
    timeout: Duration,
    server: String,
    since: Instant,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("server", &self.server).field("since", &self.since).finish_non_exhaustive()
    }
}

impl Session {
    /// Connects, protects the connection and authenticates.
    pub(super) async fn open(server: &Server) -> Result<Self, Broken> {
        let wrapped = (server.security == SmtpSecurity::Tls).then(|| server.tls.clone()).flatten();
        let to = (server.host.as_str(), server.port);
        let connect = AsyncSmtpConnection::connect_tokio1(to, Some(server.timeout), &server.hello, wrapped, None);
        let mut connection = within(server.timeout, "connect", connect).await?;
        if let Some(tls) = starttls_with(server, &connection)? {
            within(server.timeout, "STARTTLS", connection.starttls(tls, &server.hello)).await?;
        }
        if let Some(credentials) = &server.credentials {
            if server.security != SmtpSecurity::None && !connection.is_encrypted() {
                return Err(Broken("no TLS offered; the password is not sent in the clear".to_owned()));
            }
            within(server.timeout, "AUTH", connection.auth(MECHANISMS, credentials)).await?;
        }
        Ok(Self { connection, timeout: server.timeout, server: server.to_string(), since: Instant::now() })
    }

    /// Whether others can read what goes over it.
    pub(super) fn is_encrypted(&self) -> bool {
        self.connection.is_encrypted()
    }

    /// Whether the server can do something.
    pub(super) fn supports(&self, extension: Extension) -> bool {
        self.connection.server_info().supports_feature(extension)
    }

    /// Takes leave of the server (RFC 5321 §4.1.1.10).
    pub(super) async fn quit(mut self) {
        // It closes the connection in any case; nobody waits for its goodbye.
        drop(within(self.timeout, "QUIT", self.connection.command(Quit)).await);
    }

    /// How long the connection waits for a mail.
    pub(super) fn idle_for(&self) -> Duration {
        self.since.elapsed()
    }

    /// Forgets what an earlier mail left behind and finds out whether the server is still there.
    pub(super) async fn reset(mut self) -> Option<Self> {
        within(self.timeout, "RSET", self.connection.command(Rset)).await.ok()?;
        Some(self)
    }

    /// Hands one mail over. The session comes back when it can take another.
    pub(super) async fn deliver(
        mut self,
        from: Option<Address>,
        to: Address,
        mime: &[u8],
    ) -> Result<(Option<Self>, Outcome), Broken> {
        let international =
            [from.as_ref(), Some(&to)].into_iter().flatten().any(|a| !AsRef::<str>::as_ref(a).is_ascii());
        if international && !self.connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            let reason = format!("{}: the server takes no addresses beyond ASCII (SMTPUTF8)", self.server);
            return Ok((Some(self), Outcome::Refused { permanent: true, reason }));
        }
        let parameters = if international { vec![MailParameter::SmtpUtfEight] } else { Vec::new() };
        let answer = self.command("MAIL FROM", Mail::new(from, parameters)).await?;
        let answer = match answer {
            Ok(_) => self.command("RCPT TO", Rcpt::new(to, Vec::new())).await?,
            refused => refused,
        };
        let answer = match answer {
            Ok(_) => self.command("DATA", Data).await?,
            refused => refused,
        };
        let answer = match answer {
            Ok(_) => self.settle("message", self.timeout, mime).await?,
            refused => refused,
        };
        Ok(match answer {
            Ok(answer) => {
                let answer = format!("{} {}", answer.code(), answer.first_line().unwrap_or_default());
                (Some(self.waiting()), Outcome::Taken { answer })
            }
            Err(refusal) => {
                let Refusal { closing, permanent, reason } = refusal;
                ((!closing).then(|| self.waiting()), Outcome::Refused { permanent, reason })
            }
        })
    }

    fn waiting(mut self) -> Self {
        self.since = Instant::now();
        self
    }

    async fn command(&mut self, name: &str, command: impl Display) -> Result<Result<Response, Refusal>, Broken> {
        let answer = tokio::time::timeout(self.timeout, self.connection.command(command)).await;
        self.judge(name, answer.ok())
    }

    async fn settle(&mut self, name: &str, most: Duration, mime: &[u8]) -> Result<Result<Response, Refusal>, Broken> {
        let answer = tokio::time::timeout(most, self.connection.message(mime)).await;
        self.judge(name, answer.ok())
    }

    /// Tells answers about the mail from failures of the connection.
    fn judge(&self, command: &str, answer: Option<SmtpResult>) -> Result<Result<Response, Refusal>, Broken> {
        let error = match answer {
            None => return Err(Broken(timed_out(command, self.timeout))),
            Some(Ok(answer)) => return Ok(Ok(answer)),
            Some(Err(error)) => error,
        };
        let Some(code) = error.status().map(u16::from) else {
            return Err(Broken(format!("{command}: {error}")));
        };
        // 530 and 538 ask for what our configuration lacks (RFC 4954 §6, RFC 3207 §4): the mail was not looked at.
        let permanent = error.is_permanent() && !matches!(code, 530 | 534 | 535 | 538);
        let reason = format!("{}: {command}: {error}", self.server);
        Ok(Err(Refusal { closing: code == 421, permanent, reason }))
    }
}

/// A negative answer to a command.
struct Refusal {
    /// The server closes the connection (RFC 5321 §3.8).
    closing: bool,
    permanent: bool,
    reason: String,
}

/// The parameters to protect the connection with now; `None` when it is, or need not be.
fn starttls_with(server: &Server, connection: &AsyncSmtpConnection) -> Result<Option<TlsParameters>, Broken> {
    match server.security {
        SmtpSecurity::None | SmtpSecurity::Tls => Ok(None),
        SmtpSecurity::Opportunistic if !connection.can_starttls() => Ok(None),
        SmtpSecurity::Starttls if !connection.can_starttls() => {
            Err(Broken("the server does not offer STARTTLS, which mail.smtp.security asks for".to_owned()))
        }
        SmtpSecurity::Opportunistic | SmtpSecurity::Starttls => Ok(server.tls.clone()),
    }
}

async fn within<T>(
    most: Duration,
    command: &str,
    step: impl Future<Output = Result<T, lettre::transport::smtp::Error>>,
) -> Result<T, Broken> {
    match tokio::time::timeout(most, step).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(Broken(format!("{command}: {error}"))),
        Err(_) => Err(Broken(timed_out(command, most))),
    }
}

fn timed_out(command: &str, most: Duration) -> String {
    format!("{command}: no answer within {} s", most.as_secs_f32())
}
