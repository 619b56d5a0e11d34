//! Pictures and documents that a tool read: kept beside the log, and put back whenever an event leaves for a
//! client or a model (docs/rules.md 9). Who uses one is written down in the batch of the fact that names it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::{Arc, Mutex};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use kernel::{Fact, FactContent, Input};
use protocol::{
    SessionId,
    content::{ContentBlock, MediaSource},
    event::{Body, Event},
    limits,
    prompt::{MessagePart, Prompt, PromptMessage},
};
use store::{BatchWrite, Blob, BlobOwner, BlobPin};
use tools::ToolOutcome;

use crate::{Engine, lock::lock};

/// How many lost blobs are known to have been named in the log; beyond it all are forgotten and named again.
const NAMED: usize = 1_024;

const TOO_MANY: &str = "This was not read: the pictures and documents that this session has read take up all that a session may keep (1 GiB). Start a new session to look at more of them.";
const DISK_FULL: &str =
    "This was not read: the server's disk is full, and there is no room to keep it. Try again later.";

/// The blobs that were found missing or damaged and named: a list that is asked for again says it once.
#[derive(Debug, Default)]
pub(crate) struct LostBlobs(Mutex<BTreeSet<String>>);

/// Moves the bytes of what a tool gave into the store, for as long as what is handed back is held; the commit
/// that names them keeps them for good. What cannot be moved stays where it is: nothing is lost by it.
pub(crate) async fn keep(engine: &Engine, session: SessionId, outcome: &mut ToolOutcome) -> Vec<Blob> {
    let encoded: usize = outcome.content.iter_mut().filter_map(source_mut).map(|source| weight(source)).sum();
    // The commit counts again, for good; this saves the disk what it would not take.
    if encoded > 0 && !fits(engine, session, bytes(encoded)).await.unwrap_or(true) {
        *outcome = refused(TOO_MANY);
    }
    let mut kept = Vec::new();
    for block in &mut outcome.content {
        let Some(source) = source_mut(block) else { continue };
        let MediaSource::Base64 { data, media_type } = source else { continue };
        let Ok(bytes) = BASE64_STANDARD.decode(&data) else { continue };
        match engine.store().put(bytes).await {
            Ok(blob) => {
                let (encoded_bytes, media_type) = (data.len(), media_type.clone());
                *source = MediaSource::Kept { blob: name(&blob.name()), encoded_bytes, media_type };
                kept.push(blob);
            }
            Err(fault @ store::StoreFault::Full { .. }) => {
                tracing::error!(%session, %fault, "a picture that was read is not kept");
                *outcome = refused(DISK_FULL);
                break;
            }
            Err(fault) => tracing::warn!(%fault, "a picture goes into the log instead of beside it"),
        }
    }
    kept
}

/// The input as the session can take it: a picture beyond its bound becomes words. `writes` are those of the
/// same batch in front of it.
pub(crate) async fn bounded<'a>(
    engine: &Engine,
    session: SessionId,
    writes: &[BatchWrite],
    input: &'a Input,
) -> Result<Cow<'a, Input>, store::StoreFault> {
    let Input::Ran { thread, call, content, .. } = input else { return Ok(Cow::Borrowed(input)) };
    let new: u64 = content.iter().filter_map(kept).map(|(_, bytes)| bytes).sum();
    if new == 0 {
        return Ok(Cow::Borrowed(input));
    }
    let earlier = writes.iter().map(|write| if let BatchWrite::Pin(pin) = write { pin.bytes } else { 0 });
    if fits(engine, session, earlier.sum::<u64>() + new).await? {
        return Ok(Cow::Borrowed(input));
    }
    let ToolOutcome { content, is_error } = refused(TOO_MANY);
    Ok(Cow::Owned(Input::Ran { thread: *thread, call: *call, content, is_error }))
}

async fn fits(engine: &Engine, session: SessionId, bytes: u64) -> Result<bool, store::StoreFault> {
    let pinned = engine.store().pinned(BlobOwner::session(session)).await?;
    Ok(pinned + bytes <= limits::BLOB_BYTES_PER_SESSION)
}

fn refused(why: &str) -> ToolOutcome {
    ToolOutcome { content: vec![ContentBlock::text(why)], is_error: true }
}

/// Says that a session uses what its new facts name.
pub(crate) fn pins(session: SessionId, facts: &[Fact]) -> impl Iterator<Item = BatchWrite> {
    let named = facts.iter().filter_map(|fact| match &fact.what {
        FactContent::Event { event, .. } => result(&event.body),
        FactContent::Note { .. } => None,
    });
    let pin =
        move |(blob, bytes)| BatchWrite::Pin(BlobPin { blob, owner: BlobOwner::session(session), bytes });
    named.flatten().filter_map(kept).map(pin)
}

