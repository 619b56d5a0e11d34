//! Documents: agents and environments as they are read from the store and written back.

use engine::Range;
use protocol::Stamp;
use serde::{Serialize, de::DeserializeOwned};
use store::{CommitError, Document, DocumentQuery, Kind, Order, Write};

use crate::{
    answer::Answer,
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
            Problem::internal(format!("a stored {} cannot be read: {wrong}", row.kind.as_str()))
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

/// Reads, decides and writes until nobody was in between.
///
/// # Errors
/// What `decide` says; [`Problem::internal`] when others were first again and again.
pub(crate) async fn change<T, D, F>(call: &Call, decide: D) -> Result<T, Problem>
where
    D: Fn() -> F,
    F: Future<Output = Result<Change<T>, Problem>>,
{
    for _ in 0..RACES {
        match decide().await? {
            Change::Nothing(value) => return Ok(value),
            Change::Writes(value, writes) => match call.engine().keep(writes).await {
                Ok(()) => return Ok(value),
                Err(CommitError::Conflict { .. }) => {}
                Err(CommitError::Fault(fault)) => return Err(fault.into()),
            },
        }
    }
    Err(Problem::internal("other writers of a document were first again and again"))
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
    let query = DocumentQuery { order: Order::Descending, after, limit: limit + 1, ..query };
    let rows = call.engine().store().documents(query).await?;
    let places: Vec<_> = rows.iter().map(|row| (row.created_at, row.id)).collect();
    let values = rows.into_iter().map(|row| Stored::<T>::read(row).map(|stored| stored.value));
    let items = Items::fit(values.collect::<Result<Vec<_>, _>>()?, limit)?;
    let last = items.len().checked_sub(1).and_then(|last| places.get(last)).filter(|_| items.more);
    let next = last.map(|(made, id)| {
        let (key, id, at) = (made.micros() as u64, *id, Some(*made));
        listing.seal(Token { backwards: false, key, id, at })
    });
    items.answer(next)
}
