//! `convoke dav`: calendars and address books carried in and out, and looked over.

mod check;
mod export;
mod import;
mod progress;
mod trash;

use std::process::ExitCode;

use crate::app;
use crate::clock::Env;
use crate::config::Config;
use crate::ids::Email;
use crate::transfer::Account;

use super::{logs, serve};

/// Carry calendars and address books in and out, and look over what is stored. Works while the service runs.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Copy files, folders or an account of another server into somebody's calendars and address books
    Import(import::Args),
    /// Copy somebody's calendars and address books into a folder
    Export(export::Args),
    /// Look for objects that the index knows wrongly, and repair them
    Check(check::Args),
    /// Look at what somebody deleted and is kept for dav.trash_days, bring it back or forget it
    Trash(trash::Args),
}

/// Runs one of the commands, to the end or until it is told to stop.
pub fn run(args: Args, config: Config) -> anyhow::Result<ExitCode> {
    logs::start(&config.log);
    let runtime = serve::runtime()?;
    runtime.block_on(async {
        let env = Env::system();
        let engines = app::Engines::open(&config, &env).await?;
        let running = async {
            match args.command {
                Command::Import(args) => import::run(args, &config, &engines, &env).await,
                Command::Export(args) => export::run(args, &config, &engines, &env).await,
                Command::Check(args) => check::run(args, &config, &engines, &env).await,
                Command::Trash(args) => trash::run(args, &config, &engines, &env).await,
            }
        };
        let done = tokio::select! {
            done = running => done,
            stop = serve::stop_signal() => stop.and_then(|()| anyhow::bail!("stopped; running it again does the rest")),
        };
        engines.close().await;
        done
    })
}

/// The account of a person on the DAV server that is configured.
async fn account(user: &Email, config: &Config, engines: &app::Engines, env: &Env) -> anyhow::Result<Account> {
    anyhow::ensure!(engines.directory.user_by_email(user).await?.is_some(), "{user} has no account");
    Ok(Account::of(app::upstream(engines, config, env)?, user).await?)
}
