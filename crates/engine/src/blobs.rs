//! Pictures and documents that a tool read: kept beside the log, and put back whenever an event leaves for a
//! client or a model (rules.md 9).

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use protocol::{
    content::{Block, Source},
    event::{Body, Event},
    prompt::{Message, Part, Prompt},
};
use store::Store;

use crate::fault::Fault;

/// Moves the bytes of `content` into the store. What cannot be moved stays where it is: nothing is lost
/// by it.
pub(crate) async fn keep(store: &Store, content: &mut [Block]) {
    for block in content {
        let Some(source) = source_mut(block) else { continue };
        let Source::Base64 { data, media_type } = source else { continue };
        let Ok(bytes) = BASE64_STANDARD.decode(&data) else { continue };
        match store.put(bytes).await {
            Ok(hash) => {
                let encoded_bytes = data.len();
                *source = Source::Kept { blob: name(&hash), encoded_bytes, media_type: media_type.clone() };
            }
            Err(fault) => tracing::warn!(%fault, "a picture goes into the log instead of beside it"),
        }
    }
}

/// The event as a client reads it.
pub(crate) async fn shown(store: &Store, event: Arc<Event>) -> Result<Arc<Event>, Fault> {
    let Body::AgentToolResult { content: Some(content), .. } = &event.body else { return Ok(event) };
    if !content.iter().any(is_kept) {
        return Ok(event);
    }
    let mut event = Event::clone(&event);
    if let Body::AgentToolResult { content: Some(content), .. } = &mut event.body {
        expand(store, content).await?;
    }
    Ok(Arc::new(event))
}

/// How many bytes an event is shown with beyond what the log holds of it.
pub(crate) fn extra_bytes(event: &Event) -> usize {
    let Body::AgentToolResult { content: Some(content), .. } = &event.body else { return 0 };
    content.iter().filter(|block| is_kept(block)).map(Block::weight).sum()
}

/// Puts everything back that `prompt` only names.
pub(crate) async fn fill(store: &Store, prompt: &mut Prompt) -> Result<(), Fault> {
    let kept = |part: &Part| matches!(part, Part::ToolResult { content, .. } if content.iter().any(is_kept));
    for message in &mut prompt.messages {
        if message.parts.iter().any(kept) {
            for part in &mut Arc::<Message>::make_mut(message).parts {
                if let Part::ToolResult { content, .. } = part {
                    expand(store, content).await?;
                }
            }
        }
    }
    Ok(())
}

async fn expand(store: &Store, content: &mut [Block]) -> Result<(), Fault> {
    for block in content {
        let Some(source) = source_mut(block) else { continue };
        let Source::Kept { blob, media_type, .. } = source else { continue };
        let found = match hash(blob) {
            Some(hash) => store.get(&hash).await?,
            None => None,
        };
        match found {
            Some(bytes) => {
                let data = BASE64_STANDARD.encode(bytes);
                *source = Source::Base64 { data, media_type: std::mem::take(media_type) };
            }
            None => *block = Block::text("[what the tool read here is no longer stored]"),
        }
    }
    Ok(())
}

fn is_kept(block: &Block) -> bool {
    matches!(
        block,
        Block::Image { source: Source::Kept { .. } } | Block::Document { source: Source::Kept { .. }, .. }
    )
}

fn source_mut(block: &mut Block) -> Option<&mut Source> {
    match block {
        Block::Image { source } | Block::Document { source, .. } => Some(source),
        Block::Text { .. } | Block::SearchResult { .. } | Block::Redacted => None,
    }
}

fn name(hash: &[u8; 32]) -> String {
    BASE64_STANDARD.encode(hash)
}

fn hash(name: &str) -> Option<[u8; 32]> {
    BASE64_STANDARD.decode(name).ok()?.try_into().ok()
}
