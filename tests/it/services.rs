//! The real engines that `scripts/services` starts, named by environment variables.

/// The value of the variable, or `None` with a loud word when the service was not started. With `CI=true` a missing
/// service is a failure.
pub fn need(variable: &str) -> Option<String> {
    match std::env::var(variable) {
        Ok(value) if !value.is_empty() => Some(value),
        _ if must_run() => {
            panic!("{variable} is not set: in CI every service must run (scripts/test)")
        }
        _ => {
            eprintln!("SKIPPED: {variable} is not set; scripts/test starts the service");
            None
        }
    }
}

/// Whether a missing service is a failure.
pub fn must_run() -> bool {
    std::env::var("CI").is_ok_and(|ci| ci == "true")
}
