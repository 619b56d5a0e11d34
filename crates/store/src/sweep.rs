//! The sweep: blobs that nobody uses go, but not while somebody may be about to use them.

use std::time::Duration;

use protocol::Timestamp;

use crate::blobs::{BlobName, BlobSweep, Blobs};
use crate::fault::StoreFault;
use crate::tables::Tables;

/// How many blobs are asked after in one query.
const ASKED_AT_ONCE: usize = 100;

/// Removes the blobs that have no pin, were last written `age` before `now`, and that nobody in this process
/// has held for `age`. Without `complete` nothing is removed: older logs may name any of them.
pub(crate) async fn sweep(
    tables: &Tables,
    blobs: &Blobs,
    now: Timestamp,
    age: Duration,
    complete: bool,
) -> Result<BlobSweep, StoreFault> {
    let age_micros = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
    let listed = blobs.list(Timestamp::from_micros(now.micros().saturating_sub(age_micros))).await?;
    let mut swept = BlobSweep::default();
    if !complete {
        return Ok(swept);
    }
    let old: Vec<BlobName> = listed.old.into_iter().collect();
    for some in old.chunks(ASKED_AT_ONCE) {
        let used = tables.in_use(some).await?;
        let unused = some.iter().copied().filter(|name| !used.contains(name)).collect();
        let gone = blobs.remove(unused, age).await?;
        (swept.blobs, swept.bytes) = (swept.blobs + gone.blobs, swept.bytes + gone.bytes);
    }
    Ok(swept)
}
