//! Every door that is open: what it takes, what it answers, and how it may refuse.

use super::queries::{self as query, Parameter};

/// One operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation {
    /// The contract's name for it, or our own.
    pub(super) name: &'static str,
    /// What it does, in the words of the first line of its file.
    pub(super) summary: &'static str,
    /// Its query parameters.
    pub(super) query: &'static [Parameter],
    /// What it is sent.
    pub(super) body: Body,
    /// What it answers with.
    pub(super) answer: Answer,
    /// How it refuses, beside what every operation of its kind may say.
    pub(super) refusals: &'static [u16],
}

/// What an operation is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// Nothing that it would look at.
    None,
    /// This shape; an empty body lacks fields.
    Needed(&'static str),
    /// This shape; an empty body is an empty object.
    Welcome(&'static str),
}

/// What an operation answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// One of these.
    One(&'static str),
    /// A page of these.
    Page(&'static str),
    /// The events that were sent.
    Sent,
    /// The id of what is gone, with this `type`.
    Gone(&'static str),
    /// A stream of events.
    Stream,
    /// Any object.
    Object,
}

const NOTHING: &[Parameter] = &[];

const fn reads(
    name: &'static str,
    summary: &'static str,
    query: &'static [Parameter],
    answer: Answer,
) -> Operation {
    Operation { name, summary, query, body: Body::None, answer, refusals: &[] }
}

const fn changes(
    name: &'static str,
    summary: &'static str,
    body: Body,
    answer: Answer,
    refusals: &'static [u16],
) -> Operation {
    Operation { name, summary, query: NOTHING, body, answer, refusals }
}

/// Every operation of the API that is served, and our own under `/heddle`.
pub(super) const ALL: &[Operation] = &[
    reads("agents.list", "the agents, newest first", query::AGENTS, Answer::Page("Agent")),
    changes(
        "agents.create",
        "saves an agent; MCP servers and skills are not supported yet",
        Body::Needed("AgentCreateParams"),
        Answer::One("Agent"),
        &[],
    ),
    reads("agents.retrieve", "one agent, now or as it was", query::AGENT, Answer::One("Agent")),
    changes(
        "agents.update",
        "the next version of an agent",
        Body::Welcome("AgentUpdateParams"),
        Answer::One("Agent"),
        &[409],
    ),
    changes(
        "agents.archive",
        "no new session may use it; those that run go on",
        Body::None,
        Answer::One("Agent"),
        &[],
    ),
    reads(
        "agents.versions.list",
        "an agent's versions, newest first",
        query::VERSIONS,
        Answer::Page("Agent"),
    ),
    reads(
        "environments.list",
        "the environments, newest first",
        query::ENVIRONMENTS,
        Answer::Page("Environment"),
    ),
    changes(
        "environments.create",
        "makes an environment; packages and self-hosted ones are not supported yet",
        Body::Needed("EnvironmentCreateParams"),
        Answer::One("Environment"),
        &[409],
    ),
    reads("environments.retrieve", "one environment", NOTHING, Answer::One("Environment")),
    changes(
        "environments.update",
        "changes an environment in place",
        Body::Welcome("EnvironmentUpdateParams"),
        Answer::One("Environment"),
        &[409],
    ),
    Operation {
        query: query::ENVIRONMENT_DELETE,
        ..changes(
            "environments.delete",
            "removes an environment that no session uses; with `force` any",
            Body::None,
            Answer::Gone("environment_deleted"),
            &[409],
        )
    },
    changes(
        "environments.archive",
        "no new session may use it; those that run go on",
        Body::None,
        Answer::One("Environment"),
        &[],
    ),
    reads(
        "sessions.list",
        "the sessions; the one list that runs both ways",
        query::SESSIONS,
        Answer::Page("Session"),
    ),
    changes(
        "sessions.create",
        "opens a session; resources, vaults and budgets are not supported yet",
        Body::Needed("SessionCreateParams"),
        Answer::One("Session"),
        &[],
    ),
    reads("sessions.retrieve", "one session", NOTHING, Answer::One("Session")),
    changes(
        "sessions.update",
        "title, metadata, and the tools of an idle session",
        Body::Welcome("SessionUpdateParams"),
        Answer::One("Session"),
        &[],
    ),
    changes(
        "sessions.delete",
        "removes a session and its history",
        Body::None,
        Answer::Gone("session_deleted"),
        &[],
    ),
    changes(
        "sessions.archive",
        "ends a session for good; its history stays",
        Body::None,
        Answer::One("Session"),
        &[],
    ),
    reads("sessions.events.list", "what happened, page by page", query::EVENTS, Answer::Page("Event")),
    changes(
        "sessions.events.send",
        "a client speaks to a session; outcomes are not supported yet",
        Body::Needed("EventsSendParams"),
        Answer::Sent,
        &[429],
    ),
    reads("sessions.events.stream", "what happens, as it happens", query::STREAM, Answer::Stream),
    reads(
        "sessions.threads.list",
        "a session's threads, the primary first",
        query::THREADS,
        Answer::Page("Thread"),
    ),
    reads("sessions.threads.retrieve", "one thread", NOTHING, Answer::One("Thread")),
    changes("sessions.threads.archive", "ends a child thread", Body::None, Answer::One("Thread"), &[]),
    reads(
        "sessions.threads.events.list",
        "what happened on one thread",
        query::THREAD_EVENTS,
        Answer::Page("Event"),
    ),
    reads("sessions.threads.events.stream", "what happens on one thread", query::STREAM, Answer::Stream),
    reads("models.list", "the models that agents may name", query::MODEL_LIST, Answer::Page("Model")),
    reads("models.retrieve", "one model", NOTHING, Answer::One("Model")),
    reads("heddle.prompt", "what a thread's model was sent last", NOTHING, Answer::Object),
];
