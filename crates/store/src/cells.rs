//! Values as a database takes and gives them, and how a row of them reads back as a noun.

use protocol::id::Id;
use protocol::{SessionId, Timestamp, session::SessionStatus};

use crate::fault::{DamagedPart, StoreFault};
use crate::kind::DocumentKind;
use crate::leases::SessionLease;
use crate::nouns::{BlobOwnerKind, LogRow, PostReceipt, SessionHead, StoredDocument};
use crate::sums;

/// A parameter or a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CellValue {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl From<u64> for CellValue {
    /// Numbers above the column's range stand for "as large as it gets".
    fn from(number: u64) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<usize> for CellValue {
    fn from(number: usize) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<Timestamp> for CellValue {
    fn from(stamp: Timestamp) -> Self {
        Self::Int(stamp.micros())
    }
}

impl<K: protocol::id::IdKind> From<Id<K>> for CellValue {
    fn from(id: Id<K>) -> Self {
        Self::Bytes(id.to_bytes().to_vec())
    }
}

impl From<u128> for CellValue {
    fn from(bits: u128) -> Self {
        Self::Bytes(bits.to_be_bytes().to_vec())
    }
}

impl From<DocumentKind> for CellValue {
    fn from(kind: DocumentKind) -> Self {
        Self::Text(kind.as_str().to_owned())
    }
}

impl From<BlobOwnerKind> for CellValue {
    fn from(kind: BlobOwnerKind) -> Self {
        Self::Text(kind.as_str().to_owned())
    }
}

impl From<u32> for CellValue {
    fn from(number: u32) -> Self {
        Self::Int(i64::from(number))
    }
}

impl From<&str> for CellValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Vec<u8>> for CellValue {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl<T: Into<CellValue>> From<Option<T>> for CellValue {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The columns of one row, taken from left to right.
#[derive(Debug)]
pub(crate) struct RowCells(std::vec::IntoIter<CellValue>);

impl RowCells {
    pub(crate) fn new(row: Vec<CellValue>) -> Self {
        Self(row.into_iter())
    }

    fn next(&mut self) -> Result<CellValue, StoreFault> {
        self.0.next().ok_or(StoreFault::Corrupt("a column is missing"))
    }

    fn optional_int(&mut self) -> Result<Option<i64>, StoreFault> {
        match self.next()? {
            CellValue::Null => Ok(None),
            CellValue::Int(number) => Ok(Some(number)),
            CellValue::Text(_) | CellValue::Bytes(_) => Err(StoreFault::Corrupt("expected a number")),
        }
    }

    fn int(&mut self) -> Result<i64, StoreFault> {
        self.optional_int()?.ok_or(StoreFault::Corrupt("a number is missing"))
    }

    pub(crate) fn count(&mut self) -> Result<u64, StoreFault> {
        self.optional_count()?.ok_or(StoreFault::Corrupt("a number is missing"))
    }

    fn optional_count(&mut self) -> Result<Option<u64>, StoreFault> {
        let count = self.optional_int()?.map(u64::try_from).transpose();
        count.map_err(|_| StoreFault::Corrupt("a count is negative"))
    }

    pub(crate) fn stamp(&mut self) -> Result<Timestamp, StoreFault> {
        self.int().map(Timestamp::from_micros)
    }

    fn optional_stamp(&mut self) -> Result<Option<Timestamp>, StoreFault> {
        Ok(self.optional_int()?.map(Timestamp::from_micros))
    }

    fn optional_text(&mut self) -> Result<Option<String>, StoreFault> {
        match self.next()? {
            CellValue::Null => Ok(None),
            CellValue::Text(text) => Ok(Some(text)),
            CellValue::Int(_) | CellValue::Bytes(_) => Err(StoreFault::Corrupt("expected a text")),
        }
    }

    fn text(&mut self) -> Result<String, StoreFault> {
        self.optional_text()?.ok_or(StoreFault::Corrupt("a text is missing"))
    }

    fn optional_bytes(&mut self) -> Result<Option<Vec<u8>>, StoreFault> {
        match self.next()? {
            CellValue::Null => Ok(None),
            CellValue::Bytes(bytes) => Ok(Some(bytes)),
            CellValue::Int(_) | CellValue::Text(_) => Err(StoreFault::Corrupt("expected bytes")),
        }
    }

    pub(crate) fn bytes(&mut self) -> Result<Vec<u8>, StoreFault> {
        self.optional_bytes()?.ok_or(StoreFault::Corrupt("bytes are missing"))
    }

    fn sixteen(&mut self) -> Result<[u8; 16], StoreFault> {
        self.optional_sixteen()?.ok_or(StoreFault::Corrupt("bytes are missing"))
    }

    fn optional_sixteen(&mut self) -> Result<Option<[u8; 16]>, StoreFault> {
        let sixteen = self.optional_bytes()?.map(TryInto::try_into).transpose();
        sixteen.map_err(|_| StoreFault::Corrupt("an id is not 16 bytes long"))
    }

    fn bits(&mut self) -> Result<u128, StoreFault> {
        self.sixteen().map(u128::from_be_bytes)
    }

    fn optional_bits(&mut self) -> Result<Option<u128>, StoreFault> {
        Ok(self.optional_sixteen()?.map(u128::from_be_bytes))
    }

    pub(crate) fn id<K: protocol::id::IdKind>(&mut self) -> Result<Id<K>, StoreFault> {
        self.bits().map(Id::from_bits)
    }

    /// Compares with the sum that the row was written with. Rows made before there were sums have none.
    fn check(&mut self, sum: u32, damage: DamagedPart) -> Result<(), StoreFault> {
        match self.optional_int()? {
            Some(written) if written != i64::from(sum) => Err(StoreFault::Damaged(damage)),
            Some(_) | None => Ok(()),
        }
    }

    /// The same of a row that must have one.
    fn check_there(&mut self, sum: u32, damage: DamagedPart) -> Result<(), StoreFault> {
        match self.optional_int()? {
            Some(written) if written == i64::from(sum) => Ok(()),
            Some(_) | None => Err(StoreFault::Damaged(damage)),
        }
    }

    pub(crate) fn head(&mut self) -> Result<SessionHead, StoreFault> {
        let head = SessionHead {
            session: self.id()?,
            workspace: self.id()?,
            position: self.count()?,
            status: SessionStatus::named(&self.text()?).ok_or(StoreFault::Corrupt("unknown status"))?,
            due: self.optional_stamp()?,
            created_at: self.stamp()?,
            updated_at: self.stamp()?,
            archived_at: self.optional_stamp()?,
            deleted_at: self.optional_stamp()?,
            agent: self.id()?,
            agent_version: self.count()?,
            environment: self.id()?,
            body: self.bytes()?,
        };
        // Of one that is deleted nothing is shown any more.
        if head.deleted_at.is_none() {
            self.check(sums::head(&head), DamagedPart::Head { session: head.session })?;
        }
        Ok(head)
    }

    /// A row of this session's log.
    pub(crate) fn row(&mut self, session: SessionId) -> Result<LogRow, StoreFault> {
        let row = self.row_as_is()?;
        let sum = sums::row(session, row.first, row.count, row.at, &row.body, row.receipt.as_deref());
        self.check(sum, DamagedPart::Log { session, position: row.first })?;
        Ok(row)
    }

    pub(crate) fn row_as_is(&mut self) -> Result<LogRow, StoreFault> {
        Ok(LogRow {
            first: self.count()?,
            count: u32::try_from(self.int()?)
                .map_err(|_| StoreFault::Corrupt("a row's count is too large"))?,
            at: self.stamp()?,
            body: self.bytes()?,
            receipt: self.optional_bytes()?,
        })
    }

    pub(crate) fn document(&mut self, kind: DocumentKind) -> Result<StoredDocument, StoreFault> {
        let (id, version, workspace) = (self.bits()?, self.count()?, self.id()?);
        let unique_key = self.optional_text()?;
        let (created_at, updated_at) = (self.stamp()?, self.stamp()?);
        let archived_at = self.optional_stamp()?;
        let body = self.bytes()?;
        let revision = self.optional_count()?;
        let parent = self.optional_bits()?;
        let document = StoredDocument {
            kind,
            id,
            // One that was written before there were revisions was locked by its version.
            revision: revision.unwrap_or(version),
            version,
            workspace,
            parent,
            unique_key,
            body,
            created_at,
            updated_at,
            archived_at,
        };
        let damage = DamagedPart::Document { kind, id };
        match revision {
            Some(_) => self.check_there(sums::document(&document), damage)?,
            // Those were below nothing.
            None if parent.is_some() => return Err(StoreFault::Damaged(damage)),
            None => self.check(sums::older_document(&document), damage)?,
        }
        Ok(document)
    }

    pub(crate) fn receipt(&mut self) -> Result<PostReceipt, StoreFault> {
        let (name, print) = (self.sixteen()?, self.sixteen()?);
        let receipt = PostReceipt { name, print, until: self.stamp()?, made: self.bytes()? };
        if self.int()? == i64::from(sums::receipt(&receipt)) {
            Ok(receipt)
        } else {
            Err(StoreFault::Corrupt("a receipt is not the one that was written"))
        }
    }

    pub(crate) fn lease(&mut self) -> Result<SessionLease, StoreFault> {
        Ok(SessionLease { holder: self.text()?, epoch: self.count()?, until: self.stamp()? })
    }
}
