//! What the driver says, sorted by what it means to a caller.

use mongodb::error::{Error, ErrorKind, WriteFailure};

/// A connection cannot be made. The message says which key of the configuration is at fault, or what the server said.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct MongoError(pub String);

/// An operation failed. Whether trying again can help is in the variant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A unique index holds another document with that key (error 11000).
    #[error("duplicate key in index {index}")]
    Duplicate {
        /// Name of the index; empty when the server did not tell.
        index: String,
    },
    /// No server could take the operation in time, or could confirm it; the same call may succeed later.
    #[error("{0}")]
    Unavailable(String),
    /// The server refused the operation, or holds what cannot be read. Trying again does not help.
    #[error("{0}")]
    Broken(String),
}

/// Codes of a server that is stopping, starting, stepping down, overloaded, or that ran out of time: another attempt may
/// find one that works.
const PASSING: [i32; 24] = [
    6, 7, 24, 50, 64, 79, 89, 91, 100, 112, 134, 189, 202, 251, 262, 264, 290, 365, 9001, 10058, 10107, 11600, 11602,
    13435,
];
/// As above; the node is no primary and knows none.
const RECOVERING: [i32; 3] = [13436, 63, 133];

/// Code of a duplicate key.
const DUPLICATE: i32 = 11000;

impl Failure {
    /// The operation took longer than an operation may.
    pub fn timed_out() -> Self {
        Self::Unavailable("no answer in time".to_owned())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if let Some(message) = duplicate(&error) {
            return Self::Duplicate { index: index_of(message).unwrap_or_default().to_owned() };
        }
        let text = describe(&error);
        if is_passing(&error) { Self::Unavailable(text) } else { Self::Broken(text) }
    }
}

/// Whether another attempt may succeed.
fn is_passing(error: &Error) -> bool {
    match error.kind.as_ref() {
        ErrorKind::Io(_)
        | ErrorKind::ConnectionPoolCleared { .. }
        | ErrorKind::ServerSelection { .. }
        | ErrorKind::DnsResolve { .. }
        | ErrorKind::Shutdown
        // A commit that could not be confirmed in time.
        | ErrorKind::Write(WriteFailure::WriteConcernError(_)) => true,
        _ => {
            error.contains_label(mongodb::error::RETRYABLE_WRITE_ERROR)
                || error.contains_label(mongodb::error::TRANSIENT_TRANSACTION_ERROR)
                || error.contains_label(mongodb::error::UNKNOWN_TRANSACTION_COMMIT_RESULT)
                || code(error).is_some_and(|code| PASSING.contains(&code) || RECOVERING.contains(&code))
        }
    }
}

/// The server's code for an error, where it gave one.
pub fn code(error: &Error) -> Option<i32> {
    match error.kind.as_ref() {
        ErrorKind::Command(command) => Some(command.code),
        ErrorKind::Write(WriteFailure::WriteError(write)) => Some(write.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(concern)) => Some(concern.code),
        ErrorKind::InsertMany(many) => {
            let first = many.write_errors.as_ref().and_then(|errors| errors.first());
            first.map(|e| e.code).or_else(|| many.write_concern_error.as_ref().map(|e| e.code))
        }
        _ => None,
    }
}

/// The message of a duplicate key error.
fn duplicate(error: &Error) -> Option<&str> {
    match error.kind.as_ref() {
        ErrorKind::Command(command) if command.code == DUPLICATE => Some(&command.message),
        ErrorKind::Write(WriteFailure::WriteError(write)) if write.code == DUPLICATE => Some(&write.message),
        ErrorKind::InsertMany(many) => {
            many.write_errors.as_ref()?.iter().find(|e| e.code == DUPLICATE).map(|e| e.message.as_str())
        }
        _ => None,
    }
}

/// `E11000 duplicate key error collection: esn.users index: email_1 dup key: { email: "…" }` has `email_1`.
fn index_of(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once(" index: ")?;
    rest.split_whitespace().next()
}

/// The error in words, without values of documents.
fn describe(error: &Error) -> String {
    match error.kind.as_ref() {
        ErrorKind::Command(command) => format!("{} ({}): {}", command.code_name, command.code, command.message),
        ErrorKind::Write(WriteFailure::WriteError(write)) => format!("error {}: {}", write.code, write.message),
        ErrorKind::Write(WriteFailure::WriteConcernError(concern)) => {
            format!("written but not confirmed: {} ({})", concern.message, concern.code)
        }
        kind => kind.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duplicate_key_names_its_index() {
        let message = "E11000 duplicate key error collection: esn.users index: email_1 dup key: { email: \"a b\" }";
        assert_eq!(index_of(message), Some("email_1"));
        assert_eq!(index_of("something else"), None);
    }

    #[test]
    fn a_connection_that_breaks_may_work_later_and_a_bad_argument_will_not() {
        let broken: Error = std::io::Error::from(std::io::ErrorKind::ConnectionReset).into();
        assert!(matches!(Failure::from(broken), Failure::Unavailable(_)));
        assert!(matches!(Failure::from(Error::custom("x")), Failure::Broken(_)));
    }
}
