//! Counts and times of the commands, by the names that the reference gives them (storage §10).

use std::time::Duration;

use mongodb::event::EventHandler;
use mongodb::event::command::CommandEvent;

/// Hears of every command that ends.
pub(super) fn handler() -> EventHandler<CommandEvent> {
    EventHandler::callback(|event| match event {
        CommandEvent::Succeeded(done) => count(&done.command_name, done.duration),
        CommandEvent::Failed(failed) => {
            count(&failed.command_name, failed.duration);
            metrics::counter!("convoke_mongodb_command_failures_total", "command" => failed.command_name).increment(1);
        }
        _ => {}
    })
}

fn count(command: &str, took: Duration) {
    let (counter, timer) = match command {
        "delete" => ("mongodb_command_delete_count_total", "mongodb_command_delete_timer"),
        "find" => ("mongodb_command_find_count_total", "mongodb_command_find_timer"),
        "findAndModify" => ("mongodb_command_findAndModify_count_total", "mongodb_command_findAndModify_timer"),
        "insert" => ("mongodb_command_insert_count_total", "mongodb_command_insert_timer"),
        "update" => ("mongodb_command_update_count_total", "mongodb_command_update_timer"),
        _ => ("mongodb_command_other_count_total", "mongodb_command_other_timer"),
    };
    metrics::counter!(counter).increment(1);
    metrics::histogram!(timer).record(took);
}
