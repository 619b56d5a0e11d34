//! Blobs that nobody uses leave the disk, once it is known of every older log which it names.
//!
//! Logs of versions that wrote no pins are read through once, beside everything else; no sweep comes before
//! that is done. It leaves no trace until then: a process that ends meanwhile begins it again.

use std::time::Duration;

use memchr::memmem;
use protocol::{SessionId, limits};
use store::{BatchWrite, BlobOwner, BlobPin, PINS_COMPLETE};
use tokio::time::Instant;

use crate::{Engine, blobs, fault::CommitError, log::CHUNK};

/// Sessions listed at once.
const SESSIONS: usize = 256;
/// Pins written in one batch.
const PINS: usize = 64;
/// How long before something that went wrong is tried again.
const AGAIN: Duration = Duration::from_mins(1);
/// How often blobs are swept, and how soon after sessions were purged.
const SWEEP: Duration = Duration::from_secs(limits::BLOB_SWEEP_S);
const SOON: Duration = Duration::from_secs(limits::BLOB_UNUSED_S);
/// How old a blob is that nobody uses when it goes.
const UNUSED: Duration = Duration::from_secs(limits::BLOB_UNUSED_S);

/// How a log writes that it names a blob.
const NAMES: &[u8] = br#""type":"kept","blob":""#;
const WEIGHS: &[u8] = br#"","encoded_bytes":"#;

/// Sweeps after a start, once a day, and when what purged sessions used is old enough to go.
pub(crate) async fn tend(engine: Engine) {
    let stop = engine.stop_token();
    let mut complete = false;
    let mut due = Instant::now();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = engine.purged().notified() => {
                due = due.min(Instant::now() + SOON);
                continue;
            }
            () = tokio::time::sleep_until(due) => due = Instant::now() + AGAIN,
        }
        if !complete {
            match adopt(&engine).await {
                Ok(()) => complete = true,
                Err(CommitError::Stopping) => return,
                Err(wrong) => {
                    tracing::warn!(%wrong, "what older logs keep is not known yet; no blob goes before it is");
                    continue;
                }
            }
        }
        match engine.store().sweep(engine.now(), UNUSED).await {
            Ok(swept) => {
                due = Instant::now() + SWEEP;
                engine.counters().blobs(engine.store().blob_bytes());
                if swept.blobs > 0 {
                    tracing::info!(
                        blobs = swept.blobs,
                        bytes = swept.bytes,
                        "blobs that nobody used are gone"
                    );
                }
            }
            Err(fault) => tracing::warn!(%fault, "blobs could not be swept"),
        }
    }
}

/// Makes the pins of logs that were written before there were pins.
async fn adopt(engine: &Engine) -> Result<(), CommitError> {
    let store = engine.store();
    if store.is_marked(PINS_COMPLETE).await? {
        return Ok(());
    }
    let (mut after, mut found) = (None, 0);
    loop {
        let sessions = store.sessions(after, SESSIONS).await?;
        let Some(last) = sessions.last() else { break };
        after = Some(*last);
        for session in sessions {
            if engine.stopping() {
                return Err(CommitError::Stopping);
            }
            found += adopt_one(engine, session).await?;
        }
    }
    store.mark(PINS_COMPLETE).await?;
    if found > 0 {
        tracing::info!(
            blobs = found,
            "it is written down now which pictures and documents older sessions use"
        );
    }
    Ok(())
}

async fn adopt_one(engine: &Engine, session: SessionId) -> Result<usize, CommitError> {
    let (mut next, mut found) = (0, 0);
    loop {
        // As they lie there: a damaged row must not hide what the others name.
        let rows = engine.store().read_as_is(session, next, CHUNK).await?;
        let Some(last) = rows.last() else { return Ok(found) };
        next = last.first + u64::from(last.count).max(1);
        let pins: Vec<BatchWrite> = rows.iter().flat_map(|row| named(session, &row.body)).collect();
        found += pins.len();
        for some in pins.chunks(PINS) {
            engine.store().commit(some.to_vec()).await.map_err(|wrong| match wrong {
                store::BatchError::Conflict { write } => CommitError::Conflict { write },
                store::BatchError::Fault(fault) => fault.into(),
            })?;
        }
    }
}

/// The pins of one row's facts, found in their text: nothing else in it can look like this, for there a
/// quotation mark has a backslash in front.
fn named(session: SessionId, body: &[u8]) -> impl Iterator<Item = BatchWrite> {
    memmem::find_iter(body, NAMES).filter_map(move |at| {
        let rest = body.get(at + NAMES.len()..)?;
        let (name, rest) = rest.split_at_checked(rest.iter().position(|byte| *byte == b'"')?)?;
        let blob = blobs::hash(std::str::from_utf8(name).ok()?)?;
        let digits = rest.strip_prefix(WEIGHS).unwrap_or_default();
        let digits = digits.split(|byte| !byte.is_ascii_digit()).next().unwrap_or_default();
        let encoded = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0);
        Some(BatchWrite::Pin(BlobPin {
            blob,
            owner: BlobOwner::session(session),
            bytes: blobs::bytes(encoded),
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_names_its_blobs_in_its_own_words_and_nobody_elses() {
        use base64::{Engine as _, prelude::BASE64_STANDARD};
        use protocol::content::{ContentBlock, MediaSource};

        let blob = BASE64_STANDARD.encode([7; 32]);
        let source = MediaSource::Kept { blob, encoded_bytes: 400, media_type: "image/png".into() };
        let written = serde_json::to_string(&ContentBlock::Image { source }).expect("writes");
        let said = serde_json::to_string(&ContentBlock::text(written.clone())).expect("writes");
        let session = SessionId::from_bits(1);
        let body = format!("[{said},{written},{{\"type\":\"kept\",\"blob\":\"torn");
        let pin = BatchWrite::Pin(BlobPin { blob: [7; 32], owner: BlobOwner::session(session), bytes: 300 });
        assert_eq!(named(session, body.as_bytes()).collect::<Vec<_>>(), [pin]);
    }
}
