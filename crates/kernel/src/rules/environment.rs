//! Environments: create, change, archive (docs/rules.md 17).

use alloc::format;

use protocol::{
    EnvironmentId, Fields, Invalid, Timestamp,
    environment::{self, Environment, EnvironmentConfig},
    limits,
    parse::{self, GivenField},
};
use serde_json::Value;

use super::document::{DocumentRules, PlainDocument};
use super::refused::EnvironmentInUse;

/// The error code of an environment that is not there.
const NOT_FOUND: &str = "environment_not_found";

impl DocumentRules for Environment {
    const DELETED: Option<&'static str> = Some("environment_deleted");
    const MISSING: Option<&'static str> = Some(NOT_FOUND);

    /// A live one has its name alone; archiving sets the name free.
    fn unique_key(&self) -> Option<&str> {
        self.archived_at.is_none().then_some(self.name.as_str())
    }

    fn archived(&self) -> Invalid {
        archived(self.id, "")
    }
}

impl PlainDocument for Environment {
    fn create(fields: &mut Fields, id: EnvironmentId, at: Timestamp) -> Result<Self, Invalid> {
        create(fields, id, at)
    }

    /// Omitted keeps, in `config` too; a null description clears it and `""` is kept as `""`; null or `""`
    /// removes a metadata key; a null name, config, metadata or scope keeps what is stored. Another config
    /// type is `invalid_config_type_change`.
    fn change(&mut self, fields: &mut Fields) -> Result<(), Invalid> {
        change(self, fields)
    }
}

fn create(fields: &mut Fields, id: EnvironmentId, at: Timestamp) -> Result<Environment, Invalid> {
    let name = fields.required("name", parse::text(1, limits::NAME_CHARS))?;
    let description = fields.optional("description", parse::text(0, limits::DESCRIPTION_CHARS))?;
    let default = EnvironmentConfig::default();
    let config = fields.optional("config", |value, path| environment::config(&default, value, path))?;
    let metadata = fields.optional("metadata", parse::metadata)?.unwrap_or_default();
    let scope = fields.optional("scope", environment::scope)?.unwrap_or_default();
    Ok(Environment {
        id,
        name,
        description,
        config: config.unwrap_or_default(),
        metadata,
        scope,
        created_at: at,
        updated_at: at,
        archived_at: None,
    })
}

fn change(next: &mut Environment, fields: &mut Fields) -> Result<(), Invalid> {
    if let Some(name) = fields.optional("name", parse::text(1, limits::NAME_CHARS))? {
        next.name = name;
    }
    match fields.given("description", parse::text(0, limits::DESCRIPTION_CHARS))? {
        GivenField::Absent => {}
        GivenField::Null => next.description = None,
        GivenField::Value(description) => next.description = Some(description),
    }
    if let Some(config) = fields.optional("config", |value, path| changed(&next.config, value, path))? {
        next.config = config;
    }
    if let Some(patch) = fields.optional("metadata", parse::metadata_patch)? {
        next.metadata = parse::patched(&next.metadata, patch, true, "metadata")?;
    }
    if let Some(scope) = fields.optional("scope", environment::scope)? {
        next.scope = scope;
    }
    Ok(())
}

/// Whether the environment may be deleted while so many sessions use it that are not terminated: only with
/// `force`, and then they go on without it.
///
/// # Errors
/// How many there are.
pub fn delete(environment: EnvironmentId, sessions: usize, force: bool) -> Result<(), EnvironmentInUse> {
    if sessions == 0 || force { Ok(()) } else { Err(EnvironmentInUse { environment, sessions }) }
}

/// Reads the id of the environment that a session is to have.
///
/// # Errors
/// What is none; one of another server, as one that is not there (`environment_not_found`).
pub fn reference(value: Value, path: &str) -> Result<EnvironmentId, Invalid> {
    parse::reference(value, path)
        .map_err(|wrong| if wrong.absent { wrong.with_code(NOT_FOUND) } else { wrong })
}

/// The refusal of an archived environment.
pub fn archived(id: EnvironmentId, path: &str) -> Invalid {
    Invalid::new(path, format!("the environment {id} is archived; use another or create a new one"))
        .with_code("environment_archived")
}

fn changed(stored: &EnvironmentConfig, value: Value, path: &str) -> Result<EnvironmentConfig, Invalid> {
    let EnvironmentConfig::Cloud { .. } = stored;
    if value.get("type").and_then(Value::as_str) == Some("self_hosted") {
        let message = "the type of an environment cannot be changed; create a new environment";
        return Err(Invalid::new(parse::join(path, "type"), message).with_code("invalid_config_type_change"));
    }
    environment::config(stored, value, path)
}

#[cfg(test)]
#[path = "environment_tests.rs"]
mod tests;
