//! What people type with operators, read as Lucene's simple query strings: quotes, `+`, `|`, `-`, `*`, `~`, parentheses and
//! `\`. Everything is forgiven: what cannot be read is left out.

/// A part of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leaf {
    /// Words, all of which must be there.
    Words(String),
    /// Words in this order, with so many others in between at most.
    Phrase(String, u32),
    /// The beginning of a word.
    Prefix(String),
    /// A word with typing errors.
    Fuzzy(String),
}

/// How the parts belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tree<T> {
    /// One part.
    Leaf(T),
    /// Everything but this.
    Not(Box<Tree<T>>),
    /// All of these.
    All(Vec<Tree<T>>),
    /// Any of these.
    Any(Vec<Tree<T>>),
}

/// Reads a question. `leaf` says what a part means, or that there is nothing in it to look for. `None` when nothing is left.
pub fn parse<T>(question: &str, leaf: &mut impl FnMut(Leaf) -> Option<T>) -> Option<Tree<T>> {
    let text: Vec<char> = question.chars().collect();
    Reader { text: &text, at: 0, not: 0, operator: None, previous: None, top: None }.read(leaf)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    And,
    Or,
}

struct Reader<'a, T> {
    text: &'a [char],
    at: usize,
    /// How often `-` stands before what comes next; two are none.
    not: u32,
    /// The operator before what comes next.
    operator: Option<Operator>,
    /// The operator that the top of the tree was made with.
    previous: Option<Operator>,
    top: Option<Tree<T>>,
}

impl<T> Reader<'_, T> {
    fn read(mut self, leaf: &mut impl FnMut(Leaf) -> Option<T>) -> Option<Tree<T>> {
        while let Some(c) = self.text.get(self.at).copied() {
            match c {
                '(' => self.group(leaf),
                '"' => self.phrase(leaf),
                '+' => self.operate(Operator::And),
                '|' => self.operate(Operator::Or),
                '-' => {
                    self.not += 1;
                    self.at += 1;
                    continue;
                }
                ')' | ' ' | '\t' | '\n' | '\r' => self.at += 1,
                _ => self.token(leaf),
            }
            // `-` is for what follows it at once.
            self.not = 0;
        }
        self.top
    }

    /// An operator counts when there is something before it, and the first of several.
    fn operate(&mut self, operator: Operator) {
        if self.operator.is_none() && self.top.is_some() {
            self.operator = Some(operator);
        }
        self.at += 1;
    }

    fn add(&mut self, branch: Option<Tree<T>>) {
        let operator = self.operator.take();
        let Some(mut branch) = branch else { return };
        if self.not % 2 == 1 {
            branch = Tree::Not(Box::new(branch));
        }
        let Some(top) = self.top.take() else {
            self.top = Some(branch);
            return;
        };
        let operator = operator.unwrap_or(Operator::And);
        // A change of the operator puts what was read so far in parentheses.
        self.top = Some(match (top, operator) {
            (Tree::All(mut all), Operator::And) if self.previous == Some(operator) => {
                all.push(branch);
                Tree::All(all)
            }
            (Tree::Any(mut any), Operator::Or) if self.previous == Some(operator) => {
                any.push(branch);
                Tree::Any(any)
            }
            (top, Operator::And) => Tree::All(vec![top, branch]),
            (top, Operator::Or) => Tree::Any(vec![top, branch]),
        });
        self.previous = Some(operator);
    }

    /// Up to the parenthesis that closes this one; without it, this one is left out.
    fn group(&mut self, leaf: &mut impl FnMut(Leaf) -> Option<T>) {
        let start = self.at + 1;
        let (mut depth, mut escaped) = (1, false);
        for (i, c) in self.text.iter().enumerate().skip(start) {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                self.at = i + 1;
                if i == start {
                    self.operator = None;
                    return;
                }
                let inner =
                    Reader { text: &self.text[start..i], at: 0, not: 0, operator: None, previous: None, top: None };
                let branch = inner.read(leaf);
                self.add(branch);
                return;
            }
        }
        self.at = start;
    }

    /// Up to the next quote; without it, this one is left out.
    fn phrase(&mut self, leaf: &mut impl FnMut(Leaf) -> Option<T>) {
        let start = self.at + 1;
        let (mut phrase, mut escaped) = (String::new(), false);
        for (i, c) in self.text.iter().enumerate().skip(start) {
            match c {
                '\\' if !escaped => {
                    escaped = true;
                    continue;
                }
                '"' if !escaped => {
                    self.at = i + 1;
                    if i == start {
                        self.operator = None;
                        return;
                    }
                    let slop = if self.text.get(self.at) == Some(&'~') { self.number() } else { 0 };
                    let branch = leaf(Leaf::Phrase(phrase, slop)).map(Tree::Leaf);
                    self.add(branch);
                    return;
                }
                c => phrase.push(*c),
            }
            escaped = false;
        }
        self.at = start;
    }

    fn token(&mut self, leaf: &mut impl FnMut(Leaf) -> Option<T>) {
        let mut token = String::new();
        let (mut escaped, mut prefix, mut fuzzy) = (false, false, false);
        while let Some(c) = self.text.get(self.at).copied() {
            if !escaped {
                if c == '\\' {
                    (escaped, prefix) = (true, false);
                    self.at += 1;
                    continue;
                }
                if ends_token(c) {
                    break;
                }
                if c == '~' && !token.is_empty() {
                    fuzzy = true;
                    break;
                }
                prefix = c == '*' && !token.is_empty();
            }
            escaped = false;
            token.push(c);
            self.at += 1;
        }
        if token.is_empty() {
            return;
        }
        let branch = if fuzzy {
            match self.number() {
                0 => Leaf::Words(token),
                _ => Leaf::Fuzzy(token),
            }
        } else if prefix {
            token.pop();
            Leaf::Prefix(token)
        } else {
            Leaf::Words(token)
        };
        let branch = leaf(branch).map(Tree::Leaf);
        self.add(branch);
    }

    /// The number after `~`; 0 when there is none.
    fn number(&mut self) -> u32 {
        let digits: String = self.text[self.at + 1..].iter().take_while(|c| !ends_token(**c)).collect();
        self.at += 1 + digits.chars().count();
        digits.parse().unwrap_or_default()
    }
}

