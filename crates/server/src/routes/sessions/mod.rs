//! Sessions.

pub(super) mod archive;
pub(super) mod create;
pub(super) mod delete;
pub(super) mod list;
pub(super) mod retrieve;
pub(super) mod update;

use engine::Committed;
use kernel::Input;
use protocol::SessionId;

use protocol::session::Session;

use crate::{
    answer::Answer,
    error::Problem,
    extract::Call,
    openapi::{
        bodies,
        queries::{
            ARCHIVED, CREATED_GT, CREATED_GTE, CREATED_LT, CREATED_LTE, Form, LIMIT, ORDER, PAGE, STATUSES,
            parameter,
        },
    },
    operation::{Body, Good, Operation, delete, get, post},
};

/// What can be done with them.
pub(super) const OPERATIONS: &[Operation] = &[
    get("/v1/sessions", "sessions.list", "the sessions; the one list that runs both ways")
        .asks(&[
            parameter("agent_id", Form::Agent, "Only those of this agent."),
            parameter("agent_version", Form::Whole, "Only those of this version; goes only with `agent_id`."),
            parameter(
                "deployment_id",
                Form::Text,
                "Deployments are not supported yet: no session belongs to one.",
            ),
            parameter(
                "memory_store_id",
                Form::Text,
                "Memory stores are not supported yet: no session has one.",
            ),
            STATUSES,
            CREATED_GT,
            CREATED_GTE,
            CREATED_LT,
            CREATED_LTE,
            ARCHIVED,
            ORDER,
            LIMIT,
            PAGE,
        ])
        .gives(Good::page::<Session>(), |call| Box::pin(list::run(call))),
    post(
        "/v1/sessions",
        "sessions.create",
        "opens a session; resources, vaults and budgets are not supported yet",
    )
    .takes(Body::Needed(bodies::SESSION_CREATE))
    .gives(Good::one::<Session>(), |call| Box::pin(create::run(call))),
    get("/v1/sessions/{session_id}", "sessions.retrieve", "one session")
        .gives(Good::one::<Session>(), |call| Box::pin(retrieve::run(call))),
    post("/v1/sessions/{session_id}", "sessions.update", "title, metadata, and the tools of an idle session")
        .takes(Body::Welcome(bodies::SESSION_UPDATE))
        .gives(Good::one::<Session>(), |call| Box::pin(update::run(call))),
    delete("/v1/sessions/{session_id}", "sessions.delete", "removes a session and its history")
        .gives(Good::Gone("session_deleted"), |call| Box::pin(delete::run(call))),
    post(
        "/v1/sessions/{session_id}/archive",
        "sessions.archive",
        "ends a session for good; its history stays",
    )
    .gives(Good::one::<Session>(), |call| Box::pin(archive::run(call))),
];

/// No such session.
pub(super) fn missing(id: SessionId) -> Problem {
    Problem::missing(format!("there is no session {id}, or it is deleted"))
}

/// Answers with the session as it is after `input`.
async fn after(call: &Call, input: Input) -> Result<Answer, Problem> {
    let id = call.id("session_id")?;
    let committed = call.engine().commit_attempt(call.workspace(), id, input, call.attempt()).await?;
    told(call, &committed).await
}

/// What came of the request when it was sent before: what was right then may not be so any more.
pub(super) async fn earlier(call: &Call) -> Result<Option<Committed>, Problem> {
    let Some(attempt) = call.attempt().filter(|attempt| attempt.may_repeat()) else { return Ok(None) };
    Ok(call.engine().earlier(call.workspace(), call.id("session_id")?, attempt).await?)
}

/// The session as it was after this.
async fn told(call: &Call, committed: &Committed) -> Result<Answer, Problem> {
    Answer::json(&call.engine().object_at(&committed.head, committed.at).await?)
}
