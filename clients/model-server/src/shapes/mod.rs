//! The table of shapes: what providers send and refuse beside what the wires' own papers say, by who does so.
//!
//! One place for both sides: this server plays the rows (a model named `shape-NAME`), and the tests of
//! `crates/models` read them. A row is made in our own words after the place that it names; what no such
//! place tells of is no row.

mod beside;
mod chat;
mod laws;
mod means;
mod messages;
mod shape;

use shape::PREFIX;
pub(crate) use shape::{ProviderShape, ShapeWire};

/// All rows.
pub(crate) fn all() -> impl Iterator<Item = &'static ProviderShape> {
    chat::ROWS.iter().chain(messages::ROWS).chain(beside::ROWS)
}

/// The row that a model's name asks for.
pub(crate) fn of(model: &str) -> Option<&'static ProviderShape> {
    let name = model.strip_prefix(PREFIX)?;
    all().find(|shape| shape.name == name)
}