/// The event as a client reads it.
pub(crate) async fn shown(engine: &Engine, session: SessionId, event: Arc<Event>) -> Arc<Event> {
    if !result(&event.body).is_some_and(|content| content.iter().any(is_kept)) {
        return event;
    }
    let mut event = Event::clone(&event);
    if let Body::AgentToolResult { content: Some(content), .. } = &mut event.body {
        expand(engine, session, &event.id, content).await;
    }
    Arc::new(event)
}

/// How many bytes an event is shown with beyond what the log holds of it.
pub(crate) fn extra_bytes(event: &Event) -> usize {
    let kept = result(&event.body).into_iter().flatten().filter(|block| is_kept(block));
    kept.map(ContentBlock::weight).sum()
}

/// Puts everything back that `prompt` only names.
pub(crate) async fn fill(engine: &Engine, session: SessionId, prompt: &mut Prompt) {
    let kept = |part: &MessagePart| {
        let MessagePart::ToolResult { content, .. } = part else { return false };
        content.iter().any(is_kept)
    };
    for message in &mut prompt.messages {
        if message.parts.iter().any(kept) {
            for part in &mut Arc::<PromptMessage>::make_mut(message).parts {
                if let MessagePart::ToolResult { content, id, .. } = part {
                    expand(engine, session, id, content).await;
                }
            }
        }
    }
}

/// Puts the bytes back. What is missing or damaged is worked round: words stand in its place, and the
/// server's log names it once.
async fn expand(
    engine: &Engine,
    session: SessionId,
    of: &(impl Display + Sync + ?Sized),
    content: &mut [ContentBlock],
) {
    for block in content {
        let what = if matches!(block, ContentBlock::Image { .. }) { "picture" } else { "document" };
        let Some(source) = source_mut(block) else { continue };
        let MediaSource::Kept { blob, media_type, .. } = source else { continue };
        let found = match hash(blob) {
            Some(hash) => engine.store().get(&hash).await,
            None => Ok(None),
        };
        let fate = match found {
            Ok(Some(bytes)) => {
                let data = BASE64_STANDARD.encode(bytes);
                *source = MediaSource::Base64 { data, media_type: std::mem::take(media_type) };
                continue;
            }
            Ok(None) => "is missing from the server's disk",
            Err(store::StoreFault::Corrupt(_)) => "is damaged on the server's disk",
            Err(_) => "cannot be read from the server's disk at the moment",
        };
        if engine.lost().is_new(blob) {
            tracing::error!(%session, %of, blob, "a {what} that a tool read {fate}; it is worked round");
        }
        let told = format!("[The {what} that was read here {fate}. Read it again if it is needed.]");
        *block = ContentBlock::text(told);
    }
}

impl LostBlobs {
    fn is_new(&self, blob: &str) -> bool {
        let mut named = lock(&self.0);
        if named.len() >= NAMED {
            named.clear();
        }
        named.insert(blob.to_owned())
    }
}

/// What a built-in tool gave, which is where kept things are.
fn result(body: &Body) -> Option<&Vec<ContentBlock>> {
    if let Body::AgentToolResult { content, .. } = body { content.as_ref() } else { None }
}

/// The blob that a block names, and about how many bytes it holds: base64 says it to within two.
fn kept(block: &ContentBlock) -> Option<([u8; 32], u64)> {
    let (ContentBlock::Image { source } | ContentBlock::Document { source, .. }) = block else { return None };
    let MediaSource::Kept { blob, encoded_bytes, .. } = source else { return None };
    Some((hash(blob)?, bytes(*encoded_bytes)))
}

/// How many bytes base64 of this length holds.
pub(crate) const fn bytes(encoded: usize) -> u64 {
    encoded as u64 / 4 * 3
}

fn weight(source: &MediaSource) -> usize {
    if let MediaSource::Base64 { data, .. } = source { data.len() } else { 0 }
}

fn is_kept(block: &ContentBlock) -> bool {
    matches!(
        block,
        ContentBlock::Image { source: MediaSource::Kept { .. } }
            | ContentBlock::Document { source: MediaSource::Kept { .. }, .. }
    )
}

fn source_mut(block: &mut ContentBlock) -> Option<&mut MediaSource> {
    match block {
        ContentBlock::Image { source } | ContentBlock::Document { source, .. } => Some(source),
        ContentBlock::Text { .. } | ContentBlock::SearchResult { .. } | ContentBlock::Redacted => None,
    }
}

fn name(hash: &[u8; 32]) -> String {
    BASE64_STANDARD.encode(hash)
}

pub(crate) fn hash(name: &str) -> Option<[u8; 32]> {
    BASE64_STANDARD.decode(name).ok()?.try_into().ok()
}
