//! Documents through their one door: what is below another one, and changes that meet.

use std::cell::Cell;

use engine::{DocumentChange, DocumentError, DocumentListQuery};
use kernel::rules::{
    DocumentRefusal,
    document::{self, DocumentParent, DocumentRules},
};
use protocol::{
    Invalid, Timestamp, WorkspaceId,
    id::{self, Id},
    resource::Resource,
};
use serde::{Deserialize, Serialize};
use store::Store;

use crate::support::{BEGAN, HOME, World, world};

const ELSEWHERE: WorkspaceId = WorkspaceId::from_bits(77);
const ERRAND: DocumentChange<'static> = DocumentChange { workspace: HOME, attempt: None };

/// A document that is there for these tests alone; `SHELF` says of which kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Paper<const SHELF: bool> {
    id: Id<id::File>,
    version: u64,
    on: Option<Id<id::File>>,
    updated_at: Timestamp,
    archived_at: Option<Timestamp>,
}

/// What others are below.
type Shelf = Paper<true>;
/// What is below a shelf.
type Book = Paper<false>;

impl<const SHELF: bool> Paper<SHELF> {
    fn new(number: u128, on: Option<u128>) -> Self {
        let on = on.map(Id::from_bits);
        Self { id: Id::from_bits(number), version: 1, on, updated_at: BEGAN, archived_at: None }
    }
}

impl<const SHELF: bool> Resource for Paper<SHELF> {
    type Kind = id::File;
    const KIND: &'static str = if SHELF { "shelf" } else { "book" };

    fn id(&self) -> Id<id::File> {
        self.id
    }

    fn created_at(&self) -> Timestamp {
        BEGAN
    }

    fn updated_at(&self) -> Timestamp {
        self.updated_at
    }

    fn archived_at(&self) -> Option<Timestamp> {
        self.archived_at
    }

    fn times(&mut self) -> (&mut Timestamp, &mut Option<Timestamp>) {
        (&mut self.updated_at, &mut self.archived_at)
    }
}

impl<const SHELF: bool> DocumentRules for Paper<SHELF> {
    const DELETED: Option<&'static str> = Some("paper_deleted");

    fn version(&self) -> Option<u64> {
        (!SHELF).then_some(self.version)
    }

    fn parent(&self) -> Option<DocumentParent> {
        self.on.map(DocumentParent::of::<Shelf>)
    }
}

impl World {
    async fn shelve(&self, shelf: u128) {
        self.engine.create_document(ERRAND, &Shelf::new(shelf, None)).await.unwrap();
    }

    async fn place(&self, book: u128, shelf: u128) -> Result<(), DocumentError> {
        self.engine.create_document(ERRAND, &Book::new(book, Some(shelf))).await.map(drop)
    }

    async fn book(&self, book: u128) -> Result<Book, DocumentError> {
        self.engine.document::<Book>(HOME, Id::from_bits(book)).await
    }

    /// The books on a shelf, newest first.
    async fn books(&self, shelf: u128) -> Vec<Book> {
        let list = DocumentListQuery {
            parent: Some(DocumentParent::of::<Shelf>(Id::from_bits(shelf))),
            created_gte: None,
            created_lte: None,
            include_archived: false,
            after: None,
            limit: 100,
            bytes: usize::MAX,
        };
        self.engine.documents::<Book>(HOME, &list).await.unwrap().items
    }
}

fn missing<const SHELF: bool>(number: u128) -> DocumentError {
    document::missing::<Paper<SHELF>>(Id::from_bits(number)).into()
}

#[tokio::test]
async fn what_is_below_a_document_goes_with_it_and_nothing_else_does() {
    let world = world(Store::memory(), vec![]).await;
    world.shelve(1).await;
    world.shelve(2).await;
    for (book, shelf) in [(11, 1), (12, 1), (21, 2)] {
        world.place(book, shelf).await.unwrap();
    }
    assert_eq!(world.books(1).await, [Book::new(12, Some(1)), Book::new(11, Some(1))]);
    // Nobody else's: neither seen, nor removed, nor filled.
    let other = DocumentChange { workspace: ELSEWHERE, ..ERRAND };
    let removed = world.engine.delete_document::<Shelf>(other, Id::from_bits(1)).await;
    assert_eq!(removed, Err(missing::<true>(1)));
    let filled = world.engine.create_document(other, &Book::new(13, Some(1))).await;
    assert_eq!(filled, Err(missing::<true>(1)));

    let gone = world.engine.delete_document::<Shelf>(ERRAND, Id::from_bits(1)).await.unwrap();
    let id = Id::<id::File>::from_bits(1);
    assert_eq!(String::from_utf8(gone).unwrap(), format!(r#"{{"id":"{id}","type":"paper_deleted"}}"#));
    assert_eq!(
        (world.book(11).await, world.book(12).await),
        (Err(missing::<false>(11)), Err(missing::<false>(12)))
    );
    assert_eq!(world.books(1).await, []);
    assert_eq!(world.books(2).await, [Book::new(21, Some(2))]);
    let again = world.engine.delete_document::<Shelf>(ERRAND, Id::from_bits(1)).await;
    assert_eq!(again, Err(missing::<true>(1)));
}

#[tokio::test]
async fn nothing_new_comes_below_what_is_archived_or_gone() {
    let world = world(Store::memory(), vec![]).await;
    assert_eq!(world.place(11, 1).await, Err(missing::<true>(1)));
    world.shelve(1).await;
    world.place(11, 1).await.unwrap();
    world.engine.archive_document::<Shelf>(ERRAND, Id::from_bits(1)).await.unwrap();
    let refused = Invalid::new("", "the shelf is archived and takes nothing new");
    assert_eq!(world.place(12, 1).await, Err(refused.into()));
    assert_eq!(world.books(1).await, [Book::new(11, Some(1))]);
}

/// Whoever is first: no book is left on a shelf that is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_slips_below_a_document_while_it_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(Store::sqlite(&folder.path().join("heddle.db")).unwrap(), vec![]).await;
    for shelf in 1..=40 {
        world.shelve(shelf).await;
        let (placed, gone) = tokio::join!(
            world.place(100 + shelf, shelf),
            world.engine.delete_document::<Shelf>(ERRAND, Id::from_bits(shelf)),
        );
        gone.unwrap();
        assert!(placed.is_ok() || placed == Err(missing::<true>(shelf)), "{placed:?}");
        assert_eq!(world.book(100 + shelf).await, Err(missing::<false>(100 + shelf)));
    }
}

#[tokio::test]
async fn a_change_that_makes_a_new_version_does_not_undo_an_archive_that_came_in_between() {
    let world = world(Store::memory(), vec![]).await;
    let id = Id::from_bits(1);
    world.engine.create_document(ERRAND, &Book::new(1, None)).await.unwrap();
    let looks = Cell::new(0);
    let changed = world.engine.revise_document(ERRAND, id, |book: Book| {
        looks.set(looks.get() + 1);
        let engine = &world.engine;
        async move {
            if book.archived_at.is_some() {
                return Err(DocumentError::Refused(DocumentRefusal::from(book.archived())));
            }
            // An archive is no new version.
            engine.archive_document::<Book>(ERRAND, id).await?;
            Ok(Some(Book { version: book.version + 1, ..book }))
        }
    });
    let refused = changed.await;
    let kept = world.book(1).await.unwrap();
    assert_eq!(refused, Err(kept.archived().into()));
    assert_eq!((looks.get(), kept.version, kept.archived_at.is_some()), (2, 1, true));
    assert_eq!(world.engine.versions::<Book>(HOME, id, None, 9, usize::MAX).await.unwrap().items, [kept]);
}
