//! What every resource that is kept as a document can do: the verbs of its rows, as far as they need nothing
//! that is special to it.

use engine::{DocumentError, DocumentList, DocumentPage, Engine, Errand};
use kernel::rules::document::{Document, Plain};
use protocol::{Stamp, id::Id, page::RESOURCES};

use crate::{
    answer::{Answer, trimmed},
    call::Call,
    error::Problem,
    page::{self, Items, Listing, Token},
};

/// Makes one of a body.
pub(super) async fn create<D: Plain>(call: Call) -> Result<Answer, Problem> {
    let body = call.body().await?;
    Ok(told(call.engine().create_plain::<D>(errand(&call), body).await?))
}

/// Shows one.
pub(super) async fn retrieve<D: Document>(call: Call) -> Result<Answer, Problem> {
    let id = named::<D>(&call)?;
    Answer::json(&call.engine().document::<D>(call.workspace(), id).await?)
}

/// Changes one by a body.
pub(super) async fn update<D: Plain>(call: Call) -> Result<Answer, Problem> {
    let id = named::<D>(&call)?;
    let body = call.body().await?;
    Ok(told(call.engine().revise_plain::<D>(errand(&call), id, body).await?))
}

/// Archives one, now or before.
pub(super) async fn archive<D: Document>(call: Call) -> Result<Answer, Problem> {
    let id = named::<D>(&call)?;
    Ok(told(call.engine().archive_document::<D>(errand(&call), id).await?))
}

/// Removes one in the way that is said.
pub(super) async fn delete<D: Document>(
    call: Call,
    remove: impl AsyncFnOnce(&Engine, Errand<'_>, Id<D::Kind>) -> Result<Vec<u8>, DocumentError>,
) -> Result<Answer, Problem> {
    let id = named::<D>(&call)?;
    Ok(told(remove(call.engine(), errand(&call), id).await?))
}

/// A page of them, newest first, by `include_archived`, `limit` and `page`, and by `created_at[gte]` and
/// `created_at[lte]` where `dated`.
pub(super) async fn list<D: Document>(call: Call, dated: bool) -> Result<Answer, Problem> {
    let limit = call.query.limit(RESOURCES)?;
    let time = |name: &str| if dated { call.query.time(name) } else { Ok(None) };
    let (created_gte, created_lte) = (time("created_at[gte]")?, time("created_at[lte]")?);
    let include_archived = call.query.flag("include_archived")?;
    let listing = Listing::documents(D::KIND);
    let token = listing.asked(&call.query)?;
    page::within(token, engine::Range { gte: created_gte, lte: created_lte, ..engine::Range::default() })?;
    let after = token.map(|token| (Stamp::from_micros(token.key as i64), token.id));
    let bytes = call.page_bytes();
    let mut wanted =
        DocumentList { parent: None, created_gte, created_lte, include_archived, after, limit, bytes };
    let (mut items, mut last) = (Items::new(limit, bytes), None);
    'page: loop {
        wanted.limit = limit + 1 - items.len();
        let found = call.engine().documents::<D>(call.workspace(), &wanted).await?;
        let DocumentPage { items: documents, more } = found;
        for document in documents {
            if !items.push(&document)? {
                break 'page;
            }
            last = Some((document.created_at(), document.id().bits()));
        }
        let Some(more) = more else { break };
        wanted.after = Some(more);
    }
    let next = last.filter(|_| items.more).map(|(made, id)| {
        let (key, at) = (made.micros() as u64, Some(made));
        listing.seal(Token { backwards: false, key, id, at })
    });
    items.answer(next)
}

/// The id of the resource in the path. What cannot be one is told with the code of one that is not there.
pub(super) fn named<D: Document>(call: &Call) -> Result<Id<D::Kind>, Problem> {
    let id = call.id(&format!("{}_id", D::KIND));
    id.map_err(|problem| Problem { code: D::MISSING.or(problem.code), ..problem })
}

/// The change that the request asks for.
pub(super) fn errand(call: &Call) -> Errand<'_> {
    Errand { workspace: call.workspace(), attempt: call.attempt() }
}

/// The answer of these bytes.
pub(super) fn told(body: Vec<u8>) -> Answer {
    Answer::Json(trimmed(body))
}
