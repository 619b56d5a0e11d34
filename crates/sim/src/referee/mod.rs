//! Referees: each judges one law from the lines of the log alone, with bookkeeping of its own.

mod calls;
mod ends;
pub(crate) mod hands;
mod retries;
pub(crate) mod runs;
mod spans;
mod stamps;
mod transcript;
mod turns;
mod usage;
mod watch;

pub use transcript::ExpectedHistory;
pub use watch::Referee;

/// Those that judge one thread's lines, but for `hands`.
pub(crate) fn of_thread() -> Vec<Box<dyn Referee>> {
    vec![
        Box::new(spans::SpansReferee::default()),
        Box::new(calls::CallsReferee::default()),
        Box::new(retries::RetriesReferee::default()),
        Box::new(turns::TurnsReferee::default()),
    ]
}

/// Those that judge a whole log, however many threads stand in it.
pub(crate) fn of_log() -> Vec<Box<dyn Referee>> {
    vec![
        Box::new(stamps::StampsReferee::default()),
        Box::new(ends::EndsReferee::default()),
        Box::new(usage::UsageReferee::default()),
    ]
}

#[cfg(test)]
pub(crate) mod testing {
    //! Short ways to write a log and to hear what a referee says of it.

    use super::Referee;
    use crate::line::LogLine;
    use protocol::{EventId, Timestamp};

    /// The id with this number.
    pub(crate) fn id(number: u128) -> EventId {
        EventId::from_bits(number << 32)
    }

    /// An event with this id.
    pub(crate) fn event(number: u128, kind: &str) -> LogLine {
        LogLine { id: Some(id(number)), kind: kind.into(), ..LogLine::default() }
    }

    /// An event about another.
    pub(crate) fn about(number: u128, kind: &str, other: u128) -> LogLine {
        LogLine { about: Some(id(other)), ..event(number, kind) }
    }

    /// A call of the built-in tool `name`, or without one of the client's.
    pub(crate) fn called(number: u128, name: &str, permission: &str) -> LogLine {
        if name.is_empty() {
            return event(number, "agent.custom_tool_use");
        }
        let why = if permission == "deny" { String::new() } else { format!("always_{permission}") };
        LogLine { name: name.into(), permission: [permission.into(), why], ..event(number, "agent.tool_use") }
    }

    /// A person's verdict on a call; who denies says `no`.
    pub(crate) fn confirmed(call: u128, verdict: &str) -> LogLine {
        let deny_message = (verdict == "deny").then(|| "no".into());
        LogLine {
            verdict: verdict.into(),
            deny_message,
            ..about(call + 2_000, "user.tool_confirmation", call)
        }
    }

    /// The note that a call begins.
    pub(crate) fn began(call: u128) -> LogLine {
        LogLine { kind: "note.began".into(), about: Some(id(call)), ..LogLine::default() }
    }

    /// The error that a call of ours is answered with.
    pub(crate) fn told(call: u128, text: &str) -> LogLine {
        let content = Some(serde_json::json!([{"type": "text", "text": text}]));
        LogLine { content, is_error: true, ..about(call + 3_000, "agent.tool_result", call) }
    }

    /// The end of request `start`, ended so.
    pub(crate) fn end(start: u128, how: &str) -> LogLine {
        let is_error = matches!(how, "failed" | "cut");
        LogLine { how: how.into(), is_error, ..about(start + 1_000, "span.model_request_end", start) }
    }

    /// A status event with a stop.
    pub(crate) fn stopped(kind: &str, stop: &str, pending: &[u128]) -> LogLine {
        let pending = pending.iter().map(|number| id(*number)).collect();
        LogLine { stop: stop.into(), pending, ..event(0, kind) }
    }

    /// A `session.error`.
    pub(crate) fn error(status: &str, message: &str) -> LogLine {
        LogLine { error: ["x".into(), status.into(), message.into()], ..event(0, "session.error") }
    }

    /// A note that a retry waits until this second.
    pub(crate) fn retry(now: i64, until: i64) -> LogLine {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        LogLine { at: at(now), until: Some(at(until)), kind: "note.retry".into(), ..LogLine::default() }
    }

    /// What the referee says of these commits.
    pub(crate) fn heard(mut referee: impl Referee, commits: &[&[LogLine]]) -> Result<(), String> {
        for commit in commits {
            for line in *commit {
                referee.see(line)?;
            }
            referee.rest()?;
        }
        Ok(())
    }
}
