//! The accounts file: who has an account in a small installation without OpenID provider or LDAP, and in the demo.
//!
//! ```toml
//! [[account]]
//! mail = "alice@example.org"
//! name = "Alice Martin"
//! password = "secret"                      # or password_hash = "$argon2id$v=19$…"
//! language = "en"                          # optional
//! timezone = "Europe/London"               # optional, an IANA name
//! id = "6650c0ffee0123456789a11c"          # optional, for paths that are the same everywhere
//! ```

use std::collections::HashMap;
use std::path::Path;

use chrono_tz::Tz;
use serde::Deserialize;
use toml::Spanned;

use super::passwords::PasswordDigest;
use crate::ids::{Email, UserId};

/// The people of an accounts file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AccountsFile {
    /// In the order of the file; no address and no id twice.
    pub accounts: Vec<Account>,
}

/// One person.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    /// Address, also the user name.
    pub mail: Email,
    /// Name as others see it; the address where it is empty.
    pub name: String,
    /// How the person logs in.
    pub password: Password,
    /// Language of a person who chose none yet.
    pub language: Option<String>,
    /// Zone of a person who chose none yet.
    pub timezone: Option<Tz>,
    /// Id of a person who has none yet.
    pub id: Option<UserId>,
}

/// How a person logs in.
#[derive(Clone, PartialEq)]
pub enum Password {
    /// The password itself.
    Plain(String),
    /// Its hash.
    Hashed(PasswordDigest),
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain(…)",
            Self::Hashed(_) => "Hashed(…)",
        })
    }
}

/// Everything that is wrong with an accounts file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountsFileError {
    /// The file.
    pub file: String,
    /// What is wrong, in the order of the file.
    pub mistakes: Vec<AccountMistake>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountMistake {
    /// Line, from 1; `None` when it is about the file as a whole.
    pub line: Option<usize>,
    /// The key, e.g. `mail`; empty where there is none.
    pub key: String,
    /// What was found and what was expected.
    pub problem: String,
}

impl std::fmt::Display for AccountsFileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, mistake) in self.mistakes.iter().enumerate() {
            let newline = if i == 0 { "" } else { "\n" };
            write!(f, "{newline}{}", self.file)?;
            if let Some(line) = mistake.line {
                write!(f, ":{line}")?;
            }
            match mistake.key.as_str() {
                "" => write!(f, ": {}", mistake.problem)?,
                key => write!(f, ": {key}: {}", mistake.problem)?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for AccountsFileError {}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    account: Vec<Spanned<RawAccount>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAccount {
    mail: Option<Spanned<String>>,
    name: Option<Spanned<String>>,
    password: Option<Spanned<String>>,
    password_hash: Option<Spanned<String>>,
    language: Option<Spanned<String>>,
    timezone: Option<Spanned<String>>,
    id: Option<Spanned<String>>,
}

impl AccountsFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`AccountsFileError`] with every mistake that can be told apart.
    pub fn read(path: &Path) -> Result<Self, AccountsFileError> {
        let file = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, &file),
            Err(e) => {
                let mistake = AccountMistake { line: None, key: String::new(), problem: e.to_string() };
                Err(AccountsFileError { file, mistakes: vec![mistake] })
            }
        }
    }

    /// Reads the text of a file; `file` is its name in errors.
    ///
    /// # Errors
    /// [`AccountsFileError`] with every mistake that can be told apart.
    pub fn parse(text: &str, file: &str) -> Result<Self, AccountsFileError> {
        let mut reader = Reader { text, mistakes: Vec::new() };
        let accounts = match toml::from_str::<RawFile>(text) {
            Ok(raw) => raw.account.iter().filter_map(|account| reader.account(account)).collect(),
            Err(e) => {
                reader.syntax(&e);
                Vec::new()
            }
        };
        reader.refuse_doubles(&accounts);
        let file = file.to_owned();
        if !reader.mistakes.is_empty() {
            reader.mistakes.sort_by_key(|mistake| mistake.line);
            return Err(AccountsFileError { file, mistakes: reader.mistakes });
        }
        Ok(Self { accounts: accounts.into_iter().map(|(_, account)| account).collect() })
    }
}

