//! The one door for documents: every reading, change and removal of a resource that is kept whole.
//!
//! A change is read, decided and written until nobody was in between. Its answer is written in the same
//! batch for whoever sends the request again.

use std::future::ready;

use kernel::rules::{
    DocumentRefusal,
    document::{self, DocumentParent, DocumentRules, PlainDocument},
};
use protocol::{Invalid, Timestamp, WorkspaceId, id::Id, resource::Resource};
use serde_json::{Value, json};
use store::{BatchWrite, DocumentKind, DocumentQuery, ListOrder, ListedPage};

use crate::{Engine, attempt::PostAttempt, fault::EngineFault};

/// Attempts at a change that others race with. At each one somebody got through, so this many writers of
/// one document at once all do.
const RACES: u32 = 256;

/// Why a document was not read or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// The rules refused it.
    #[error(transparent)]
    Refused(#[from] DocumentRefusal),
    /// It could not be done.
    #[error(transparent)]
    Fault(#[from] EngineFault),
}

impl From<Invalid> for DocumentError {
    fn from(wrong: Invalid) -> Self {
        Self::Refused(wrong.into())
    }
}

impl From<store::StoreFault> for DocumentError {
    fn from(fault: store::StoreFault) -> Self {
        Self::Fault(fault.into())
    }
}

/// A change of one document: whose, and for which request.
#[derive(Debug, Clone, Copy)]
pub struct DocumentChange<'a> {
    /// Whose document.
    pub workspace: WorkspaceId,
    /// The request that asks for it, if it is one that may be sent again.
    pub attempt: Option<&'a PostAttempt>,
}

/// Which documents of a workspace: newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentListQuery {
    /// Only those below this one.
    pub parent: Option<DocumentParent>,
    /// Made at this time or after it.
    pub created_gte: Option<Timestamp>,
    /// Made at this time or before it.
    pub created_lte: Option<Timestamp>,
    /// Whether archived ones are listed too.
    pub include_archived: bool,
    /// Behind the one that was made then and has this id.
    pub after: Option<(Timestamp, u128)>,
    /// How many at most.
    pub limit: usize,
    /// Bytes of them at most; but one always comes.
    pub bytes: usize,
}

/// Some documents of a list, or versions of one.
#[derive(Debug, Clone, PartialEq)]
pub struct DocumentPage<D, P> {
    /// They, but for those that are damaged.
    pub items: Vec<D>,
    /// The place of the last that was looked at, if there may be more behind it.
    pub more: Option<P>,
}

/// A document as it was found.
struct Stored<D> {
    value: D,
    /// What a change of it expects.
    revision: u64,
    /// What it is kept under where it has no version of its own.
    version: u64,
}

/// What a change comes to.
enum Change {
    /// Nothing is to be written.
    Nothing(Vec<u8>),
    /// These writes; the answer.
    Writes(Vec<BatchWrite>, Vec<u8>),
}

impl Engine {
    /// The document of this id.
    ///
    /// # Errors
    /// There is none, as [`document::missing`] says it.
    pub async fn document<D: DocumentRules>(
        &self,
        workspace: WorkspaceId,
        id: Id<D::Kind>,
    ) -> Result<D, DocumentError> {
        Ok(self.stored::<D>(workspace, id).await?.value)
    }

    /// The document in this version, or as it is now. Whether it is archived is the same for all versions.
    /// `None`: there is none.
    pub async fn document_in<D: DocumentRules>(
        &self,
        workspace: WorkspaceId,
        id: Id<D::Kind>,
        version: Option<u64>,
    ) -> Result<Option<D>, EngineFault> {
        let Some(Stored { value: now, .. }) = self.look::<D>(workspace, id, None).await? else {
            return Ok(None);
        };
        let Some(version) = version.filter(|version| now.version() != Some(*version)) else {
            return Ok(Some(now));
        };
        let then = self.look::<D>(workspace, id, Some(version)).await?;
        Ok(then.map(|Stored { value, .. }| archived_as(&now, value)))
    }

    /// Makes a document, and gives its bytes.
    ///
    /// # Errors
    /// Another has its unique key; what it is below is not there, or archived.
    pub async fn create_document<D: DocumentRules>(
        &self,
        errand: DocumentChange<'_>,
        document: &D,
    ) -> Result<Vec<u8>, DocumentError> {
        self.change(errand, || async {
            self.free(errand.workspace, document).await?;
            let parent = self.parent(errand.workspace, document).await?;
            let row = row(errand.workspace, document)?;
            let body = row.body.clone();
            Ok(Change::Writes(parent.into_iter().chain([BatchWrite::Create(row)]).collect(), body))
        })
        .await
    }

    /// Makes a document of a body.
    ///
    /// # Errors
    /// What the rules refuse.
    pub async fn create_plain<D: PlainDocument>(
        &self,
        errand: DocumentChange<'_>,
        body: Value,
    ) -> Result<Vec<u8>, DocumentError> {
        let made = document::create::<D>(body, self.mint(), self.now())?;
        self.create_document(errand, &made).await
    }

