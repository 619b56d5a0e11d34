//! The four nouns on a database: each method is a query or a batch of `sql`, and what its rows mean.

use std::collections::BTreeSet;

use protocol::{EnvironmentId, SessionId, Stamp, WorkspaceId};

use crate::cells::{Cells, Value};
use crate::fault::{CommitError, Damage, Fault};
use crate::kind::Kind;
use crate::leases::{Claim, Lease};
use crate::lists;
use crate::nouns::{Document, DocumentQuery, Head, HeadQuery, Listed, Owner, Receipt, Row, Write};
use crate::sql::{self, Query, Statement};
use crate::sqlite::Database;
use crate::statements::Rows;

/// How many log rows of a deleted session are removed in one batch, so that commits get in between.
const PURGED_AT_ONCE: usize = 500;

#[derive(Debug)]
pub(crate) struct Tables {
    database: Database,
}

impl Tables {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    pub(crate) async fn commit(&self, writes: Vec<Write>) -> Result<(), CommitError> {
        let appends = writes.iter().filter(|write| matches!(write, Write::Append(_))).count();
        self.database.run(sql::statements(writes), appends as u64).await
    }

    pub(crate) fn commits(&self) -> u64 {
        self.database.commits()
    }

    pub(crate) async fn head(
        &self,
        workspace: WorkspaceId,
        session: SessionId,
    ) -> Result<Option<Head>, Fault> {
        self.one(sql::head(workspace, session), Cells::head).await
    }

    pub(crate) async fn head_of(&self, session: SessionId) -> Result<Option<Head>, Fault> {
        self.one(sql::head_of(session), Cells::head).await
    }

    pub(crate) async fn heads(&self, query: &HeadQuery) -> Result<Listed<Head>, Fault> {
        let mut query = query.clone();
        let mut page = Vec::new();
        loop {
            let Rows { rows, cut } = self.database.rows(lists::heads(&query)).await?;
            let more = cut || rows.len() == query.limit;
            let last = last_place(&rows, 5).map(|(at, id)| (at, SessionId::from_bits(id)));
            let read = readable(rows, Cells::head, &mut page);
            match go_on(query.limit, read, more, query.after, last) {
                Some(limit) if !cut || page.is_empty() => (query.limit, query.after) = (limit, last),
                Some(_) | None => return Ok(listed(page, cut, query.backwards)),
            }
        }
    }

    pub(crate) async fn busy(&self) -> Result<Vec<SessionId>, Fault> {
        self.all(sql::busy(), Cells::id).await
    }

    /// Rows that follow on each other from the one that holds `from`. What comes behind a damaged one is for
    /// the next read to stumble over, so that all in front of it is served.
    pub(crate) async fn read(
        &self,
        session: SessionId,
        from: u64,
        max_bytes: usize,
    ) -> Result<Vec<Row>, Fault> {
        let mut read: Vec<Row> = Vec::new();
        for cells in self.database.rows(sql::log(session, from, max_bytes)).await?.rows {
            let next = read.last().map(end);
            let row = Cells::new(cells).row(session).map_err(damaged(session, next.unwrap_or(from)));
            let follows = |row: &Row| next.map_or(row.first <= from, |next| row.first == next);
            match row {
                Ok(row) if follows(&row) => read.push(row),
                _ if !read.is_empty() => break,
                // Its rows go from the front while it is purged.
                Ok(row) if self.is_going(session).await? => read.push(row),
                Ok(_) => return Err(Fault::Damaged(Damage::Log { session, position: from })),
                Err(fault) => return Err(fault),
            }
        }
        if read.is_empty() && self.has_lost(session, from).await? {
            return Err(Fault::Damaged(Damage::Log { session, position: from }));
        }
        Ok(read)
    }

