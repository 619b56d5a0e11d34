//! The memory driver: the four nouns in ordered maps, on a disk that does wrong to order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::{EnvironmentId, SessionId, Timestamp, WorkspaceId, session::SessionStatus};

use crate::blobs::{Blob, BlobSweep, BlobsInFlight, hash_of};
use crate::fault::{BatchError, StoreFault};
use crate::faults::{CommitFate, MemoryStoreFaults};
use crate::kind::DocumentKind;
use crate::leases::{LeaseClaim, SessionLease};
use crate::nouns::{
    BatchWrite, BlobOwner, BlobOwnerKind, BlobPin, DocumentQuery, HeadQuery, ListedPage, LogAppend, LogRow,
    PostReceipt, SessionHead, StoredDocument,
};
use crate::pages::{is_listed, page, rows_up_to, up_to};

#[derive(Debug)]
pub(crate) struct MemoryStore {
    faults: MemoryStoreFaults,
    state: Mutex<State>,
    flight: Arc<BlobsInFlight>,
}

#[derive(Debug, Default)]
struct State {
    commits: u64,
    heads: BTreeMap<SessionId, SessionHead>,
    logs: BTreeMap<SessionId, Vec<LogRow>>,
    documents: BTreeMap<(DocumentKind, u128), StoredDocument>,
    history: BTreeMap<(DocumentKind, u128, u64), StoredDocument>,
    keys: BTreeMap<(WorkspaceId, DocumentKind, String), u128>,
    snapshots: BTreeMap<[u8; 32], Vec<u8>>,
    leases: BTreeMap<String, SessionLease>,
    blobs: BTreeMap<[u8; 32], Vec<u8>>,
    pins: BTreeMap<(BlobOwner, [u8; 32]), u64>,
    marks: BTreeSet<String>,
    receipts: BTreeMap<[u8; 16], PostReceipt>,
}

/// Takes back one write.
type Undo = Box<dyn FnOnce(&mut State)>;

/// A write met a state it did not expect.
struct Unmet;

