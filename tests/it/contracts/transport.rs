//! The contract of the mail `Transport`: what it takes arrives unchanged, what it does not take says whether to try again.
//!
//! The folder runs always. SMTP runs against a real exim and an SMTP server that fails on demand, both started by
//! `scripts/services`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use convoke::clock::Env;
use convoke::config::{self, SmtpSecurity};
use convoke::mail::folder::OutboxFolder;
use convoke::mail::smtp::Smtp;
use convoke::mail::{OutgoingMail, SendError, Transport};

use super::suite;

/// A transport and the folder where its mails end up.
struct Ports {
    transport: Arc<dyn Transport>,
    arrived: PathBuf,
    _data: Option<tempfile::TempDir>,
}

impl Ports {
    /// The mails that hold this text.
    fn arrived_with(&self, text: &str) -> Vec<String> {
        let files = std::fs::read_dir(&self.arrived).unwrap().map(|entry| entry.unwrap().path());
        let mails = files.filter(|path| path.is_file()).filter_map(|path| std::fs::read_to_string(path).ok());
        mails.filter(|mail| mail.contains(text)).collect()
    }

    async fn wait_for(&self, text: &str, many: usize) -> Vec<String> {
        let begun = Instant::now();
        loop {
            let arrived = self.arrived_with(text);
            if arrived.len() >= many || begun.elapsed() > Duration::from_secs(20) {
                return arrived;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Opens an engine, or gives none with a word when its service was not started.
trait Harness: Sync {
    fn open(&self) -> Option<Ports>;
}

struct FolderHarness;

impl Harness for FolderHarness {
    fn open(&self) -> Option<Ports> {
        let data = tempfile::tempdir().unwrap();
        let transport = Arc::new(OutboxFolder::open(data.path(), Env::system()).unwrap());
        Some(Ports { transport, arrived: data.path().to_owned(), _data: Some(data) })
    }
}

/// An SMTP server named by environment variables.
struct SmtpHarness {
    address: &'static str,
    maildir: &'static str,
    security: SmtpSecurity,
    /// With a certificate of the test's authority, and the account that it knows.
    trusted: bool,
}

const EXIM: SmtpHarness = SmtpHarness {
    address: "CONVOKE_TEST_SMTP_EXIM",
    maildir: "CONVOKE_TEST_SMTP_EXIM_MAILDIR",
    security: SmtpSecurity::Opportunistic,
    trusted: true,
};
const EXIM_TLS: SmtpHarness =
    SmtpHarness { address: "CONVOKE_TEST_SMTP_EXIM_TLS", security: SmtpSecurity::Tls, ..EXIM };
const EXIM_STARTTLS: SmtpHarness =
    SmtpHarness { address: "CONVOKE_TEST_SMTP_EXIM_SUBMISSION", security: SmtpSecurity::Starttls, ..EXIM };
const AIOSMTPD: SmtpHarness = SmtpHarness {
    address: "CONVOKE_TEST_SMTP_FAILURES",
    maildir: "CONVOKE_TEST_SMTP_FAILURES_MAILDIR",
    security: SmtpSecurity::None,
    trusted: false,
};

impl SmtpHarness {
    fn config(&self) -> Option<config::Smtp> {
        let address = need(self.address)?;
        let (host, port) = address.rsplit_once(':').unwrap();
        let mut config = config::Smtp {
            host: host.to_owned(),
            port: port.parse().unwrap(),
            security: self.security,
            timeout_s: 5,
            ..config::Smtp::default()
        };
        if self.trusted {
            config.ca_file = Some(need("CONVOKE_TEST_SMTP_EXIM_CA")?.into());
            config.username = need("CONVOKE_TEST_SMTP_EXIM_USER");
            config.password = need("CONVOKE_TEST_SMTP_EXIM_PASSWORD");
        }
        Some(config)
    }

    fn open_as(&self, config: &config::Smtp) -> Option<Ports> {
        let transport = Arc::new(Smtp::new(config).unwrap());
        Some(Ports { transport, arrived: Path::new(&need(self.maildir)?).join("new"), _data: None })
    }
}

impl Harness for SmtpHarness {
    fn open(&self) -> Option<Ports> {
        self.open_as(&self.config()?)
    }
}

/// The value of the variable; where it is missing a loud word, and in CI a failure.
fn need(variable: &str) -> Option<String> {
    match std::env::var(variable) {
        Ok(value) if !value.is_empty() => Some(value),
        _ if std::env::var("CI").is_ok_and(|ci| ci == "true") => panic!("{variable} is not set: CI runs every service"),
        _ => {
            eprintln!("SKIPPED: {variable} is not set; scripts/services starts the service");
            None
        }
    }
}

/// A mail with a word in it that no other mail has.
fn mail(to: &str) -> (OutgoingMail, String) {
    let token = Env::system().uuid().simple().to_string();
    let mime = format!(
        "Message-ID: <{token}@example.org>\r\nDate: Fri, 20 Feb 2026 10:00:00 +0000\r\nFrom: alice@example.org\r\n\
         To: {to}\r\nSubject: Contract {token}\r\n\r\nFirst line\r\n.\r\n..two dots\r\n\r\nFrom here\r\n{}\r\n",
        "x".repeat(900)
    );
    let mail = OutgoingMail {
        message_id: format!("{token}@example.org"),
        from: Some("alice@example.org".parse().unwrap()),
        to: to.parse().unwrap(),
        mime,
    };
    (mail, token)
}

/// From the subject on: servers add lines above, and keep line ends as they like.
fn content(mail: &str) -> String {
    let mail = mail.replace("\r\n", "\n");
    mail[mail.find("Subject:").unwrap()..].trim_end().to_owned()
}

async fn a_mail_arrives_as_it_was_sent(harness: &dyn Harness) {
    let Some(ports) = harness.open() else { return };
    let (mail, token) = mail("bob@elsewhere.example");
    ports.transport.send(&mail).await.unwrap();
    let arrived = ports.wait_for(&token, 1).await;
    assert_eq!(arrived.len(), 1);
    let body = |text: &str| text[text.find("First line").unwrap()..].replace("\r\n", "\n").trim_end().to_owned();
    assert_eq!(body(&arrived[0]), body(&mail.mime));
    assert!(content(&arrived[0]).starts_with(&format!("Subject: Contract {token}")));
}

async fn many_mails_at_once_all_arrive(harness: &dyn Harness) {
    let Some(ports) = harness.open() else { return };
    let batch = Env::system().uuid().simple().to_string();
    let sending = (0..30).map(|_| {
        let (mut mail, _) = mail("bob@elsewhere.example");
        mail.mime = mail.mime.replace("First line", &batch);
        let transport = Arc::clone(&ports.transport);
        tokio::spawn(async move { transport.send(&mail).await })
    });
    for sent in sending.collect::<Vec<_>>() {
        sent.await.unwrap().unwrap();
    }
    assert_eq!(ports.wait_for(&batch, 30).await.len(), 30);
}

async fn a_mail_without_sender_arrives(harness: &dyn Harness) {
    let Some(ports) = harness.open() else { return };
    let (mut mail, token) = mail("bob@elsewhere.example");
    mail.from = None;
    ports.transport.send(&mail).await.unwrap();
    assert_eq!(ports.wait_for(&token, 1).await.len(), 1);
}

async fn a_mail_sent_again_does_no_harm(harness: &dyn Harness) {
    let Some(ports) = harness.open() else { return };
    let (mail, token) = mail("bob@elsewhere.example");
    ports.transport.send(&mail).await.unwrap();
    ports.transport.send(&mail).await.unwrap();
    let arrived = ports.wait_for(&token, 1).await;
    assert!(arrived.iter().all(|arrived| arrived.contains(&mail.message_id)));
}

macro_rules! contract {
    ($engine:ident, $harness:expr) => {
        suite!(
            $engine,
            $harness,
            [
                a_mail_arrives_as_it_was_sent,
                many_mails_at_once_all_arrive,
                a_mail_without_sender_arrives,
                a_mail_sent_again_does_no_harm,
            ]
        );
    };
}

contract!(folder, super::FolderHarness);
contract!(exim, super::EXIM);
contract!(exim_tls, super::EXIM_TLS);
contract!(exim_starttls, super::EXIM_STARTTLS);
contract!(aiosmtpd, super::AIOSMTPD);

#[tokio::test]
async fn a_mail_sent_again_is_one_file() {
    let ports = FolderHarness.open().unwrap();
    let (mail, token) = mail("bob@elsewhere.example");
    for _ in 0..3 {
        ports.transport.send(&mail).await.unwrap();
    }
    assert_eq!(ports.arrived_with(&token), [mail.mime]);
}

#[tokio::test]
async fn a_folder_that_is_gone_is_a_reason_to_wait() {
    let ports = FolderHarness.open().unwrap();
    std::fs::remove_dir_all(&ports.arrived).unwrap();
    let failed = ports.transport.send(&mail("bob@elsewhere.example").0).await;
    assert!(matches!(failed, Err(SendError::Transient(_))), "{failed:?}");
}

/// Whether a mail is worth another attempt, by what the server said.
async fn outcome(to: &str) -> Option<Result<(), SendError>> {
    let ports = AIOSMTPD.open()?;
    Some(ports.transport.send(&mail(to).0).await)
}

#[tokio::test]
async fn answers_of_the_400s_are_worth_another_attempt() {
    for to in ["451.bob@example.org", "data-452.bob@example.org", "421.bob@example.org"] {
        let Some(outcome) = outcome(to).await else { return };
        let code = &to.trim_start_matches("data-")[..3];
        assert!(matches!(&outcome, Err(SendError::Transient(why)) if why.contains(code)), "{to}: {outcome:?}");
    }
}

#[tokio::test]
async fn answers_of_the_500s_are_final_and_say_why() {
    for to in ["550.bob@example.org", "data-554.bob@example.org"] {
        let Some(outcome) = outcome(to).await else { return };
        let code = &to.trim_start_matches("data-")[..3];
        let says = |why: &String| why.contains(code) && why.contains("refused");
        assert!(matches!(&outcome, Err(SendError::Permanent(why)) if says(why)), "{to}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_refused_sender_is_final() {
    let Some(ports) = AIOSMTPD.open() else { return };
    let (mut mail, _) = mail("bob@example.org");
    mail.from = Some("550.alice@example.org".parse().unwrap());
    let outcome = ports.transport.send(&mail).await;
    assert!(matches!(&outcome, Err(SendError::Permanent(why)) if why.contains("MAIL FROM")), "{outcome:?}");
}

#[tokio::test]
async fn a_connection_that_breaks_is_worth_another_attempt() {
    for to in ["drop.bob@example.org", "drop-data.bob@example.org"] {
        let Some(outcome) = outcome(to).await else { return };
        assert!(matches!(outcome, Err(SendError::Transient(_))), "{to}: {outcome:?}");
    }
}

/// After a refusal and after a broken connection the same transport goes on: nothing of one mail reaches the next.
#[tokio::test]
async fn a_failed_mail_does_not_disturb_the_next() {
    let Some(mut config) = AIOSMTPD.config() else { return };
    config.pool = 1;
    let ports = AIOSMTPD.open_as(&config).unwrap();
    for bad in ["550.bob@example.org", "drop.bob@example.org", "data-554.bob@example.org", "451.bob@example.org"] {
        ports.transport.send(&mail(bad).0).await.unwrap_err();
        let (good, token) = mail("bob@example.org");
        ports.transport.send(&good).await.unwrap();
        assert_eq!(ports.wait_for(&token, 1).await.len(), 1, "after {bad}");
    }
}

#[tokio::test]
async fn a_server_that_is_too_slow_is_worth_another_attempt() {
    let Some(mut config) = AIOSMTPD.config() else { return };
    config.timeout_s = 1;
    config.pool = 1;
    let ports = AIOSMTPD.open_as(&config).unwrap();
    let outcome = ports.transport.send(&mail("slow-3000.bob@example.org").0).await;
    assert!(matches!(&outcome, Err(SendError::Transient(why)) if why.contains("no answer within")), "{outcome:?}");
    let (next, token) = mail("bob@example.org");
    ports.transport.send(&next).await.unwrap();
    assert_eq!(ports.wait_for(&token, 1).await.len(), 1, "the late answer is not taken for this mail's");
}

#[tokio::test]
async fn a_greylisted_mail_is_taken_later() {
    let Some(ports) = AIOSMTPD.open() else { return };
    let (mail, token) = mail(&format!("greylist.{}@example.org", Env::system().uuid().simple()));
    assert!(matches!(ports.transport.send(&mail).await, Err(SendError::Transient(_))));
    ports.transport.send(&mail).await.unwrap();
    assert_eq!(ports.wait_for(&token, 1).await.len(), 1);
}

#[tokio::test]
async fn a_server_that_is_away_is_a_reason_to_wait() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = config::Smtp { port: closed.port(), host: "127.0.0.1".to_owned(), ..config::Smtp::default() };
    let outcome = Smtp::new(&config).unwrap().send(&mail("bob@example.org").0).await;
    assert!(matches!(outcome, Err(SendError::Transient(_))), "{outcome:?}");
}

/// Refusals of a real server, and the mistakes of an administrator: the mail is kept while those are mended.
#[tokio::test]
async fn exim_refuses_and_defers() {
    let Some(ports) = EXIM.open() else { return };
    let refused = ports.transport.send(&mail("unknown@example.org").0).await;
    assert!(matches!(&refused, Err(SendError::Permanent(why)) if why.contains("no such mailbox")), "{refused:?}");
    let deferred = ports.transport.send(&mail("later@example.org").0).await;
    assert!(matches!(&deferred, Err(SendError::Transient(why)) if why.contains("try again later")), "{deferred:?}");
}

#[tokio::test]
async fn a_wrong_password_keeps_the_mail() {
    let Some(mut config) = EXIM_STARTTLS.config() else { return };
    config.password = Some("wrong".to_owned());
    let outcome = EXIM_STARTTLS.open_as(&config).unwrap().transport.send(&mail("bob@example.org").0).await;
    assert!(matches!(&outcome, Err(SendError::Transient(why)) if !why.contains("wrong")), "{outcome:?}");
}

#[tokio::test]
async fn what_a_server_asks_for_is_passed_on() {
    let Some(mut config) = EXIM_STARTTLS.config() else { return };
    (config.username, config.password) = (None, None);
    let outcome = EXIM_STARTTLS.open_as(&config).unwrap().transport.send(&mail("bob@example.org").0).await;
    assert!(outcome.unwrap_err().to_string().contains("authentication required"));
}

#[tokio::test]
async fn an_unknown_certificate_is_not_trusted() {
    for harness in [EXIM_TLS, EXIM_STARTTLS, EXIM] {
        let Some(mut config) = harness.config() else { return };
        config.ca_file = None;
        let outcome = harness.open_as(&config).unwrap().transport.send(&mail("bob@example.org").0).await;
        assert!(matches!(outcome, Err(SendError::Transient(_))), "{outcome:?}");
    }
}

#[tokio::test]
async fn starttls_that_is_asked_for_and_not_offered_keeps_the_mail() {
    let Some(mut config) = AIOSMTPD.config() else { return };
    config.security = SmtpSecurity::Starttls;
    let outcome = AIOSMTPD.open_as(&config).unwrap().transport.send(&mail("bob@example.org").0).await;
    assert!(matches!(&outcome, Err(SendError::Transient(why)) if why.contains("STARTTLS")), "{outcome:?}");
}

#[tokio::test]
async fn a_password_is_not_sent_in_the_clear_unless_told_to() {
    let Some(mut config) = AIOSMTPD.config() else { return };
    config.security = SmtpSecurity::Opportunistic;
    (config.username, config.password) = (Some("convoke".to_owned()), Some("secret".to_owned()));
    let outcome = AIOSMTPD.open_as(&config).unwrap().transport.send(&mail("bob@example.org").0).await;
    assert!(matches!(&outcome, Err(SendError::Transient(why)) if why.contains("in the clear")), "{outcome:?}");
}
