//! The four nouns on a database: each method is a query or a batch of `sql`, and what its rows mean.

use std::collections::BTreeSet;

use protocol::{EnvironmentId, SessionId, Timestamp, WorkspaceId};

use crate::cells::{CellValue, RowCells};
use crate::fault::{BatchError, DamagedPart, StoreFault};
use crate::kind::DocumentKind;
use crate::leases::{LeaseClaim, SessionLease};
use crate::lists;
use crate::nouns::{
    BatchWrite, BlobOwner, DocumentQuery, HeadQuery, ListedPage, LogRow, PostReceipt, SessionHead,
    StoredDocument,
};
use crate::sql::{self, SqlQuery, SqlStatement};
use crate::sqlite::SqliteDatabase;
use crate::statements::FoundRows;

/// How many log rows of a deleted session are removed in one batch, so that commits get in between.
const PURGED_AT_ONCE: usize = 500;

#[derive(Debug)]
pub(crate) struct Tables {
    database: SqliteDatabase,
}

impl Tables {
    pub(crate) fn new(database: SqliteDatabase) -> Self {
        Self { database }
    }

    pub(crate) async fn commit(&self, writes: Vec<BatchWrite>) -> Result<(), BatchError> {
        let appends = writes.iter().filter(|write| matches!(write, BatchWrite::Append(_))).count();
        self.database.run(sql::statements(writes), appends as u64).await
    }

    pub(crate) fn commits(&self) -> u64 {
        self.database.commits()
    }

    pub(crate) async fn head(
        &self,
        workspace: WorkspaceId,
        session: SessionId,
    ) -> Result<Option<SessionHead>, StoreFault> {
        self.one(sql::head(workspace, session), RowCells::head).await
    }

    pub(crate) async fn head_of(&self, session: SessionId) -> Result<Option<SessionHead>, StoreFault> {
        self.one(sql::head_of(session), RowCells::head).await
    }

    pub(crate) async fn heads(&self, query: &HeadQuery) -> Result<ListedPage<SessionHead>, StoreFault> {
        let mut query = query.clone();
        let mut page = Vec::new();
        loop {
            let FoundRows { rows, cut } = self.database.rows(lists::heads(&query)).await?;
            let more = cut || rows.len() == query.limit;
            let last = last_place(&rows, 5).map(|(at, id)| (at, SessionId::from_bits(id)));
            let read = readable(rows, RowCells::head, &mut page);
            match go_on(query.limit, read, more, query.after, last) {
                Some(limit) if !cut || page.is_empty() => (query.limit, query.after) = (limit, last),
                Some(_) | None => return Ok(listed(page, cut, query.backwards)),
            }
        }
    }

    pub(crate) async fn busy(&self) -> Result<Vec<SessionId>, StoreFault> {
        self.all(sql::busy(), RowCells::id).await
    }

    /// Rows that follow on each other from the one that holds `from`. What comes behind a damaged one is for
    /// the next read to stumble over, so that all in front of it is served.
    pub(crate) async fn read(
        &self,
        session: SessionId,
        from: u64,
        max_bytes: usize,
    ) -> Result<Vec<LogRow>, StoreFault> {
        let mut read: Vec<LogRow> = Vec::new();
        for cells in self.database.rows(sql::log(session, from, max_bytes)).await?.rows {
            let next = read.last().map(end);
            let row = RowCells::new(cells).row(session).map_err(damaged(session, next.unwrap_or(from)));
            let follows = |row: &LogRow| next.map_or(row.first <= from, |next| row.first == next);
            match row {
                Ok(row) if follows(&row) => read.push(row),
                _ if !read.is_empty() => break,
                // Its rows go from the front while it is purged.
                Ok(row) if self.is_going(session).await? => read.push(row),
                Ok(_) => return Err(StoreFault::Damaged(DamagedPart::Log { session, position: from })),
                Err(fault) => return Err(fault),
            }
        }
        if read.is_empty() && self.has_lost(session, from).await? {
            return Err(StoreFault::Damaged(DamagedPart::Log { session, position: from }));
        }
        Ok(read)
    }

