//! `convoke serve`.

use std::process::ExitCode;

use anyhow::Context as _;

use crate::app;
use crate::clock::Env;
use crate::config::Config;

use super::{DONE, logs};

/// Runs the service until it is told to stop.
pub fn run(config: Config) -> anyhow::Result<ExitCode> {
    logs::start(&config.log);
    runtime()?.block_on(async {
        let env = Env::system();
        let engines = app::Engines::open(&config, &env).await?;
        let identity = app::Identity::new(&engines, &config, &env);
        let running = app::start(engines, identity, app::Ports::bind(&config).await?, config, env).await?;
        tracing::info!(public = %running.public(), admin = %running.admin(), "ready");
        stop_signal().await?;
        tracing::info!("stopping");
        running.stop().await;
        Ok(ExitCode::from(DONE))
    })
}

/// The runtime of the long-running commands.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}

/// Waits for SIGTERM or SIGINT.
pub(super) async fn stop_signal() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
