//! `convoke reindex`.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::app;
use crate::clock::Env;
use crate::config::Config;
use crate::dav::Upstream;
use crate::ids::Email;
use crate::indexing::reindex::{Counts, Options, Reindex};
use crate::search::SharedEventIndex;

use super::{DONE, FAILED, logs, serve};

/// How often the progress is shown on a terminal, and in plain lines.
const REDRAWN: Duration = Duration::from_millis(200);
const TOLD: Duration = Duration::from_secs(10);

/// Fill the search index from the calendars, while the service runs or not. What is in no calendar any more is removed. Exit
/// status 1 when something could not be read or written; running it again does no harm.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only the calendars of this user
    #[arg(long, value_name = "EMAIL")]
    user: Option<Email>,
    /// Read and count, but change nothing
    #[arg(long)]
    dry_run: bool,
    /// Users at once
    #[arg(long, value_name = "N", default_value_t = Options::default().homes)]
    at_once: usize,
}

/// Runs it to the end, or until it is told to stop.
pub fn run(args: Args, config: Config) -> anyhow::Result<ExitCode> {
    logs::start(&config.log);
    let runtime = serve::runtime()?;
    runtime.block_on(async {
        let env = Env::system();
        let engines = app::Engines::open(&config, &env).await?;
        let upstream = app::upstream(&engines, &config, &env)?;
        let done = tokio::select! {
            done = reindex(args, &config, &engines, engines.index.clone(), upstream, &env) => done,
            stop = serve::stop_signal() => stop.and_then(|()| anyhow::bail!("stopped; running it again does the rest")),
        };
        engines.close().await;
        done
    })
}

async fn reindex(
    args: Args,
    config: &Config,
    engines: &app::Engines,
    index: SharedEventIndex,
    upstream: Upstream,
    env: &Env,
) -> anyhow::Result<ExitCode> {
    let reindex = Reindex::new(engines.directory.clone(), index, upstream, &config.limits, env.clone());
    let options = Options { user: args.user, dry_run: args.dry_run, homes: args.at_once, ..Options::default() };
    let (users, counts) = (reindex.count_users(&options).await?, Counts::default());
    let shown = Shown::new(users);
    let done = tokio::select! {
        done = reindex.run(&options, &counts) => done,
        () = shown.follow(&counts) => Ok(()),
    };
    shown.end();
    done?;
    println!("{}", summary(&counts, args.dry_run));
    Ok(ExitCode::from(if counts.is_clean() { DONE } else { FAILED }))
}

fn summary(counts: &Counts, dry_run: bool) -> String {
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    format!(
        "{} users: {} events {}, {} removed, {} without an event, {} failed; {} users failed",
        count(&counts.users),
        count(&counts.indexed),
        if dry_run { "to index" } else { "indexed" },
        count(&counts.removed),
        count(&counts.without_event),
        count(&counts.failed),
        count(&counts.users_failed),
    )
}

/// The progress: a bar where there is a terminal, plain lines otherwise.
struct Shown {
    bar: Option<ProgressBar>,
    users: u64,
}

impl Shown {
    fn new(users: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:30} {pos} of {len} users  {msg}  {elapsed}");
            ProgressBar::new(users).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, users }
    }

    /// Never ends.
    async fn follow(&self, counts: &Counts) {
        loop {
            tokio::time::sleep(if self.bar.is_some() { REDRAWN } else { TOLD }).await;
            let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
            let (users, events, failed) = (count(&counts.users), count(&counts.indexed), count(&counts.failed));
            match &self.bar {
                Some(bar) => {
                    bar.set_position(users);
                    bar.set_message(format!("{events} events, {failed} failed"));
                }
                None => eprintln!("{users} of {} users, {events} events, {failed} failed", self.users),
            }
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
