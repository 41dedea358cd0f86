//! `convoke doctor`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::Instant;

use crate::app;
use crate::auth::oidc::OidcProvider;
use crate::clock::Env;
use crate::config::{Config, ConfigError, MailTransport, SearchEngine, StoreEngine};
use crate::dav::{self, DavUpstream};
use crate::doctor::{Choices, DataFolder, ListeningPort, Machine, Patience, PublicUrl, Report, Section, examine};
use crate::health::{Examine, Finding};
use crate::ids::Email;
use crate::mail::smtp::MailServer;
use crate::net::{Client, ClientLimits};
use crate::sqlite::DatabaseFile;

use super::{DONE, FAILED, serve};

/// Connects to everything that the configuration names, looks at it closely, and says what to do about what is wrong.
/// Changes nothing, sends nothing to anybody, and may run beside the service.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// As one JSON document
    #[arg(long)]
    json: bool,
    /// Somebody who has calendars on the DAV server, to see whether convoke can act for them
    #[arg(long = "as", value_name = "ADDRESS")]
    somebody: Option<Email>,
    /// Time for each engine
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    each_s: u64,
    /// Time for all of them
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    total_s: u64,
}

/// Exit status 1 when there is an error; warnings alone are 0.
pub fn run(args: Args, file: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let source = file.as_deref().map_or_else(|| "the defaults".to_owned(), |f| f.display().to_string());
    let report = match Config::load(file.as_deref()) {
        Ok(config) => serve::runtime()?.block_on(look(&args, config, source)),
        Err(mistakes) => told(mistakes, file.as_deref()),
    };
    if args.json {
        println!("{:#}", report.for_machines());
    } else {
        print!("{}", report.for_people());
    }
    Ok(ExitCode::from(if report.counts().0 == 0 { DONE } else { FAILED }))
}

/// Nothing can be examined with a configuration that is none.
fn told(ConfigError(mistakes): ConfigError, file: Option<&Path>) -> Report {
    let advice = match file {
        Some(file) => format!("correct {}; conf/convoke.toml documents every key", file.display()),
        None => "correct the environment; conf/convoke.toml documents every key".to_owned(),
    };
    let findings = mistakes.into_iter().map(|mistake| match mistake.key.as_str() {
        "" => Finding::bad(mistake.source, mistake.problem, advice.clone()),
        key => Finding::bad(format!("{}: {key}", mistake.source), mistake.problem, advice.clone()),
    });
    Report { sections: vec![Section { engine: "Configuration".to_owned(), findings: findings.collect() }] }
}

async fn look(args: &Args, config: Config, source: String) -> Report {
    let begun = Instant::now();
    let (each, total) = (Duration::from_secs(args.each_s), Duration::from_secs(args.total_s));
    let env = Env::system();
    let mut examinations = examinations(&config, source, args.somebody.clone(), each, &env);
    examinations.extend(app::examinations(&config, &env).await);
    examine(examinations, Patience { each, total: total.saturating_sub(begun.elapsed()) }).await
}

/// Everything that is to be examined, in the order of the report: the configuration and the machine, the engines, the
/// servers.
fn examinations(
    config: &Config,
    source: String,
    somebody: Option<Email>,
    each: Duration,
    env: &Env,
) -> Vec<Box<dyn Examine>> {
    let mut all: Vec<Box<dyn Examine>> = vec![
        Box::new(Choices { config: config.clone(), source }),
        Box::new(Machine { connections: config.server.connections, env: env.clone() }),
    ];
    all.extend(embedded(config, each));
    all.extend(addresses(config, env));
    all.extend(servers(config, somebody, env));
    all
}

/// The data folder, and the databases in it that the configuration uses.
fn embedded(config: &Config, each: Duration) -> Vec<Box<dyn Examine>> {
    let dir = &config.data.dir;
    // What there was time for is still told.
    let time = each.mul_f32(0.8);
    let mut all: Vec<Box<dyn Examine>> = vec![Box::new(DataFolder(dir.clone()))];
    if config.engine.store == StoreEngine::Sqlite {
        all.push(Box::new(DatabaseFile { what: "Database", path: dir.join("convoke.db"), time }));
    }
    if config.engine.search == SearchEngine::Sqlite {
        all.push(Box::new(DatabaseFile { what: "Search index", path: dir.join("search.db"), time }));
    }
    all
}

/// Where convoke listens, and where people are led.
fn addresses(config: &Config, env: &Env) -> Vec<Box<dyn Examine>> {
    let mut all: Vec<Box<dyn Examine>> = Vec::new();
    if let Ok(client) = client() {
        for (key, address) in [("server.listen", config.server.listen), ("webadmin.listen", config.webadmin.listen)] {
            all.push(Box::new(ListeningPort { key, address, client: client.clone() }));
        }
    }
    let listens_publicly = !config.server.listen.ip().is_loopback();
    for (key, url) in [("server.public_url", &config.server.public_url), ("spa.calendar_url", &config.spa.calendar_url)]
    {
        let url = url.clone();
        all.push(Box::new(PublicUrl { key, url, listens_publicly, env: env.clone(), time: LOOK }));
    }
    all
}

/// Time for one look at a certificate.
const LOOK: Duration = Duration::from_secs(5);

/// The servers that convoke speaks to beside its engines.
fn servers(config: &Config, somebody: Option<Email>, env: &Env) -> Vec<Box<dyn Examine>> {
    let mut all: Vec<Box<dyn Examine>> = Vec::new();
    if config.upstream.url != "builtin" {
        let idle = Duration::from_secs(config.proxy.idle_timeout_s);
        all.push(match dav::client::remote(&config.upstream, idle, None) {
            Ok(upstream) => Box::new(DavUpstream {
                config: config.upstream.clone(),
                upstream,
                has_account: somebody.is_some(),
                somebody: somebody.unwrap_or_else(|| config.mail.sender.clone()),
                env: env.clone(),
                time: LOOK,
            }),
            Err(error) => {
                Box::new(Unusable { engine: "DAV server", problem: error.to_string(), section: "[upstream]" })
            }
        });
    }
    match client() {
        Ok(client) => {
            for provider in &config.auth.oidc {
                all.push(Box::new(OidcProvider::new(provider.clone(), client.clone(), env.clone(), LOOK)));
            }
        }
        Err(error) => {
            let problem = format!("the trust anchors of this system cannot be read: {error}");
            all.push(Box::new(Unusable { engine: "TLS", problem, section: "the package ca-certificates" }));
        }
    }
    if config.mail.transport == MailTransport::Smtp {
        all.push(Box::new(MailServer::new(config.mail.smtp.clone(), env.clone())));
    }
    all
}

fn client() -> std::io::Result<Client> {
    Client::new(ClientLimits { connect: LOOK, ..ClientLimits::default() })
}

/// Something that cannot even be tried.
struct Unusable {
    engine: &'static str,
    problem: String,
    section: &'static str,
}

#[async_trait::async_trait]
impl Examine for Unusable {
    fn engine(&self) -> String {
        self.engine.to_owned()
    }

    async fn examine(&self) -> Vec<Finding> {
        vec![Finding::bad("connection", self.problem.clone(), format!("correct {}", self.section))]
    }
}
