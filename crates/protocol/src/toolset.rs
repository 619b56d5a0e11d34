//! The built-in toolset: its tools, their switches and policies (docs/rules.md 16).

use alloc::{borrow::Cow, format, string::String, vec::Vec};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

use crate::{
    Object,
    builtin::BuiltinName,
    limits,
    parse::{self, Fields, Invalid},
    web::{AllowedDomains, UrlSources, UserLocation, WebToolLimits},
};

/// The built-in tools with their switches and policies, always fully resolved.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct Toolset {
    /// What holds for a tool that `configs` does not name.
    pub default_config: ToolDefault,
    /// What holds for the tools it names.
    pub configs: Vec<ToolConfig>,
}

/// Whether a tool is on, and what its policy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct ToolDefault {
    /// Whether it is on.
    pub enabled: bool,
    /// Whether a person is asked first.
    pub permission_policy: PermissionPolicy,
}

impl ToolDefault {
    /// What holds where nothing is said: on, and nobody is asked.
    pub const BARE: Self = Self { enabled: true, permission_policy: PermissionPolicy::AlwaysAllow };
}

/// One built-in tool's switch and policy. Written with its name as `type` beside it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Kept")]
pub struct ToolConfig {
    /// The tool.
    pub name: BuiltinName,
    /// Whether it is on.
    pub enabled: bool,
    /// Whether a person is asked first.
    pub permission_policy: PermissionPolicy,
    /// What limits it, if it is a web tool; `None`: nothing.
    pub web: Option<WebToolLimits>,
}

impl JsonSchema for ToolConfig {
    fn schema_name() -> Cow<'static, str> {
        "ToolConfig".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let policy = generator.subschema_for::<PermissionPolicy>();
        let mut one = |tool: BuiltinName| {
            let name = json!({"type": "string", "const": tool.name()});
            let mut properties = json!({
                "type": name, "name": name, "enabled": {"type": "boolean"}, "permission_policy": policy,
            });
            for (name, limit) in WebToolLimits::shown(tool, generator) {
                properties[name] = limit.to_value();
            }
            let keys: Vec<&String> = properties.as_object().into_iter().flat_map(Object::keys).collect();
            json!({"type": "object", "properties": properties, "required": keys})
        };
        let description = "One built-in tool's switch and policy, with its name as `type` beside it.";
        json_schema!({"description": description, "oneOf": BuiltinName::ALL.map(&mut one)})
    }
}

impl Serialize for ToolConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Written<'a> {
            #[serde(rename = "type")]
            kind: BuiltinName,
            name: BuiltinName,
            enabled: bool,
            permission_policy: PermissionPolicy,
            #[serde(flatten)]
            web: Option<&'a WebToolLimits>,
        }
        let Self { name, enabled, permission_policy, web } = self;
        let (name, enabled, permission_policy) = (*name, *enabled, *permission_policy);
        Written { kind: name, name, enabled, permission_policy, web: web.as_ref() }.serialize(serializer)
    }
}

/// A config as it is kept: the fields of every tool.
#[derive(Deserialize)]
struct Kept {
    name: BuiltinName,
    enabled: bool,
    permission_policy: PermissionPolicy,
    #[serde(flatten)]
    domains: AllowedDomains,
    max_content_tokens: Option<u64>,
    url_sources: Option<UrlSources>,
    user_location: Option<UserLocation>,
}

impl From<Kept> for ToolConfig {
    fn from(kept: Kept) -> Self {
        let Kept { name, enabled, permission_policy, domains, .. } = kept;
        let (max_content_tokens, url_sources) = (kept.max_content_tokens, kept.url_sources);
        let web = name.unlimited().map(|web| match web {
            WebToolLimits::Fetch { .. } => WebToolLimits::Fetch { domains, max_content_tokens, url_sources },
            WebToolLimits::Search { .. } => {
                WebToolLimits::Search { domains, user_location: kept.user_location }
            }
        });
        Self { name, enabled, permission_policy, web }
    }
}

/// Whether a person is asked before a tool runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schemars(rename = "Policy")]
pub enum PermissionPolicy {
    /// It runs.
    AlwaysAllow,
    /// A person is asked.
    AlwaysAsk,
}

impl Toolset {
    /// What holds for `tool`.
    pub fn of(&self, tool: BuiltinName) -> ToolDefault {
        let named = self.configs.iter().find(|config| config.name == tool);
        named.map_or(self.default_config, |config| ToolDefault {
            enabled: config.enabled,
            permission_policy: config.permission_policy,
        })
    }

