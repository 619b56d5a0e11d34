//! Sessions.

pub(super) mod archive;
pub(super) mod create;
pub(super) mod delete;
pub(super) mod list;
pub(super) mod outcome;
pub(super) mod retrieve;
pub(super) mod update;

use protocol::session::Session;

use crate::{
    openapi::{
        bodies,
        queries::{
            ARCHIVED, CREATED_GT, CREATED_GTE, CREATED_LT, CREATED_LTE, LIMIT, ORDER, PAGE, ParameterForm,
            STATUSES, parameter,
        },
    },
    operation::{GoodAnswer, Operation, OperationBody, delete, get, post},
};

/// What can be done with them.
pub(super) const OPERATIONS: &[Operation] = &[
    get("/v1/sessions", "sessions.list", "the sessions; the one list that runs both ways")
        .asks(&[
            parameter("agent_id", ParameterForm::Agent, "Only those of this agent."),
            parameter(
                "agent_version",
                ParameterForm::Whole,
                "Only those of this version; goes only with `agent_id`.",
            ),
            parameter(
                "deployment_id",
                ParameterForm::Text,
                "Deployments are not supported yet: no session belongs to one.",
            ),
            parameter(
                "memory_store_id",
                ParameterForm::Text,
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
        .gives(GoodAnswer::page::<Session>(), |call| Box::pin(list::run(call))),
    post(
        "/v1/sessions",
        "sessions.create",
        "opens a session; resources, vaults and budgets are not supported yet",
    )
    .takes(OperationBody::Needed(bodies::SESSION_CREATE))
    .gives(GoodAnswer::one::<Session>(), |call| Box::pin(create::run(call))),
    get("/v1/sessions/{session_id}", "sessions.retrieve", "one session")
        .gives(GoodAnswer::one::<Session>(), |call| Box::pin(retrieve::run(call))),
    post("/v1/sessions/{session_id}", "sessions.update", "title, metadata, and the tools of an idle session")
        .takes(OperationBody::Welcome(bodies::SESSION_UPDATE))
        .gives(GoodAnswer::one::<Session>(), |call| Box::pin(update::run(call))),
    delete("/v1/sessions/{session_id}", "sessions.delete", "removes a session and its history")
        .gives(GoodAnswer::Gone("session_deleted"), |call| Box::pin(delete::run(call))),
    post(
        "/v1/sessions/{session_id}/archive",
        "sessions.archive",
        "ends a session for good; its history stays",
    )
    .gives(GoodAnswer::one::<Session>(), |call| Box::pin(archive::run(call))),
];
