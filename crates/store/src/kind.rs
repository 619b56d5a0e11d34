//! What documents are, by a word.

/// What a document is: the word that the column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentKind(&'static str);

impl DocumentKind {
    /// The kind of this word.
    pub const fn new(word: &'static str) -> Self {
        Self(word)
    }

    /// The word.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}
