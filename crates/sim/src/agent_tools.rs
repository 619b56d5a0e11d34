//! A kit: the tools that an agent holds, and what becomes of a call by its name. It reads the toolset by
//! itself.

use protocol::tool::{
    AgentTool, BuiltinName, CustomTool, PermissionPolicy, ToolConfig, ToolDefault, Toolset,
};

use crate::dice::Dice;

/// Names of tools that a client runs.
const CUSTOMS: [&str; 3] = ["look_up", "weigh", "count"];
/// Built-in tools that are on a server which cannot run them.
const UNSERVED: [&str; 2] = ["web_fetch", "web_search"];

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallOffer {
    /// The client answers it.
    Custom,
    /// It runs.
    Allow,
    /// A person is asked.
    Ask,
    /// There is no such tool.
    Nothing,
}

/// See the file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AgentTools(Vec<AgentTool>);

impl AgentTools {
    /// A kit by the dice: one to three tools of the client's, and mostly the toolset, with any policies.
    pub(crate) fn throw(dice: &mut Dice) -> Self {
        let mut tools: Vec<AgentTool> =
            CUSTOMS.iter().take(1 + dice.below(3) as usize).map(|name| custom(name)).collect();
        if !dice.once_in(5) {
            let place = dice.below(tools.len() as u64 + 1) as usize;
            tools.insert(place, AgentTool::Toolset(toolset(dice)));
        }
        Self(tools)
    }

    /// The kit of an agent that holds these tools.
    pub(crate) const fn of(tools: Vec<AgentTool>) -> Self {
        Self(tools)
    }

    /// A kit that is not this one.
    pub(crate) fn other(&self, dice: &mut Dice) -> Self {
        let other = Self::throw(dice);
        if other != *self {
            return other;
        }
        Self(other.0.into_iter().chain([custom("sort")]).collect())
    }

    /// The tools, as an agent holds them.
    pub(crate) fn tools(&self) -> Vec<AgentTool> {
        self.0.clone()
    }

    /// What becomes of a call of `name`.
    pub(crate) fn offer(&self, name: &str) -> CallOffer {
        if self.customs().iter().any(|custom| custom == name) {
            return CallOffer::Custom;
        }
        let toolset = self.0.iter().find_map(|tool| match tool {
            AgentTool::Toolset(toolset) => Some(toolset),
            AgentTool::Custom(_) => None,
        });
        let (Some(toolset), true) = (toolset, BuiltinName::NAMES.contains(&name)) else {
            return CallOffer::Nothing;
        };
        let (mut enabled, mut policy) =
            (toolset.default_config.enabled, toolset.default_config.permission_policy);
        for config in toolset.configs.iter().filter(|config| config.name.name() == name) {
            (enabled, policy) = (config.enabled, config.permission_policy);
        }
        match (enabled && !UNSERVED.contains(&name), policy) {
            (false, _) => CallOffer::Nothing,
            (true, PermissionPolicy::AlwaysAllow) => CallOffer::Allow,
            (true, PermissionPolicy::AlwaysAsk) => CallOffer::Ask,
        }
    }

    /// The names of the tools that the client runs.
    pub(crate) fn customs(&self) -> Vec<String> {
        let customs = self.0.iter().filter_map(|tool| match tool {
            AgentTool::Custom(custom) => Some(custom.name.clone()),
            AgentTool::Toolset(_) => None,
        });
        customs.collect()
    }

    /// The names of the built-in tools that are offered.
    pub(crate) fn builtins(&self) -> Vec<String> {
        let offered = |name: &&&str| self.offer(name) != CallOffer::Nothing;
        BuiltinName::NAMES.iter().filter(offered).map(|name| (*name).to_owned()).collect()
    }

    /// All that a model is offered, in order.
    pub(crate) fn offered(&self) -> Vec<String> {
        let names = |tool: &AgentTool| match tool {
            AgentTool::Custom(custom) => vec![custom.name.clone()],
            AgentTool::Toolset(_) => self.builtins(),
        };
        self.0.iter().flat_map(names).collect()
    }
}

fn toolset(dice: &mut Dice) -> Toolset {
    let policy = |dice: &mut Dice| {
        if dice.once_in(2) { PermissionPolicy::AlwaysAsk } else { PermissionPolicy::AlwaysAllow }
    };
    let default_config = ToolDefault { enabled: !dice.once_in(6), permission_policy: policy(dice) };
    let mut configs = Vec::new();
    for name in BuiltinName::ALL {
        if dice.once_in(2) {
            configs.push(ToolConfig {
                name,
                enabled: !dice.once_in(4),
                permission_policy: policy(dice),
                web: name.unlimited(),
            });
        }
    }
    Toolset { default_config, configs }
}

fn custom(name: &str) -> AgentTool {
    let schema = serde_json::json!({"type": "object"});
    let input_schema = schema.as_object().cloned().unwrap_or_default();
    AgentTool::Custom(CustomTool { name: name.into(), description: "does it".into(), input_schema })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_tool_goes_by_its_own_config_and_the_rest_by_the_default() {
        let ask = ToolDefault { enabled: true, permission_policy: PermissionPolicy::AlwaysAsk };
        let config = |name, enabled| ToolConfig {
            name,
            enabled,
            permission_policy: PermissionPolicy::AlwaysAllow,
            web: None,
        };
        let configs = vec![config(BuiltinName::Bash, true), config(BuiltinName::Read, false)];
        let kit =
            AgentTools(vec![custom("weigh"), AgentTool::Toolset(Toolset { default_config: ask, configs })]);
        let offers = ["weigh", "bash", "read", "write", "web_fetch", "sort"].map(|name| kit.offer(name));
        let (custom, nothing) = (CallOffer::Custom, CallOffer::Nothing);
        assert_eq!(offers, [custom, CallOffer::Allow, nothing, CallOffer::Ask, nothing, nothing]);
        assert_eq!(kit.offered(), ["weigh", "bash", "edit", "write", "glob", "grep"]);
    }

    #[test]
    fn another_kit_is_another_one() {
        let mut dice = Dice::new(3);
        let kit = AgentTools::throw(&mut dice.clone());
        assert_ne!(kit.other(&mut dice), kit);
    }
}