impl MemoryStore {
    pub(crate) fn new(faults: MemoryStoreFaults) -> Self {
        Self { faults, state: Mutex::default(), flight: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn commit(&self, writes: Vec<BatchWrite>) -> Result<(), BatchError> {
        let fate = self.faults.next().await?;
        self.state().apply(writes)?;
        match fate {
            CommitFate::Kept => Ok(()),
            CommitFate::KeptUnanswered => Err(StoreFault::Disk("an answer lost to order".to_owned()).into()),
        }
    }

    pub(crate) fn admits(&self) -> Result<(), StoreFault> {
        self.faults.admit()
    }

    pub(crate) fn commits(&self) -> u64 {
        self.state().commits
    }

    pub(crate) fn head(&self, workspace: WorkspaceId, session: SessionId) -> Option<SessionHead> {
        self.state().heads.get(&session).filter(|head| head.workspace == workspace).cloned()
    }

    pub(crate) fn head_of(&self, session: SessionId) -> Option<SessionHead> {
        self.state().heads.get(&session).cloned()
    }

    pub(crate) fn heads(&self, query: &HeadQuery) -> ListedPage<SessionHead> {
        let state = self.state();
        let listed = state.heads.values().filter(|head| is_listed(head, query));
        let listed = listed.map(|head| ((head.created_at, head.session), head));
        let most = (query.limit, query.bytes);
        page(listed, query.order, query.backwards, query.after, most, |head| head.body.len())
    }

    pub(crate) fn busy(&self) -> Vec<SessionId> {
        let state = self.state();
        let busy = state.heads.values().filter(|head| head.status.is_busy() && head.deleted_at.is_none());
        busy.map(|head| head.session).collect()
    }

    pub(crate) fn read(&self, session: SessionId, from: u64, max_bytes: usize) -> Vec<LogRow> {
        let state = self.state();
        let rows = state.logs.get(&session).map_or(&[][..], Vec::as_slice);
        let start = rows.partition_point(|row| row.first + u64::from(row.count) <= from);
        rows_up_to(rows.iter().skip(start), max_bytes)
    }

    pub(crate) fn read_back(&self, session: SessionId, before: u64, max_bytes: usize) -> Vec<LogRow> {
        let state = self.state();
        let rows = state.logs.get(&session).map_or(&[][..], Vec::as_slice);
        let end = rows.partition_point(|row| row.first < before);
        rows_up_to(rows.iter().take(end).rev(), max_bytes)
    }

    pub(crate) fn purge(&self, deleted_before: Timestamp, limit: usize) -> usize {
        let mut state = self.state();
        let deleted = state.heads.values().filter_map(|head| Some((head.deleted_at?, head.session)));
        let mut deleted: Vec<_> = deleted.filter(|(at, _)| *at < deleted_before).collect();
        deleted.sort_unstable();
        deleted.truncate(limit);
        for (_, session) in &deleted {
            state.heads.remove(session);
            state.logs.remove(session);
            state.pins.retain(|(owner, _), _| *owner != BlobOwner::session(*session));
        }
        deleted.len()
    }

    pub(crate) fn document(
        &self,
        workspace: WorkspaceId,
        kind: DocumentKind,
        id: u128,
        version: Option<u64>,
    ) -> Option<StoredDocument> {
        let state = self.state();
        let current = state.documents.get(&(kind, id));
        let asked = match version {
            None => current,
            Some(version) => current
                .filter(|document| document.version == version)
                .or_else(|| state.history.get(&(kind, id, version))),
        };
        asked.filter(|document| document.workspace == workspace).cloned()
    }

    pub(crate) fn documents(&self, query: &DocumentQuery) -> ListedPage<StoredDocument> {
        let state = self.state();
        let listed = state.documents.values().filter(|document| {
            document.workspace == query.workspace
                && document.kind == query.kind
                && query.parent.is_none_or(|parent| document.parent == Some(parent))
                && query.created_gte.is_none_or(|bound| document.created_at >= bound)
                && query.created_lte.is_none_or(|bound| document.created_at <= bound)
                && (query.include_archived || document.archived_at.is_none())
        });
        let listed = listed.map(|document| ((document.created_at, document.id), document));
        let most = (query.limit, query.bytes);
        page(listed, query.order, query.backwards, query.after, most, |document| document.body.len())
    }

    pub(crate) fn versions(
        &self,
        workspace: WorkspaceId,
        kind: DocumentKind,
        id: u128,
        after: Option<u64>,
        limit: usize,
        bytes: usize,
    ) -> ListedPage<StoredDocument> {
        let state = self.state();
        let older = state.history.range((kind, id, 0)..=(kind, id, u64::MAX)).rev();
        let all = state.documents.get(&(kind, id)).into_iter().chain(older.map(|(_, document)| document));
        let asked = all
            .filter(|document| document.workspace == workspace)
            .filter(|document| after.is_none_or(|after| document.version < after));
        up_to(asked.take(limit), bytes, |document| document.body.len())
    }

    pub(crate) fn find(
        &self,
        workspace: WorkspaceId,
        kind: DocumentKind,
        key: &str,
    ) -> Option<StoredDocument> {
        let state = self.state();
        let id = state.keys.get(&(workspace, kind, key.to_owned()))?;
        state.documents.get(&(kind, *id)).cloned()
    }

    pub(crate) fn snapshot(&self, hash: &[u8; 32]) -> Option<Vec<u8>> {
        self.state().snapshots.get(hash).cloned()
    }

    pub(crate) fn claim(
        &self,
        scope: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<LeaseClaim, StoreFault> {
        let mut state = self.state();
        let (claim, next) = SessionLease::claim(state.leases.get(scope), holder, now, until)?;
        if let Some(next) = next {
            state.leases.insert(scope.to_owned(), next);
        }
        Ok(claim)
    }

    pub(crate) fn renew(&self, scope: &str, epoch: u64, until: Timestamp) -> bool {
        let mut state = self.state();
        let held = state.leases.get_mut(scope).filter(|kept| kept.epoch == epoch && !kept.holder.is_empty());
        held.map(|kept| kept.until = until).is_some()
    }

    pub(crate) fn release(&self, scope: &str, epoch: u64) {
        if let Some(kept) = self.state().leases.get_mut(scope).filter(|kept| kept.epoch == epoch) {
            kept.holder.clear();
        }
    }

    pub(crate) fn put(&self, bytes: Vec<u8>) -> Blob {
        let name = hash_of(&bytes);
        let blob = self.flight.hold(name, bytes.len());
        self.state().blobs.insert(name, bytes);
        self.faults.put(&name);
        blob
    }

    pub(crate) fn get(&self, name: &[u8; 32]) -> Result<Option<Vec<u8>>, StoreFault> {
        self.faults.read(name)?;
        Ok(self.state().blobs.get(name).cloned())
    }

    pub(crate) fn using(&self, environment: EnvironmentId) -> u64 {
        self.state().using(environment).count() as u64
    }

    pub(crate) fn pinned(&self, owner: BlobOwner) -> u64 {
        let state = self.state();
        let of = state.pins.iter().filter(|((by, _), _)| *by == owner);
        of.map(|(_, bytes)| bytes).sum()
    }

    pub(crate) fn sweep(&self, age: Duration) -> BlobSweep {
        let mut state = self.state();
        let used: BTreeSet<_> = state.pins.keys().map(|(_, blob)| *blob).collect();
        let unused: Vec<_> = state.blobs.keys().copied().filter(|name| !used.contains(name)).collect();
        let mut swept = BlobSweep::default();
        self.flight.take(unused, age, |name| {
            let gone = state.blobs.remove(name).map_or(0, |bytes| bytes.len() as u64);
            swept = BlobSweep { blobs: swept.blobs + 1, bytes: swept.bytes + gone };
        });
        swept
    }

    pub(crate) fn blob_bytes(&self) -> u64 {
        self.state().blobs.values().map(|bytes| bytes.len() as u64).sum()
    }

    pub(crate) fn sessions(&self, after: Option<SessionId>, limit: usize) -> Vec<SessionId> {
        let state = self.state();
        let behind = state.heads.keys().filter(|session| after.is_none_or(|after| **session > after));
        behind.take(limit).copied().collect()
    }

    pub(crate) fn receipt(&self, name: &[u8; 16], now: Timestamp) -> Option<PostReceipt> {
        self.state().receipts.get(name).filter(|receipt| receipt.until > now).cloned()
    }

    pub(crate) fn forget(&self, now: Timestamp, limit: usize) -> usize {
        let mut state = self.state();
        let mut over: Vec<Timestamp> = state.receipts.values().map(|receipt| receipt.until).collect();
        over.retain(|until| *until <= now);
        over.sort_unstable();
        over.truncate(limit);
        if let Some(last) = over.last() {
            state.receipts.retain(|_, receipt| receipt.until > *last);
        }
        over.len()
    }

    pub(crate) fn is_marked(&self, name: &str) -> bool {
        self.state().marks.contains(name)
    }

    pub(crate) fn mark(&self, name: &str) {
        self.state().marks.insert(name.to_owned());
    }

    /// Goes wrong as a commit would.
    pub(crate) async fn probe(&self) -> Result<(), StoreFault> {
        match self.faults.next().await {
            Ok(_) | Err(BatchError::Conflict { .. }) => Ok(()),
            Err(BatchError::Fault(fault)) => Err(fault),
        }
    }
}

impl State {
    fn apply(&mut self, writes: Vec<BatchWrite>) -> Result<(), BatchError> {
        let appends = writes.iter().filter(|write| matches!(write, BatchWrite::Append(_))).count();
        let mut undo: Vec<Undo> = Vec::with_capacity(writes.len());
        for (index, write) in writes.into_iter().enumerate() {
            let Ok(done) = self.write(write) else {
                for undo in undo.into_iter().rev() {
                    undo(self);
                }
                return Err(BatchError::Conflict { write: index });
            };
            undo.push(done);
        }
        self.commits += appends as u64;
        Ok(())
    }

    fn write(&mut self, write: BatchWrite) -> Result<Undo, Unmet> {
        match write {
            BatchWrite::Append(append) => self.append(append),
            BatchWrite::Create(document) => self.create(document),
            BatchWrite::Revise(document) => self.revise(document),
            BatchWrite::ExpectLive { workspace, kind, id, version } => {
                self.expect_live(workspace, (kind, id), version)
            }
            BatchWrite::ExpectUnused { environment } => {
                if self.using(environment).next().is_none() {
                    Ok(Box::new(|_| ()))
                } else {
                    Err(Unmet)
                }
            }
            BatchWrite::Drop { workspace, kind, id } => self.drop_document(workspace, (kind, id)),
            BatchWrite::Delete { workspace, session, at } => self.delete(workspace, session, at),
            BatchWrite::PutSnapshot { hash, body } => {
                let before = self.snapshots.get(&hash).cloned();
                self.snapshots.entry(hash).or_insert(body);
                Ok(Box::new(move |state| restore(&mut state.snapshots, hash, before)))
            }
            BatchWrite::Pin(pin) => Ok(self.pin(pin)),
            BatchWrite::PutReceipt { receipt, over } => self.put_receipt(receipt, over),
        }
    }

    fn append(&mut self, append: LogAppend) -> Result<Undo, Unmet> {
        let LogAppend { session, first, count, at, body, receipt, mut head } = append;
        let before = self.heads.get(&session).cloned();
        if before.as_ref().map_or(0, |before| before.position) != first {
            return Err(Unmet);
        }
        if let Some(before) = &before {
            let SessionHead { workspace, created_at, agent, agent_version, environment, .. } = *before;
            let (archived_at, deleted_at) =
                (head.archived_at.or(before.archived_at), head.deleted_at.or(before.deleted_at));
            head = SessionHead { workspace, created_at, agent, agent_version, environment, ..head };
            head = SessionHead { archived_at, deleted_at, ..head };
        }
        self.heads.insert(session, head);
        self.logs.entry(session).or_default().push(LogRow { first, count, at, body, receipt });
        Ok(Box::new(move |state| {
            restore(&mut state.heads, session, before);
            state.logs.entry(session).or_default().pop();
        }))
    }

    fn delete(&mut self, workspace: WorkspaceId, session: SessionId, at: Timestamp) -> Result<Undo, Unmet> {
        let head = self.heads.get_mut(&session).filter(|head| head.workspace == workspace).ok_or(Unmet)?;
        if head.deleted_at.is_some() {
            return Err(Unmet);
        }
        head.deleted_at = Some(at);
        Ok(Box::new(move |state| {
            if let Some(head) = state.heads.get_mut(&session) {
                head.deleted_at = None;
            }
        }))
    }

    fn create(&mut self, document: StoredDocument) -> Result<Undo, Unmet> {
        let place = (document.kind, document.id);
        let key = key_of(&document);
        if self.documents.contains_key(&place) || key.as_ref().is_some_and(|key| self.keys.contains_key(key))
        {
            return Err(Unmet);
        }
        self.keys.extend(key.clone().map(|key| (key, document.id)));
        self.documents.insert(place, document);
        Ok(Box::new(move |state| {
            state.documents.remove(&place);
            if let Some(key) = key {
                state.keys.remove(&key);
            }
        }))
    }

    fn revise(&mut self, document: StoredDocument) -> Result<Undo, Unmet> {
        let (kind, id) = (document.kind, document.id);
        let before = self.documents.get(&(kind, id)).cloned().ok_or(Unmet)?;
        let key = key_of(&document);
        let is_taken = key.as_ref().and_then(|key| self.keys.get(key)).is_some_and(|owner| *owner != id);
        let is_next = before.revision + 1 == document.revision && before.version <= document.version;
        let same_place = before.workspace == document.workspace && before.parent == document.parent;
        if !is_next || !same_place || is_taken {
            return Err(Unmet);
        }
        if let Some(old) = key_of(&before) {
            self.keys.remove(&old);
        }
        self.keys.extend(key.clone().map(|key| (key, id)));
        let kept = (before.version < document.version).then_some((kind, id, before.version));
        self.history.extend(kept.map(|place| (place, before.clone())));
        self.documents.insert((kind, id), StoredDocument { created_at: before.created_at, ..document });
        Ok(Box::new(move |state| {
            if let Some(key) = key {
                state.keys.remove(&key);
            }
            state.keys.extend(key_of(&before).map(|key| (key, id)));
            state.documents.insert((kind, id), before);
            if let Some(place) = kept {
                state.history.remove(&place);
            }
        }))
    }

    fn expect_live(
        &self,
        workspace: WorkspaceId,
        (kind, id): (DocumentKind, u128),
        version: Option<u64>,
    ) -> Result<Undo, Unmet> {
        let live = self.documents.get(&(kind, id)).filter(|document| document.archived_at.is_none());
        let live = live.filter(|document| document.workspace == workspace).ok_or(Unmet)?;
        let is_there = version
            .is_none_or(|version| live.version == version || self.history.contains_key(&(kind, id, version)));
        if is_there { Ok(Box::new(|_| ())) } else { Err(Unmet) }
    }

    fn using(&self, environment: EnvironmentId) -> impl Iterator<Item = &SessionHead> {
        self.heads.values().filter(move |head| {
            head.environment == environment
                && head.status != SessionStatus::Terminated
                && head.deleted_at.is_none()
        })
    }

    fn pin(&mut self, BlobPin { blob, owner, bytes }: BlobPin) -> Undo {
        let there = match owner.kind {
            BlobOwnerKind::Session => self.heads.contains_key(&SessionId::from_bits(owner.id)),
        };
        let before = self.pins.get(&(owner, blob)).copied();
        if there {
            self.pins.entry((owner, blob)).or_insert(bytes);
        }
        Box::new(move |state| restore(&mut state.pins, (owner, blob), before))
    }

    fn put_receipt(&mut self, receipt: PostReceipt, over: Timestamp) -> Result<Undo, Unmet> {
        let name = receipt.name;
        let before = self.receipts.get(&name).cloned();
        if before.as_ref().is_some_and(|before| before.until > over) {
            return Err(Unmet);
        }
        self.receipts.insert(name, receipt);
        Ok(Box::new(move |state| restore(&mut state.receipts, name, before)))
    }

    fn drop_document(&mut self, workspace: WorkspaceId, place: (DocumentKind, u128)) -> Result<Undo, Unmet> {
        if self.documents.get(&place).is_none_or(|document| document.workspace != workspace) {
            return Err(Unmet);
        }
        let (mut gone, mut places) = (Vec::new(), vec![place]);
        while let Some(place) = places.pop() {
            let Some(document) = self.documents.remove(&place) else { continue };
            let below = self.documents.values().filter(|other| other.parent == Some(document.id));
            let below = below.filter(|other| other.workspace == workspace);
            places.extend(below.map(|other| (other.kind, other.id)));
            if let Some(key) = key_of(&document) {
                self.keys.remove(&key);
            }
            gone.push(document);
        }
        let mut history = Vec::new();
        for StoredDocument { kind, id, .. } in &gone {
            let kept = (*kind, *id, 0)..=(*kind, *id, u64::MAX);
            history.extend(self.history.extract_if(kept, |_, _| true));
        }
        Ok(Box::new(move |state| {
            for document in gone {
                state.keys.extend(key_of(&document).map(|key| (key, document.id)));
                state.documents.insert((document.kind, document.id), document);
            }
            state.history.extend(history);
        }))
    }
}

fn restore<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, before: Option<V>) {
    match before {
        Some(before) => map.insert(key, before),
        None => map.remove(&key),
    };
}

fn key_of(document: &StoredDocument) -> Option<(WorkspaceId, DocumentKind, String)> {
    Some((document.workspace, document.kind, document.unique_key.clone()?))
}
