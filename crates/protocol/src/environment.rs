//! Environments: where the tools of a session run (docs/rules.md 17).

use alloc::{format, string::String, vec::Vec};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    EnvironmentId, Timestamp, limits,
    parse::{self, Fields, GivenField, Invalid, Metadata},
    schema::Tagged,
    web::is_host,
};

/// A saved environment.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "type", rename = "environment")]
#[schemars(rename = "Environment", transform = Tagged("environment"))]
pub struct Environment {
    /// Its id.
    pub id: EnvironmentId,
    /// What it is called: 1 to 256 characters, once among the live ones of a workspace.
    pub name: String,
    /// What it is for: at most 2,048 characters, as it was sent.
    pub description: Option<String>,
    /// What its sandboxes are like, fully populated.
    pub config: EnvironmentConfig,
    /// The owner's own notes.
    pub metadata: Metadata,
    /// Who may use it.
    pub scope: EnvironmentScope,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Since when no new session may use it.
    pub archived_at: Option<Timestamp>,
}

resource!(Environment, crate::id::Environment, "environment", id);

/// Who may use an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Scope")]
pub enum EnvironmentScope {
    /// Everyone of the organization.
    #[default]
    Organization,
}

/// What an environment's sandboxes are like.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schemars(rename = "Config")]
pub enum EnvironmentConfig {
    /// The server runs them.
    Cloud {
        /// What they may reach.
        networking: Networking,
        /// What is installed in them.
        packages: EnvironmentPackages,
    },
}

impl Default for EnvironmentConfig {
    fn default() -> Self {
        Self::Cloud { networking: Networking::Unrestricted, packages: EnvironmentPackages::default() }
    }
}

/// What a sandbox may reach. Kept and shown; the first release's sandboxes reach nothing (docs/rules.md 10).
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Networking {
    /// Everything.
    Unrestricted,
    /// Only what is named.
    Limited {
        /// Whether the agent's MCP servers are reached beside `allowed_hosts`.
        allow_mcp_servers: bool,
        /// Whether package registries are reached beside `allowed_hosts`.
        allow_package_managers: bool,
        /// Hosts, as `example.com` or `*.example.com`.
        allowed_hosts: Vec<String>,
    },
}

/// What is installed in a sandbox. Always empty: packages are not served.
#[derive(Debug, Clone, PartialEq, Eq, Default, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "type", rename = "packages")]
#[schemars(rename = "Packages", transform = Tagged("packages"))]
pub struct EnvironmentPackages {
    /// Of Debian and its kin.
    pub apt: Vec<String>,
    /// Of Rust.
    pub cargo: Vec<String>,
    /// Of Ruby.
    pub gem: Vec<String>,
    /// Of Go.
    pub go: Vec<String>,
    /// Of Node.
    pub npm: Vec<String>,
    /// Of Python.
    pub pip: Vec<String>,
}

const MANAGERS: [&str; 6] = ["apt", "cargo", "gem", "go", "npm", "pip"];

/// Reads a `config` as a change of `stored`: what is omitted stays, null is the default again.
///
/// # Errors
/// The field that is wrong.
pub fn config(stored: &EnvironmentConfig, value: Value, path: &str) -> Result<EnvironmentConfig, Invalid> {
    let mut fields = Fields::of(value, path)?;
    let known = ["cloud", "self_hosted"];
    let tag = fields.tag(&known)?;
    let EnvironmentConfig::Cloud { networking: stored, packages } = stored;
    match tag.as_str() {
        // The second is what the vendor's older examples send.
        "cloud" | "anthropic_cloud" => {}
        "self_hosted" => return Err(Invalid::unsupported(fields.at("type"), "`self_hosted`")),
        _ => return Err(fields.unknown_tag(&tag, &known)),
    }
    let networking = match fields.given("networking", |value, path| networking(stored, value, path))? {
        GivenField::Absent => stored.clone(),
        GivenField::Null => Networking::Unrestricted,
        GivenField::Value(networking) => networking,
    };
    fields.given("packages", no_packages)?;
    fields.finish()?;
    Ok(EnvironmentConfig::Cloud { networking, packages: packages.clone() })
}

fn networking(stored: &Networking, value: Value, path: &str) -> Result<Networking, Invalid> {
    let mut fields = Fields::of(value, path)?;
    let known = ["unrestricted", "limited"];
    let tag = fields.tag(&known)?;
    let read = match tag.as_str() {
        "unrestricted" => Networking::Unrestricted,
        "limited" => {
            let (mcp, packages, hosts) = match stored {
                Networking::Limited { allow_mcp_servers, allow_package_managers, allowed_hosts } => {
                    (*allow_mcp_servers, *allow_package_managers, allowed_hosts.clone())
                }
                Networking::Unrestricted => (false, false, Vec::new()),
            };
            Networking::Limited {
                allow_mcp_servers: kept(fields.given("allow_mcp_servers", parse::boolean)?, mcp),
                allow_package_managers: kept(
                    fields.given("allow_package_managers", parse::boolean)?,
                    packages,
                ),
                allowed_hosts: kept(
                    fields.given("allowed_hosts", parse::list(0, limits::ALLOWED_HOSTS, host))?,
                    hosts,
                ),
            }
        }
        _ => return Err(fields.unknown_tag(&tag, &known)),
    };
    fields.finish()?;
    Ok(read)
}

