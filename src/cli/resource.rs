//! `convoke resource`: rooms and other resources that can be booked.

use std::io::Write as _;
use std::process::ExitCode;

use crate::accounts::{Accounts, NewResource, ResourceChange};
use crate::app;
use crate::clock::Env;
use crate::config::Config;
use crate::ids::{DomainName, Email, ResourceId};
use crate::store::{Resource, SharedDirectory};

use super::DONE;

/// Manage rooms and other resources that can be booked, in the directory that the configuration names.
///
/// A resource is invited to an event like a person, by its address. Without administrators it accepts whatever finds it free
/// and declines what does not; with administrators they decide, but for what one of them books.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a resource, and print its id and address
    Add(Add),
    /// List the resources
    List {
        /// Only those of this domain
        #[arg(long)]
        domain: Option<DomainName>,
        /// As JSON, one resource a line
        #[arg(long)]
        json: bool,
    },
    /// Change a resource; what is not given stays
    Change(Change),
    /// Take a resource out of service: it cannot be booked any more, its calendar stays
    Remove {
        /// Id of the resource
        id: ResourceId,
    },
}

#[derive(Debug, clap::Args)]
struct Add {
    /// What it is called
    name: String,
    /// Domain whose people can book it
    #[arg(long)]
    domain: DomainName,
    /// It is a place, and not a thing that is carried around
    #[arg(long)]
    room: bool,
    /// What there is to say about it
    #[arg(long, default_value = "")]
    description: String,
    /// Name of the picture that clients show, e.g. laptop
    #[arg(long, default_value = "")]
    icon: String,
    /// Address of somebody who decides about bookings; may be given several times
    #[arg(long = "administrator", value_name = "MAIL")]
    administrators: Vec<Email>,
}

#[derive(Debug, clap::Args)]
struct Change {
    /// Id of the resource
    id: ResourceId,
    /// What it is called
    #[arg(long)]
    name: Option<String>,
    /// Whether it is a place
    #[arg(long, value_name = "BOOL")]
    room: Option<bool>,
    /// What there is to say about it
    #[arg(long)]
    description: Option<String>,
    /// Name of the picture that clients show
    #[arg(long)]
    icon: Option<String>,
    /// Address of somebody who decides about bookings, instead of those who did; may be given several times
    #[arg(long = "administrator", value_name = "MAIL")]
    administrators: Vec<Email>,
    /// Nobody decides about bookings any more: the resource does
    #[arg(long, conflicts_with = "administrators")]
    no_administrators: bool,
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
        Command::Add(add) => {
            let Add { name, domain, room, description, icon, administrators } = add;
            let new = NewResource { name, description, icon, is_room: room, creator: None, administrators };
            let resource = accounts.add_resource(&domain, &new).await?;
            println!("{} has the id {} and the address {}@{domain}", resource.name, resource.id, resource.id);
        }
        Command::List { domain, json } => {
            let domain = match domain {
                Some(name) => Some(accounts.domain_named(&name).await?.id),
                None => None,
            };
            list(&accounts.resources(domain).await?, directory, json).await?;
        }
        Command::Change(change) => {
            let Change { id, name, room, description, icon, administrators, no_administrators } = change;
            let administrators = (no_administrators || !administrators.is_empty()).then_some(administrators);
            let change = ResourceChange { name, description, icon, is_room: room, administrators };
            let resource = accounts.change_resource(id, &change).await?;
            println!("{} is changed", resource.name);
        }
        Command::Remove { id } => {
            accounts.delete_resource(id).await?;
            println!("{id} cannot be booked any more");
        }
    }
    Ok(())
}

async fn list(resources: &[Resource], directory: &SharedDirectory, json: bool) -> anyhow::Result<()> {
    for resource in resources {
        let domain = directory.domain(resource.domain).await?.map(|domain| domain.name);
        let address = domain.as_ref().and_then(|domain| resource.email(domain));
        let mut administrators = Vec::new();
        for id in &resource.administrators {
            administrators.extend(directory.user(*id).await?.map(|user| user.email().to_string()));
        }
        let kind = if resource.is_room { "room" } else { "resource" };
        let mut out = std::io::stdout().lock();
        if json {
            let line = serde_json::json!({
                "id": resource.id, "name": resource.name, "kind": kind, "mail": address, "description": resource.description,
                "icon": resource.icon, "administrators": administrators, "deleted": resource.deleted,
            });
            writeln!(out, "{line}")?;
        } else {
            let address = address.map(|address| address.to_string()).unwrap_or_default();
            let gone = if resource.deleted { "  (out of service)" } else { "" };
            let deciders = match administrators.is_empty() {
                true => String::new(),
                false => format!("  decided by {}", administrators.join(", ")),
            };
            writeln!(out, "{address}  {kind}  {}{deciders}{gone}", resource.name)?;
        }
    }
    Ok(())
}
