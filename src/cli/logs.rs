//! Where logs go: standard error, for people or as JSON lines.

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Starts logging. A filter that cannot be read is told and replaced by `info`.
pub fn start(config: &Log) {
    let filter = EnvFilter::try_new(&config.filter);
    let unreadable = filter.as_ref().err().map(ToString::to_string);
    let mut filter = filter.unwrap_or_else(|_| EnvFilter::new("info"));
    // Bodies are never logged, and this part of the client of RabbitMQ logs those of messages that come back.
    if let Ok(quiet) = "lapin::returned_messages=off".parse() {
        filter = filter.add_directive(quiet);
    }
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second call, as in tests, leaves the first subscriber in place.
    let _ = match config.format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
    };
    if let Some(error) = unreadable {
        tracing::warn!(filter = %config.filter, %error, "log.filter cannot be read, using \"info\"");
    }
}
