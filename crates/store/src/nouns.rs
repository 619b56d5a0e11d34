//! The nouns of the store: what a commit may write, what is kept, and what lists ask for.

use protocol::{AgentId, EnvironmentId, SessionId, Timestamp, WorkspaceId, session::SessionStatus};

use crate::fault::StoreFault;
use crate::kind::DocumentKind;

/// One write of a commit. Each may expect something; if one expectation fails, no write happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchWrite {
    /// Appends to a session's log and replaces its head row. Expects the head's position to be
    /// `first`; with `first` 0 the session must not exist yet.
    Append(LogAppend),
    /// Keeps a new document, of revision 1. Expects that no document of the kind has this id and, when it
    /// has a unique key, that no other of the workspace and kind has that key.
    Create(StoredDocument),
    /// Replaces a document's revision, version, key, body, `updated_at` and `archived_at`; `created_at` stays
    /// as created. Where the version rises, the one that is replaced stays readable by its number. Expects
    /// that the stored document is of this workspace and parent and at the revision before, that its version
    /// is not above the new one, and that its unique key is free.
    Revise(StoredDocument),
    /// Writes nothing. Expects that the document exists in this workspace and is not archived and, when a
    /// version is named, that this version is the current one or in its history.
    ExpectLive {
        /// Whose document.
        workspace: WorkspaceId,
        /// The document's kind.
        kind: DocumentKind,
        /// The document's id.
        id: u128,
        /// A version that must exist.
        version: Option<u64>,
    },
    /// Writes nothing. Expects that no session has this environment that is neither terminated nor deleted.
    ExpectUnused {
        /// The environment.
        environment: EnvironmentId,
    },
    /// Deletes a document, all documents below it, and the history of all of them. Expects that it is there
    /// and of this workspace.
    Drop {
        /// Whose document.
        workspace: WorkspaceId,
        /// The document's kind.
        kind: DocumentKind,
        /// The document's id.
        id: u128,
    },
    /// Marks a session deleted and leaves all else as it is: for one whose log is damaged, so that nothing
    /// can be appended to it. Expects that it is there, of this workspace, and not deleted.
    Delete {
        /// Whose session.
        workspace: WorkspaceId,
        /// Which.
        session: SessionId,
        /// When.
        at: Timestamp,
    },
    /// Keeps a small body under its hash, once. Expects nothing.
    PutSnapshot {
        /// The hash of the body, computed by the caller.
        hash: [u8; 32],
        /// The body.
        body: Vec<u8>,
    },
    /// Says who uses a blob, once; it stays until its owner is gone. Expects nothing. For a session that is
    /// not there, writes nothing.
    Pin(BlobPin),
    /// Keeps a receipt, in place of one of the same name that lasts until `over` or shorter. Expects that
    /// there is none that lasts longer.
    PutReceipt {
        /// The receipt.
        receipt: PostReceipt,
        /// See above: now, or the end of all time where the newest counts.
        over: Timestamp,
    },
}

/// What finds a request again that is sent once more, kept for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostReceipt {
    /// What it is found by.
    pub name: [u8; 16],
    /// What the request was.
    pub print: [u8; 16],
    /// When it may go.
    pub until: Timestamp,
    /// What the request made; opaque to the store.
    pub made: Vec<u8>,
}

/// Somebody uses a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobPin {
    /// The blob's name: the SHA-256 of its bytes.
    pub blob: [u8; 32],
    /// Who.
    pub owner: BlobOwner,
    /// How many bytes it holds.
    pub bytes: u64,
}

/// Who uses a blob. Only that it is somebody else than another owner matters to the store, and that a purged
/// session uses none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobOwner {
    /// What it is.
    pub kind: BlobOwnerKind,
    /// The 128 bits of its id.
    pub id: u128,
}

impl BlobOwner {
    /// A session.
    pub const fn session(session: SessionId) -> Self {
        Self { kind: BlobOwnerKind::Session, id: session.bits() }
    }
}

/// What an owner of blobs is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlobOwnerKind {
    /// A session: it owns what the facts of its log name.
    Session,
}

impl BlobOwnerKind {
    /// The word the column holds.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
        }
    }
}