    /// Refuses a source of URLs that is no custom tool of the agent. `path` is the toolset's.
    pub(crate) fn sources_are(&self, custom: impl Fn(&str) -> bool, path: &str) -> Result<(), Invalid> {
        for (index, config) in self.configs.iter().enumerate() {
            let named = config.web.as_ref().map(WebToolLimits::named).unwrap_or_default();
            if let Some(place) = named.iter().position(|tool| !custom(&tool.name)) {
                let at = format!("{path}.configs.{index}.url_sources.client_tool_results.tools.{place}.name");
                return Err(Invalid::new(at, "is no custom tool of this list"));
            }
        }
        Ok(())
    }

    /// Reads what is left of an `agent_toolset_20260401` behind its `type`.
    pub(crate) fn read(mut fields: Fields) -> Result<Self, Invalid> {
        let bare = ToolDefault::BARE;
        let default_config =
            fields.optional("default_config", |value, path| default(value, path, bare))?.unwrap_or(bare);
        let entry = |value: Value, path: &str| config(value, path, default_config);
        let configs: Vec<ToolConfig> =
            fields.optional("configs", parse::list(0, limits::TOOLS, entry))?.unwrap_or_default();
        for (index, one) in configs.iter().enumerate() {
            if configs.iter().take(index).any(|earlier| earlier.name == one.name) {
                let path = format!("{}.{index}.name", fields.at("configs"));
                return Err(Invalid::new(path, format!("`{}` is already in the list", one.name.name())));
            }
        }
        fields.finish()?;
        Ok(Self { default_config, configs })
    }
}

fn default(value: Value, path: &str, bare: ToolDefault) -> Result<ToolDefault, Invalid> {
    let mut fields = Fields::of(value, path)?;
    let read = switches(&mut fields, bare)?;
    fields.finish()?;
    Ok(read)
}

fn config(value: Value, path: &str, inherited: ToolDefault) -> Result<ToolConfig, Invalid> {
    let mut fields = Fields::of(value, path)?;
    let name = fields.required("name", builtin)?;
    if let Some(kind) = fields.optional("type", builtin)?
        && kind != name
    {
        return Err(fields.wrong("type", format!("must be `{}`, as the name", name.name())));
    }
    let web = match name.unlimited() {
        None => None,
        Some(WebToolLimits::Fetch { .. }) => Some(WebToolLimits::fetch(&mut fields)?),
        Some(WebToolLimits::Search { .. }) => Some(WebToolLimits::search(&mut fields)?),
    };
    let ToolDefault { enabled, permission_policy } = switches(&mut fields, inherited)?;
    fields.finish()?;
    Ok(ToolConfig { name, enabled, permission_policy, web })
}

fn switches(fields: &mut Fields, inherited: ToolDefault) -> Result<ToolDefault, Invalid> {
    Ok(ToolDefault {
        enabled: fields.optional("enabled", parse::boolean)?.unwrap_or(inherited.enabled),
        permission_policy: fields
            .optional("permission_policy", policy)?
            .unwrap_or(inherited.permission_policy),
    })
}

fn builtin(value: Value, path: &str) -> Result<BuiltinName, Invalid> {
    let name = parse::one_of(BuiltinName::NAMES)(value, path)?;
    BuiltinName::named(name).ok_or_else(|| Invalid::new(path, "is no built-in tool"))
}