/// Collects mistakes while reading.
struct Reader<'a> {
    text: &'a str,
    mistakes: Vec<AccountMistake>,
}

impl Reader<'_> {
    fn account(&mut self, raw: &Spanned<RawAccount>) -> Option<(usize, Account)> {
        let start = raw.span().start;
        let raw = raw.get_ref();
        let mail = match &raw.mail {
            Some(mail) => self.field("mail", Some(mail), |text| text.parse::<Email>().map_err(|e| e.to_string())),
            None => self.wrong(start, "mail", "missing, expected an e-mail address"),
        };
        let password = self.password(start, raw);
        let language = self.field("language", raw.language.as_ref(), |text| {
            let tag = text.parse::<unic_langid::LanguageIdentifier>();
            tag.map(|_| text.to_owned()).map_err(|_| format!("found {text:?}, expected a language such as \"fr\""))
        });
        let timezone = self.field("timezone", raw.timezone.as_ref(), |text| {
            text.parse::<Tz>().map_err(|_| format!("found {text:?}, expected a zone such as \"Europe/Paris\""))
        });
        let id = self.field("id", raw.id.as_ref(), |text| text.parse::<UserId>().map_err(|e| e.to_string()));
        let name = self.field("name", raw.name.as_ref(), |text| match text.chars().any(char::is_control) {
            true => Err("a name cannot contain control characters".to_owned()),
            false => Ok(text.trim().to_owned()),
        });
        let name = name.unwrap_or_default();
        Some((start, Account { mail: mail?, name, password: password?, language, timezone, id }))
    }

    fn password(&mut self, start: usize, raw: &RawAccount) -> Option<Password> {
        match (&raw.password, &raw.password_hash) {
            (Some(password), None) => self.field("password", Some(password), |text| match text {
                "" => Err("a password cannot be empty".to_owned()),
                text => Ok(Password::Plain(text.to_owned())),
            }),
            (None, Some(hash)) => self.field("password_hash", Some(hash), |text| {
                PasswordDigest::parse(text).map(Password::Hashed).map_err(|e| e.to_string())
            }),
            (Some(_), Some(hash)) => self.wrong(hash.span().start, "password_hash", "there is a password already"),
            (None, None) => self.wrong(start, "password", "missing, expected password or password_hash"),
        }
    }

    fn field<T>(
        &mut self,
        key: &str,
        value: Option<&Spanned<String>>,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = value?;
        match read(value.get_ref()) {
            Ok(read) => Some(read),
            Err(problem) => self.wrong(value.span().start, key, &problem),
        }
    }

    fn wrong<T>(&mut self, at: usize, key: &str, problem: &str) -> Option<T> {
        let line = Some(self.line_of(at));
        self.mistakes.push(AccountMistake { line, key: key.to_owned(), problem: problem.to_owned() });
        None
    }

    /// What the TOML parser says, with the key of the line it points at.
    fn syntax(&mut self, error: &toml::de::Error) {
        let line = error.span().map(|span| self.line_of(span.start));
        let key =
            line.and_then(|n| self.text.lines().nth(n - 1)?.split_once('=').map(|(key, _)| key.trim().to_owned()));
        let problem = error.message().to_owned();
        self.mistakes.push(AccountMistake { line, key: key.unwrap_or_default(), problem });
    }

    fn refuse_doubles(&mut self, accounts: &[(usize, Account)]) {
        let (mut mails, mut ids) = (HashMap::new(), HashMap::new());
        for (start, account) in accounts {
            if let Some(first) = mails.insert(&account.mail, *start) {
                let line = self.line_of(first);
                self.wrong::<()>(*start, "mail", &format!("{} is in line {line} already", account.mail));
            }
            let Some(id) = &account.id else { continue };
            if let Some(first) = ids.insert(id, *start) {
                let line = self.line_of(first);
                self.wrong::<()>(*start, "id", &format!("{id} is in line {line} already"));
            }
        }
    }

    fn line_of(&self, offset: usize) -> usize {
        self.text.as_bytes().iter().take(offset).filter(|b| **b == b'\n').count() + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str) -> String {
        AccountsFile::parse(text, "accounts.toml").unwrap_err().to_string()
    }

    #[test]
    fn an_account_needs_a_mail_and_a_password_and_nothing_else() {
        let file = AccountsFile::parse("[[account]]\nmail = \"Bob@Example.org\"\npassword = \"x\"\n", "f").unwrap();
        let bob = &file.accounts[0];
        assert_eq!(bob.mail.as_str(), "bob@example.org");
        assert_eq!((bob.name.as_str(), &bob.language, &bob.timezone, &bob.id), ("", &None, &None, &None));
        assert_eq!(bob.password, Password::Plain("x".to_owned()));
    }

    #[test]
    fn every_mistake_is_told_with_file_line_and_key() {
        let text = "[[account]]\nmail = \"bob\"\npassword = \"\"\nlanguage = \"französisch!\"\ntimezone = \"Paris\"\n\
                    id = \"7\"\n\n[[account]]\nname = \"Carol\"\npassword_hash = \"$2b$12$x\"\n";
        let expected = "accounts.toml:2: mail: \"bob\" is not an e-mail address\n\
             accounts.toml:3: password: a password cannot be empty\n\
             accounts.toml:4: language: found \"französisch!\", expected a language such as \"fr\"\n\
             accounts.toml:5: timezone: found \"Paris\", expected a zone such as \"Europe/Paris\"\n\
             accounts.toml:6: id: \"7\" is not an id of 24 hex digits\n\
             accounts.toml:8: mail: missing, expected an e-mail address\n\
             accounts.toml:10: password_hash: expected an argon2id hash";
        assert!(mistakes(text).starts_with(expected), "{}", mistakes(text));
    }

    #[test]
    fn misspelt_keys_wrong_types_and_broken_toml_are_told_with_their_line() {
        let misspelt = mistakes("[[account]]\nmail = \"b@example.org\"\npasword = \"x\"\n");
        assert!(misspelt.starts_with("accounts.toml:3: pasword: unknown field `pasword`"), "{misspelt}");
        let number = mistakes("[[account]]\nmail = 7\npassword = \"x\"\n");
        assert!(number.starts_with("accounts.toml:2: mail: invalid type: integer `7`"), "{number}");
        let broken = mistakes("[[account]\n");
        assert!(broken.starts_with("accounts.toml:1: "), "{broken}");
    }

    #[test]
    fn nobody_is_in_the_file_twice() {
        let one = |mail: &str, id: &str| format!("[[account]]\nmail = \"{mail}\"\npassword = \"x\"\nid = \"{id}\"\n");
        let (a, b) = ("6650c0ffee0123456789aaaa", "6650c0ffee0123456789bbbb");
        let same_mail = mistakes(&(one("bob@example.org", a) + &one("BOB@example.org", b)));
        assert_eq!(same_mail, "accounts.toml:5: mail: bob@example.org is in line 1 already");
        let same_id = mistakes(&(one("bob@example.org", a) + &one("carol@example.org", a)));
        assert_eq!(same_id, format!("accounts.toml:5: id: {a} is in line 1 already"));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = AccountsFile::read(Path::new("/nowhere/accounts.toml")).unwrap_err().to_string();
        assert!(error.starts_with("/nowhere/accounts.toml: "), "{error}");
    }

    #[test]
    fn passwords_do_not_show_in_debug_output() {
        let file = AccountsFile::parse("[[account]]\nmail = \"b@example.org\"\npassword = \"geheim\"\n", "f").unwrap();
        assert!(!format!("{file:?}").contains("geheim"));
    }
}