fn ends_token(c: char) -> bool {
    matches!(c, '"' | '|' | '+' | '(' | ')' | ' ' | '\t' | '\n' | '\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(tree: Tree<String>) -> String {
        let joined =
            |all: Vec<Tree<String>>, by: &str| format!("({})", all.into_iter().map(shown).collect::<Vec<_>>().join(by));
        match tree {
            Tree::Leaf(leaf) => leaf,
            Tree::Not(tree) => format!("!{}", shown(*tree)),
            Tree::All(all) => joined(all, " & "),
            Tree::Any(any) => joined(any, " | "),
        }
    }

    #[test]
    fn questions_are_read_from_left_to_right() {
        for (question, expected) in [
            ("plan", "plan"),
            ("plan review", "(plan & review)"),
            ("plan | review", "(plan | review)"),
            ("a b | c", "((a & b) | c)"),
            ("a | b c", "((a | b) & c)"),
            ("a | b | c", "(a | b | c)"),
            ("plan -draft", "(plan & !draft)"),
            ("plan | -draft", "(plan | !draft)"),
            ("--plan", "plan"),
            ("- plan", "plan"),
            ("e-mail", "e-mail"),
            ("a (b | c) -(d e)", "(a & (b | c) & !(d & e))"),
            ("\"weekly sync\" x", "(<weekly sync/0> & x)"),
            ("\"weekly sync\"~3", "<weekly sync/3>"),
            ("\"open end", "(open & end)"),
            ("\"\" a", "a"),
            ("pla* review", "(pla* & review)"),
            ("fuzzy~2 x~ y~z", "(fuzzy~ & x & y)"),
            ("a\\*", "a*!"),
            ("(((a", "a"),
            ("a)) b", "(a & b)"),
            ("| + - ) (", "-"),
            ("?? plan", "plan"),
            ("plan | ??", "plan"),
        ] {
            let mut leaf = |leaf| match leaf {
                Leaf::Words(words) if words.contains('?') => None,
                Leaf::Words(words) if words.ends_with('*') => Some(format!("{words}!")),
                Leaf::Words(words) => Some(words),
                Leaf::Phrase(words, slop) => Some(format!("<{words}/{slop}>")),
                Leaf::Prefix(word) => Some(format!("{word}*")),
                Leaf::Fuzzy(word) => Some(format!("{word}~")),
            };
            assert_eq!(parse(question, &mut leaf).map_or("-".to_owned(), shown), expected, "{question}");
        }
    }
}
