//! Reads one table of the configuration key by key, notes every fault and goes on. What was never
//! asked for is an unknown key.

use std::path::PathBuf;

use secrecy::SecretString;
use serde_json::{Map, Value};

use super::fault::{Faults, MASK, shown};
use super::secret::{FollowedSecret, without_line_end};
use super::toml;
use super::value::{Parsed, text};

/// A table, less what was read of it.
pub(crate) struct Reader<'f> {
    /// Path of the table, empty for the whole configuration.
    at: String,
    left: Map<String, Value>,
    asked: Vec<String>,
    faults: &'f Faults,
}

impl<'f> Reader<'f> {
    /// Reads a table and notes what is left of it as unknown.
    pub(crate) fn read<T>(
        at: &str,
        table: Map<String, Value>,
        faults: &'f Faults,
        read: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let mut reader = Self {
            at: at.to_owned(),
            left: table,
            asked: Vec::new(),
            faults,
        };
        let result = read(&mut reader);
        reader.note_unknown_keys();
        result
    }

    /// Notes a fault of one key; the value is left out where it is no use or a secret.
    pub(crate) fn fault(&self, key: &str, value: Option<String>, expected: impl Into<String>) {
        self.faults.add(&self.path(key), value, expected);
    }

    /// The value of a key that may be left out.
    pub(crate) fn optional<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&Value) -> Parsed<T>,
    ) -> Option<T> {
        let value = self.take(key)?;
        self.parsed(key, &value, parse)
    }

    /// The value of a key, or what holds when it is left out.
    pub(crate) fn or<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&Value) -> Parsed<T>,
        default: T,
    ) -> T {
        self.optional(key, parse).unwrap_or(default)
    }

    /// The value of a key that must be there.
    pub(crate) fn required<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&Value) -> Parsed<T>,
    ) -> Option<T> {
        match self.take(key) {
            Some(value) => self.parsed(key, &value, parse),
            None => self.missing(key, parse),
        }
    }

    /// Whether a secret is given in either form, be it readable or not.
    pub(crate) fn has_secret(&self, key: &str) -> bool {
        let given = |key: &str| self.left.get(key).is_some_and(|value| !is_empty(value));
        given(key) || given(&format!("{key}_file"))
    }

    /// A secret that may be left out: `key` or the content of the file that `key_file` names.
    pub(crate) fn secret(&mut self, key: &str) -> Option<SecretString> {
        self.secret_as(key, text).map(SecretString::from)
    }

    /// A secret that must be there.
    pub(crate) fn required_secret(&mut self, key: &str) -> Option<SecretString> {
        self.required_secret_as(key, text).map(SecretString::from)
    }

    /// A secret that is more than any text.
    pub(crate) fn secret_as<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&Value) -> Parsed<T>,
    ) -> Option<T> {
        let (key, value) = self.take_secret(key).ok()??;
        self.parsed_secret(&key, &value, parse)
    }

    /// A secret that must be there and is more than any text.
    pub(crate) fn required_secret_as<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&Value) -> Parsed<T>,
    ) -> Option<T> {
        match self.take_secret(key).ok()? {
            Some((key, value)) => self.parsed_secret(&key, &value, parse),
            None => self.missing(key, parse),
        }
    }

    /// A secret that may be left out, for those who read its file again: with the secret of now.
    pub(crate) fn followed_secret_as<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&Value) -> Parsed<T>,
    ) -> Option<(FollowedSecret, T)> {
        let file = self.left.get(&format!("{key}_file"));
        let file = file.and_then(Value::as_str).map(PathBuf::from);
        let (by, value) = self.take_secret(key).ok()??;
        let parsed = self.parsed_secret(&by, &value, parse)?;
        let (key, value) = (self.path(&by), value.as_str().unwrap_or_default());
        let secret = match file.filter(|path| !path.as_os_str().is_empty()) {
            Some(path) => FollowedSecret::File { key, path },
            None => FollowedSecret::given(&key, value.into()),
        };
        Some((secret, parsed))
    }

    /// The same for one that must be there.
    pub(crate) fn required_followed_secret_as<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&Value) -> Parsed<T>,
    ) -> Option<(FollowedSecret, T)> {
        if self.has_secret(key) {
            return self.followed_secret_as(key, parse);
        }
        self.take(key);
        let _missing: Option<T> = self.missing(key, parse);
        None
    }

    /// A list of values; empty where it is left out.
    pub(crate) fn values<T>(&mut self, key: &str, parse: impl Fn(&Value) -> Parsed<T>) -> Vec<T> {
        let list = self.take_list(key).into_iter().enumerate();
        list.filter_map(|(i, value)| self.parsed(&format!("{key}[{i}]"), &value, &parse))
            .collect()
    }

    /// A list of tables; those with faults are left out.
    pub(crate) fn tables<T>(
        &mut self,
        key: &str,
        mut read: impl FnMut(&mut Reader<'f>) -> Option<T>,
    ) -> Vec<T> {
        let list = self.take_list(key).into_iter().enumerate();
        list.filter_map(|(i, value)| self.read_table(&format!("{key}[{i}]"), value, &mut read))
            .collect()
    }

    /// A table inside this one.
    pub(crate) fn section<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&mut Reader<'f>) -> Option<T>,
    ) -> Option<T> {
        let value = self.take(key).unwrap_or_else(|| Value::Object(Map::new()));
        self.read_table(key, value, read)
    }

    /// A table inside this one that may be left out.
    pub(crate) fn optional_section<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&mut Reader<'f>) -> Option<T>,
    ) -> Option<T> {
        let value = self.take(key)?;
        self.read_table(key, value, read)
    }

    fn read_table<T>(
        &self,
        key: &str,
        value: Value,
        read: impl FnOnce(&mut Reader<'f>) -> Option<T>,
    ) -> Option<T> {
        match value {
            Value::Object(table) => Reader::read(&self.path(key), table, self.faults, read),
            other => {
                self.fault(key, Some(shown(&other)), "expected a table");
                None
            }
        }
    }

    fn take(&mut self, key: &str) -> Option<Value> {
        self.asked.push(key.to_owned());
        let value = self.left.remove(key)?;
        (!is_empty(&value)).then_some(value)
    }

    fn take_list(&mut self, key: &str) -> Vec<Value> {
        let value = match self.take(key) {
            None => return Vec::new(),
            Some(Value::Array(list)) => return list,
            Some(other) => other,
        };
        let from_environment = value.as_str().and_then(toml::parse_list);
        from_environment.unwrap_or_else(|| {
            // Not shown: it may hold secrets.
            self.fault(
                key,
                None,
                "expected a list, in the environment written as in TOML",
            );
            Vec::new()
        })
    }

    /// The secret and the key it came by; an error where a fault is noted.
    fn take_secret(&mut self, key: &str) -> Result<Option<(String, Value)>, ()> {
        let file_key = format!("{key}_file");
        let direct = self.take(key);
        if !self.faults.allow_files() {
            return Ok(direct.map(|value| (key.to_owned(), value)));
        }
        match (direct, self.take(&file_key)) {
            (direct, None) => Ok(direct.map(|value| (key.to_owned(), value))),
            (None, Some(path)) => {
                let path = self.parsed(&file_key, &path, text).ok_or(())?;
                let content = self.read_secret(&file_key, &path).ok_or(())?;
                Ok(Some((file_key, Value::String(content))))
            }
            (Some(_), Some(path)) => {
                let either = format!("expected either {key} or {file_key}, not both");
                self.fault(&file_key, Some(shown(&path)), either);
                Err(())
            }
        }
    }

    fn read_secret(&self, key: &str, path: &str) -> Option<String> {
        let fault = |why: String| self.fault(key, Some(format!("{path:?}")), why);
        match std::fs::read_to_string(path) {
            Ok(content) if content.trim().is_empty() => {
                fault("expected a file with the secret, it is empty".to_owned());
                None
            }
            Ok(content) => Some(without_line_end(&content).to_owned()),
            Err(error) => {
                fault(format!("expected a readable file: {error}"));
                None
            }
        }
    }

    fn parsed<T>(
        &self,
        key: &str,
        value: &Value,
        parse: impl Fn(&Value) -> Parsed<T>,
    ) -> Option<T> {
        let note = |expected: String| self.fault(key, Some(shown(value)), expected);
        parse(value).map_err(note).ok()
    }

    fn parsed_secret<T>(
        &self,
        key: &str,
        value: &Value,
        parse: impl Fn(&Value) -> Parsed<T>,
    ) -> Option<T> {
        let note = |expected: String| self.fault(key, Some(MASK.to_owned()), expected);
        parse(value).map_err(note).ok()
    }

    fn missing<T>(&self, key: &str, parse: impl Fn(&Value) -> Parsed<T>) -> Option<T> {
        // No parser takes a null, so its refusal tells what it would take.
        let expected = parse(&Value::Null).err().unwrap_or_default();
        self.fault(key, None, format!("missing, {expected}"));
        None
    }

    fn path(&self, key: &str) -> String {
        match self.at.as_str() {
            "" => key.to_owned(),
            at => format!("{at}.{key}"),
        }
    }

    /// Without the value: it may be a secret under a misspelt name.
    fn note_unknown_keys(&self) {
        for key in self.left.keys() {
            let near = self.asked.iter().min_by_key(|known| distance(key, known));
            let hint = match near.filter(|known| distance(key, known) <= 2) {
                Some(known) => format!("unknown key, did you mean {known}?"),
                None => "unknown key".to_owned(),
            };
            self.fault(key, None, hint);
        }
    }
}

/// An empty string is no value: so the environment can take one away.
fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(str::is_empty)
}

/// Levenshtein's: how many signs to add, drop or change.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut next = vec![i + 1];
        for ((b, over), diagonal) in other.chars().zip(row.iter().skip(1)).zip(&row) {
            let before = next.last().copied().unwrap_or_default();
            next.push(
                (diagonal + usize::from(a != b))
                    .min(over + 1)
                    .min(before + 1),
            );
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
