//! Documents as the words of the index, and questions as expressions of it (storage §4.6). Pure.
//!
//! Texts are taken apart in `search::analysis`, as OpenSearch does it; a column of the index is one of its fields, and holds
//! words with spaces between them. What OpenSearch can and FTS5 cannot: `word~` finds the word itself only, and where a stop
//! word stands in a phrase, a stop word must stand in the text.

use crate::search::EventDocument;
use crate::search::analysis::{self, Leaf, Tree};

/// Stands in a text where a stop word stood, so that phrases do not reach over it. Of a private use area: no word has it.
const GAP: &str = "\u{e000}";

/// What a question asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Everything: the question is blank.
    Everything,
    /// Nothing: there is no word in it.
    Nothing,
    /// What matches this expression of FTS5. Words in it are quoted, so nothing that was typed is syntax.
    Matching(String),
}

/// What the columns of the index hold for a document.
pub(super) struct Columns {
    pub summary: String,
    pub beginnings: String,
    pub description: String,
    pub location: String,
    pub mail: String,
    pub names: String,
}

impl Columns {
    pub(super) fn of(document: &EventDocument) -> Self {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let people = || document.organizer.iter().chain(&document.attendees);
        let summary = text(&document.summary);
        Self {
            beginnings: analysis::beginnings(&summary).join(" "),
            summary: with_gaps(&summary).join(" "),
            description: analysis::words(&text(&document.description)).join(" "),
            location: analysis::words(&text(&document.location)).join(" "),
            mail: people().flat_map(|p| analysis::words(&p.email)).collect::<Vec<_>>().join(" "),
            names: people().flat_map(|p| analysis::beginnings(&p.cn)).collect::<Vec<_>>().join(" "),
        }
    }
}

fn with_gaps(text: &str) -> Vec<String> {
    analysis::words_with_addresses(text).into_iter().map(|word| word.unwrap_or_else(|| GAP.to_owned())).collect()
}

/// Reads a question: words of which any may match, or, where it has operators, a simple query string for the texts of the
/// event beside the words for people. `scope` is the expression of everything that may be found.
pub(super) fn read(question: &str, scope: &str) -> Wanted {
    // A star alone stands for everything.
    if matches!(question.trim(), "" | "*") {
        return Wanted::Everything;
    }
    let question = analysis::clipped(question);
    let event = match analysis::is_simple_query(question) {
        true => analysis::parse(question, &mut leaf).map(|tree| expression(tree, scope)),
        false => any(&[
            ("summary", analysis::words_with_addresses(question).into_iter().flatten().collect()),
            ("beginnings", analysis::whole_both_spellings(question)),
            ("description", analysis::words(question)),
            ("location", analysis::words(question)),
        ]),
    };
    let people = any(&[("mail", analysis::words(question)), ("names", analysis::words_both_spellings(question))]);
    match (event, people) {
        (Some(event), Some(people)) => Wanted::Matching(format!("({scope}) AND ({event} OR {people})")),
        (Some(one), None) | (None, Some(one)) => Wanted::Matching(format!("({scope}) AND ({one})")),
        (None, None) => Wanted::Nothing,
    }
}

/// Any of the words in its column.
fn any(columns: &[(&str, Vec<String>)]) -> Option<String> {
    let terms = columns
        .iter()
        .flat_map(|(column, words)| words.iter().filter_map(move |word| Some(format!("{column} : {}", quoted(word)?))));
    joined(terms.collect(), " OR ")
}