    /// Changes a document as `decide` says of its present state, and gives its bytes; `None` changes nothing.
    ///
    /// # Errors
    /// There is none; what `decide` refuses; another has its unique key.
    pub async fn revise_document<D, F>(
        &self,
        errand: DocumentChange<'_>,
        id: Id<D::Kind>,
        decide: impl Fn(D) -> F,
    ) -> Result<Vec<u8>, DocumentError>
    where
        D: DocumentRules,
        F: Future<Output = Result<Option<D>, DocumentError>>,
    {
        self.change(errand, || async {
            let stored = self.stored::<D>(errand.workspace, id).await?;
            let Some(next) = decide(stored.value.clone()).await? else {
                return Ok(Change::Nothing(written(&stored.value)?));
            };
            self.free(errand.workspace, &next).await?;
            let version = next.version().unwrap_or(stored.version);
            let revision = stored.revision + 1;
            let next = store::StoredDocument { revision, version, ..row(errand.workspace, &next)? };
            let body = next.body.clone();
            Ok(Change::Writes(vec![BatchWrite::Revise(next)], body))
        })
        .await
    }

    /// Changes a document by a body.
    ///
    /// # Errors
    /// There is none; what the rules refuse.
    pub async fn revise_plain<D: PlainDocument>(
        &self,
        errand: DocumentChange<'_>,
        id: Id<D::Kind>,
        body: Value,
    ) -> Result<Vec<u8>, DocumentError> {
        let decide =
            |stored: D| ready(document::revise(&stored, body.clone(), self.now()).map_err(Into::into));
        self.revise_document(errand, id, decide).await
    }

    /// Archives a document; one that is archived stays as it is.
    ///
    /// # Errors
    /// There is none.
    pub async fn archive_document<D: DocumentRules>(
        &self,
        errand: DocumentChange<'_>,
        id: Id<D::Kind>,
    ) -> Result<Vec<u8>, DocumentError> {
        let decide = |stored: D| ready(Ok(document::archive(&stored, self.now())));
        self.revise_document(errand, id, decide).await
    }

    /// Removes a document and all below it, and gives the bytes of what is said of that.
    ///
    /// # Errors
    /// There is none.
    pub async fn delete_document<D: DocumentRules>(
        &self,
        errand: DocumentChange<'_>,
        id: Id<D::Kind>,
    ) -> Result<Vec<u8>, DocumentError> {
        self.drop_document::<D, _>(errand, id, || ready(Ok(None))).await
    }

    /// Removes a document and all below it, and gives the bytes of what is said of that. `guard` says what
    /// must hold until it is gone.
    ///
    /// # Errors
    /// There is none; what `guard` refuses.
    pub(crate) async fn drop_document<D, F>(
        &self,
        errand: DocumentChange<'_>,
        id: Id<D::Kind>,
        guard: impl Fn() -> F,
    ) -> Result<Vec<u8>, DocumentError>
    where
        D: DocumentRules,
        F: Future<Output = Result<Option<BatchWrite>, DocumentError>>,
    {
        let gone = written(&json!({"id": id, "type": D::DELETED}))?;
        self.change(errand, || async {
            self.stored::<D>(errand.workspace, id).await?;
            let guard = guard().await?;
            let drop = BatchWrite::Drop { workspace: errand.workspace, kind: kind::<D>(), id: id.bits() };
            Ok(Change::Writes(guard.into_iter().chain([drop]).collect(), gone.clone()))
        })
        .await
    }

    /// Some documents of a workspace, newest first.
    pub async fn documents<D: DocumentRules>(
        &self,
        workspace: WorkspaceId,
        list: &DocumentListQuery,
    ) -> Result<DocumentPage<D, (Timestamp, u128)>, EngineFault> {
        let query = DocumentQuery {
            parent: list.parent.as_ref().map(|parent| parent.id),
            created_gte: list.created_gte,
            created_lte: list.created_lte,
            include_archived: list.include_archived,
            order: ListOrder::Descending,
            after: list.after,
            bytes: list.bytes,
            ..DocumentQuery::new(workspace, kind::<D>(), list.limit)
        };
        let ListedPage { items: rows, cut } = self.store().documents(query).await?;
        let more = cut || rows.len() == list.limit;
        let last = rows.last().map(|row| (row.created_at, row.id));
        let items = rows.into_iter().filter_map(listed::<D>).collect();
        Ok(DocumentPage { items, more: last.filter(|_| more) })
    }

    /// Some versions of a document, newest first, the present one included; those below `after`. Whether it
    /// is archived is the same for all of them.
    ///
    /// # Errors
    /// There is no such document.
    pub async fn versions<D: DocumentRules>(
        &self,
        workspace: WorkspaceId,
        id: Id<D::Kind>,
        after: Option<u64>,
        limit: usize,
        bytes: usize,
    ) -> Result<DocumentPage<D, u64>, DocumentError> {
        let now = self.document::<D>(workspace, id).await?;
        let found = self.store().versions(workspace, kind::<D>(), id.bits(), after, limit, bytes).await?;
        let more = found.cut || found.items.len() == limit;
        let last = found.items.last().map(|row| row.version);
        let items = found.items.into_iter().filter_map(listed::<D>);
        let items = items.map(|value| archived_as(&now, value)).collect();
        Ok(DocumentPage { items, more: last.filter(|_| more) })
    }

