//! Environments: where the tools of sessions run.

pub(super) mod archive;
pub(super) mod create;
pub(super) mod delete;
pub(super) mod list;
pub(super) mod retrieve;
pub(super) mod update;

use protocol::{EnvironmentId, environment::Environment, error::ErrorKind};
use store::{Document, Kind};

use crate::{
    document::{self, Stored},
    error::Problem,
    extract::Call,
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

const NOT_FOUND: &str = "environment_not_found";

/// The environment, live or archived.
pub(super) async fn current(call: &Call, id: EnvironmentId) -> Result<Stored<Environment>, Problem> {
    let found = document::find(call, Kind::Environment, id.bits(), None).await?;
    found.ok_or_else(|| {
        let missing = Problem::missing(format!("there is no environment {id}, or it is deleted"));
        Problem { code: Some(NOT_FOUND), ..missing }
    })
}

/// The environment's id in the path.
fn named(call: &Call) -> Result<EnvironmentId, Problem> {
    call.id("environment_id").map_err(|problem| Problem { code: Some(NOT_FOUND), ..problem })
}

/// The row that keeps `environment`. A live one has its name alone; archiving sets the name free.
fn row(call: &Call, environment: &Environment, version: u64) -> Result<Document, Problem> {
    let live = environment.archived_at.is_none();
    Ok(Document {
        kind: Kind::Environment,
        id: environment.id.bits(),
        version,
        workspace: call.workspace(),
        unique_key: live.then(|| environment.name.clone()),
        body: document::written(environment)?,
        created_at: environment.created_at,
        updated_at: environment.updated_at,
        archived_at: environment.archived_at,
    })
}

/// Refuses a name that another live environment has.
async fn free(call: &Call, environment: &Environment) -> Result<(), Problem> {
    let store = call.engine().store();
    let found = store.find(call.workspace(), Kind::Environment, &environment.name).await?;
    if found.is_none_or(|found| found.id == environment.id.bits()) {
        return Ok(());
    }
    let message = format!("name: another environment is called `{}`; choose another name", environment.name);
    Err(Problem::conflict(ErrorKind::Conflict, message))
}