    /// Whether a log must have a row at this position, where none was found.
    async fn has_lost(&self, session: SessionId, from: u64) -> Result<bool, StoreFault> {
        if !self.is_lost(session, from, u64::MAX).await? {
            return Ok(false);
        }
        // It may have come after the first look, and before the one at the head.
        let row = self.database.rows(sql::log(session, from, 1)).await?.rows;
        Ok(row.is_empty() && !self.is_going(session).await?)
    }

    pub(crate) async fn read_back(
        &self,
        session: SessionId,
        before: u64,
        max_bytes: usize,
    ) -> Result<Vec<LogRow>, StoreFault> {
        let mut read: Vec<LogRow> = Vec::new();
        for cells in self.database.rows(sql::log_back(session, before, max_bytes)).await?.rows {
            let below = read.last().map(|row| row.first);
            let lost = below.unwrap_or(before).saturating_sub(1);
            match RowCells::new(cells).row(session).map_err(damaged(session, lost)) {
                Ok(row) => match below {
                    Some(below) if end(&row) != below => break,
                    None if self.is_lost(session, end(&row), before).await? => {
                        return Err(StoreFault::Damaged(DamagedPart::Log { session, position: end(&row) }));
                    }
                    Some(_) | None => read.push(row),
                },
                Err(_) if !read.is_empty() => break,
                Err(fault) => return Err(fault),
            }
        }
        Ok(read)
    }

    /// Whether a log must have a row between these two positions; only looked for where none is.
    async fn is_lost(&self, session: SessionId, end: u64, before: u64) -> Result<bool, StoreFault> {
        if end >= before {
            return Ok(false);
        }
        let head = self.head_of(session).await?;
        Ok(head.is_some_and(|head| head.position.min(before) > end))
    }

    /// Rows as they lie there, right or wrong.
    pub(crate) async fn read_as_is(
        &self,
        session: SessionId,
        from: u64,
        max_bytes: usize,
    ) -> Result<Vec<LogRow>, StoreFault> {
        self.all(sql::log(session, from, max_bytes), RowCells::row_as_is).await
    }

    async fn is_going(&self, session: SessionId) -> Result<bool, StoreFault> {
        Ok(self.head_of(session).await?.is_none_or(|head| head.deleted_at.is_some()))
    }

    pub(crate) async fn purge(&self, deleted_before: Timestamp, limit: usize) -> Result<usize, StoreFault> {
        let deleted = self.all(sql::deleted(deleted_before, limit), RowCells::id).await?;
        let mut purged = 0;
        for session in deleted {
            while let Some(end) = self.one(sql::cut(session, PURGED_AT_ONCE), RowCells::count).await? {
                self.expected(sql::remove(session, Some(end))).await?;
            }
            if self.expected(sql::remove(session, None)).await? {
                purged += 1;
            }
        }
        Ok(purged)
    }

    pub(crate) async fn document(
        &self,
        workspace: WorkspaceId,
        kind: DocumentKind,
        id: u128,
        version: Option<u64>,
    ) -> Result<Option<StoredDocument>, StoreFault> {
        let query = match version {
            None => sql::document(workspace, kind, id),
            Some(version) => sql::document_version(workspace, kind, id, version),
        };
        self.one(query, |cells| cells.document(kind)).await
    }

    pub(crate) async fn documents(
        &self,
        query: &DocumentQuery,
    ) -> Result<ListedPage<StoredDocument>, StoreFault> {
        let mut query = query.clone();
        let mut page = Vec::new();
        loop {
            let FoundRows { rows, cut } = self.database.rows(lists::documents(&query)).await?;
            let more = cut || rows.len() == query.limit;
            let last = last_place(&rows, 4);
            let read = readable(rows, |cells| cells.document(query.kind), &mut page);
            match go_on(query.limit, read, more, query.after, last) {
                Some(limit) if !cut || page.is_empty() => (query.limit, query.after) = (limit, last),
                Some(_) | None => return Ok(listed(page, cut, query.backwards)),
            }
        }
    }

