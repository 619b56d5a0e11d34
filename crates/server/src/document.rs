//! Documents: agents and environments as they are read from the store and written back.

use engine::Range;
use protocol::Stamp;
use serde::{Serialize, de::DeserializeOwned};
use store::{CommitError, Document, DocumentQuery, Kind, Listed, Order, Write};

use crate::{
    answer::{Answer, trimmed},
    error::Problem,
    extract::Call,
    page::{self, Items, Listing, Token},
};

/// Attempts at a change that others race with. At each one somebody got through, so this many writers of
/// one document at once all do.
const RACES: u32 = 256;

/// A document and what it says.
#[derive(Debug, Clone)]
pub(crate) struct Stored<T> {
    /// The row: key, version, times.
    pub(crate) row: Document,
    /// The resource.
    pub(crate) value: T,
}

impl<T: DeserializeOwned> Stored<T> {
    /// What `row` says.
    pub(crate) fn read(row: Document) -> Result<Self, Problem> {
        let value = serde_json::from_slice(&row.body).map_err(|wrong| {
            Problem::unreadable(format!("a stored {} cannot be read: {wrong}", row.kind.as_str()))
        })?;
        Ok(Self { row, value })
    }
}

/// The bytes under which a resource is kept.
pub(crate) fn written<T: Serialize>(value: &T) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(value).map_err(Problem::internal)
}

/// The document with this id, in this version if one is named.
pub(crate) async fn find<T: DeserializeOwned>(
    call: &Call,
    kind: Kind,
    id: u128,
    version: Option<u64>,
) -> Result<Option<Stored<T>>, Problem> {
    let row = call.engine().store().document(call.workspace(), kind, id, version).await?;
    row.map(Stored::read).transpose()
}

/// What a change comes to.
pub(crate) enum Change<T> {
    /// Nothing is to be written; the answer is this.
    Nothing(T),
    /// These writes make the resource this.
    Writes(T, Vec<Write>),
}

/// Reads, decides and writes until nobody was in between, and answers with what comes of it. The answer is
/// kept in the same batch for whoever sends the request again.
///
/// # Errors
/// What `decide` says; [`Problem::internal`] when others were first again and again.
pub(crate) async fn change<T, D, F>(call: &Call, decide: D) -> Result<Answer, Problem>
where
    T: Serialize,
    D: Fn() -> F,
    F: Future<Output = Result<Change<T>, Problem>>,
{
    for _ in 0..RACES {
        match decide().await? {
            Change::Nothing(value) => return Answer::json(&value),
            Change::Writes(value, mut writes) => {
                let answer = trimmed(written(&value)?);
                writes.extend(call.attempt().map(|attempt| attempt.answered(&answer, call.engine().now())));
                match call.engine().keep(writes).await {
                    Ok(()) => return Ok(Answer::Json(answer)),
                    Err(CommitError::Conflict { .. }) => {}
                    Err(CommitError::Fault(fault)) => return Err(fault.into()),
                }
            }
        }
    }
    Err(Problem::internal("other writers of a document were first again and again"))
}

/// What a list shows of a row. One that is damaged is left out and named, for a list is of many.
pub(crate) fn listed<T: DeserializeOwned>(row: Document) -> Option<T> {
    let (kind, id) = (row.kind.as_str(), row.id);
    match Stored::read(row) {
        Ok(stored) => Some(stored.value),
        Err(problem) => {
            let fault = problem.inner.unwrap_or_default();
            tracing::error!(kind, id = format!("{id:032x}"), fault, "left out of a list");
            None
        }
    }
}

/// One page of documents, newest first.
pub(crate) async fn list<T: DeserializeOwned + Serialize>(
    call: &Call,
    listing: Listing,
    limit: usize,
    query: DocumentQuery,
) -> Result<Answer, Problem> {
    let token = listing.asked(&call.query)?;
    page::within(token, Range { gte: query.created_gte, lte: query.created_lte, ..Range::default() })?;
    let after = token.map(|token| (Stamp::from_micros(token.key as i64), token.id));
    let bytes = call.page_bytes();
    let mut query = DocumentQuery { order: Order::Descending, after, bytes, ..query };
    let (mut items, mut last) = (Items::new(limit, bytes), None);
    'page: loop {
        query.limit = limit + 1 - items.len();
        let Listed { items: rows, cut } = call.engine().store().documents(query.clone()).await?;
        let more = cut || rows.len() == query.limit;
        query.after = rows.last().map(|row| (row.created_at, row.id));
        for row in rows {
            let place = (row.created_at, row.id);
            let Some(value) = listed::<T>(row) else { continue };
            if !items.push(&value)? {
                break 'page;
            }
            last = Some(place);
        }
        if !more {
            break;
        }
    }
    let next = last.filter(|_| items.more).map(|(made, id)| {
        let (key, at) = (made.micros() as u64, Some(made));
        listing.seal(Token { backwards: false, key, id, at })
    });
    items.answer(next)
}
