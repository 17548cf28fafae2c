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
pub struct ConfigFaults(pub Vec<Fault>);

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(Fault::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ConfigFaults {}

/// Where faults are gathered while the settings are read.
#[derive(Debug, Default)]
pub(super) struct Faults(RefCell<Vec<Fault>>);

impl Faults {
    pub(super) fn add(&self, key: &str, value: Option<String>, expected: impl Into<String>) {
        self.0.borrow_mut().push(Fault {
            key: key.to_owned(),
            value,
            expected: expected.into(),
        });
    }

    pub(super) fn into_vec(self) -> Vec<Fault> {
        self.0.into_inner()
    }
}

/// What stands in a fault for a secret.
pub(super) const MASK: &str = "***";

/// A value as it is shown in a fault; a password in a URL is masked.
pub(super) fn shown(value: &Value) -> String {
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
