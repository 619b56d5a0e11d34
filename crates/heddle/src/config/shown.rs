//! How the values of settings are shown to a person.

use std::fmt;
use std::path::Path;

pub(super) fn text<T: fmt::Display>(value: &T) -> String {
    value.to_string()
}

pub(super) fn path(path: &impl AsRef<Path>) -> String {
    path.as_ref().display().to_string()
}

pub(super) fn word<T: clap::ValueEnum>(value: &T) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

pub(super) fn listed(values: impl Iterator<Item = String>) -> String {
    let values: Vec<String> = values.collect();
    if values.is_empty() { "none".to_owned() } else { values.join(", ") }
}
