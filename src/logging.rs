//! Log lines: where they go (stderr), in which form, and which are written.
//!
//! Owns the set-up of `tracing` for the process. Stdout stays free for what a command prints.

use std::io;

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// `log_level` is not a filter.
    #[error("log_level is not a log filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Somebody in this process has done it before.
    #[error("logging is set up already: {0}")]
    Twice(Box<dyn std::error::Error + Send + Sync>),
}

/// Sets up logging for the whole process. `level` is written as `log_level` in the configuration.
///
/// # Errors
/// `Filter` for a level that cannot be read, `Twice` at the second call.
pub fn init(format: LogFormat, level: &str) -> Result<(), LoggingError> {
    // The S3 library calls every miss an error, and at debug prints signatures. What matters of a request is in ours.
    let filter = EnvFilter::try_new(format!("{level},s3s=off"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match format {
        LogFormat::Human => builder.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    }
    .map_err(LoggingError::Twice)
}
