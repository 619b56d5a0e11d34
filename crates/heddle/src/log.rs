//! The log: lines on standard error, so that standard output holds only what a script may read.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::{
    Outcome,
    config::{Format, Log},
};

/// Begins to log. What is said within a request carries the request's id, in either form.
pub(crate) fn begin(log: &Log) -> Outcome {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(&log.filter)?)
        .with_writer(std::io::stderr);
    match log.format {
        Format::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        Format::Json => builder.json().flatten_event(true).with_span_list(false).try_init(),
    }
}
