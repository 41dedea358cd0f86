//! `convoke migrate copy`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};

use crate::cli::{DONE, FAILED};
use crate::clock::Env;
use crate::config::{Config, StoreEngine};
use crate::mongo::Mongo;
use crate::queue::mongo::MongoOutgoing;
use crate::queue::{OutgoingStore as _, Queue as _};
use crate::sqlite::Sqlite;
use crate::store::copy::{Copied, CopyError, Differences, End, Options, compare, copy};
use crate::store::mongo::MongoDav;
use crate::store::mongo::bootstrap::bootstrap;
use crate::store::mongo::migrate::left_behind;

use super::progress::Progress;

/// Name of the embedded database in the data folder, as `serve` opens it.
const DATABASE: &str = "convoke.db";

/// Copies domains, people, settings, password hashes, and all calendars and address books with their objects, byte for byte;
/// then compares the two sides. It sends no invitation and no mail, leaves the source as it is, and never overwrites or
/// removes anything in the target unless told to. Clients synchronise as before, or read everything anew. The search index is
/// not copied: build it anew afterwards.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to read
    #[arg(long, value_enum)]
    from: Engine,
    /// Where to write
    #[arg(long, value_enum)]
    to: Engine,
    /// Print what would be copied, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Continue a copy that was broken off: take a target that is not empty, and bring what it lacks
    #[arg(long)]
    resume: bool,
    /// Overwrite what differs in the target and remove what the source does not have: for a source that went on after the
    /// copy began, never for a target that is in use
    #[arg(long, requires = "resume")]
    replace: bool,
    /// Copy although messages wait in the queue of the source; they are not copied
    #[arg(long)]
    leave_messages: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Engine {
    /// The file in data.dir
    Sqlite,
    /// The databases of [mongodb]
    Mongodb,
}

/// An engine that was opened.
enum Opened {
    Sqlite(Sqlite),
    Mongo(Mongo),
}

/// Exit status 1 when the two sides differ.
pub(super) async fn run(args: Args, config: &Config) -> anyhow::Result<ExitCode> {
    ensure!(args.from != args.to, "--from and --to name the same engine");
    let from = open(args.from, config, true).await?.context("there is nothing to copy")?;
    let to = open(args.to, config, args.dry_run).await?;
    let done = execute(&args, config, &from, to.as_ref()).await;
    from.close().await;
    if let Some(to) = to {
        to.close().await;
    }
    done
}

async fn execute(args: &Args, config: &Config, from: &Opened, to: Option<&Opened>) -> anyhow::Result<ExitCode> {
    check_messages(args, from).await?;
    for (what, count) in from.left_behind().await? {
        println!("not copied, since convoke does not keep such things itself: {count} {what}");
    }
    if let (Some(Opened::Mongo(mongo)), false) = (to, args.dry_run) {
        bootstrap(mongo).await?;
    }
    let options = Options { resume: args.resume, replace: args.replace, dry_run: args.dry_run };
    let source = from.end(args.dry_run).await?;
    let target = match to {
        Some(to) => Some(to.end(args.dry_run).await?),
        None => None,
    };
    let progress = Progress::new();
    let copied = copy(&source, target.as_ref(), options, &progress).await;
    progress.finish();
    let copied = copied.map_err(|error| match error {
        CopyError::NotEmpty(_) => anyhow::anyhow!("{error}; give --resume when this is a copy that was broken off"),
        error => anyhow::anyhow!("{error}; what was copied stays, continue with --resume"),
    })?;
    print_copied(&copied, args.dry_run);
    let Some(target) = target.filter(|_| !args.dry_run) else {
        return Ok(ExitCode::from(if copied.left.count == 0 { DONE } else { FAILED }));
    };

    let progress = Progress::new();
    let compared = compare(&source, &target, &progress).await;
    progress.finish();
    let compared = compared?;
    println!("source: {}", compared.source);
    println!("target: {}", compared.target);
    if compared.differences.count > 0 {
        print_differences("differ", &compared.differences);
        return Ok(ExitCode::from(FAILED));
    }
    println!("the two are the same");
    advise(args, config);
    Ok(ExitCode::from(DONE))
}

