//! The commands of the program. Each command is a file: its arguments and one `run`.
//!
//! This is the only room besides `app` that may know everything, and the only one that speaks `anyhow`.

mod check_config;
mod dav;
mod demo;
mod doctor;
mod ical;
mod import_config;
mod itip;
mod logs;
mod migrate;
pub mod play;
mod reindex;
mod resource;
mod serve;
mod team;
mod user;

pub use demo::surfaces;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, choose_file};

/// Everything went well.
pub const DONE: u8 = 0;
/// The command failed, or its input is invalid.
pub const FAILED: u8 = 1;
/// The command line or the configuration is wrong (clap's own status too).
pub const MISUSED: u8 = 2;

/// A calendar side service and proxy that speaks CalDAV and iTIP.
#[derive(Debug, Parser)]
#[command(
    name = "convoke",
    version,
    after_help = "Exit status: 0 done; 1 the command failed or its input is invalid; 2 the command line or the \
                  configuration is wrong; 3 `itip apply` was given a message that is to be ignored."
)]
struct Cli {
    /// Configuration file; `$CONVOKE_CONFIG` or `convoke.toml` in this folder otherwise
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service
    Serve,
    /// Run everything embedded with three demo accounts, on loopback
    Demo(demo::Args),
    /// Check the configuration and say what is wrong with it
    CheckConfig(check_config::Args),
    /// Connect to everything that is configured and say what is wrong with it
    Doctor(doctor::Args),
    /// Write a configuration from the folder of a Twake Calendar side service
    ImportConfig(import_config::Args),
    /// Manage the accounts that convoke itself keeps
    User(user::Args),
    /// Manage rooms and other resources that can be booked
    Resource(resource::Args),
    /// Manage the calendars of teams
    Team(team::Args),
    /// Fill the search index from the calendars
    Reindex(reindex::Args),
    /// Bring a database forward, or copy everything from one engine to another
    Migrate(migrate::Args),
    /// Carry calendars and address books in and out, and look over what is stored
    Dav(dav::Args),
    /// Ask the scheduling rules: which messages does a change make, what does a message do
    Itip(itip::Args),
    /// Check, convert and expand iCalendar text
    Ical(ical::Args),
}

/// Runs the command that the command line names.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Itip(args) => itip::run(args),
        Command::Ical(args) => ical::run(args),
        Command::CheckConfig(args) => check_config::run(args, choose_file(cli.config)),
        Command::Doctor(args) => doctor::run(args, choose_file(cli.config)),
        Command::ImportConfig(args) => import_config::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Serve => with_config(cli.config, serve::run),
        Command::Migrate(args) => with_config(cli.config, |config| migrate::run(args, config)),
        Command::Reindex(args) => with_config(cli.config, |config| reindex::run(args, config)),
        Command::Dav(args) => with_config(cli.config, |config| dav::run(args, config)),
        Command::Resource(args) => with_config(cli.config, |config| resource::run(args, config)),
        Command::Team(args) => with_config(cli.config, |config| team::run(args, config)),
        Command::User(args) => with_config(cli.config, |config| user::run(args, config)),
    };
    result.unwrap_or_else(|error| {
        eprintln!("convoke: {error:#}");
        ExitCode::from(if error.is::<crate::config::ConfigError>() { MISUSED } else { FAILED })
    })
}

fn with_config(
    file: Option<PathBuf>,
    run: impl FnOnce(Config) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    run(Config::load(choose_file(file).as_deref())?)
}
