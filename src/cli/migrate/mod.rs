//! `convoke migrate`: bringing a database forward, and copying between engines.

mod copy;
mod forward;
mod progress;

use std::process::ExitCode;

use crate::config::Config;

use super::serve::runtime;

/// Bring an existing database forward, or copy everything from one engine to another. The configuration names the databases.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Give a MongoDB that another program has used the collections, indexes and fields that convoke needs; removes nothing
    Mongodb(forward::Args),
    /// Copy domains, people, settings, passwords, calendars and address books; stop what uses the two databases before
    Copy(copy::Args),
}

/// Runs one of the commands.
pub fn run(args: Args, config: Config) -> anyhow::Result<ExitCode> {
    crate::cli::logs::start(&config.log);
    runtime()?.block_on(async {
        match args.command {
            Command::Mongodb(args) => forward::run(args, &config).await,
            Command::Copy(args) => copy::run(args, &config).await,
        }
    })
}
