//! What is wrong with a configuration, all of it at once.

use std::cell::RefCell;
use std::fmt;

use serde_json::Value;

/// One key that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// As in a path of TOML: `apps[0].name`; or the file or variable itself.
    pub key: String,
    /// `None` where there is none. Secrets are `***`.
    pub value: Option<String>,
    /// What is expected, and where it helps, why.
    pub expected: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{} = {value}: {}", self.key, self.expected),
            None => write!(f, "{}: {}", self.key, self.expected),
        }
    }
}

/// Every fault of a configuration, one on each line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsFaults(pub Vec<Fault>);

impl fmt::Display for SettingsFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(Fault::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for SettingsFaults {}

/// Where faults are gathered while the settings are read.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    found: RefCell<Vec<Fault>>,
    /// By an administrator's browser or program: it must not read files of this machine.
    is_entered: bool,
}

impl Faults {
    /// Of what an administrator enters.
    pub(crate) fn of_entry() -> Self {
        Self {
            is_entered: true,
            ..Self::default()
        }
    }

    /// Whether a secret may be given as the name of a file.
    pub(super) fn allow_files(&self) -> bool {
        !self.is_entered
    }

    pub(crate) fn add(&self, key: &str, value: Option<String>, expected: impl Into<String>) {
        self.found.borrow_mut().push(Fault {
            key: key.to_owned(),
            value,
            expected: expected.into(),
        });
    }

    pub(crate) fn into_vec(self) -> Vec<Fault> {
        self.found.into_inner()
    }
}

/// What stands in a fault for a secret.
pub(crate) const MASK: &str = "***";

/// A value as it is shown in a fault; a password in a URL is masked.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a table".to_owned(),
        Value::String(text) => format!("{:?}", without_password(text)),
        other => other.to_string(),
    }
}

fn without_password(text: &str) -> String {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{MASK}@{host}"),
        _ => text.to_owned(),
    }
}
