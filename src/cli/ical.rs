//! `convoke ical`: check, convert and expand iCalendar text.

use std::io::Read as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;
use clap::Subcommand;

use crate::ical::recur::{Bounds, expand};
use crate::ical::{CalendarObject, Component, Zone, jcal, strict};

/// Works on iCalendar text: files, or `-` for standard input. Results go to standard output.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read files and say what is wrong with them, with file and line; exit status 1 when something is
    Check {
        /// Also fail on what a calendar server forgives or mends, and on recurrence rules that RFC 5545 forbids
        #[arg(long)]
        strict: bool,
        /// Files, or - for standard input
        #[arg(required = true, value_name = "FILE")]
        files: Vec<String>,
    },
    /// Write iCalendar as jCal (RFC 7265)
    ToJcal {
        /// File, or - for standard input
        #[arg(default_value = "-", value_name = "FILE")]
        file: String,
    },
    /// Write jCal (RFC 7265) as iCalendar
    FromJcal {
        /// File, or - for standard input
        #[arg(default_value = "-", value_name = "FILE")]
        file: String,
    },
    /// Write every occurrence in a range as an event of its own, with times in UTC
    Expand {
        /// File, or - for standard input
        #[arg(default_value = "-", value_name = "FILE")]
        file: String,
        /// Start of the range: 2026-03-01 or 2026-03-01T08:00:00Z
        #[arg(long, value_name = "TIME")]
        from: String,
        /// End of the range, not included
        #[arg(long, value_name = "TIME")]
        to: String,
        /// Time zone of dates and floating times, and of a --from or --to without time
        #[arg(long, value_name = "ZONE", default_value = "UTC")]
        zone: Tz,
        /// Give up when there are more occurrences
        #[arg(long, value_name = "NUMBER", default_value_t = Bounds::default().max_occurrences)]
        max: usize,
    },
}

/// Runs the command.
///
/// # Errors
/// Says which file cannot be read or holds invalid input, and where.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Check { strict, files } => return Ok(check(&files, strict)),
        Command::ToJcal { file } => println!("{}", jcal::to_jcal(&parse(&file)?)),
        Command::FromJcal { file } => {
            let value = serde_json::from_str(&read(&file)?).with_context(|| name_of(&file))?;
            print!("{}", jcal::from_jcal(&value).with_context(|| name_of(&file))?.to_wire());
        }
        Command::Expand { file, from, to, zone, max } => {
            let range = instant(&from, zone)?..instant(&to, zone)?;
            if range.start >= range.end {
                bail!("--from must be before --to");
            }
            let bounds = Bounds { max_occurrences: max, ..Bounds::default() };
            let expanded = expand(&parse(&file)?, range, zone, bounds).with_context(|| name_of(&file))?;
            print!("{}", expanded.to_wire());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn check(files: &[String], strict: bool) -> ExitCode {
    let mut valid = true;
    for file in files {
        let problems = match read(file) {
            Ok(text) => problems(&text, strict),
            Err(error) => {
                eprintln!("{error:#}");
                valid = false;
                continue;
            }
        };
        for problem in &problems {
            eprintln!("{}: {problem}", name_of(file));
        }
        if problems.is_empty() {
            println!("{}: valid", name_of(file));
        } else {
            valid = false;
        }
    }
    if valid { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What is wrong with a text, as lines to show.
fn problems(text: &str, strict: bool) -> Vec<String> {
    let object = match CalendarObject::parse_message(text) {
        Ok(object) => object,
        Err(error) => return vec![error.to_string()],
    };
    if !strict {
        return Vec::new();
    }
    let mut problems: Vec<String> = object.faults().iter().map(ToString::to_string).collect();
    if let Err(error) = CalendarObject::from_root(object.root().clone()) {
        problems.push(error.to_string());
    }
    if let Err(error) = strict::check(&object) {
        problems.push(error.to_string());
    }
    problems
}

fn parse(file: &str) -> anyhow::Result<Component> {
    Component::parse(&read(file)?).with_context(|| name_of(file))
}

fn read(file: &str) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    if file == "-" {
        std::io::stdin().lock().read_to_end(&mut bytes).context("standard input")?;
    } else {
        bytes = std::fs::read(file).with_context(|| file.to_owned())?;
    }
    crate::ical::decode(bytes).map(|(text, _)| text).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
        anyhow::anyhow!("{}: line {line}: the text is not UTF-8", name_of(file))
    })
}

fn name_of(file: &str) -> String {
    if file == "-" { "standard input".to_owned() } else { file.to_owned() }
}

fn instant(text: &str, zone: Tz) -> anyhow::Result<DateTime<Utc>> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.to_utc());
    }
    let date: NaiveDate = text
        .parse()
        .with_context(|| format!("{text:?} is neither a date (2026-03-01) nor a time (2026-03-01T08:00:00Z)"))?;
    Ok(Zone::from(zone).to_utc(date.and_time(NaiveTime::MIN)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: &str = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\nBEGIN:VEVENT\nUID:u\nDTSTAMP:20260101T000000Z\n\
                        DTSTART:20260302T090000Z\nRRULE:FREQ=DAILY;COUNT=2;UNTIL=20260303T090000Z\nEND:VEVENT\nEND:VCALENDAR\n";

    #[test]
    fn a_fault_is_named_with_its_line() {
        assert_eq!(problems("BEGIN:VCALENDAR\nnonsense\nEND:VCALENDAR", false).len(), 1);
        assert!(problems("BEGIN:VCALENDAR\nnonsense\nEND:VCALENDAR", false)[0].starts_with("line 2: "));
        assert!(problems("BEGIN:VCARD\nEND:VCARD", false)[0].contains("VCALENDAR"));
    }

    #[test]
    fn strictness_is_asked_for() {
        assert!(problems(FREE, false).is_empty());
        assert_eq!(problems(FREE, true), ["COUNT and UNTIL MUST NOT both be present in the same RRULE"]);
    }

    #[test]
    fn times_of_the_command_line() {
        assert_eq!(instant("2026-03-02", Tz::Europe__Paris).unwrap().to_rfc3339(), "2026-03-01T23:00:00+00:00");
        assert_eq!(instant("2026-03-02T08:00:00Z", Tz::UTC).unwrap().to_rfc3339(), "2026-03-02T08:00:00+00:00");
        assert!(instant("tomorrow", Tz::UTC).is_err());
    }
}