async fn open(engine: Engine, config: &Config, only_existing: bool) -> anyhow::Result<Option<Opened>> {
    match engine {
        Engine::Mongodb => Ok(Some(Opened::Mongo(Mongo::connect(&config.mongodb, Env::system()).await?))),
        Engine::Sqlite => {
            let file: PathBuf = config.data.dir.join(DATABASE);
            if only_existing && !file.exists() {
                println!("there is no {}", file.display());
                return Ok(None);
            }
            std::fs::create_dir_all(&config.data.dir).context("data.dir")?;
            Ok(Some(Opened::Sqlite(Sqlite::open(&file, config.data.durability, Env::system())?)))
        }
    }
}

impl Opened {
    /// A dry run must not even make an index.
    async fn end(&self, dry_run: bool) -> anyhow::Result<End> {
        Ok(match self {
            Self::Sqlite(sqlite) => End {
                dav: Arc::new(sqlite.clone()),
                files: Arc::new(sqlite.clone()),
                directory: Arc::new(sqlite.clone()),
            },
            Self::Mongo(mongo) => {
                let dav = match dry_run {
                    true => MongoDav::for_reading(mongo.clone()),
                    false => MongoDav::open(mongo.clone()).await?,
                };
                End { dav: Arc::new(dav), files: Arc::new(mongo.clone()), directory: Arc::new(mongo.clone()) }
            }
        })
    }

    /// Messages that have still to be handled, and letters that nobody looked after.
    async fn messages(&self) -> anyhow::Result<(u64, u64)> {
        match self {
            Self::Sqlite(sqlite) => {
                let depths = sqlite.depths().await?;
                Ok((depths.iter().map(|d| d.waiting).sum(), depths.iter().map(|d| d.dead).sum()))
            }
            Self::Mongo(mongo) => Ok((MongoOutgoing::new(mongo.clone()).waiting().await?.0, 0)),
        }
    }

    /// What the source holds that no port knows.
    async fn left_behind(&self) -> anyhow::Result<Vec<(&'static str, u64)>> {
        match self {
            Self::Sqlite(_) => Ok(Vec::new()),
            Self::Mongo(mongo) => Ok(left_behind(mongo).await?),
        }
    }

    async fn close(self) {
        match self {
            Self::Sqlite(sqlite) => sqlite.close().await,
            Self::Mongo(mongo) => mongo.close().await,
        }
    }
}

async fn check_messages(args: &Args, from: &Opened) -> anyhow::Result<()> {
    let (waiting, dead) = from.messages().await?;
    if waiting == 0 && dead == 0 {
        return Ok(());
    }
    let what = format!("{waiting} messages wait in the queue of the source, and {dead} are dead letters");
    if args.leave_messages || args.dry_run {
        println!("{what}; they are not copied");
        return Ok(());
    }
    bail!(
        "{what}; they are not copied, so mails may be missing: let `convoke serve` work until they are done, look after the \
         dead letters, or give --leave-messages"
    )
}

fn print_copied(copied: &Copied, dry_run: bool) {
    let verb = if dry_run { "would copy" } else { "copied" };
    println!("{verb} {}", copied.written);
    if copied.present != Default::default() {
        println!("there already: {}", copied.present);
    }
    if copied.replaced != Default::default() {
        println!("{}: {}", if dry_run { "would replace or remove" } else { "replaced or removed" }, copied.replaced);
    }
    if copied.left.count > 0 {
        print_differences("not copied", &copied.left);
    }
}

fn print_differences(what: &str, differences: &Differences) {
    println!("{what}: {}", differences.count);
    for difference in &differences.first {
        println!("    {difference}");
    }
    if differences.count > differences.first.len() as u64 {
        println!("    …");
    }
}

fn advise(args: &Args, config: &Config) {
    let (engine, name) = match args.to {
        Engine::Sqlite => (StoreEngine::Sqlite, "sqlite"),
        Engine::Mongodb => (StoreEngine::MongoDb, "mongodb"),
    };
    if config.engine.store != engine {
        println!("to use it, set engine.store = \"{name}\", start convoke, and build the search index anew");
    }
}
