//! Where the parts of a history stand in the log, and what stands in place of one that is left out.

use alloc::{format, string::String, vec, vec::Vec};

use protocol::{EventId, Object, content::ContentBlock, prompt::MessagePart};

use crate::fact::TranscriptPiece;

/// Where a part of a history stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PartSource {
    /// Nowhere: it is the kernel's own, or stands for what was left out.
    Ours,
    /// In one block of an event's content.
    Block(EventId, usize),
    /// In all of an event.
    Whole(EventId),
    /// In the event that gave a call its result; for each block which of that event's it is, unless it was
    /// left out.
    Result(EventId, Vec<Option<usize>>),
}

impl PartSource {
    /// The piece that a part is, or one block of a result; `None` for what cannot be left out (any more).
    pub(crate) fn piece(&self, block: Option<usize>) -> Option<TranscriptPiece> {
        match self {
            Self::Ours => None,
            Self::Block(event, block) => Some(TranscriptPiece { event: *event, block: Some(*block) }),
            Self::Whole(event) => Some(TranscriptPiece { event: *event, block: None }),
            Self::Result(event, blocks) => {
                let block = match block {
                    Some(block) => Some((*blocks.get(block)?)?),
                    None => None,
                };
                Some(TranscriptPiece { event: *event, block })
            }
        }
    }

    /// Whether `piece` is it, or a block of it.
    pub(crate) fn holds(&self, piece: TranscriptPiece) -> bool {
        match self {
            Self::Ours => false,
            Self::Block(event, block) => piece == TranscriptPiece { event: *event, block: Some(*block) },
            Self::Whole(event) => piece == TranscriptPiece { event: *event, block: None },
            Self::Result(event, blocks) => {
                let held = piece.block.is_none_or(|block| blocks.contains(&Some(block)));
                piece.event == *event && held
            }
        }
    }

    /// About how many bytes of memory it points to.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Ours | Self::Block(..) | Self::Whole(_) => 0,
            Self::Result(_, blocks) => protocol::memory::list(blocks, |_| 0),
        }
    }
}

/// The blocks of an event's content that say anything, each with its source.
pub(crate) fn blocks(
    event: EventId,
    content: &[ContentBlock],
) -> impl Iterator<Item = (MessagePart, PartSource)> {
    let each = content.iter().enumerate().filter(|(_, block)| says(block));
    each.map(move |(place, block)| (MessagePart::Content(block.clone()), PartSource::Block(event, place)))
}

/// The result that `event` gives the call which the provider knows as `id`, without what says nothing.
pub(crate) fn result(
    event: EventId,
    id: String,
    content: &[ContentBlock],
    is_error: bool,
) -> (MessagePart, PartSource) {
    let (places, content) = content
        .iter()
        .enumerate()
        .filter(|(_, block)| says(block))
        .map(|(place, block)| (Some(place), block.clone()))
        .unzip();
    (MessagePart::ToolResult { id, content, is_error }, PartSource::Result(event, places))
}

/// What the model is told in place of something.
pub(crate) fn removed(reason: &str) -> ContentBlock {
    ContentBlock::text(format!("[removed: {reason}]"))
}

/// Leaves a part out, or one block of a result: its place is taken by words, and a call keeps its result.
pub(crate) fn leave_out(part: &mut MessagePart, source: &mut PartSource, block: Option<usize>, reason: &str) {
    if let (MessagePart::ToolResult { content, .. }, PartSource::Result(_, places), Some(_)) =
        (&mut *part, &mut *source, block)
    {
        let place = places.iter().position(|place| *place == block);
        if let Some((content, place)) = place.and_then(|at| Some((content.get_mut(at)?, places.get_mut(at)?)))
        {
            *content = removed(reason);
            *place = None;
        }
        return;
    }
    match part {
        MessagePart::Content(_) | MessagePart::Thinking(_) => *part = MessagePart::Content(removed(reason)),
        MessagePart::ToolUse { input, .. } => {
            *input = Object::new();
            input.insert("removed".into(), reason.into());
        }
        MessagePart::ToolResult { content, .. } => *content = vec![removed(reason)],
        // It is nobody's words, and has no source by which it could be named.
        MessagePart::Beside { .. } => {}
    }
    *source = PartSource::Ours;
}

/// Whether a block says anything: providers refuse blank text.
fn says(block: &ContentBlock) -> bool {
    match block {
        ContentBlock::Text { text } => !text.trim().is_empty(),
        ContentBlock::Redacted => false,
        ContentBlock::Image { .. } | ContentBlock::Document { .. } | ContentBlock::SearchResult { .. } => {
            true
        }
    }
}
