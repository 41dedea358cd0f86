//! `convoke itip`: asks the scheduling rules by hand or from a script.

use std::fs;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::Env;
use crate::ical::Component;
use crate::ids::{Email, Uid};
use crate::itip::{Address, ItipError, ItipMessage, Outcome, apply, diff};

/// Nothing to store: the message was ignored. 1 is an error, 2 a wrong command line.
const IGNORED: u8 = 3;

/// Ask the scheduling rules (iTIP, RFC 5546): which messages follow from a change, and what a message does to a copy.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the messages that follow from a write, as a JSON array.
    Diff {
        /// The object before; leave out when it is created.
        #[arg(long, value_name = "FILE")]
        old: Option<PathBuf>,
        /// The object after; leave out when it is deleted.
        #[arg(long, value_name = "FILE", required_unless_present = "old")]
        new: Option<PathBuf>,
        /// Mail address of the owner of the calendar; may be given several times.
        #[arg(long = "as", value_name = "ADDRESS", required = true, value_delimiter = ',')]
        actor: Vec<String>,
    },
    /// Print what a copy becomes when a message reaches it. Exits with 3, printing nothing, when the message is ignored.
    Apply {
        /// The recipient's object; leave out when there is none.
        #[arg(long, value_name = "FILE")]
        object: Option<PathBuf>,
        /// The message: iCalendar with METHOD.
        #[arg(long, value_name = "FILE")]
        message: PathBuf,
        /// Mail address of the recipient; may be given several times.
        #[arg(long = "as", value_name = "ADDRESS", value_delimiter = ',')]
        recipient: Vec<String>,
    },
    /// Answer questions from standard input, one JSON object per line, one line of answer each.
    ///
    /// {"id":1,"op":"diff","old":ICS|null,"new":ICS|null,"user":"mailto:a@example.org"} (or a list of users) is answered
    /// by {"id":1,"output":{"messages":[MESSAGE…]}}; {"id":2,"op":"apply","existing":ICS|null,"message":MESSAGE,"user":…}
    /// by {"id":2,"output":{"result":ICS|null}}. What went wrong is answered by {"id":…,"output":{"error":CODE,"text":…}}.
    /// MESSAGE is an object with uid, component, method, sequence, sender, senderName, recipient, recipientName,
    /// significantChange and ics; in a question all but ics may be missing.
    Lines,
}

