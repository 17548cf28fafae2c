//! What the service tells ops: logs on stdout, and metrics.

pub mod metrics;

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