fn kept<T: Default>(given: GivenField<T>, stored: T) -> T {
    match given {
        GivenField::Absent => stored,
        GivenField::Null => T::default(),
        GivenField::Value(value) => value,
    }
}

/// Reads a host name, or one with `*.` before it; no scheme, port or path.
fn host(value: Value, path: &str) -> Result<String, Invalid> {
    let host = parse::text(1, limits::DOMAIN_CHARS)(value, path)?;
    let bare = host.strip_prefix("*.").unwrap_or(&host);
    if is_host(bare) {
        return Ok(host);
    }
    let host = parse::shown(&host);
    let message =
        format!("`{host}` is not a bare host name or `*.` and one: leave out scheme, port and path");
    Err(Invalid::new(path, message))
}

fn no_packages(value: Value, path: &str) -> Result<(), Invalid> {
    let mut fields = Fields::of(value, path)?;
    if fields.has("type") {
        fields.tagged("packages")?;
    }
    for manager in MANAGERS {
        let at = fields.at(manager);
        let named = fields.optional(manager, parse::list(0, limits::ALLOWED_HOSTS, parse::string))?;
        if named.is_some_and(|packages| !packages.is_empty()) {
            return Err(Invalid::unsupported(at, "installing packages"));
        }
    }
    let _null = fields.take("type");
    fields.finish()
}

/// Reads a `scope`.
pub fn scope(value: Value, path: &str) -> Result<EnvironmentScope, Invalid> {
    match parse::one_of(&["organization", "account"])(value, path)? {
        "organization" => Ok(EnvironmentScope::Organization),
        _ => Err(Invalid::new(path, "an API key may make only `organization` environments")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use serde_json::json;

    fn limited(mcp: bool, packages: bool, hosts: &[&str]) -> EnvironmentConfig {
        let networking = Networking::Limited {
            allow_mcp_servers: mcp,
            allow_package_managers: packages,
            allowed_hosts: hosts.iter().map(|host| (*host).into()).collect(),
        };
        EnvironmentConfig::Cloud { networking, packages: EnvironmentPackages::default() }
    }

    #[test]
    fn a_config_is_written_fully_populated() {
        let none: Vec<String> = vec![];
        assert_eq!(
            serde_json::to_value(EnvironmentConfig::default()).expect("writes"),
            json!({
                "type": "cloud",
                "networking": {"type": "unrestricted"},
                "packages": {
                    "type": "packages",
                    "apt": none, "cargo": none, "gem": none, "go": none, "npm": none, "pip": none,
                },
            })
        );
    }

    #[test]
    fn what_is_omitted_stays_and_null_is_the_default_again() {
        let stored = limited(true, true, &["a.example"]);
        for (sent, expected) in [
            (json!({"type": "cloud"}), stored.clone()),
            (json!({"type": "cloud", "networking": null}), EnvironmentConfig::default()),
            (json!({"type": "cloud", "networking": {"type": "unrestricted"}}), EnvironmentConfig::default()),
            (
                json!({"type": "cloud", "networking": {"type": "limited", "allowed_hosts": ["*.b.example"]}}),
                limited(true, true, &["*.b.example"]),
            ),
            (
                json!({"type": "cloud", "networking": {"type": "limited", "allow_mcp_servers": null}}),
                limited(false, true, &["a.example"]),
            ),
            (
                json!({"type": "cloud", "packages": {"type": "packages", "apt": [], "pip": null}}),
                stored.clone(),
            ),
        ] {
            assert_eq!(config(&stored, sent, "config"), Ok(expected));
        }
    }

    #[test]
    fn each_mistake_names_its_field() {
        let hosts =
            |host: &str| json!({"type": "cloud", "networking": {"type": "limited", "allowed_hosts": [host]}});
        for (sent, path) in [
            (json!({}), "config.type"),
            (json!({"type": "moon"}), "config.type"),
            (json!({"type": "self_hosted"}), "config.type"),
            (json!({"type": "cloud", "init_script": ""}), "config.init_script"),
            (json!({"type": "cloud", "networking": {"type": "some"}}), "config.networking.type"),
            (json!({"type": "cloud", "packages": {"pip": ["numpy"]}}), "config.packages.pip"),
            (json!({"type": "cloud", "packages": {"type": "other"}}), "config.packages.type"),
            (json!({"type": "cloud", "packages": {"brew": []}}), "config.packages.brew"),
            (json!({"type": "cloud", "packages": {"type": "packages", "typ": 1}}), "config.packages.typ"),
            (hosts("https://a.example"), "config.networking.allowed_hosts.0"),
            (hosts("a.example:80"), "config.networking.allowed_hosts.0"),
            (hosts("a.example/x"), "config.networking.allowed_hosts.0"),
            (hosts("*"), "config.networking.allowed_hosts.0"),
            (hosts("a.*.example"), "config.networking.allowed_hosts.0"),
            (hosts("a..example"), "config.networking.allowed_hosts.0"),
            (hosts(""), "config.networking.allowed_hosts.0"),
        ] {
            let read = config(&EnvironmentConfig::default(), sent, "config");
            assert_eq!(read.map_err(|wrong| wrong.path), Err(path.into()));
        }
    }
}
