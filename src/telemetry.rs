//! What the service tells ops: logs on stdout, metrics, and traces.

pub mod metrics;
pub mod reference;
pub mod traces;

use std::error::Error;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// How much is logged, and how.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// One JSON object per line, or text for a person.
    pub format: LogFormat,
    /// A level, or levels by target: `info,lapin=warn`.
    pub level: Targets,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Json,
    Text,
}

/// Starts logging for the whole process.
///
/// # Errors
/// When the process logs already.
pub fn start_logs(settings: &LogSettings) -> Result<(), TryInitError> {
    let registry = tracing_subscriber::registry().with(settings.level.clone());
    match settings.format {
        // The span's fields (ids, app) come with each line; parents only repeat them.
        LogFormat::Json => registry
            .with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_span_list(false),
            )
            .try_init(),
        LogFormat::Text => registry.with(fmt::layer()).try_init(),
    }
}

/// An error with its causes in one line; what an error has said of its cause is not repeated.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Told(&'static str, #[source] Option<Box<Told>>);

    #[test]
    fn each_cause_is_told_once() {
        let disk = Told("the disk is full", None);
        let file = Told("a.db: the disk is full", Some(disk.into()));
        let all = Told("nothing is written", Some(file.into()));
        assert_eq!(chain(&all), "nothing is written: a.db: the disk is full");
    }
}
