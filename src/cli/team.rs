//! `convoke team`: calendars of teams.

use std::io::Write as _;
use std::process::ExitCode;

use crate::accounts::Accounts;
use crate::app;
use crate::clock::Env;
use crate::config::Config;
use crate::ids::{DomainName, TeamCalendarId};
use crate::store::{SharedDirectory, TeamCalendar};

use super::DONE;

/// Manage the calendars of teams, in the directory that the configuration names.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a team calendar, and print its id and address
    Add {
        /// Short name
        name: String,
        /// Domain whose people can be members
        #[arg(long)]
        domain: DomainName,
        /// Name as people see it; the short name otherwise
        #[arg(long)]
        display_name: Option<String>,
    },
    /// List the team calendars
    List {
        /// Only those of this domain
        #[arg(long)]
        domain: Option<DomainName>,
        /// As JSON, one team calendar a line
        #[arg(long)]
        json: bool,
    },
    /// Give a team calendar another display name
    Rename {
        /// Id of the team calendar
        id: TeamCalendarId,
        /// Name as people see it
        display_name: String,
    },
    /// Remove a team calendar with everything in it
    Remove {
        /// Id of the team calendar
        id: TeamCalendarId,
    },
}

/// Runs one of the commands.
pub fn run(args: Args, config: Config) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let env = Env::system();
        let engines = app::Engines::open(&config, &env).await?;
        let accounts = app::Identity::new(&engines, &config, &env).accounts;
        let done = execute(args.command, &accounts, &engines.directory).await;
        engines.close().await;
        done.map(|()| ExitCode::from(DONE))
    })
}

async fn execute(command: Command, accounts: &Accounts, directory: &SharedDirectory) -> anyhow::Result<()> {
    match command {
        Command::Add { name, domain, display_name } => {
            let team = accounts.add_team(&domain, &name, display_name.as_deref().unwrap_or(&name)).await?;
            println!("{} has the id {} and the address {}@{domain}", team.display_name, team.id, team.id);
        }
        Command::List { domain, json } => {
            let domain = match domain {
                Some(name) => Some(accounts.domain_named(&name).await?.id),
                None => None,
            };
            list(&accounts.teams(domain).await?, directory, json).await?;
        }
        Command::Rename { id, display_name } => {
            let team = accounts.rename_team(id, &display_name).await?;
            println!("{id} is called {}", team.display_name);
        }
        Command::Remove { id } => {
            accounts.remove_team(id).await?;
            println!("{id} is no team calendar any more");
        }
    }
    Ok(())
}

async fn list(teams: &[TeamCalendar], directory: &SharedDirectory, json: bool) -> anyhow::Result<()> {
    for team in teams {
        let domain = directory.domain(team.domain).await?.map(|domain| domain.name);
        let addresses = domain.as_ref().map(|domain| team.emails(domain)).unwrap_or_default();
        let mut out = std::io::stdout().lock();
        if json {
            let line = serde_json::json!({
                "id": team.id, "name": team.name, "displayName": team.display_name, "mails": addresses,
            });
            writeln!(out, "{line}")?;
        } else {
            let address = addresses.first().map(ToString::to_string).unwrap_or_default();
            writeln!(out, "{address}  {}  {}", team.name, team.display_name)?;
        }
    }
    Ok(())
}
