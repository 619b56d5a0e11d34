//! Operations of the API that Heddle does not have yet: each says so, with 501 (docs/rules.md 11).

use std::sync::Arc;

use axum::Router;

use crate::{
    Door,
    error::Problem,
    extract::{Call, delete, get, post},
};

/// Every operation of the contract that is not served yet: method, path, name.
pub const NOT_BUILT: &[(&str, &str, &str)] = &[
    ("GET", "/v1/deployment_runs", "deployment_runs.list"),
    ("GET", "/v1/deployment_runs/{deployment_run_id}", "deployment_runs.retrieve"),
    ("GET", "/v1/deployments", "deployments.list"),
    ("POST", "/v1/deployments", "deployments.create"),
    ("GET", "/v1/deployments/{deployment_id}", "deployments.retrieve"),
    ("POST", "/v1/deployments/{deployment_id}", "deployments.update"),
    ("POST", "/v1/deployments/{deployment_id}/archive", "deployments.archive"),
    ("POST", "/v1/deployments/{deployment_id}/pause", "deployments.pause"),
    ("POST", "/v1/deployments/{deployment_id}/run", "deployments.run"),
    ("POST", "/v1/deployments/{deployment_id}/unpause", "deployments.unpause"),
    ("GET", "/v1/dreams", "dreams.list"),
    ("POST", "/v1/dreams", "dreams.create"),
    ("GET", "/v1/dreams/{dream_id}", "dreams.retrieve"),
    ("POST", "/v1/dreams/{dream_id}/archive", "dreams.archive"),
    ("POST", "/v1/dreams/{dream_id}/cancel", "dreams.cancel"),
    ("GET", "/v1/environments/{environment_id}/work", "environments.work.list"),
    ("GET", "/v1/environments/{environment_id}/work/poll", "environments.work.poll"),
    ("GET", "/v1/environments/{environment_id}/work/stats", "environments.work.stats"),
    ("GET", "/v1/environments/{environment_id}/work/{work_id}", "environments.work.retrieve"),
    ("POST", "/v1/environments/{environment_id}/work/{work_id}", "environments.work.update"),
    ("POST", "/v1/environments/{environment_id}/work/{work_id}/ack", "environments.work.ack"),
    ("POST", "/v1/environments/{environment_id}/work/{work_id}/heartbeat", "environments.work.heartbeat"),
    ("POST", "/v1/environments/{environment_id}/work/{work_id}/stop", "environments.work.stop"),
    ("GET", "/v1/files", "files.list"),
    ("POST", "/v1/files", "files.upload"),
    ("DELETE", "/v1/files/{file_id}", "files.delete"),
    ("GET", "/v1/files/{file_id}", "files.retrieve_metadata"),
    ("GET", "/v1/files/{file_id}/content", "files.download"),
    ("GET", "/v1/memory_stores", "memory_stores.list"),
    ("POST", "/v1/memory_stores", "memory_stores.create"),
    ("DELETE", "/v1/memory_stores/{memory_store_id}", "memory_stores.delete"),
    ("GET", "/v1/memory_stores/{memory_store_id}", "memory_stores.retrieve"),
    ("POST", "/v1/memory_stores/{memory_store_id}", "memory_stores.update"),
    ("POST", "/v1/memory_stores/{memory_store_id}/archive", "memory_stores.archive"),
    ("GET", "/v1/memory_stores/{memory_store_id}/memories", "memory_stores.memories.list"),
    ("POST", "/v1/memory_stores/{memory_store_id}/memories", "memory_stores.memories.create"),
    ("DELETE", "/v1/memory_stores/{memory_store_id}/memories/{memory_id}", "memory_stores.memories.delete"),
    ("GET", "/v1/memory_stores/{memory_store_id}/memories/{memory_id}", "memory_stores.memories.retrieve"),
    ("POST", "/v1/memory_stores/{memory_store_id}/memories/{memory_id}", "memory_stores.memories.update"),
    ("GET", "/v1/memory_stores/{memory_store_id}/memory_versions", "memory_stores.memory_versions.list"),
    (
        "GET",
        "/v1/memory_stores/{memory_store_id}/memory_versions/{memory_version_id}",
        "memory_stores.memory_versions.retrieve",
    ),
    (
        "POST",
        "/v1/memory_stores/{memory_store_id}/memory_versions/{memory_version_id}/redact",
        "memory_stores.memory_versions.redact",
    ),
    ("GET", "/v1/sessions/{session_id}/resources", "sessions.resources.list"),
    ("POST", "/v1/sessions/{session_id}/resources", "sessions.resources.add"),
    ("DELETE", "/v1/sessions/{session_id}/resources/{resource_id}", "sessions.resources.delete"),
    ("GET", "/v1/sessions/{session_id}/resources/{resource_id}", "sessions.resources.retrieve"),
    ("POST", "/v1/sessions/{session_id}/resources/{resource_id}", "sessions.resources.update"),
    ("GET", "/v1/skills", "skills.list"),
    ("POST", "/v1/skills", "skills.create"),
    ("DELETE", "/v1/skills/{skill_id}", "skills.delete"),
    ("GET", "/v1/skills/{skill_id}", "skills.retrieve"),
    ("GET", "/v1/skills/{skill_id}/versions", "skills.versions.list"),
    ("POST", "/v1/skills/{skill_id}/versions", "skills.versions.create"),
    ("DELETE", "/v1/skills/{skill_id}/versions/{version}", "skills.versions.delete"),
    ("GET", "/v1/skills/{skill_id}/versions/{version}", "skills.versions.retrieve"),
    ("GET", "/v1/skills/{skill_id}/versions/{version}/content", "skills.versions.download"),
    ("GET", "/v1/tunnels", "tunnels.list"),
    ("POST", "/v1/tunnels", "tunnels.create"),
    ("GET", "/v1/tunnels/{tunnel_id}", "tunnels.retrieve"),
    ("POST", "/v1/tunnels/{tunnel_id}/archive", "tunnels.archive"),
    ("GET", "/v1/tunnels/{tunnel_id}/certificates", "tunnels.certificates.list"),
    ("POST", "/v1/tunnels/{tunnel_id}/certificates", "tunnels.certificates.create"),
    ("GET", "/v1/tunnels/{tunnel_id}/certificates/{certificate_id}", "tunnels.certificates.retrieve"),
    ("POST", "/v1/tunnels/{tunnel_id}/certificates/{certificate_id}/archive", "tunnels.certificates.archive"),
    ("POST", "/v1/tunnels/{tunnel_id}/reveal_token", "tunnels.reveal_token"),
    ("POST", "/v1/tunnels/{tunnel_id}/rotate_token", "tunnels.rotate_token"),
    ("GET", "/v1/user_profiles", "user_profiles.list"),
    ("POST", "/v1/user_profiles", "user_profiles.create"),
    ("DELETE", "/v1/user_profiles/{user_profile_id}", "user_profiles.delete"),
    ("GET", "/v1/user_profiles/{user_profile_id}", "user_profiles.retrieve"),
    ("POST", "/v1/user_profiles/{user_profile_id}", "user_profiles.update"),
    ("POST", "/v1/user_profiles/{user_profile_id}/action_urls", "user_profiles.action_urls.create"),
    ("POST", "/v1/user_profiles/{user_profile_id}/enrollment_url", "user_profiles.create_enrollment_url"),
    (
        "GET",
        "/v1/user_profiles/{user_profile_id}/providers/google/data_controls",
        "user_profiles.providers.google.data_controls.retrieve",
    ),
    (
        "POST",
        "/v1/user_profiles/{user_profile_id}/providers/google/data_controls",
        "user_profiles.providers.google.data_controls.update",
    ),
    ("GET", "/v1/vaults", "vaults.list"),
    ("POST", "/v1/vaults", "vaults.create"),
    ("DELETE", "/v1/vaults/{vault_id}", "vaults.delete"),
    ("GET", "/v1/vaults/{vault_id}", "vaults.retrieve"),
    ("POST", "/v1/vaults/{vault_id}", "vaults.update"),
    ("POST", "/v1/vaults/{vault_id}/archive", "vaults.archive"),
    ("GET", "/v1/vaults/{vault_id}/credentials", "vaults.credentials.list"),
    ("POST", "/v1/vaults/{vault_id}/credentials", "vaults.credentials.create"),
    ("DELETE", "/v1/vaults/{vault_id}/credentials/{credential_id}", "vaults.credentials.delete"),
    ("GET", "/v1/vaults/{vault_id}/credentials/{credential_id}", "vaults.credentials.retrieve"),
    ("POST", "/v1/vaults/{vault_id}/credentials/{credential_id}", "vaults.credentials.update"),
    ("POST", "/v1/vaults/{vault_id}/credentials/{credential_id}/archive", "vaults.credentials.archive"),
    (
        "POST",
        "/v1/vaults/{vault_id}/credentials/{credential_id}/mcp_oauth_validate",
        "vaults.credentials.mcp_oauth_validate",
    ),
];

/// Whether an operation of these stays as it is: it sets keys and buckets of Google's cloud for what the
/// hosted service keeps there.
pub(crate) fn for_good(operation: &str) -> bool {
    operation.starts_with("user_profiles.providers.google.")
}

/// Adds the doors that say so.
pub(super) fn add(router: Router<Arc<Door>>) -> Router<Arc<Door>> {
    NOT_BUILT.iter().fold(router, |router, (method, path, operation)| {
        let refuse = move |_: Call| {
            let problem = if for_good(operation) {
                Problem::of_google(operation)
            } else {
                Problem::not_built(operation)
            };
            std::future::ready(Err(problem))
        };
        let endpoint = match *method {
            "GET" => get(refuse),
            "DELETE" => delete(refuse),
            _ => post(refuse),
        };
        router.route(path, endpoint)
    })
}