/// Runs the command.
///
/// # Errors
/// When a file cannot be read, is not iCalendar, or cannot be scheduled.
pub fn run(args: Args) -> Result<ExitCode> {
    let env = Env::system();
    match args.command {
        Command::Diff { old, new, actor } => {
            let old = old.as_deref().map(load).transpose()?;
            let new = new.as_deref().map(load).transpose()?;
            let found = diff(old.as_ref(), new.as_ref(), &emails(&actor)?, env.now())?;
            let mut out = io::stdout().lock();
            serde_json::to_writer_pretty(&mut out, &found.messages)?;
            writeln!(out)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Apply { object, message, recipient } => {
            let object = object.as_deref().map(load).transpose()?;
            let text = load(&message)?;
            let message = ItipMessage::read(text).with_context(|| message.display().to_string())?;
            let applied = apply(object.as_ref(), &message, &emails(&recipient)?, env.now())?;
            if let Outcome::Ignored(reason) = applied.outcome {
                eprintln!("ignored: {reason}");
                return Ok(ExitCode::from(IGNORED));
            }
            if let Some(result) = applied.result {
                io::stdout().lock().write_all(result.to_wire().as_bytes())?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Lines => {
            answer_lines(io::stdin().lock(), io::stdout().lock(), &env)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn load(path: &Path) -> Result<Component> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Component::parse(&text).with_context(|| path.display().to_string())
}

fn emails(addresses: &[String]) -> Result<Vec<Email>> {
    addresses.iter().map(|a| Ok(Email::from_calendar_address(a)?)).collect()
}

/// A question that cannot be answered: its code and what to say about it.
struct Refusal(&'static str, String);

impl From<ItipError> for Refusal {
    fn from(error: ItipError) -> Self {
        Self(error.code(), error.to_string())
    }
}

fn bad_request(text: impl ToString) -> Refusal {
    Refusal("bad-request", text.to_string())
}

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Question {
    Diff {
        #[serde(default)]
        old: Option<String>,
        #[serde(default)]
        new: Option<String>,
        user: Users,
    },
    Apply {
        #[serde(default)]
        existing: Option<String>,
        message: Box<MessageFields>,
        #[serde(default)]
        user: Option<Users>,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Users {
    One(String),
    Many(Vec<String>),
}

impl Users {
    fn emails(self) -> Result<Vec<Email>, Refusal> {
        let addresses = match self {
            Self::One(address) => vec![address],
            Self::Many(addresses) => addresses,
        };
        addresses
            .iter()
            .map(|a| Address::read(a).email().ok_or_else(|| bad_request(format!("{a:?} is no user"))))
            .collect()
    }
}

/// A message in a question; what is missing is read from its iCalendar text.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MessageFields {
    ics: String,
    method: Option<String>,
    uid: Option<String>,
    component: Option<String>,
    /// A number, or a text that holds one.
    sequence: Option<Value>,
    sender: Option<String>,
    sender_name: Option<String>,
    recipient: Option<String>,
    recipient_name: Option<String>,
    significant_change: Option<bool>,
}

impl MessageFields {
    fn read(self) -> Result<ItipMessage, Refusal> {
        let calendar = parse(&self.ics)?;
        let mut message = match self.method.filter(|m| !m.is_empty()) {
            Some(method) => ItipMessage::read_as(calendar, method.parse()?)?,
            None => ItipMessage::read(calendar)?,
        };
        let address = |given: Option<String>, read: String| match given {
            Some(given) if !given.is_empty() => Address::read(&given).into(),
            _ => read,
        };
        message.uid = self.uid.map_or(message.uid, Uid);
        message.component = self.component.unwrap_or(message.component);
        if let Some(sequence) = self.sequence.filter(|s| !s.is_null()) {
            let number = sequence.as_i64().or_else(|| sequence.as_str()?.trim().parse().ok());
            message.sequence = number.ok_or_else(|| bad_request(format!("{sequence} is no sequence number")))?;
        }
        message.sender = address(self.sender, message.sender);
        message.sender_name = self.sender_name.or(message.sender_name);
        message.recipient = address(self.recipient, message.recipient);
        message.recipient_name = self.recipient_name.or(message.recipient_name);
        message.significant_change = self.significant_change.unwrap_or(message.significant_change);
        Ok(message)
    }
}

fn parse(text: &str) -> Result<Component, Refusal> {
    Ok(Component::parse(text).map_err(ItipError::from)?)
}

/// Answers every line of `input` with one line of `output`; flushes whenever the input pauses.
///
/// # Errors
/// Only when reading or writing fails; a bad question is answered, not an error.
pub fn answer_lines(input: impl io::Read, output: impl Write, env: &Env) -> io::Result<()> {
    let mut input = BufReader::with_capacity(1 << 16, input);
    let mut output = BufWriter::with_capacity(1 << 16, output);
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? > 0 {
        if !line.trim_ascii().is_empty() {
            let (id, output_value) = answer(&line, env);
            let output_value =
                output_value.unwrap_or_else(|Refusal(code, text)| json!({ "error": code, "text": text }));
            serde_json::to_writer(&mut output, &json!({ "id": id, "output": output_value }))?;
            output.write_all(b"\n")?;
        }
        line.clear();
        if input.buffer().is_empty() {
            output.flush()?;
        }
    }
    output.flush()
}

fn answer(line: &[u8], env: &Env) -> (Value, Result<Value, Refusal>) {
    let mut question: Value = match serde_json::from_slice(line) {
        Ok(question) => question,
        Err(error) => return (Value::Null, Err(bad_request(error))),
    };
    let id = question.get_mut("id").map_or(Value::Null, Value::take);
    let output = serde_json::from_value(question).map_err(bad_request).and_then(|question| reply_to(question, env));
    (id, output)
}

fn reply_to(question: Question, env: &Env) -> Result<Value, Refusal> {
    match question {
        Question::Diff { old, new, user } => {
            let actor = user.emails()?;
            let old = old.as_deref().map(parse).transpose()?;
            let new = new.as_deref().map(parse).transpose()?;
            let found = diff(old.as_ref(), new.as_ref(), &actor, env.now())?;
            Ok(json!({ "messages": found.messages }))
        }
        Question::Apply { existing, message, user } => {
            let recipient = user.map_or_else(|| Ok(Vec::new()), Users::emails)?;
            let existing = existing.as_deref().map(parse).transpose()?;
            let applied = apply(existing.as_ref(), &message.read()?, &recipient, env.now())?;
            Ok(json!({ "result": applied.result.map(|r| r.to_wire()) }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(lines: &str) -> Vec<Value> {
        let mut output = Vec::new();
        answer_lines(lines.as_bytes(), &mut output, &Env::system()).unwrap();
        output.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(|l| serde_json::from_slice(l).unwrap()).collect()
    }

    #[test]
    fn every_question_gets_its_answer_and_a_bad_one_stops_nothing() {
        let event = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:u\nDTSTART:20310101T100000Z\nORGANIZER:mailto:alice@example.org\n\
                     ATTENDEE;CN=Bob:MAILTO:Bob@example.org\nEND:VEVENT\nEND:VCALENDAR\n";
        let lines = [
            json!({"id": 1, "op": "diff", "old": null, "new": event, "user": "mailto:alice@example.org"}).to_string(),
            "no json".to_owned(),
            json!({"id": "x", "op": "diff", "new": "BEGIN:VEVENT", "user": ["alice@example.org"]}).to_string(),
            json!({"id": 3, "op": "dance"}).to_string(),
            json!({"id": 4, "op": "apply", "existing": null, "message": {"method": "CANCEL", "ics": event}})
                .to_string(),
        ];
        let answers = ask(&lines.join("\n"));
        assert_eq!(answers.len(), 5);
        let message = &answers[0]["output"]["messages"][0];
        assert_eq!(message["recipient"], "mailto:bob@example.org");
        assert_eq!(message["recipientName"], "Bob");
        assert_eq!(message["senderName"], Value::Null);
        assert_eq!(answers[1]["output"]["error"], "bad-request");
        assert_eq!(answers[2]["id"], "x");
        assert_eq!(answers[2]["output"]["error"], "invalid-ics");
        assert_eq!(answers[3]["output"]["error"], "bad-request");
        assert_eq!(answers[4]["output"], json!({"result": null}));
    }
}
