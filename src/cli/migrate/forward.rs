//! `convoke migrate mongodb`.

use std::process::ExitCode;

use crate::cli::{DONE, FAILED};
use crate::clock::Env;
use crate::config::Config;
use crate::mongo::Mongo;
use crate::mongo::schema::Lack;
use crate::store::copy::Watch as _;
use crate::store::mongo::migrate::{Plan, fill_users, make, mend, plan};

use super::progress::Progress;

/// Makes missing collections and indexes in both databases, and gives users the fields `email` and `firstnames` where they
/// lack them. Run it once after convoke is pointed at a database of OpenPaaS; again is no harm. Building an index over many
/// documents takes a while, during which the database works on.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Exit status 1 when something could not be done.
pub(super) async fn run(args: Args, config: &Config) -> anyhow::Result<ExitCode> {
    let mongo = Mongo::connect(&config.mongodb, Env::system()).await?;
    let plan = plan(&mongo).await?;
    print_remarks(&plan);
    let well = if args.dry_run {
        print_plan(&plan);
        plan.duplicates.is_empty()
    } else {
        carry_out(&mongo, &plan).await?
    };
    mongo.close().await;
    Ok(ExitCode::from(if well { DONE } else { FAILED }))
}

/// What stands in the way, and what stays as it is.
fn print_remarks(plan: &Plan) {
    for (index, keys) in &plan.duplicates {
        println!("{index} cannot be made as long as several documents have the same key:");
        for key in keys {
            println!("    {key}");
        }
    }
    for missing in &plan.differing {
        println!("{} stays as it is: {}", missing.index, missing.lack);
    }
    if plan.is_empty() {
        println!("there is nothing to do");
    }
}

fn print_plan(plan: &Plan) {
    for name in &plan.collections {
        println!("would make the collection {name}");
    }
    for missing in &plan.indexes {
        match &missing.lack {
            Lack::Expiry { found_s, .. } => println!("would correct {}: it keeps documents {found_s} s", missing.index),
            Lack::Absent | Lack::Different(_) => {
                println!("would make the {}; without it {}", missing.index, missing.index.why)
            }
        }
    }
    if plan.incomplete_users > 0 {
        println!("would complete {} users that lack email or firstnames", plan.incomplete_users);
    }
}

/// Does what the plan says; whether all of it could be done.
async fn carry_out(mongo: &Mongo, plan: &Plan) -> anyhow::Result<bool> {
    let mut well = true;
    for name in &plan.collections {
        make(mongo, name).await?;
        println!("made the collection {name}");
    }
    for missing in &plan.indexes {
        match mend(mongo, missing).await {
            Ok(()) => println!("made the {}", missing.index),
            Err(error) => {
                well = false;
                println!("could not make the {}: {error}", missing.index);
            }
        }
    }
    if plan.incomplete_users > 0 {
        let progress = Progress::new();
        progress.begin("users", plan.incomplete_users);
        let filled = fill_users(mongo, || progress.step(1)).await?;
        progress.finish();
        println!("users: {} processed, {} upgraded, {} errors", filled.processed, filled.upgraded, filled.errors);
        well &= filled.errors == 0;
    }
    Ok(well)
}
