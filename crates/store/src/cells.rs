//! Values as a database takes and gives them, and how a row of them reads back as a noun.

use protocol::id::Id;
use protocol::{SessionId, Stamp, session::Status};

use crate::fault::{Damage, Fault};
use crate::kind::Kind;
use crate::leases::Lease;
use crate::nouns::{Document, Head, OwnerKind, Receipt, Row};
use crate::sums;

/// A parameter or a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl From<u64> for Value {
    /// Numbers above the column's range stand for "as large as it gets".
    fn from(number: u64) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<Stamp> for Value {
    fn from(stamp: Stamp) -> Self {
        Self::Int(stamp.micros())
    }
}

impl<K: protocol::id::Kind> From<Id<K>> for Value {
    fn from(id: Id<K>) -> Self {
        Self::Bytes(id.to_bytes().to_vec())
    }
}

impl From<u128> for Value {
    fn from(bits: u128) -> Self {
        Self::Bytes(bits.to_be_bytes().to_vec())
    }
}

impl From<Kind> for Value {
    fn from(kind: Kind) -> Self {
        Self::Text(kind.as_str().to_owned())
    }
}

impl From<OwnerKind> for Value {
    fn from(kind: OwnerKind) -> Self {
        Self::Text(kind.as_str().to_owned())
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Int(i64::from(number))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The columns of one row, taken from left to right.
#[derive(Debug)]
pub(crate) struct Cells(std::vec::IntoIter<Value>);

impl Cells {
    pub(crate) fn new(row: Vec<Value>) -> Self {
        Self(row.into_iter())
    }

    fn next(&mut self) -> Result<Value, Fault> {
        self.0.next().ok_or(Fault::Corrupt("a column is missing"))
    }

    fn optional_int(&mut self) -> Result<Option<i64>, Fault> {
        match self.next()? {
            Value::Null => Ok(None),
            Value::Int(number) => Ok(Some(number)),
            Value::Text(_) | Value::Bytes(_) => Err(Fault::Corrupt("expected a number")),
        }
    }

    fn int(&mut self) -> Result<i64, Fault> {
        self.optional_int()?.ok_or(Fault::Corrupt("a number is missing"))
    }

    pub(crate) fn count(&mut self) -> Result<u64, Fault> {
        self.optional_count()?.ok_or(Fault::Corrupt("a number is missing"))
    }

    fn optional_count(&mut self) -> Result<Option<u64>, Fault> {
        let count = self.optional_int()?.map(u64::try_from).transpose();
        count.map_err(|_| Fault::Corrupt("a count is negative"))
    }

    pub(crate) fn stamp(&mut self) -> Result<Stamp, Fault> {
        self.int().map(Stamp::from_micros)
    }

    fn optional_stamp(&mut self) -> Result<Option<Stamp>, Fault> {
        Ok(self.optional_int()?.map(Stamp::from_micros))
    }

    fn optional_text(&mut self) -> Result<Option<String>, Fault> {
        match self.next()? {
            Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(text)),
            Value::Int(_) | Value::Bytes(_) => Err(Fault::Corrupt("expected a text")),
        }
    }

    fn text(&mut self) -> Result<String, Fault> {
        self.optional_text()?.ok_or(Fault::Corrupt("a text is missing"))
    }

    fn optional_bytes(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        match self.next()? {
            Value::Null => Ok(None),
            Value::Bytes(bytes) => Ok(Some(bytes)),
            Value::Int(_) | Value::Text(_) => Err(Fault::Corrupt("expected bytes")),
        }
    }

    pub(crate) fn bytes(&mut self) -> Result<Vec<u8>, Fault> {
        self.optional_bytes()?.ok_or(Fault::Corrupt("bytes are missing"))
    }

    fn sixteen(&mut self) -> Result<[u8; 16], Fault> {
        self.optional_sixteen()?.ok_or(Fault::Corrupt("bytes are missing"))
    }

    fn optional_sixteen(&mut self) -> Result<Option<[u8; 16]>, Fault> {
        let sixteen = self.optional_bytes()?.map(TryInto::try_into).transpose();
        sixteen.map_err(|_| Fault::Corrupt("an id is not 16 bytes long"))
    }

    fn bits(&mut self) -> Result<u128, Fault> {
        self.sixteen().map(u128::from_be_bytes)
    }

    fn optional_bits(&mut self) -> Result<Option<u128>, Fault> {
        Ok(self.optional_sixteen()?.map(u128::from_be_bytes))
    }

    pub(crate) fn id<K: protocol::id::Kind>(&mut self) -> Result<Id<K>, Fault> {
        self.bits().map(Id::from_bits)
    }

    /// Compares with the sum that the row was written with. Rows made before there were sums have none.
    fn check(&mut self, sum: u32, damage: Damage) -> Result<(), Fault> {
        match self.optional_int()? {
            Some(written) if written != i64::from(sum) => Err(Fault::Damaged(damage)),
            Some(_) | None => Ok(()),
        }
    }

    /// The same of a row that must have one.
    fn check_there(&mut self, sum: u32, damage: Damage) -> Result<(), Fault> {
        match self.optional_int()? {
            Some(written) if written == i64::from(sum) => Ok(()),
            Some(_) | None => Err(Fault::Damaged(damage)),
        }
    }

    pub(crate) fn head(&mut self) -> Result<Head, Fault> {
        let head = Head {
            session: self.id()?,
            workspace: self.id()?,
            position: self.count()?,
            status: Status::named(&self.text()?).ok_or(Fault::Corrupt("unknown status"))?,
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
            self.check(sums::head(&head), Damage::Head { session: head.session })?;
        }
        Ok(head)
    }

    /// A row of this session's log.
    pub(crate) fn row(&mut self, session: SessionId) -> Result<Row, Fault> {
        let row = self.row_as_is()?;
        let sum = sums::row(session, row.first, row.count, row.at, &row.body, row.receipt.as_deref());
        self.check(sum, Damage::Log { session, position: row.first })?;
        Ok(row)
    }

    pub(crate) fn row_as_is(&mut self) -> Result<Row, Fault> {
        Ok(Row {
            first: self.count()?,
            count: u32::try_from(self.int()?).map_err(|_| Fault::Corrupt("a row's count is too large"))?,
            at: self.stamp()?,
            body: self.bytes()?,
            receipt: self.optional_bytes()?,
        })
    }

    pub(crate) fn document(&mut self, kind: Kind) -> Result<Document, Fault> {
        let (id, version, workspace) = (self.bits()?, self.count()?, self.id()?);
        let unique_key = self.optional_text()?;
        let (created_at, updated_at) = (self.stamp()?, self.stamp()?);
        let archived_at = self.optional_stamp()?;
        let body = self.bytes()?;
        let revision = self.optional_count()?;
        let parent = self.optional_bits()?;
        let document = Document {
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
        let damage = Damage::Document { kind, id };
        match revision {
            Some(_) => self.check_there(sums::document(&document), damage)?,
            // Those were below nothing.
            None if parent.is_some() => return Err(Fault::Damaged(damage)),
            None => self.check(sums::older_document(&document), damage)?,
        }
        Ok(document)
    }

    pub(crate) fn receipt(&mut self) -> Result<Receipt, Fault> {
        let (name, print) = (self.sixteen()?, self.sixteen()?);
        let receipt = Receipt { name, print, until: self.stamp()?, made: self.bytes()? };
        if self.int()? == i64::from(sums::receipt(&receipt)) {
            Ok(receipt)
        } else {
            Err(Fault::Corrupt("a receipt is not the one that was written"))
        }
    }

    pub(crate) fn lease(&mut self) -> Result<Lease, Fault> {
        Ok(Lease { holder: self.text()?, epoch: self.count()?, until: self.stamp()? })
    }
}
