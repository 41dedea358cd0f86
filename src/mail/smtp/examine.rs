//! A close look at the mail server, for `convoke doctor`: greeting, encryption, certificate, login. No mail is sent.

use async_trait::async_trait;
use lettre::transport::smtp::extension::Extension;

use super::session::Session;
use super::{Server, Smtp};
use crate::clock::Env;
use crate::config::{self, SmtpSecurity};
use crate::health::{Examine, Finding};
use crate::net::{Opening, examine_certificate, is_loopback};

/// The server of `[mail.smtp]`.
pub struct MailServer {
    config: config::Smtp,
    env: Env,
}

impl MailServer {
    /// The server of the configuration; nothing is connected yet.
    pub fn new(config: config::Smtp, env: Env) -> Self {
        Self { config, env }
    }
}

#[async_trait]
impl Examine for MailServer {
    fn engine(&self) -> String {
        format!("SMTP {}:{}", self.config.host, self.config.port)
    }

    async fn examine(&self) -> Vec<Finding> {
        let smtp = match Smtp::new(&self.config) {
            Ok(smtp) => smtp,
            Err(error) => return vec![Finding::bad("configuration", error.to_string(), "correct [mail.smtp]")],
        };
        let session = Session::open(&smtp.server).await;
        let mut found = match &session {
            Ok(session) => greeted(&smtp.server, session),
            Err(broken) => vec![Finding::bad("connection", broken.0.clone(), self.advice(&broken.0))],
        };
        let encrypted = session.as_ref().is_ok_and(Session::is_encrypted);
        if let Ok(session) = session {
            session.quit().await;
        }
        found.extend(self.certificate(encrypted).await);
        found
    }
}

fn greeted(server: &Server, session: &Session) -> Vec<Finding> {
    let encryption = match (session.is_encrypted(), is_loopback(&server.host)) {
        (true, _) => Finding::good("connection", "encrypted"),
        (false, true) => Finding::good("connection", "in plain text, on this machine"),
        (false, false) => Finding::doubtful(
            "connection",
            "in plain text",
            "set mail.smtp.security = \"starttls\", or \"tls\" for port 465",
        ),
    };
    let login = match &server.credentials {
        Some(_) => Finding::good("login", "accepted"),
        None => Finding::good("login", "none"),
    };
    let mut found = vec![encryption, login];
    if !session.supports(Extension::SmtpUtfEight) {
        let advice = "people with such addresses get no mails; other servers can do it (SMTPUTF8)";
        found.push(Finding::good("addresses beyond ASCII", format!("not taken: {advice}")));
    }
    found
}

impl MailServer {
    /// `encrypted` says whether the session was: a server need not offer STARTTLS where it is opportunistic.
    async fn certificate(&self, encrypted: bool) -> Option<Finding> {
        let opening = match self.config.security {
            SmtpSecurity::None => return None,
            SmtpSecurity::Opportunistic if !encrypted => return None,
            SmtpSecurity::Tls => Opening::Tls,
            SmtpSecurity::Starttls | SmtpSecurity::Opportunistic => Opening::SmtpStartTls,
        };
        // lettre trusts this authority besides those of the system; a file that cannot be read was told before.
        let ca = self.config.ca_file.as_ref().and_then(|path| std::fs::read(path).ok());
        let time = std::time::Duration::from_secs(self.config.timeout_s.min(10));
        let (host, port) = (&self.config.host, self.config.port);
        let own = examine_certificate(host, port, opening, ca.as_deref(), self.env.now(), time).await;
        match own.verdict {
            crate::health::Verdict::Bad { .. } if ca.is_some() && encrypted => {
                Some(examine_certificate(host, port, opening, None, self.env.now(), time).await)
            }
            _ => Some(own),
        }
    }

    fn advice(&self, problem: &str) -> String {
        let (host, port) = (&self.config.host, self.config.port);
        match problem {
            p if p.starts_with("AUTH") => {
                "correct mail.smtp.username and mail.smtp.password; the server may want another port for logins (587)"
                    .to_owned()
            }
            p if p.contains("STARTTLS") => {
                "set mail.smtp.security to what the server offers: \"tls\" on port 465, \"none\" only on this machine"
                    .to_owned()
            }
            p if p.contains("certificate") || p.contains("Certificate") => {
                "correct mail.smtp.host to the name in the certificate, or name its authority in mail.smtp.ca_file"
                    .to_owned()
            }
            p if p.contains("password is not sent") => {
                "set mail.smtp.security = \"tls\" or \"starttls\", or leave the login out".to_owned()
            }
            p if p.starts_with("connect") && self.config.security == SmtpSecurity::Tls => {
                format!("does the server speak TLS from the first byte on {host}:{port}? Otherwise use \"starttls\"")
            }
            _ => format!("is the mail server up, and does a firewall let this machine reach {host}:{port}?"),
        }
    }
}
