//! The four nouns on a database: each method is a query or a batch of `sql`, and what its rows mean.

use protocol::{SessionId, Stamp, WorkspaceId};

use crate::cells::{Cells, Value};
use crate::fault::{CommitError, Fault};
use crate::nouns::{Claim, Document, DocumentQuery, Head, HeadQuery, Kind, Lease, Row, Write};
use crate::sql::{self, Query, Statement};
use crate::sqlite::Database;

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

    pub(crate) async fn heads(&self, query: &HeadQuery) -> Result<Vec<Head>, Fault> {
        let page = self.all(sql::heads(query), Cells::head).await?;
        Ok(in_order(page, query.backwards))
    }

    pub(crate) async fn busy(&self) -> Result<Vec<SessionId>, Fault> {
        self.all(sql::busy(), Cells::id).await
    }

    pub(crate) async fn read(
        &self,
        session: SessionId,
        from: u64,
        max_bytes: usize,
    ) -> Result<Vec<Row>, Fault> {
        self.all(sql::log(session, from, max_bytes), Cells::row).await
    }

    pub(crate) async fn read_back(
        &self,
        session: SessionId,
        before: u64,
        max_bytes: usize,
    ) -> Result<Vec<Row>, Fault> {
        self.all(sql::log_back(session, before, max_bytes), Cells::row).await
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

    pub(crate) async fn documents(&self, query: &DocumentQuery) -> Result<Vec<Document>, Fault> {
        let page = self.all(sql::documents(query), |cells| cells.document(query.kind)).await?;
        Ok(in_order(page, query.backwards))
    }

    pub(crate) async fn versions(
        &self,
        workspace: WorkspaceId,
        kind: Kind,
        id: u128,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Document>, Fault> {
        let query = sql::versions(workspace, kind, id, after, limit);
        self.all(query, |cells| cells.document(kind)).await
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
        let rows = self.database.rows(query).await?;
        rows.into_iter().map(|row: Vec<Value>| noun(&mut Cells::new(row))).collect()
    }

    async fn one<T>(
        &self,
        query: Query,
        noun: impl Fn(&mut Cells) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        Ok(self.all(query, noun).await?.pop())
    }
}

/// A page read backwards, turned into the list's order.
fn in_order<T>(mut page: Vec<T>, backwards: bool) -> Vec<T> {
    if backwards {
        page.reverse();
    }
    page
}
