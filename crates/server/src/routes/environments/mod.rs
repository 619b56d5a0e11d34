//! Environments: where the tools of sessions run.

pub(super) mod archive;
pub(super) mod create;
pub(super) mod delete;
pub(super) mod list;
pub(super) mod retrieve;
pub(super) mod update;

use protocol::{environment::Environment, limits};
use serde_json::Value;

use crate::{
    openapi::{
        bodies::BodyShape,
        queries::{ARCHIVED, LIMIT, PAGE, ParameterForm, parameter},
        shape::{metadata, metadata_patch, named, object, one_of, optional, required, text},
    },
    operation::{GoodAnswer, Operation, OperationBody, delete, get, post},
};

/// What can be done with them.
pub(super) const OPERATIONS: &[Operation] = &[
    get("/v1/environments", "environments.list", "the environments, newest first")
        .asks(&[ARCHIVED, LIMIT, PAGE])
        .gives(GoodAnswer::page::<Environment>(), |call| Box::pin(list::run(call))),
    post(
        "/v1/environments",
        "environments.create",
        "makes an environment; packages and self-hosted ones are not supported yet",
    )
    .takes(OperationBody::Needed(CREATE))
    .refuses(&[409])
    .gives(GoodAnswer::one::<Environment>(), |call| Box::pin(create::run(call))),
    get("/v1/environments/{environment_id}", "environments.retrieve", "one environment")
        .gives(GoodAnswer::one::<Environment>(), |call| Box::pin(retrieve::run(call))),
    post("/v1/environments/{environment_id}", "environments.update", "changes an environment in place")
        .takes(OperationBody::Welcome(UPDATE))
        .refuses(&[409])
        .gives(GoodAnswer::one::<Environment>(), |call| Box::pin(update::run(call))),
    delete(
        "/v1/environments/{environment_id}",
        "environments.delete",
        "removes an environment that no session uses; with `force` any",
    )
    .asks(&[parameter(
        "force",
        ParameterForm::Flag,
        "Whether sessions that use it are no hindrance: they go on without it.",
    )])
    .refuses(&[409])
    .gives(GoodAnswer::Gone("environment_deleted"), |call| Box::pin(delete::run(call))),
    post(
        "/v1/environments/{environment_id}/archive",
        "environments.archive",
        "no new session may use it; those that run go on",
    )
    .gives(GoodAnswer::one::<Environment>(), |call| Box::pin(archive::run(call))),
];

const CREATE: BodyShape = BodyShape::new("EnvironmentCreateParams", create_shape);
const UPDATE: BodyShape = BodyShape::new("EnvironmentUpdateParams", update_shape);

fn create_shape() -> Value {
    object([
        required("name", text(1, limits::NAME_CHARS)),
        optional("description", text(0, limits::DESCRIPTION_CHARS)),
        optional("config", named("EnvironmentConfigParams")),
        metadata(),
        optional("scope", one_of(&["organization"])),
    ])
}

fn update_shape() -> Value {
    object([
        optional("name", text(1, limits::NAME_CHARS)),
        optional("description", text(0, limits::DESCRIPTION_CHARS)),
        optional("config", named("EnvironmentConfigParams")),
        metadata_patch(),
        optional("scope", one_of(&["organization"])),
    ])
}
