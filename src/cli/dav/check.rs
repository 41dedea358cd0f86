//! `convoke dav check`.

use std::process::ExitCode;

use anyhow::Context as _;

use super::progress::Shown;
use crate::app;
use crate::cli::{DONE, FAILED};
use crate::clock::Env;
use crate::config::Config;
use crate::ids::{Email, HomeId};

/// Reads every object and compares what the index says of it: ETag, size, kind, UID and the times between which it happens; and
/// counts what the quota goes by. Exit status 1 when something is wrong that was not repaired.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only the calendars and address books of this user
    #[arg(long, value_name = "EMAIL")]
    user: Option<Email>,
    /// Write down what the objects themselves say; clients see them as changed
    #[arg(long)]
    repair: bool,
}

pub(super) async fn run(args: Args, config: &Config, engines: &app::Engines, env: &Env) -> anyhow::Result<ExitCode> {
    let home = match &args.user {
        None => None,
        Some(email) => {
            let user = engines.directory.user_by_email(email).await?;
            Some(HomeId::from(user.with_context(|| format!("{email} has no account"))?.id))
        }
    };
    let shown = Shown::new();
    let (mut objects, mut repaired, mut wrong) = (0_u64, 0_u64, 0_u64);
    let mut check = app::check(engines, config, env, home);
    let mut told = tokio::time::Instant::now();
    while let Some(page) = check.next(args.repair).await? {
        objects += page.objects;
        for fault in page.faults {
            let outcome = if fault.is_repaired { "; repaired" } else { "" };
            shown.say(&format!("{}: {}{outcome}", fault.path, fault.what));
            *(if fault.is_repaired { &mut repaired } else { &mut wrong }) += 1;
        }
        if told.elapsed() >= shown.pause() {
            shown.show(check.homes_done(), check.homes(), "homes");
            told = tokio::time::Instant::now();
        }
    }
    shown.end();
    println!("{objects} objects: {repaired} repaired, {wrong} wrong");
    Ok(ExitCode::from(if wrong == 0 { DONE } else { FAILED }))
}