    pub(crate) async fn versions(
        &self,
        workspace: WorkspaceId,
        kind: DocumentKind,
        id: u128,
        after: Option<u64>,
        limit: usize,
        bytes: usize,
    ) -> Result<ListedPage<StoredDocument>, StoreFault> {
        let (mut after, mut limit, mut page) = (after, limit, Vec::new());
        loop {
            let query = SqlQuery { max_bytes: bytes, ..sql::versions(workspace, kind, id, after, limit) };
            let FoundRows { rows, cut } = self.database.rows(query).await?;
            let more = cut || rows.len() == limit;
            let last = last_version(&rows);
            let read = readable(rows, |cells| cells.document(kind), &mut page);
            match go_on(limit, read, more, after, last) {
                Some(left) if !cut || page.is_empty() => (limit, after) = (left, last),
                Some(_) | None => return Ok(ListedPage { items: page, cut }),
            }
        }
    }

    pub(crate) async fn find(
        &self,
        workspace: WorkspaceId,
        kind: DocumentKind,
        key: &str,
    ) -> Result<Option<StoredDocument>, StoreFault> {
        self.one(sql::find(workspace, kind, key), |cells| cells.document(kind)).await
    }

    pub(crate) async fn snapshot(&self, hash: &[u8; 32]) -> Result<Option<Vec<u8>>, StoreFault> {
        self.one(sql::snapshot(hash), RowCells::bytes).await
    }

