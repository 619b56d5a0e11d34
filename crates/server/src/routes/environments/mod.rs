//! Environments: where the tools of sessions run.

pub(super) mod archive;
pub(super) mod create;
pub(super) mod delete;
pub(super) mod list;
pub(super) mod retrieve;
pub(super) mod update;

use crate::{
    openapi::{
        bodies,
        queries::{ARCHIVED, Form, LIMIT, PAGE, parameter},
    },
    operation::{Body, Good, Operation, delete, get, post},
};

/// What can be done with them.
pub(super) const OPERATIONS: &[Operation] = &[
    get("/v1/environments", "environments.list", "the environments, newest first")
        .asks(&[ARCHIVED, LIMIT, PAGE])
        .gives(Good::Page("Environment"), |call| Box::pin(list::run(call))),
    post(
        "/v1/environments",
        "environments.create",
        "makes an environment; packages and self-hosted ones are not supported yet",
    )
    .takes(Body::Needed(bodies::ENVIRONMENT_CREATE))
    .refuses(&[409])
    .gives(Good::One("Environment"), |call| Box::pin(create::run(call))),
    get("/v1/environments/{environment_id}", "environments.retrieve", "one environment")
        .gives(Good::One("Environment"), |call| Box::pin(retrieve::run(call))),
    post("/v1/environments/{environment_id}", "environments.update", "changes an environment in place")
        .takes(Body::Welcome(bodies::ENVIRONMENT_UPDATE))
        .refuses(&[409])
        .gives(Good::One("Environment"), |call| Box::pin(update::run(call))),
    delete(
        "/v1/environments/{environment_id}",
        "environments.delete",
        "removes an environment that no session uses; with `force` any",
    )
    .asks(&[parameter(
        "force",
        Form::Flag,
        "Whether sessions that use it are no hindrance: they go on without it.",
    )])
    .refuses(&[409])
    .gives(Good::Gone("environment_deleted"), |call| Box::pin(delete::run(call))),
    post(
        "/v1/environments/{environment_id}/archive",
        "environments.archive",
        "no new session may use it; those that run go on",
    )
    .gives(Good::One("Environment"), |call| Box::pin(archive::run(call))),
];