/// A part of a simple query string in each of the three texts.
fn leaf(leaf: Leaf) -> Option<String> {
    let in_each = |of: &dyn Fn(&str) -> Option<String>| {
        let columns = ["summary", "description", "location"];
        joined(columns.iter().filter_map(|c| Some(format!("{c} : {}", of(c)?))).collect(), " OR ")
    };
    let words = |column: &str, text: &str| match column {
        "summary" => with_gaps(text),
        _ => analysis::words(text),
    };
    match leaf {
        Leaf::Words(text) => in_each(&|column| {
            let words = words(column, &text);
            joined(words.iter().filter(|w| *w != GAP).filter_map(|w| quoted(w)).collect(), " AND ")
        }),
        Leaf::Phrase(text, slop) => in_each(&|column| {
            let words = words(column, &text);
            let first = words.iter().position(|w| w != GAP)?;
            let last = words.iter().rposition(|w| w != GAP)?;
            let phrase = &words[first..=last];
            match slop {
                0 => quoted(&phrase.join(" ")),
                _ => {
                    let near: Vec<String> = phrase.iter().filter(|w| *w != GAP).filter_map(|w| quoted(w)).collect();
                    Some(format!("NEAR({}, {slop})", near.join(" ")))
                }
            }
        }),
        Leaf::Prefix(text) => in_each(&|_| Some(format!("{} *", quoted(&analysis::lowercase(&text))?))),
        Leaf::Fuzzy(text) => in_each(&|_| quoted(&analysis::lowercase(&text))),
    }
}

fn expression(tree: Tree<String>, scope: &str) -> String {
    let all = |trees: Vec<Tree<String>>, by: &str| {
        let parts: Vec<String> = trees.into_iter().map(|tree| expression(tree, scope)).collect();
        format!("({})", parts.join(by))
    };
    match tree {
        Tree::Leaf(leaf) => leaf,
        Tree::Not(tree) => format!("(({scope}) NOT {})", expression(*tree, scope)),
        Tree::All(trees) => all(trees, " AND "),
        Tree::Any(trees) => all(trees, " OR "),
    }
}

/// A string of FTS5; `None` where it would be no word.
fn quoted(text: &str) -> Option<String> {
    // What the index would part is a space here: nothing that is typed becomes a word of its own.
    let text: String = text.chars().map(|c| if c.is_whitespace() || c == '\0' { ' ' } else { c }).collect();
    (!text.trim().is_empty()).then(|| format!("\"{}\"", text.trim().replace('"', "\"\"")))
}

fn joined(parts: Vec<String>, by: &str) -> Option<String> {
    match parts.len() {
        0 => None,
        _ => Some(format!("({})", parts.join(by))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn questions_become_expressions() {
        for (question, expected) in [
            (
                "Zürich",
                r#"(S) AND ((summary : "zürich" OR beginnings : "zurich" OR beginnings : "zürich" OR description : "zürich" OR location : "zürich") OR (mail : "zürich" OR names : "zurich" OR names : "zürich"))"#,
            ),
            (
                "-the \"a b\"",
                r#"(S) AND ((((S) NOT (description : ("the") OR location : ("the"))) AND (summary : "b" OR description : "a b" OR location : "a b")) OR (mail : "the" OR mail : "a" OR mail : "b" OR names : "the" OR names : "a" OR names : "b"))"#,
            ),
        ] {
            assert_eq!(read(question, "S"), Wanted::Matching(expected.to_owned()), "{question}");
        }
        assert_eq!((read(" \t", "S"), read(" * ", "S")), (Wanted::Everything, Wanted::Everything));
        assert_eq!(read("* | \"\" -", "S"), Wanted::Nothing);
    }

    proptest! {
        /// Outside of quotes there is only what this module wrote.
        #[test]
        fn nothing_that_was_typed_is_syntax(question in r#"[\PC"*|~^:(){}+-]{0,60}|\PC{0,60}"#) {
            if let Wanted::Matching(expression) = read(&question, "S") {
                let outside: String = expression.split('"').step_by(2).collect();
                let known = outside.split(|c: char| c.is_whitespace() || "():*,".contains(c)).all(|word| {
                    ["", "S", "AND", "OR", "NOT", "NEAR", "summary", "beginnings", "description", "location", "mail", "names"]
                        .contains(&word) || word.chars().all(|c| c.is_ascii_digit())
                });
                prop_assert!(known, "{expression}");
                prop_assert_eq!(expression.matches('"').count() % 2, 0);
            }
        }
    }
}