    pub(crate) async fn claim(
        &self,
        scope: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<LeaseClaim, StoreFault> {
        loop {
            let kept = self.one(sql::lease(scope), RowCells::lease).await?;
            let (claim, next) = SessionLease::claim(kept.as_ref(), holder, now, until)?;
            let Some(next) = next else { return Ok(claim) };
            // Otherwise somebody else moved the lease since it was read: one of us gets on.
            if self.expected(vec![sql::swap_lease(scope, kept.as_ref(), next)]).await? {
                return Ok(claim);
            }
        }
    }

    pub(crate) async fn renew(&self, scope: &str, epoch: u64, until: Timestamp) -> Result<bool, StoreFault> {
        self.expected(vec![sql::renew_lease(scope, epoch, until)]).await
    }

    pub(crate) async fn release(&self, scope: &str, epoch: u64) -> Result<(), StoreFault> {
        self.expected(vec![sql::release_lease(scope, epoch)]).await.map(drop)
    }

    pub(crate) async fn using(&self, environment: EnvironmentId) -> Result<u64, StoreFault> {
        Ok(self.one(sql::using(environment), RowCells::count).await?.unwrap_or(0))
    }

    pub(crate) async fn pinned(&self, owner: BlobOwner) -> Result<u64, StoreFault> {
        Ok(self.one(sql::pinned(owner), RowCells::count).await?.unwrap_or(0))
    }

    /// Those of these blobs that somebody uses.
    pub(crate) async fn in_use(&self, blobs: &[[u8; 32]]) -> Result<BTreeSet<[u8; 32]>, StoreFault> {
        let name = |cells: &mut RowCells| {
            cells.bytes()?.try_into().map_err(|_| StoreFault::Corrupt("a blob's name is not 32 bytes long"))
        };
        Ok(self.all(sql::in_use(blobs), name).await?.into_iter().collect())
    }

    pub(crate) async fn sessions(
        &self,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<SessionId>, StoreFault> {
        self.all(sql::sessions(after, limit), RowCells::id).await
    }

    pub(crate) async fn receipt(
        &self,
        name: &[u8; 16],
        now: Timestamp,
    ) -> Result<Option<PostReceipt>, StoreFault> {
        self.one(sql::receipt(name, now), RowCells::receipt).await
    }

    pub(crate) async fn forget(&self, now: Timestamp, limit: usize) -> Result<usize, StoreFault> {
        let over = self.all(sql::receipts_over(now, limit), RowCells::stamp).await?;
        if let Some(last) = over.last() {
            self.expected(vec![sql::forget(*last)]).await?;
        }
        Ok(over.len())
    }

    pub(crate) async fn is_marked(&self, name: &str) -> Result<bool, StoreFault> {
        Ok(self.one(sql::mark(name), RowCells::count).await?.is_some())
    }

    pub(crate) async fn mark(&self, name: &str) -> Result<(), StoreFault> {
        self.expected(vec![sql::set_mark(name)]).await.map(drop)
    }

    pub(crate) async fn probe(&self) -> Result<(), StoreFault> {
        self.expected(vec![sql::probe()]).await.map(drop)
    }

    pub(crate) fn database(&self) -> &SqliteDatabase {
        &self.database
    }

    /// Runs a batch; whether it met what it expected.
    async fn expected(&self, statements: Vec<SqlStatement>) -> Result<bool, StoreFault> {
        match self.database.run(statements, 0).await {
            Ok(()) => Ok(true),
            Err(BatchError::Conflict { .. }) => Ok(false),
            Err(BatchError::Fault(fault)) => Err(fault),
        }
    }

    async fn all<T>(
        &self,
        query: SqlQuery,
        noun: impl Fn(&mut RowCells) -> Result<T, StoreFault>,
    ) -> Result<Vec<T>, StoreFault> {
        let FoundRows { rows, .. } = self.database.rows(query).await?;
        rows.into_iter().map(|row| noun(&mut RowCells::new(row))).collect()
    }

    async fn one<T>(
        &self,
        query: SqlQuery,
        noun: impl Fn(&mut RowCells) -> Result<T, StoreFault>,
    ) -> Result<Option<T>, StoreFault> {
        Ok(self.all(query, noun).await?.pop())
    }
}

/// Where a row ends.
fn end(row: &LogRow) -> u64 {
    row.first.saturating_add(u64::from(row.count))
}

/// A row that cannot even be taken apart is damaged where it should be.
fn damaged(session: SessionId, position: u64) -> impl Fn(StoreFault) -> StoreFault {
    move |fault| match fault {
        StoreFault::Corrupt(_) => StoreFault::Damaged(DamagedPart::Log { session, position }),
        fault @ (StoreFault::Open { .. }
        | StoreFault::Newer { .. }
        | StoreFault::Full { .. }
        | StoreFault::Short { .. }
        | StoreFault::Gone { .. }
        | StoreFault::Disk(_)
        | StoreFault::Damaged(_)
        | StoreFault::Misuse(_)
        | StoreFault::Panicked
        | StoreFault::Closed) => fault,
    }
}

/// Adds what can be read to a page, and says how many that were. One row that is damaged is left out and
/// named, for a list is of many.
fn readable<T>(
    rows: Vec<Vec<CellValue>>,
    noun: impl Fn(&mut RowCells) -> Result<T, StoreFault>,
    page: &mut Vec<T>,
) -> usize {
    let before = page.len();
    for row in rows {
        match noun(&mut RowCells::new(row)) {
            Ok(noun) => page.push(noun),
            Err(fault) => tracing::error!(%fault, "left out of a list"),
        }
    }
    page.len() - before
}

/// Where the last row stands in its list, whether or not it can be read whole: its id comes first, and in
/// this column when it was created.
fn last_place(rows: &[Vec<CellValue>], created: usize) -> Option<(Timestamp, u128)> {
    rows.iter().rev().find_map(|row| match (row.first()?, row.get(created)?) {
        (CellValue::Bytes(id), CellValue::Int(at)) => {
            let id = id.as_slice().try_into().map(u128::from_be_bytes).ok()?;
            Some((Timestamp::from_micros(*at), id))
        }
        _ => None,
    })
}

/// Which version the last row is, whether or not it can be read whole.
fn last_version(rows: &[Vec<CellValue>]) -> Option<u64> {
    rows.iter().rev().find_map(|row| match row.get(1)? {
        CellValue::Int(version) => u64::try_from(*version).ok(),
        CellValue::Null | CellValue::Text(_) | CellValue::Bytes(_) => None,
    })
}

/// How many a list still lacks because rows were left out of it, if it can go on behind the `last` that was
/// read.
fn go_on<P: PartialEq>(
    limit: usize,
    read: usize,
    more: bool,
    before: Option<P>,
    last: Option<P>,
) -> Option<usize> {
    (more && read < limit && last.is_some() && last != before).then_some(limit - read)
}

/// A page; one read backwards is turned into the list's order.
fn listed<T>(mut items: Vec<T>, cut: bool, backwards: bool) -> ListedPage<T> {
    if backwards {
        items.reverse();
    }
    ListedPage { items, cut }
}
