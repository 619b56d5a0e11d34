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
};

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
