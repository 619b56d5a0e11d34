//! The rules that all documents share: what may be changed, archived and removed, and how a refusal says so.

use alloc::{format, string::String};

use protocol::{Fields, Invalid, Timestamp, id::Id, resource::Resource};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::refused::DocumentRefusal;

/// A resource with the rules of its documents.
pub trait DocumentRules:
    Resource + Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// The `type` of the answer to its removal; `None`: it is never removed.
    const DELETED: Option<&'static str>;
    /// The error code of one that is not there.
    const MISSING: Option<&'static str> = None;

    /// The version that clients name it by, in which it stays readable; `None`: it has one state alone.
    fn version(&self) -> Option<u64> {
        None
    }

    /// A text that no other live one of its workspace may have.
    fn unique_key(&self) -> Option<&str> {
        None
    }

    /// What it is below, if anything; always the same.
    fn parent(&self) -> Option<DocumentParent> {
        None
    }

    /// The refusal of a change to one that is archived.
    fn archived(&self) -> Invalid {
        let kind = noun(Self::KIND);
        Invalid::new("", format!("the {kind} {} is archived and cannot be changed", self.id()))
    }
}

/// A document that others are below: they are made only while it is there and not archived, and removed with
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentParent {
    /// The word for its kind.
    pub kind: &'static str,
    /// The 128 bits of its id.
    pub id: u128,
    missing: Invalid,
}

impl DocumentParent {
    /// The document of this id.
    pub fn of<D: DocumentRules>(id: Id<D::Kind>) -> Self {
        Self { kind: D::KIND, id: id.bits(), missing: missing::<D>(id) }
    }

    /// The refusal of something new below one that is not there.
    pub fn missing(self) -> Invalid {
        self.missing
    }

    /// The refusal of something new below one that is archived.
    pub fn archived(&self) -> Invalid {
        let kind = noun(self.kind);
        Invalid::new("", format!("the {kind} is archived and takes nothing new"))
    }
}

/// A document whose bodies need nothing but themselves to be understood.
pub trait PlainDocument: DocumentRules {
    /// A new one, of the fields of a body.
    ///
    /// # Errors
    /// The field that is wrong or not served yet.
    fn create(fields: &mut Fields, id: Id<Self::Kind>, at: Timestamp) -> Result<Self, Invalid>;

    /// Changes it by the fields of a body, as if it were not archived.
    ///
    /// # Errors
    /// The field that is wrong or may not change.
    fn change(&mut self, fields: &mut Fields) -> Result<(), Invalid>;
}

/// A new document.
///
/// # Errors
/// The field that is wrong, unknown or not served yet.
pub fn create<D: PlainDocument>(body: Value, id: Id<D::Kind>, at: Timestamp) -> Result<D, Invalid> {
    let mut fields = Fields::of(body, "")?;
    let made = D::create(&mut fields, id, at)?;
    fields.finish()?;
    Ok(made)
}

/// The document changed; `None` when the change changes nothing.
///
/// # Errors
/// The field that is wrong or unknown; an archived document.
pub fn revise<D: PlainDocument>(stored: &D, body: Value, at: Timestamp) -> Result<Option<D>, Invalid> {
    let mut fields = Fields::of(body, "")?;
    let mut next = stored.clone();
    next.change(&mut fields)?;
    fields.finish()?;
    if stored.archived_at().is_some() {
        return Err(stored.archived());
    }
    if next == *stored {
        return Ok(None);
    }
    *next.times().0 = at;
    Ok(Some(next))
}

/// The document archived; `None` when it is already.
pub fn archive<D: DocumentRules>(stored: &D, at: Timestamp) -> Option<D> {
    if stored.archived_at().is_some() {
        return None;
    }
    let mut next = stored.clone();
    let (updated_at, archived_at) = next.times();
    (*updated_at, *archived_at) = (at, Some(at));
    Some(next)
}

/// The refusal of an id that names nothing.
pub fn missing<D: DocumentRules>(id: Id<D::Kind>) -> Invalid {
    let deleted = if D::DELETED.is_some() { ", or it is deleted" } else { "" };
    let message = format!("there is no {} {id}{deleted}", noun(D::KIND));
    Invalid { absent: true, code: D::MISSING, ..Invalid::new("", message) }
}

/// The refusal of a name that another live document of the workspace has.
pub fn taken<D: DocumentRules>(name: &str) -> DocumentRefusal {
    let message = format!("another {} is called `{name}`; choose another name", noun(D::KIND));
    DocumentRefusal::Taken(Invalid::new("name", message))
}

/// What people call a kind.
fn noun(kind: &str) -> String {
    kind.replace('_', " ")
}