impl BatchWrite {
    /// Refuses what no caller can mean, before anything is written.
    pub(crate) fn checked(&self) -> Result<(), StoreFault> {
        match self {
            Self::Append(append) => append.checked(),
            Self::Create(document) => document.checked(document.revision == 1),
            Self::Revise(document) => document.checked(document.revision > 1),
            Self::ExpectLive { .. }
            | Self::ExpectUnused { .. }
            | Self::Drop { .. }
            | Self::Delete { .. }
            | Self::PutSnapshot { .. }
            | Self::Pin(_)
            | Self::PutReceipt { .. } => Ok(()),
        }
    }
}

/// One commit of a session's log (docs/rules.md 8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogAppend {
    /// Whose log.
    pub session: SessionId,
    /// Position of the first fact; positions start at 0.
    pub first: u64,
    /// How many facts the body holds, at least 1.
    pub count: u32,
    /// When it was decided.
    pub at: Timestamp,
    /// The facts; opaque to the store.
    pub body: Vec<u8>,
    /// What finds the commit again when its request is sent once more; opaque to the store.
    pub receipt: Option<Vec<u8>>,
    /// The head row after this commit: same session, position `first + count`.
    pub head: SessionHead,
}

impl LogAppend {
    fn checked(&self) -> Result<(), StoreFault> {
        if self.count == 0 {
            return Err(StoreFault::Misuse("an append holds at least one fact"));
        }
        let position = self.first.saturating_add(u64::from(self.count));
        if self.head.position != position || self.head.session != self.session {
            return Err(StoreFault::Misuse("an append's head is not the head after the append"));
        }
        if i64::try_from(position).is_err() {
            return Err(StoreFault::Misuse("a position is too large"));
        }
        Ok(())
    }
}

/// The head row of a session, written with every append. Lists of sessions, GET and start-up read head rows
/// and fold no log (docs/rules.md 8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionHead {
    /// The session.
    pub session: SessionId,
    /// Whose session; fixed by the first append, ignored in later ones.
    pub workspace: WorkspaceId,
    /// How many facts the log holds.
    pub position: u64,
    /// The printed status; its name is the word that the column holds.
    pub status: SessionStatus,
    /// When the next timer of the session is due.
    pub due: Option<Timestamp>,
    /// When the session was created; fixed by the first append, ignored in later ones.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was archived. Never goes back: an append without it leaves what was there.
    pub archived_at: Option<Timestamp>,
    /// When it was deleted; lists leave it out from then on, and `Store::purge` removes it. Never goes back.
    pub deleted_at: Option<Timestamp>,
    /// The agent it was created with; fixed by the first append, ignored in later ones.
    pub agent: AgentId,
    /// That agent's version; fixed by the first append, ignored in later ones.
    pub agent_version: u64,
    /// Where its tools run; fixed by the first append, ignored in later ones.
    pub environment: EnvironmentId,
    /// Title, metadata, usage and stats; opaque to the store.
    pub body: Vec<u8>,
}

/// One row of a log: what one append kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// Position of the first fact.
    pub first: u64,
    /// How many facts the body holds.
    pub count: u32,
    /// When it was decided.
    pub at: Timestamp,
    /// The facts.
    pub body: Vec<u8>,
    /// What finds it again when its request is sent once more.
    pub receipt: Option<Vec<u8>>,
}

/// Any resource that is not a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDocument {
    /// What it is.
    pub kind: DocumentKind,
    /// The 128 bits of its id.
    pub id: u128,
    /// Counts its changes, from 1 on: what fences a change off that others were quicker than.
    pub revision: u64,
    /// By which it stays readable when the next one replaces it; it never goes down. One that has no
    /// versions stays at that of its creation, by custom 1.
    pub version: u64,
    /// Whose it is.
    pub workspace: WorkspaceId,
    /// The id of the document of the same workspace, of whatever kind, with which it goes when that is
    /// deleted. Fixed when it is created.
    pub parent: Option<u128>,
    /// A text no other document of the workspace and kind may have.
    pub unique_key: Option<String>,
    /// Everything else; opaque to the store.
    pub body: Vec<u8>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was archived.
    pub archived_at: Option<Timestamp>,
}