    async fn stored<D: DocumentRules>(
        &self,
        workspace: WorkspaceId,
        id: Id<D::Kind>,
    ) -> Result<Stored<D>, DocumentError> {
        Ok(self.look(workspace, id, None).await?.ok_or_else(|| document::missing::<D>(id))?)
    }

    async fn look<D: DocumentRules>(
        &self,
        workspace: WorkspaceId,
        id: Id<D::Kind>,
        version: Option<u64>,
    ) -> Result<Option<Stored<D>>, EngineFault> {
        let row = self.store().document(workspace, kind::<D>(), id.bits(), version).await?;
        row.map(read).transpose()
    }

    /// Refuses a unique key that another document has.
    async fn free<D: DocumentRules>(
        &self,
        workspace: WorkspaceId,
        document: &D,
    ) -> Result<(), DocumentError> {
        let Some(key) = document.unique_key() else { return Ok(()) };
        let found = self.store().find(workspace, kind::<D>(), key).await?;
        match found.filter(|found| found.id != document.id().bits()) {
            Some(_) => Err(document::taken::<D>(key).into()),
            None => Ok(()),
        }
    }

    /// What expects that what a new document is below is live until it is made, if it is below anything.
    async fn parent<D: DocumentRules>(
        &self,
        workspace: WorkspaceId,
        document: &D,
    ) -> Result<Option<BatchWrite>, DocumentError> {
        let Some(parent) = document.parent() else { return Ok(None) };
        let (kind, id) = (DocumentKind::new(parent.kind), parent.id);
        match self.store().document(workspace, kind, id, None).await? {
            None => Err(parent.missing().into()),
            Some(found) if found.archived_at.is_some() => Err(parent.archived().into()),
            Some(_) => Ok(Some(BatchWrite::ExpectLive { workspace, kind, id, version: None })),
        }
    }

    /// Decides and writes until nobody was in between.
    async fn change<F>(
        &self,
        errand: DocumentChange<'_>,
        decide: impl Fn() -> F,
    ) -> Result<Vec<u8>, DocumentError>
    where
        F: Future<Output = Result<Change, DocumentError>>,
    {
        for _ in 0..RACES {
            match decide().await? {
                Change::Nothing(answer) => return Ok(answer),
                Change::Writes(mut writes, answer) => {
                    writes.extend(errand.attempt.map(|attempt| attempt.answered(&answer, self.now())));
                    match self.keep(writes).await {
                        Ok(()) => return Ok(answer),
                        Err(store::BatchError::Conflict { .. }) => {}
                        Err(store::BatchError::Fault(fault)) => return Err(fault.into()),
                    }
                }
            }
        }
        Err(EngineFault::Contended(RACES).into())
    }
}

/// Under which word the store keeps it.
const fn kind<D: DocumentRules>() -> DocumentKind {
    DocumentKind::new(D::KIND)
}

/// What expects that it is there and not archived, and that it has this version, if one is named.
pub(crate) fn live<D: DocumentRules>(
    workspace: WorkspaceId,
    id: Id<D::Kind>,
    version: Option<u64>,
) -> BatchWrite {
    BatchWrite::ExpectLive { workspace, kind: kind::<D>(), id: id.bits(), version }
}

fn written<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, EngineFault> {
    serde_json::to_vec(value).map_err(EngineFault::unwritable)
}

/// The row that keeps a new one.
fn row<D: DocumentRules>(workspace: WorkspaceId, document: &D) -> Result<store::StoredDocument, EngineFault> {
    Ok(store::StoredDocument {
        kind: kind::<D>(),
        id: document.id().bits(),
        revision: 1,
        version: document.version().unwrap_or(1),
        workspace,
        parent: document.parent().map(|parent| parent.id),
        unique_key: document.unique_key().map(str::to_owned),
        body: written(document)?,
        created_at: document.created_at(),
        updated_at: document.updated_at(),
        archived_at: document.archived_at(),
    })
}

fn read<D: DocumentRules>(row: store::StoredDocument) -> Result<Stored<D>, EngineFault> {
    let value = serde_json::from_slice(&row.body)
        .map_err(|wrong| EngineFault::Unreadable(format!("a stored {} cannot be read: {wrong}", D::KIND)))?;
    Ok(Stored { value, revision: row.revision, version: row.version })
}

/// What a list shows of a row. One that is damaged is left out and named, for a list is of many.
fn listed<D: DocumentRules>(row: store::StoredDocument) -> Option<D> {
    let (kind, id) = (D::KIND, row.id);
    match read(row) {
        Ok(stored) => Some(stored.value),
        Err(fault) => {
            let fault = fault.to_string();
            tracing::error!(kind, id = format!("{id:032x}"), fault, "left out of a list");
            None
        }
    }
}

fn archived_as<D: Resource>(now: &D, mut then: D) -> D {
    *then.times().1 = now.archived_at();
    then
}
