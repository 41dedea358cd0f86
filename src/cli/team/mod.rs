//! `convoke team`: calendars of teams, and who is of them.

mod members;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::accounts::Accounts;
use crate::app;
use crate::clock::Env;
use crate::config::Config;
use crate::ids::{DomainName, Email, TeamCalendarId};
use crate::store::{SharedDirectory, TeamCalendar};

use self::members::{Members, Right};
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
    /// List who is of a team, and what they may do
    Members {
        /// Id of the team calendar
        id: TeamCalendarId,
        /// As JSON, one member a line
        #[arg(long)]
        json: bool,
    },
    /// Make somebody a member of a team, or give a member another right
    AddMember {
        /// Id of the team calendar
        id: TeamCalendarId,
        /// Their address
        mail: Email,
        /// What they may do with its calendar
        #[arg(long, value_enum, default_value_t = Right::Write)]
        right: Right,
    },
    /// Make somebody no member of a team any more
    RemoveMember {
        /// Id of the team calendar
        id: TeamCalendarId,
        /// Their address
        mail: Email,
    },
}

/// Runs one of the commands.
pub fn run(args: Args, config: Config) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let env = Env::system();
        let engines = app::Engines::open(&config, &env).await?;
        let desk = Desk { accounts: app::Identity::new(&engines, &config, &env).accounts, engines, config, env };
        let done = desk.execute(args.command).await;
        desk.engines.close().await;
        done.map(|()| ExitCode::from(DONE))
    })
}

/// What the commands work with.
struct Desk {
    accounts: Accounts,
    engines: app::Engines,
    config: Config,
    env: Env,
}

impl Desk {
    async fn execute(&self, command: Command) -> anyhow::Result<()> {
        let Self { accounts, engines, .. } = self;
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
                list(&accounts.teams(domain).await?, &engines.directory, json).await?;
            }
            Command::Rename { id, display_name } => {
                let team = accounts.rename_team(id, &display_name).await?;
                println!("{id} is called {}", team.display_name);
            }
            Command::Remove { id } => {
                accounts.remove_team(id).await?;
                println!("{id} is no team calendar any more");
            }
            Command::Members { id, json } => list_members(&self.members_of(id).await?, json).await?,
            Command::AddMember { id, mail, right } => {
                let members = self.members_of(id).await?;
                members.set(&mail, right).await?;
                println!("{mail} is of {}", members.team.shown_name());
            }
            Command::RemoveMember { id, mail } => {
                let members = self.members_of(id).await?;
                members.remove(&mail).await?;
                println!("{mail} is not of {} any more", members.team.shown_name());
            }
        }
        Ok(())
    }

    async fn members_of(&self, id: TeamCalendarId) -> anyhow::Result<Members> {
        let directory = self.engines.directory.clone();
        let team = directory.team_calendar(id).await?.with_context(|| format!("there is no team calendar {id}"))?;
        let upstream = app::upstream(&self.engines, &self.config, &self.env)?;
        Ok(Members { team, directory, upstream })
    }
}

async fn list_members(members: &Members, json: bool) -> anyhow::Result<()> {
    let found = members.list().await?;
    let mut out = std::io::stdout().lock();
    for member in found {
        if json {
            writeln!(out, "{}", serde_json::json!({ "mail": member.mail(), "right": member.right() }))?;
        } else {
            writeln!(out, "{}  {}", member.mail(), member.right())?;
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
