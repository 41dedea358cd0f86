//! `convoke dav export`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use anyhow::{Context as _, ensure};

use super::progress::Shown;
use crate::app;
use crate::cli::{DONE, FAILED};
use crate::clock::Env;
use crate::config::Config;
use crate::ids::Email;
use crate::transfer::{Counts, Export, Folder};

/// Writes one folder a collection and one file an object, with names, colours and descriptions beside them: a layout that
/// vdirsyncer, khal and `convoke dav import` read.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder; made where there is none
    dir: PathBuf,
    /// Whose calendars and address books
    #[arg(long, value_name = "EMAIL")]
    user: Email,
    /// Only collections of this name in the URL; may be given several times
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Write into a folder that is not empty, over files of the same names
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(args: Args, config: &Config, engines: &app::Engines, env: &Env) -> anyhow::Result<ExitCode> {
    let dir = &args.dir;
    std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    let is_empty = std::fs::read_dir(dir).with_context(|| dir.display().to_string())?.next().is_none();
    ensure!(args.force || is_empty, "{} is not empty; --force writes into it all the same", dir.display());
    let source = super::account(&args.user, config, engines, env).await?;
    let export = Export { source, only: args.only };
    let (counts, shown) = (Counts::default(), Shown::new());
    let folder = Folder::new(dir);
    let done = tokio::select! {
        done = export.folder(&folder, &counts) => done,
        () = shown.follow(&counts) => Ok(()),
    };
    counts.failures().iter().for_each(|failure| shown.say(failure));
    shown.end();
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    println!("{} collections: {} objects written", count(&counts.collections), count(&counts.copied));
    done?;
    Ok(ExitCode::from(if count(&counts.failed) == 0 { DONE } else { FAILED }))
}
