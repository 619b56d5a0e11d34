//! What a client may send to a session, apart from what the log can say (docs/rules.md 19).

use alloc::{string::String, vec::Vec};

use serde_json::Value;

use crate::{
    EventId, ThreadId,
    content::{self, ContentBlock},
    event::ConfirmationVerdict,
    limits,
    parse::{self, Fields, Invalid},
};

/// One event that a client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent {
    /// `user.message`.
    Message {
        /// text, image, document.
        content: Vec<ContentBlock>,
    },
    /// `user.interrupt`.
    Interrupt {
        /// The thread to stop; `None`: all.
        thread: Option<ThreadId>,
    },
    /// `user.tool_confirmation`.
    Confirmation {
        /// The event of the call.
        call: EventId,
        /// allow or deny.
        verdict: ConfirmationVerdict,
        /// Why not.
        deny_message: Option<String>,
    },
    /// `user.custom_tool_result`.
    CustomResult {
        /// The event of the call.
        call: EventId,
        /// The result, as it was sent.
        content: Option<Vec<ContentBlock>>,
        /// Whether the tool failed, as it was sent.
        is_error: Option<bool>,
    },
}

impl ClientEvent {
    /// How many bytes of the queue's bound it takes.
    pub fn weight(&self) -> usize {
        match self {
            Self::Message { content } => content.iter().map(ContentBlock::weight).sum(),
            Self::CustomResult { content, .. } => content.iter().flatten().map(ContentBlock::weight).sum(),
            Self::Confirmation { deny_message, .. } => deny_message.as_deref().map_or(0, str::len),
            Self::Interrupt { .. } => 0,
        }
    }
}

/// Reads the body of a send: `{"events": [...]}`, 1 to 100 of them.
pub fn send(value: Value) -> Result<Vec<ClientEvent>, Invalid> {
    let mut fields = Fields::of(value, "")?;
    let events = fields.required("events", parse::list(1, limits::EVENTS_PER_REQUEST, client_event))?;
    fields.finish()?;
    Ok(events)
}

/// What may be sent to a session.
const EVENTS: &[&str] =
    &["user.message", "user.interrupt", "user.tool_confirmation", "user.custom_tool_result"];

/// What a session may begin with.
const INITIAL: &[&str] = &["user.message", "user.define_outcome"];

/// Reads a session's `initial_events`: at most 50, messages only.
pub fn initial(value: Value, path: &str) -> Result<Vec<ClientEvent>, Invalid> {
    let read = |value: Value, path: &str| {
        let tag = value.get("type").and_then(Value::as_str);
        if value.is_object() && !tag.is_some_and(|tag| INITIAL.contains(&tag)) {
            let mut fields = Fields::of(value, path)?;
            let tag = fields.tag(INITIAL)?;
            return Err(fields.unknown_tag(&tag, INITIAL));
        }
        client_event(value, path)
    };
    parse::list(0, limits::INITIAL_EVENTS, read)(value, path)
}

fn client_event(value: Value, path: &str) -> Result<ClientEvent, Invalid> {
    let mut fields = Fields::of(value, path)?;
    let tag = fields.tag(EVENTS)?;
    let event = match tag.as_str() {
        "user.message" => ClientEvent::Message { content: fields.required("content", content::message)? },
        "user.interrupt" => {
            ClientEvent::Interrupt { thread: fields.optional("session_thread_id", parse::reference)? }
        }
        "user.tool_confirmation" => confirmation(&mut fields)?,
        "user.custom_tool_result" => {
            echoed_thread(&mut fields);
            ClientEvent::CustomResult {
                call: fields.required("custom_tool_use_id", parse::id)?,
                content: fields.optional("content", content::result)?,
                is_error: fields.optional("is_error", parse::boolean)?,
            }
        }
        "user.define_outcome" | "user.tool_result" | "system.message" => {
            return Err(Invalid::unsupported(fields.at("type"), &alloc::format!("`{tag}`")));
        }
        _ => return Err(fields.unknown_tag(&tag, EVENTS)),
    };
    fields.finish()?;
    Ok(event)
}

fn confirmation(fields: &mut Fields) -> Result<ClientEvent, Invalid> {
    echoed_thread(fields);
    let call = fields.required("tool_use_id", parse::id)?;
    let verdict = match fields.required("result", parse::one_of(&["allow", "deny"]))? {
        "allow" => ConfirmationVerdict::Allow,
        _ => ConfirmationVerdict::Deny,
    };
    let deny_message = fields.optional("deny_message", parse::string)?;
    if deny_message.is_some() && verdict == ConfirmationVerdict::Allow {
        return Err(fields.wrong("deny_message", "goes only with `result: deny`"));
    }
    Ok(ClientEvent::Confirmation { call, verdict, deny_message })
}

/// Older clients echo the thread back. The call's id routes the answer, so it is not looked at
/// (docs/rules.md 11).
fn echoed_thread(fields: &mut Fields) {
    let _ignored = fields.take("session_thread_id");
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use serde_json::json;

    #[test]
    fn each_kind_reads_as_it_was_sent() {
        let call = EventId::from_bits(1);
        let sent = json!({"events": [
            {"type": "user.message", "content": [{"type": "text", "text": "hi"}]},
            {"type": "user.interrupt"},
            {"type": "user.tool_confirmation", "tool_use_id": call, "result": "deny", "deny_message": "no"},
            {"type": "user.custom_tool_result", "custom_tool_use_id": call, "session_thread_id": "old clients"},
        ]});
        assert_eq!(
            send(sent),
            Ok(vec![
                ClientEvent::Message { content: vec![ContentBlock::text("hi")] },
                ClientEvent::Interrupt { thread: None },
                ClientEvent::Confirmation {
                    call,
                    verdict: ConfirmationVerdict::Deny,
                    deny_message: Some("no".into())
                },
                ClientEvent::CustomResult { call, content: None, is_error: None },
            ])
        );
    }

    #[test]
    fn each_mistake_names_its_field() {
        for (sent, path) in [
            (json!({"events": []}), "events"),
            (json!({"events": [{"type": "agent.message", "content": []}]}), "events.0.type"),
            (json!({"events": [{"type": "system.message", "content": []}]}), "events.0.type"),
            (json!({"events": [{"type": "user.message", "content": "hi"}]}), "events.0.content"),
            (
                json!({"events": [{"type": "user.interrupt", "session_thread_id": "sesn_1"}]}),
                "events.0.session_thread_id",
            ),
            (
                json!({"events": [{"type": "user.message", "content": [{"type": "text", "text": "a"}], "x": 1}]}),
                "events.0.x",
            ),
            (json!({"event": []}), "events"),
        ] {
            assert_eq!(send(sent).map_err(|wrong| wrong.path), Err(path.into()));
        }
        let result = json!([{"type": "user.interrupt"}]);
        assert_eq!(
            initial(result, "initial_events").map_err(|wrong| wrong.path),
            Err("initial_events.0.type".into())
        );
    }

    #[test]
    fn an_event_without_a_type_is_told_those_that_may_be_sent_there() {
        let bare = json!({"content": [{"type": "text", "text": "hi"}]});
        let said = |wrong: Invalid| alloc::string::ToString::to_string(&wrong);
        assert_eq!(
            send(json!({"events": [bare]})).map_err(said),
            Err("events.0.type: this field is required: `user.message`, `user.interrupt`, \
                 `user.tool_confirmation` or `user.custom_tool_result`"
                .into())
        );
        assert_eq!(
            initial(json!([bare]), "initial_events").map_err(said),
            Err("initial_events.0.type: this field is required: `user.message` or `user.define_outcome`"
                .into())
        );
    }
}
