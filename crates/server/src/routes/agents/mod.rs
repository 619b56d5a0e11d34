//! Agents and their versions.

pub(super) mod archive;
pub(super) mod create;
pub(super) mod list;
pub(super) mod retrieve;
pub(super) mod update;
pub(super) mod versions;

use protocol::agent::Agent;

use crate::{
    openapi::{
        bodies,
        queries::{ARCHIVED, CREATED_GTE, CREATED_LTE, LIMIT, PAGE, ParameterForm, parameter},
    },
    operation::{GoodAnswer, Operation, OperationBody, get, post},
};

/// What can be done with them.
pub(super) const OPERATIONS: &[Operation] = &[
    get("/v1/agents", "agents.list", "the agents, newest first")
        .asks(&[CREATED_GTE, CREATED_LTE, ARCHIVED, LIMIT, PAGE])
        .gives(GoodAnswer::page::<Agent>(), |call| Box::pin(list::run(call))),
    post("/v1/agents", "agents.create", "saves an agent; MCP servers and skills are not supported yet")
        .takes(OperationBody::Needed(bodies::AGENT_CREATE))
        .gives(GoodAnswer::one::<Agent>(), |call| Box::pin(create::run(call))),
    get("/v1/agents/{agent_id}", "agents.retrieve", "one agent, now or as it was")
        .asks(&[parameter("version", ParameterForm::Whole, "The agent as it was in this version.")])
        .gives(GoodAnswer::one::<Agent>(), |call| Box::pin(retrieve::run(call))),
    post("/v1/agents/{agent_id}", "agents.update", "the next version of an agent")
        .takes(OperationBody::Welcome(bodies::AGENT_UPDATE))
        .refuses(&[409])
        .gives(GoodAnswer::one::<Agent>(), |call| Box::pin(update::run(call))),
    post(
        "/v1/agents/{agent_id}/archive",
        "agents.archive",
        "no new session may use it; those that run go on",
    )
    .gives(GoodAnswer::one::<Agent>(), |call| Box::pin(archive::run(call))),
    get("/v1/agents/{agent_id}/versions", "agents.versions.list", "an agent's versions, newest first")
        .asks(&[LIMIT, PAGE])
        .gives(GoodAnswer::page::<Agent>(), |call| Box::pin(versions::run(call))),
];
