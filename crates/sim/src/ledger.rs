//! What a client was told is accepted, against what its commit says.

use protocol::EventId;
use protocol::event::ConfirmationVerdict;
use protocol::input::ClientEvent;

use crate::line::LogLine;

/// Each accepted event stands in its commit: once as what it is, at most once as queued before.
pub(crate) fn judge(events: &[ClientEvent], accepted: &[EventId], lines: &[LogLine]) -> Result<(), String> {
    if events.len() != accepted.len() {
        return Err(format!("ledger: {} events, {} accepted", events.len(), accepted.len()));
    }
    for (event, id) in events.iter().zip(accepted) {
        let (kind, content) = match event {
            ClientEvent::Message { content } => ("user.message", Some(content)),
            ClientEvent::Interrupt { .. } => ("user.interrupt", None),
            ClientEvent::Confirmation { .. } => ("user.tool_confirmation", None),
            ClientEvent::CustomResult { content, .. } => ("user.custom_tool_result", content.as_ref()),
        };
        let content = content.and_then(|content| serde_json::to_value(content).ok());
        let here: Vec<&LogLine> = lines.iter().filter(|line| line.id == Some(*id)).collect();
        let done = here.iter().filter(|line| line.kind == kind).count();
        let queued = here.iter().filter(|line| line.kind == "note.queued").count();
        let queues = kind == "user.message";
        let counted =
            done + queued == here.len() && done <= 1 && queued <= usize::from(queues) && !here.is_empty();
        let said = verdict(event);
        let changed =
            |line: &&&LogLine| line.content != content || (line.verdict.as_str(), &line.deny_message) != said;
        if !counted || here.iter().any(|line| changed(&line)) {
            return Err(format!("ledger: {event:?} was accepted as {id} and stands in the log as {here:?}"));
        }
    }
    Ok(())
}

/// What a client's event says of a call, and why.
fn verdict(event: &ClientEvent) -> (&'static str, &Option<String>) {
    match event {
        ClientEvent::Confirmation { verdict: ConfirmationVerdict::Allow, deny_message, .. } => {
            ("allow", deny_message)
        }
        ClientEvent::Confirmation { verdict: ConfirmationVerdict::Deny, deny_message, .. } => {
            ("deny", deny_message)
        }
        ClientEvent::Message { .. } | ClientEvent::Interrupt { .. } | ClientEvent::CustomResult { .. } => {
            ("", &None)
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::content::ContentBlock;

    use super::*;
    use crate::referee::testing::{event, id};

    fn said() -> ClientEvent {
        ClientEvent::Message { content: vec![ContentBlock::text("hi")] }
    }

    fn stands(kind: &str) -> LogLine {
        let content = serde_json::to_value([ContentBlock::text("hi")]).ok();
        LogLine { content, ..event(1, kind) }
    }

    #[test]
    fn an_accepted_message_that_is_lost_doubled_or_changed_is_objected_to() {
        let judged = |lines: &[LogLine]| judge(&[said()], &[id(1)], lines);
        assert_eq!(judged(&[stands("user.message")]), Ok(()));
        assert_eq!(judged(&[stands("note.queued"), stands("user.message")]), Ok(()));
        assert!(judged(&[]).is_err());
        assert!(judged(&[stands("user.message"), stands("user.message")]).is_err());
        assert!(judged(&[event(1, "user.message")]).is_err());
        assert!(judge(&[said()], &[], &[]).is_err());
    }
}
