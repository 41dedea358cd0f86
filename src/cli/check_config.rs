//! `convoke check-config`.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::Config;

use super::DONE;

/// Reads the configuration as `serve` would, environment included, and says what is wrong with it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the whole configuration with defaults filled in; secrets are left out
    #[arg(long)]
    print: bool,
}

/// Exit status 2 with every mistake on standard error when something is wrong.
pub fn run(args: Args, file: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let mut config = Config::load(file.as_deref())?;
    let source = file.map_or_else(|| "the defaults".to_owned(), |f| f.display().to_string());
    if args.print {
        config.hide_secrets();
        print!("{}", toml::to_string(&config)?);
    } else {
        println!("{source}: the configuration is valid");
    }
    Ok(ExitCode::from(DONE))
}