fn policy(value: Value, path: &str) -> Result<PermissionPolicy, Invalid> {
    let mut fields = Fields::of(value, path)?;
    let known = ["always_allow", "always_ask"];
    let tag = fields.tag(&known)?;
    let policy = match tag.as_str() {
        "always_allow" => PermissionPolicy::AlwaysAllow,
        "always_ask" => PermissionPolicy::AlwaysAsk,
        "auto" => return Err(Invalid::unsupported(path, "the policy `auto`")),
        _ => return Err(fields.unknown_tag(&tag, &known)),
    };
    fields.finish()?;
    Ok(policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sent: Value) -> Result<Toolset, Invalid> {
        Toolset::read(Fields::of(sent, "tools.0")?)
    }

    fn wrong(sent: Value) -> (alloc::string::String, alloc::string::String) {
        let wrong = read(sent).expect_err("a mistake");
        (wrong.path, wrong.message)
    }

    #[test]
    fn a_bare_toolset_allows_everything_and_names_nothing() {
        let written = serde_json::to_value(read(json!({})).expect("legal")).expect("writes");
        let policy = json!({"type": "always_allow"});
        assert_eq!(
            written,
            json!({"default_config": {"enabled": true, "permission_policy": policy}, "configs": []})
        );
    }

    #[test]
    fn each_field_of_a_config_falls_back_to_the_default_by_itself() {
        let ask = json!({"type": "always_ask"});
        let allow = json!({"type": "always_allow"});
        let toolset = read(json!({
            "default_config": {"enabled": false, "permission_policy": ask},
            "configs": [
                {"name": "bash", "enabled": true},
                {"name": "read", "type": "read", "permission_policy": allow},
                {"name": "web_fetch", "enabled": null, "url_sources": null},
            ],
        }))
        .expect("legal");
        assert_eq!(
            serde_json::to_value(&toolset).expect("writes"),
            json!({
                "default_config": {"enabled": false, "permission_policy": ask},
                "configs": [
                    {"type": "bash", "name": "bash", "enabled": true, "permission_policy": ask},
                    {"type": "read", "name": "read", "enabled": false, "permission_policy": allow},
                    {"type": "web_fetch", "name": "web_fetch", "enabled": false, "permission_policy": ask,
                     "allowed_domains": null, "blocked_domains": null, "max_content_tokens": null,
                     "url_sources": null},
                ],
            })
        );
        assert_eq!(
            [BuiltinName::Bash, BuiltinName::Read, BuiltinName::Glob].map(|tool| toolset.of(tool)),
            [
                ToolDefault { enabled: true, permission_policy: PermissionPolicy::AlwaysAsk },
                ToolDefault { enabled: false, permission_policy: PermissionPolicy::AlwaysAllow },
                ToolDefault { enabled: false, permission_policy: PermissionPolicy::AlwaysAsk },
            ]
        );
        let text = serde_json::to_string(&toolset).expect("writes");
        assert_eq!(serde_json::from_str::<Toolset>(&text).expect("reads back"), toolset);
    }

    #[test]
    fn each_mistake_names_its_field() {
        let twice = json!({"configs": [{"name": "bash"}, {"name": "bash"}]});
        assert_eq!(wrong(twice), ("tools.0.configs.1.name".into(), "`bash` is already in the list".into()));
        for (sent, path) in [
            (json!({"configs": [{"name": "cat"}]}), "tools.0.configs.0.name"),
            (json!({"configs": [{"name": "bash", "type": "read"}]}), "tools.0.configs.0.type"),
            (json!({"configs": [{"enabled": true}]}), "tools.0.configs.0.name"),
            (
                json!({"configs": [{"name": "bash", "allowed_domains": null}]}),
                "tools.0.configs.0.allowed_domains",
            ),
            (
                json!({"configs": [{"name": "web_search", "max_content_tokens": 1}]}),
                "tools.0.configs.0.max_content_tokens",
            ),
            (
                json!({"default_config": {"permission_policy": {"type": "always_ask", "kind": 1}}}),
                "tools.0.default_config.permission_policy.kind",
            ),
            (json!({"default_config": {"enabled": "yes"}}), "tools.0.default_config.enabled"),
            (
                json!({"default_config": {"permission_policy": {"type": "never"}}}),
                "tools.0.default_config.permission_policy.type",
            ),
            (json!({"more": 1}), "tools.0.more"),
        ] {
            assert_eq!(wrong(sent).0, path);
        }
    }

    #[test]
    fn a_misspelt_policy_is_not_told_to_go() {
        let sent = json!({"configs": [{"name": "bash", "permision_policy": {"type": "always_ask"}}]});
        let said = "unknown field; did you mean `permission_policy`?";
        assert_eq!(wrong(sent), ("tools.0.configs.0.permision_policy".into(), said.into()));
    }

    #[test]
    fn what_is_not_built_says_so() {
        let auto = json!({"default_config": {"permission_policy": {"type": "auto"}}});
        let said = "the policy `auto` is not supported yet";
        assert_eq!(wrong(auto), ("tools.0.default_config.permission_policy".into(), said.into()));
    }

    #[test]
    fn names_and_tools_are_the_same_list() {
        assert_eq!(BuiltinName::ALL.map(BuiltinName::name).as_slice(), BuiltinName::NAMES);
        assert_eq!(BuiltinName::ALL.map(|tool| BuiltinName::named(tool.name())), BuiltinName::ALL.map(Some));
    }
}
