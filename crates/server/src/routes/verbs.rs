//! What every resource that is kept as a document can do: the verbs of its rows, as far as they need nothing
//! that is special to it.

use engine::{DocumentChange, DocumentError, DocumentListQuery, DocumentPage, Engine};
use kernel::rules::document::{DocumentRules, PlainDocument};
use protocol::{Timestamp, id::Id, page::RESOURCES};

use crate::{
    answer::{ApiAnswer, trimmed},
    call::ApiRequest,
    error::ApiProblem,
    page::{self, Listing, PageItems, PageToken},
};

/// Makes one of a body.
pub(super) async fn create<D: PlainDocument>(call: ApiRequest) -> Result<ApiAnswer, ApiProblem> {
    let body = call.body().await?;
    Ok(told(call.engine().create_plain::<D>(errand(&call), body).await?))
}

/// Shows one.
pub(super) async fn retrieve<D: DocumentRules>(call: ApiRequest) -> Result<ApiAnswer, ApiProblem> {
    let id = named::<D>(&call)?;
    ApiAnswer::json(&call.engine().document::<D>(call.workspace(), id).await?)
}

/// Changes one by a body.
pub(super) async fn update<D: PlainDocument>(call: ApiRequest) -> Result<ApiAnswer, ApiProblem> {
    let id = named::<D>(&call)?;
    let body = call.body().await?;
    Ok(told(call.engine().revise_plain::<D>(errand(&call), id, body).await?))
}

/// Archives one, now or before.
pub(super) async fn archive<D: DocumentRules>(call: ApiRequest) -> Result<ApiAnswer, ApiProblem> {
    let id = named::<D>(&call)?;
    Ok(told(call.engine().archive_document::<D>(errand(&call), id).await?))
}

/// Removes one in the way that is said.
pub(super) async fn delete<D: DocumentRules>(
    call: ApiRequest,
    remove: impl AsyncFnOnce(&Engine, DocumentChange<'_>, Id<D::Kind>) -> Result<Vec<u8>, DocumentError>,
) -> Result<ApiAnswer, ApiProblem> {
    let id = named::<D>(&call)?;
    Ok(told(remove(call.engine(), errand(&call), id).await?))
}

/// A page of them, newest first, by `include_archived`, `limit` and `page`, and by `created_at[gte]` and
/// `created_at[lte]` where `dated`.
pub(super) async fn list<D: DocumentRules>(call: ApiRequest, dated: bool) -> Result<ApiAnswer, ApiProblem> {
    let limit = call.query.limit(RESOURCES)?;
    let time = |name: &str| if dated { call.query.time(name) } else { Ok(None) };
    let (created_gte, created_lte) = (time("created_at[gte]")?, time("created_at[lte]")?);
    let include_archived = call.query.flag("include_archived")?;
    let listing = Listing::documents(D::KIND);
    let token = listing.asked(&call.query)?;
    page::within(
        token,
        engine::TimeRange { gte: created_gte, lte: created_lte, ..engine::TimeRange::default() },
    )?;
    let after = token.map(|token| (Timestamp::from_micros(token.key as i64), token.id));
    let bytes = call.page_bytes();
    let mut wanted =
        DocumentListQuery { parent: None, created_gte, created_lte, include_archived, after, limit, bytes };
    let (mut items, mut last) = (PageItems::new(limit, bytes), None);
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
        listing.seal(PageToken { backwards: false, key, id, at })
    });
    items.answer(next)
}

/// The id of the resource in the path. What cannot be one is told with the code of one that is not there.
pub(super) fn named<D: DocumentRules>(call: &ApiRequest) -> Result<Id<D::Kind>, ApiProblem> {
    let id = call.id(&format!("{}_id", D::KIND));
    id.map_err(|problem| ApiProblem { code: D::MISSING.or(problem.code), ..problem })
}

/// The change that the request asks for.
pub(super) fn errand(call: &ApiRequest) -> DocumentChange<'_> {
    DocumentChange { workspace: call.workspace(), attempt: call.attempt() }
}

/// The answer of these bytes.
pub(super) fn told(body: Vec<u8>) -> ApiAnswer {
    ApiAnswer::Json(trimmed(body))
}