    /// Whether a log must have a row at this position, where none was found.
    async fn has_lost(&self, session: SessionId, from: u64) -> Result<bool, Fault> {
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
    ) -> Result<Vec<Row>, Fault> {
        let mut read: Vec<Row> = Vec::new();
        for cells in self.database.rows(sql::log_back(session, before, max_bytes)).await?.rows {
            let below = read.last().map(|row| row.first);
            let lost = below.unwrap_or(before).saturating_sub(1);
            match Cells::new(cells).row(session).map_err(damaged(session, lost)) {
                Ok(row) => match below {
                    Some(below) if end(&row) != below => break,
                    None if self.is_lost(session, end(&row), before).await? => {
                        return Err(Fault::Damaged(Damage::Log { session, position: end(&row) }));
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
    async fn is_lost(&self, session: SessionId, end: u64, before: u64) -> Result<bool, Fault> {
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
    ) -> Result<Vec<Row>, Fault> {
        self.all(sql::log(session, from, max_bytes), Cells::row_as_is).await
    }

    async fn is_going(&self, session: SessionId) -> Result<bool, Fault> {
        Ok(self.head_of(session).await?.is_none_or(|head| head.deleted_at.is_some()))
    }

    pub(crate) async fn purge(&self, deleted_before: Stamp, limit: usize) -> Result<usize, Fault> {
        let deleted = self.all(sql::deleted(deleted_before, limit), Cells::id).await?;
        let mut purged = 0;
        for session in deleted {
            while let Some(end) = self.one(sql::cut(session, PURGED_AT_ONCE), Cells::count).await? {
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
        kind: Kind,
        id: u128,
        version: Option<u64>,
    ) -> Result<Option<Document>, Fault> {
        let query = match version {
            None => sql::document(workspace, kind, id),
            Some(version) => sql::document_version(workspace, kind, id, version),
        };
        self.one(query, |cells| cells.document(kind)).await
    }

    pub(crate) async fn documents(&self, query: &DocumentQuery) -> Result<Listed<Document>, Fault> {
        let mut query = query.clone();
        let mut page = Vec::new();
        loop {
            let Rows { rows, cut } = self.database.rows(lists::documents(&query)).await?;
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
        kind: Kind,
        id: u128,
        after: Option<u64>,
        limit: usize,
        bytes: usize,
    ) -> Result<Listed<Document>, Fault> {
        let (mut after, mut limit, mut page) = (after, limit, Vec::new());
        loop {
            let query = Query { max_bytes: bytes, ..sql::versions(workspace, kind, id, after, limit) };
            let Rows { rows, cut } = self.database.rows(query).await?;
            let more = cut || rows.len() == limit;
            let last = last_version(&rows);
            let read = readable(rows, |cells| cells.document(kind), &mut page);
            match go_on(limit, read, more, after, last) {
                Some(left) if !cut || page.is_empty() => (limit, after) = (left, last),
                Some(_) | None => return Ok(Listed { items: page, cut }),
            }
        }
    }

    pub(crate) async fn find(
        &self,
        workspace: WorkspaceId,
        kind: Kind,
        key: &str,
    ) -> Result<Option<Document>, Fault> {
        self.one(sql::find(workspace, kind, key), |cells| cells.document(kind)).await
    }

    pub(crate) async fn snapshot(&self, hash: &[u8; 32]) -> Result<Option<Vec<u8>>, Fault> {
        self.one(sql::snapshot(hash), Cells::bytes).await
    }

    pub(crate) async fn claim(
        &self,
        scope: &str,
        holder: &str,
        now: Stamp,
        until: Stamp,
    ) -> Result<Claim, Fault> {
        loop {
            let kept = self.one(sql::lease(scope), Cells::lease).await?;
            let (claim, next) = Lease::claim(kept.as_ref(), holder, now, until)?;
            let Some(next) = next else { return Ok(claim) };
            // Otherwise somebody else moved the lease since it was read: one of us gets on.
            if self.expected(vec![sql::swap_lease(scope, kept.as_ref(), next)]).await? {
                return Ok(claim);
            }
        }
    }

    pub(crate) async fn renew(&self, scope: &str, epoch: u64, until: Stamp) -> Result<bool, Fault> {
        self.expected(vec![sql::renew_lease(scope, epoch, until)]).await
    }

    pub(crate) async fn release(&self, scope: &str, epoch: u64) -> Result<(), Fault> {
        self.expected(vec![sql::release_lease(scope, epoch)]).await.map(drop)
    }

    pub(crate) async fn using(&self, environment: EnvironmentId) -> Result<u64, Fault> {
        Ok(self.one(sql::using(environment), Cells::count).await?.unwrap_or(0))
    }

    pub(crate) async fn pinned(&self, owner: Owner) -> Result<u64, Fault> {
        Ok(self.one(sql::pinned(owner), Cells::count).await?.unwrap_or(0))
    }

    /// Those of these blobs that somebody uses.
    pub(crate) async fn in_use(&self, blobs: &[[u8; 32]]) -> Result<BTreeSet<[u8; 32]>, Fault> {
        let name = |cells: &mut Cells| {
            cells.bytes()?.try_into().map_err(|_| Fault::Corrupt("a blob's name is not 32 bytes long"))
        };
        Ok(self.all(sql::in_use(blobs), name).await?.into_iter().collect())
    }

    pub(crate) async fn sessions(
        &self,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<SessionId>, Fault> {
        self.all(sql::sessions(after, limit), Cells::id).await
    }

    pub(crate) async fn receipt(&self, name: &[u8; 16], now: Stamp) -> Result<Option<Receipt>, Fault> {
        self.one(sql::receipt(name, now), Cells::receipt).await
    }

    pub(crate) async fn forget(&self, now: Stamp, limit: usize) -> Result<usize, Fault> {
        let over = self.all(sql::receipts_over(now, limit), Cells::stamp).await?;
        if let Some(last) = over.last() {
            self.expected(vec![sql::forget(*last)]).await?;
        }
        Ok(over.len())
    }

    pub(crate) async fn is_marked(&self, name: &str) -> Result<bool, Fault> {
        Ok(self.one(sql::mark(name), Cells::count).await?.is_some())
    }

    pub(crate) async fn mark(&self, name: &str) -> Result<(), Fault> {
        self.expected(vec![sql::set_mark(name)]).await.map(drop)
    }

    pub(crate) async fn probe(&self) -> Result<(), Fault> {
        self.expected(vec![sql::probe()]).await.map(drop)
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// Runs a batch; whether it met what it expected.
    async fn expected(&self, statements: Vec<Statement>) -> Result<bool, Fault> {
        match self.database.run(statements, 0).await {
            Ok(()) => Ok(true),
            Err(CommitError::Conflict { .. }) => Ok(false),
            Err(CommitError::Fault(fault)) => Err(fault),
        }
    }

    async fn all<T>(
        &self,
        query: Query,
        noun: impl Fn(&mut Cells) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let Rows { rows, .. } = self.database.rows(query).await?;
        rows.into_iter().map(|row| noun(&mut Cells::new(row))).collect()
    }

    async fn one<T>(
        &self,
        query: Query,
        noun: impl Fn(&mut Cells) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        Ok(self.all(query, noun).await?.pop())
    }
}

/// Where a row ends.
fn end(row: &Row) -> u64 {
    row.first.saturating_add(u64::from(row.count))
}

/// A row that cannot even be taken apart is damaged where it should be.
fn damaged(session: SessionId, position: u64) -> impl Fn(Fault) -> Fault {
    move |fault| match fault {
        Fault::Corrupt(_) => Fault::Damaged(Damage::Log { session, position }),
        fault @ (Fault::Open { .. }
        | Fault::Newer { .. }
        | Fault::Full { .. }
        | Fault::Short { .. }
        | Fault::Gone { .. }
        | Fault::Disk(_)
        | Fault::Damaged(_)
        | Fault::Misuse(_)
        | Fault::Panicked
        | Fault::Closed) => fault,
    }
}

/// Adds what can be read to a page, and says how many that were. One row that is damaged is left out and
/// named, for a list is of many.
fn readable<T>(
    rows: Vec<Vec<Value>>,
    noun: impl Fn(&mut Cells) -> Result<T, Fault>,
    page: &mut Vec<T>,
) -> usize {
    let before = page.len();
    for row in rows {
        match noun(&mut Cells::new(row)) {
            Ok(noun) => page.push(noun),
            Err(fault) => tracing::error!(%fault, "left out of a list"),
        }
    }
    page.len() - before
}

/// Where the last row stands in its list, whether or not it can be read whole: its id comes first, and in
/// this column when it was created.
fn last_place(rows: &[Vec<Value>], created: usize) -> Option<(Stamp, u128)> {
    rows.iter().rev().find_map(|row| match (row.first()?, row.get(created)?) {
        (Value::Bytes(id), Value::Int(at)) => {
            let id = id.as_slice().try_into().map(u128::from_be_bytes).ok()?;
            Some((Stamp::from_micros(*at), id))
        }
        _ => None,
    })
}

/// Which version the last row is, whether or not it can be read whole.
fn last_version(rows: &[Vec<Value>]) -> Option<u64> {
    rows.iter().rev().find_map(|row| match row.get(1)? {
        Value::Int(version) => u64::try_from(*version).ok(),
        Value::Null | Value::Text(_) | Value::Bytes(_) => None,
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
fn listed<T>(mut items: Vec<T>, cut: bool, backwards: bool) -> Listed<T> {
    if backwards {
        items.reverse();
    }
    Listed { items, cut }
}
