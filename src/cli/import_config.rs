//! `convoke import-config`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};

use crate::config::import::{Import, Options, Remark, import};

use super::{DONE, FAILED};

/// Reads the configuration folder of a Twake Calendar side service and writes the equivalent convoke configuration, with a
/// remark about every key on standard error. Reads nothing but the folder: `${env:…}` is not looked up.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder: configuration.properties, rabbitmq.properties and what else there is
    dir: PathBuf,
    /// Write the configuration there instead of to standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace that file if it exists
    #[arg(long, requires = "output")]
    force: bool,
    /// Write the remarks there instead of to standard error
    #[arg(long, value_name = "FILE")]
    remarks: Option<PathBuf>,
    /// Leave secrets out, and say which variables of the environment to set instead
    #[arg(long)]
    secrets_as_env: bool,
    /// Write what can be written even when the folder holds mistakes that its own service would refuse
    #[arg(long)]
    lenient: bool,
}

/// Exit status 1 when nothing was written because the folder holds mistakes.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    if let Some(output) = &args.output {
        ensure!(args.force || !output.exists(), "{} is there already; --force replaces it", output.display());
    }
    let Import { toml, remarks } =
        import(&args.dir, Options { secrets_as_env: args.secrets_as_env, lenient: args.lenient })?;
    match &args.remarks {
        Some(file) => std::fs::write(file, listing(&remarks)).with_context(|| file.display().to_string())?,
        None => eprint!("{}", listing(&remarks)),
    }
    let Some(toml) = toml else {
        let refused = remarks.iter().filter(|remark| remark.refused).count();
        eprintln!("convoke: nothing was written: {refused} refused, see above; --lenient writes what can be written");
        if args.remarks.is_some() {
            remarks.iter().filter(|remark| remark.refused).for_each(|remark| eprintln!("{remark}"));
        }
        return Ok(ExitCode::from(FAILED));
    };
    match &args.output {
        Some(file) => write(file, &toml).with_context(|| file.display().to_string())?,
        None => print!("{toml}"),
    }
    Ok(ExitCode::from(DONE))
}

fn listing(remarks: &[Remark]) -> String {
    remarks.iter().map(|remark| format!("{remark}\n")).collect()
}

/// A configuration holds secrets: only its owner may read it.
fn write(file: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    let mut open = std::fs::OpenOptions::new();
    let mut out = open.write(true).create(true).truncate(true).mode(0o600).open(file)?;
    out.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    out.write_all(text.as_bytes())
}
