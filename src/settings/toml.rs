//! Text in TOML into one tree that keeps apart what is a string and what a number.

use ::config::{Config, ConfigError, File, FileFormat};
use serde_json::Value;

/// Several texts, of which a later one goes over those before.
pub(crate) fn parse(sources: &[String]) -> Result<Value, ConfigError> {
    let builder = sources.iter().fold(Config::builder(), |builder, text| {
        builder.add_source(File::from_str(text, FileFormat::Toml))
    });
    builder.build()?.try_deserialize()
}

/// A list given as a whole by the environment, written as in TOML.
pub(super) fn parse_list(text: &str) -> Option<Vec<Value>> {
    match parse(&[format!("list = {text}")])
        .ok()?
        .get_mut("list")?
        .take()
    {
        Value::Array(list) => Some(list),
        _ => None,
    }
}