impl StoredDocument {
    fn checked(&self, revision_fits: bool) -> Result<(), StoreFault> {
        if i64::try_from(self.version).is_err() || i64::try_from(self.revision).is_err() {
            return Err(StoreFault::Misuse("a version or revision is too large"));
        }
        if !revision_fits {
            return Err(StoreFault::Misuse(
                "a new document has revision 1, and each change of it raises that",
            ));
        }
        Ok(())
    }
}

/// By which way a list runs; ties of `created_at` are ordered by id, the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListOrder {
    /// Oldest first.
    Ascending,
    /// Newest first.
    Descending,
}

impl ListOrder {
    /// The way rows are read: a page backwards is read from the cursor against the list's order.
    pub(crate) fn read(self, backwards: bool) -> Self {
        match (self, backwards) {
            (Self::Ascending, false) | (Self::Descending, true) => Self::Ascending,
            (Self::Descending, false) | (Self::Ascending, true) => Self::Descending,
        }
    }
}

/// One page of a workspace's sessions. Deleted sessions are never listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadQuery {
    /// Whose sessions.
    pub workspace: WorkspaceId,
    /// Only sessions of this agent.
    pub agent: Option<AgentId>,
    /// Only sessions of this agent version.
    pub agent_version: Option<u64>,
    /// Only sessions with one of these statuses; empty: any.
    pub statuses: Vec<SessionStatus>,
    /// Only sessions created after this.
    pub created_gt: Option<Timestamp>,
    /// Only sessions created at or after this.
    pub created_gte: Option<Timestamp>,
    /// Only sessions created before this.
    pub created_lt: Option<Timestamp>,
    /// Only sessions created at or before this.
    pub created_lte: Option<Timestamp>,
    /// Whether archived sessions are listed too.
    pub include_archived: bool,
    /// The list's order.
    pub order: ListOrder,
    /// Start behind this session; it need not exist any more.
    pub after: Option<(Timestamp, SessionId)>,
    /// Read the page that ends right before `after` (without `after`: the list's last page) instead.
    /// The answer is in the list's order all the same.
    pub backwards: bool,
    /// How many at most.
    pub limit: usize,
    /// Bytes of rows at most: the page ends before the one with which they exceed this, but holds one.
    pub bytes: usize,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedPage<T> {
    /// What it holds, in the list's order.
    pub items: Vec<T>,
    /// Whether it ends for its bytes, and not for their number or because there are no more.
    pub cut: bool,
}

impl HeadQuery {
    /// The newest `limit` sessions of a workspace that are not archived.
    pub fn new(workspace: WorkspaceId, limit: usize) -> Self {
        Self {
            workspace,
            agent: None,
            agent_version: None,
            statuses: Vec::new(),
            created_gt: None,
            created_gte: None,
            created_lt: None,
            created_lte: None,
            include_archived: false,
            order: ListOrder::Descending,
            after: None,
            backwards: false,
            limit,
            bytes: usize::MAX,
        }
    }
}

/// One page of a workspace's documents of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentQuery {
    /// Whose documents.
    pub workspace: WorkspaceId,
    /// Of which kind.
    pub kind: DocumentKind,
    /// Only those whose parent has this id.
    pub parent: Option<u128>,
    /// Only documents created at or after this.
    pub created_gte: Option<Timestamp>,
    /// Only documents created at or before this.
    pub created_lte: Option<Timestamp>,
    /// Whether archived documents are listed too.
    pub include_archived: bool,
    /// The list's order.
    pub order: ListOrder,
    /// Start behind this document; it need not exist any more.
    pub after: Option<(Timestamp, u128)>,
    /// Read the page that ends right before `after` (without `after`: the list's last page) instead.
    /// The answer is in the list's order all the same.
    pub backwards: bool,
    /// How many at most.
    pub limit: usize,
    /// Bytes of rows at most, as of sessions.
    pub bytes: usize,
}

impl DocumentQuery {
    /// The newest `limit` documents of this workspace and kind that are not archived.
    pub fn new(workspace: WorkspaceId, kind: DocumentKind, limit: usize) -> Self {
        Self {
            workspace,
            kind,
            parent: None,
            created_gte: None,
            created_lte: None,
            include_archived: false,
            order: ListOrder::Descending,
            after: None,
            backwards: false,
            limit,
            bytes: usize::MAX,
        }
    }
}
