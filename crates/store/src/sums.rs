//! Sums: what shows that a row is not the one that was written, or does not lie where it was written.

use crc32fast::Hasher;
use protocol::{SessionId, Timestamp};

use crate::nouns::{PostReceipt, SessionHead, StoredDocument};

/// The sum of a log row. It holds the session's id, so that a row that came to lie in another log is seen.
pub(crate) fn row(
    session: SessionId,
    first: u64,
    count: u32,
    at: Timestamp,
    body: &[u8],
    receipt: Option<&[u8]>,
) -> u32 {
    let mut sum = Hasher::new();
    sum.update(&session.to_bytes());
    sum.update(&first.to_le_bytes());
    sum.update(&count.to_le_bytes());
    sum.update(&at.micros().to_le_bytes());
    sum.update(body);
    // A row without one has the sum that it had before there were any.
    if let Some(receipt) = receipt {
        sum.update(&(body.len() as u64).to_le_bytes());
        sum.update(receipt);
    }
    sum.finalize()
}

/// The sum of a receipt.
pub(crate) fn receipt(receipt: &PostReceipt) -> u32 {
    let mut sum = Hasher::new();
    sum.update(&receipt.name);
    sum.update(&receipt.print);
    sum.update(&receipt.until.micros().to_le_bytes());
    sum.update(&receipt.made);
    sum.finalize()
}

/// The sum of what every append to a session writes of its head: not of what only the first one fixes, nor of
/// the two moments that come once.
pub(crate) fn head(head: &SessionHead) -> u32 {
    let mut sum = Hasher::new();
    sum.update(&head.session.to_bytes());
    sum.update(&head.position.to_le_bytes());
    text(&mut sum, Some(head.status.name()));
    stamp(&mut sum, head.due);
    stamp(&mut sum, Some(head.updated_at));
    sum.update(&head.body);
    sum.finalize()
}

/// The sum of a document, but for the moment it was created.
pub(crate) fn document(document: &StoredDocument) -> u32 {
    let mut sum = first_document(document);
    sum.update(&document.revision.to_le_bytes());
    sum.update(&[u8::from(document.parent.is_some())]);
    sum.update(&document.parent.unwrap_or_default().to_be_bytes());
    sum.finalize()
}

/// The sum of a document that was written before there were revisions and parents.
pub(crate) fn older_document(document: &StoredDocument) -> u32 {
    first_document(document).finalize()
}

fn first_document(document: &StoredDocument) -> Hasher {
    let mut sum = Hasher::new();
    text(&mut sum, Some(document.kind.as_str()));
    sum.update(&document.id.to_be_bytes());
    sum.update(&document.version.to_le_bytes());
    sum.update(&document.workspace.to_bytes());
    text(&mut sum, document.unique_key.as_deref());
    stamp(&mut sum, Some(document.updated_at));
    stamp(&mut sum, document.archived_at);
    sum.update(&document.body);
    sum
}

fn text(sum: &mut Hasher, text: Option<&str>) {
    sum.update(&text.map_or(u64::MAX, |text| text.len() as u64).to_le_bytes());
    sum.update(text.unwrap_or_default().as_bytes());
}

fn stamp(sum: &mut Hasher, stamp: Option<Timestamp>) {
    sum.update(&[u8::from(stamp.is_some())]);
    sum.update(&stamp.map_or(0, Timestamp::micros).to_le_bytes());
}
