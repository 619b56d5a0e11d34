//! The operations, as one table: one folder per resource with its own table, one file per endpoint.

mod agents;
mod environments;
mod events;
mod models;
mod not_built;
pub(crate) mod own;
mod sessions;
mod threads;
mod verbs;

use crate::operation::Operation;

/// The tables of all resources; those that answer first.
const TABLES: &[&[Operation]] = &[
    agents::OPERATIONS,
    environments::OPERATIONS,
    sessions::OPERATIONS,
    events::OPERATIONS,
    threads::OPERATIONS,
    models::OPERATIONS,
    own::OPERATIONS,
    not_built::OPERATIONS,
];

/// Every operation.
pub(crate) fn operations() -> impl Iterator<Item = &'static Operation> {
    TABLES.iter().copied().flatten()
}

/// The methods that a path takes, as it is written in the tables.
pub(crate) fn methods(path: &str) -> Vec<&'static str> {
    let known = operations().map(|operation| (operation.method.as_str(), operation.path));
    let known = known.chain(own::DOORS.iter().map(|door| ("GET", door.path)));
    known.filter(|(_, at)| *at == path).map(|(method, _)| method).collect()
}

#[cfg(test)]
mod tests;
