//! Statements on a connection: prepared once, with what their values count for.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};
use tokio::sync::oneshot;

use crate::cells::CellValue;
use crate::sql::SqlQuery;

/// No statement: whoever is to run it panics.
#[cfg(debug_assertions)]
pub(crate) const PANIC: &str = "PANIC";

/// What a query finds.
#[derive(Debug)]
pub(crate) struct FoundRows {
    pub(crate) rows: Vec<Vec<CellValue>>,
    /// Whether it stopped for its bytes.
    pub(crate) cut: bool,
}

pub(crate) fn read(connection: &Connection, query: &SqlQuery) -> Result<FoundRows, rusqlite::Error> {
    let mut prepared = prepared(connection, &query.sql)?;
    let columns = prepared.column_count();
    let mut found = prepared.query(params_from_iter(&query.params))?;
    let (mut rows, mut bytes, mut cut) = (Vec::new(), 0_usize, false);
    while let Some(row) = found.next()? {
        let values = (0..columns).map(|column| row.get_ref(column).map(CellValue::from));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        bytes = bytes.saturating_add(values.iter().map(size).sum());
        if bytes > query.max_bytes && !rows.is_empty() {
            cut = true;
            break;
        }
        rows.push(values);
    }
    Ok(FoundRows { rows, cut })
}

pub(crate) fn prepared<'a>(
    connection: &'a Connection,
    sql: &str,
) -> Result<rusqlite::CachedStatement<'a>, rusqlite::Error> {
    #[cfg(debug_assertions)]
    assert!(sql != PANIC, "told to panic");
    let prepared = connection.prepare_cached(sql)?;
    // To SQLite `$1` is a name, and a name's number is when it first comes up.
    #[cfg(debug_assertions)]
    for number in 1..=prepared.parameter_count() {
        assert_eq!(prepared.parameter_name(number), Some(&*format!("${number}")), "out of order in {sql}");
    }
    Ok(prepared)
}

pub(crate) fn execute(connection: &Connection, sql: &str) -> Result<(), rusqlite::Error> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

/// Answers somebody who may have stopped waiting.
pub(crate) fn give<T>(answer: oneshot::Sender<T>, outcome: T) {
    drop(answer.send(outcome));
}

/// What a value counts for when bytes are counted: numbers are free.
pub(crate) fn size(value: &CellValue) -> usize {
    match value {
        CellValue::Null | CellValue::Int(_) => 0,
        CellValue::Text(text) => text.len(),
        CellValue::Bytes(bytes) => bytes.len(),
    }
}

impl ToSql for CellValue {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl From<ValueRef<'_>> for CellValue {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Int(number),
            // No column holds a fraction; as a text it is found corrupt where a number is expected.
            ValueRef::Real(number) => Self::Text(number.to_string()),
            ValueRef::Text(text) => Self::Text(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Blob(bytes) => Self::Bytes(bytes.to_vec()),
        }
    }
}
