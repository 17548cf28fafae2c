//! Where the configuration comes from: defaults, then the file, then the environment, merged into
//! one tree that keeps apart what is a string and what a number.

use std::path::Path;

use ::config::ConfigError;
use serde_json::{Map, Value};

use crate::settings::Faults;
use crate::settings::toml::parse;

/// `config/default.toml`: every key with its default and a comment.
pub const DEFAULTS: &str = include_str!("../../config/default.toml");

const PREFIX: &str = "TWITTER_CHANNEL__";

/// The merged tree; `None`, with the fault noted, if a file cannot be read at all.
pub(super) fn tree(
    file: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
    faults: &Faults,
) -> Option<Map<String, Value>> {
    let given = match file {
        Some(path) => read_file(path, faults)?,
        None => String::new(),
    };
    let merged = parse(&[DEFAULTS.to_owned()]).and_then(|mut tree| {
        lay_over(&mut tree, parse(&[given])?);
        Ok(tree)
    });
    let mut tree = merged
        .map_err(|error| {
            let key = file.map_or_else(String::new, |path| path.display().to_string());
            faults.add(
                &key,
                None,
                format!("expected TOML, ids as strings: {}", without_excerpt(&error)),
            );
        })
        .ok()?;
    overlay(&mut tree, env, faults);
    match tree {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

fn read_file(path: &Path, faults: &Faults) -> Option<String> {
    let note = |error| {
        faults.add(
            "--config",
            Some(path.display().to_string()),
            format!("expected a readable file: {error}"),
        )
    };
    std::fs::read_to_string(path).map_err(note).ok()
}

/// Where and what, without the line itself, which may hold a secret.
fn without_excerpt(error: &ConfigError) -> String {
    let text = match error {
        ConfigError::FileParse { cause, .. } => cause.to_string(),
        other => other.to_string(),
    };
    let lines = text.lines().filter(|line| !line.contains('|'));
    lines.map(str::trim).collect::<Vec<_>>().join(": ")
}

/// One variable: where it goes and what it says.
struct Override {
    variable: String,
    path: Vec<String>,
    value: String,
}

impl Override {
    /// `None` for a variable that is not ours.
    fn new((variable, value): (String, String)) -> Option<Self> {
        let keys = variable.strip_prefix(PREFIX)?.split("__");
        Some(Self {
            path: keys.map(str::to_lowercase).collect(),
            variable,
            value,
        })
    }

    /// Items of a list come in the order of their numbers, a list before its items.
    fn order(&self) -> Vec<(Option<usize>, String)> {
        let keys = self.path.iter();
        keys.map(|key| (index(key), key.clone())).collect()
    }
}

fn overlay(tree: &mut Value, env: impl Iterator<Item = (String, String)>, faults: &Faults) {
    const EXPECTED: &str = "expected the name of a key: TWITTER_CHANNEL__SECTION__KEY, items of \
                            lists by number without gaps";
    let mut overrides: Vec<Override> = env.filter_map(Override::new).collect();
    overrides.sort_by_cached_key(Override::order);
    for each in &overrides {
        remove_other_form(tree, &each.path);
    }
    for each in overrides {
        if !set(tree, &each.path, each.value) {
            faults.add(&each.variable, None, EXPECTED);
        }
    }
}

fn index(key: &str) -> Option<usize> {
    key.parse().ok()
}

/// Tables are merged, everything else is replaced; a secret replaces its default also where one of
/// them is a `_file`.
fn lay_over(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            // Both forms in one text stay: they are a fault.
            under.retain(|key, _| !over.contains_key(&other_form(key)) || over.contains_key(key));
            for (key, value) in over {
                lay_over(under.entry(key).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}

/// The other key by which a secret can be given.
fn other_form(key: &str) -> String {
    match key.strip_suffix("_file") {
        Some(direct) => direct.to_owned(),
        None => format!("{key}_file"),
    }
}

/// A secret of the environment replaces one of the file also where one of them is a `_file`.
fn remove_other_form(tree: &mut Value, path: &[String]) {
    let Some((key, parents)) = path.split_last() else {
        return;
    };
    let other = other_form(key);
    let parent = parents.iter().try_fold(tree, |node, key| match index(key) {
        Some(index) => node.get_mut(index),
        None => node.get_mut(key),
    });
    if let Some(Value::Object(map)) = parent {
        map.remove(&other);
    }
}

fn set(node: &mut Value, path: &[String], value: String) -> bool {
    let Some((key, rest)) = path.split_first() else {
        *node = Value::String(value);
        return true;
    };
    if node.is_null() {
        *node = index(key).map_or_else(|| Value::Object(Map::new()), |_| Value::Array(Vec::new()));
    }
    match (node, index(key)) {
        (Value::Object(map), _) if !key.is_empty() => {
            set(map.entry(key).or_insert(Value::Null), rest, value)
        }
        (Value::Array(list), Some(index)) => {
            if index == list.len() {
                list.push(Value::Null);
            }
            list.get_mut(index)
                .is_some_and(|item| set(item, rest, value))
        }
        _ => false,
    }
}
