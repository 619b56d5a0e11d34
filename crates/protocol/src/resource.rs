//! What every resource has that is kept whole, as one document: an id, the word for its kind, and its times.

use crate::{
    Timestamp,
    id::{self, Id},
};

/// A resource that is kept whole.
pub trait Resource {
    /// What its id names.
    type Kind: id::IdKind;
    /// The API's word for it, in the singular, under which it is kept.
    const KIND: &'static str;

    /// Its id.
    fn id(&self) -> Id<Self::Kind>;
    /// When it was made.
    fn created_at(&self) -> Timestamp;
    /// When it last changed.
    fn updated_at(&self) -> Timestamp;
    /// When it was archived.
    fn archived_at(&self) -> Option<Timestamp>;
    /// The times that a change sets: when it last changed, and when it was archived.
    fn times(&mut self) -> (&mut Timestamp, &mut Option<Timestamp>);
}

/// Makes a type with the fields of one a [`Resource`]: of which ids, under which word, and where its id is.
macro_rules! resource {
    ($resource:ty, $kind:ty, $word:literal, $($id:ident).+) => {
        impl $crate::resource::Resource for $resource {
            type Kind = $kind;
            const KIND: &'static str = $word;

            fn id(&self) -> $crate::id::Id<Self::Kind> {
                self.$($id).+
            }

            fn created_at(&self) -> $crate::Timestamp {
                self.created_at
            }

            fn updated_at(&self) -> $crate::Timestamp {
                self.updated_at
            }

            fn archived_at(&self) -> Option<$crate::Timestamp> {
                self.archived_at
            }

            fn times(&mut self) -> (&mut $crate::Timestamp, &mut Option<$crate::Timestamp>) {
                (&mut self.updated_at, &mut self.archived_at)
            }
        }
    };
}
