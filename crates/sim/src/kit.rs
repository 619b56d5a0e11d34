//! A kit: the tools that an agent holds, and what becomes of a call by its name. It reads the toolset by
//! itself.

use protocol::tool::{Builtin, CustomTool, Policy, Tool, ToolConfig, ToolDefault, Toolset};

use crate::dice::Dice;

/// Names of tools that a client runs.
const CUSTOMS: [&str; 3] = ["look_up", "weigh", "count"];
/// Built-in tools that are on a server which cannot run them.
const UNSERVED: [&str; 2] = ["web_fetch", "web_search"];

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
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
pub(crate) struct Kit(Vec<Tool>);

impl Kit {
    /// A kit by the dice: one to three tools of the client's, and mostly the toolset, with any policies.
    pub(crate) fn throw(dice: &mut Dice) -> Self {
        let mut tools: Vec<Tool> =
            CUSTOMS.iter().take(1 + dice.below(3) as usize).map(|name| custom(name)).collect();
        if !dice.once_in(5) {
            let place = dice.below(tools.len() as u64 + 1) as usize;
            tools.insert(place, Tool::Toolset(toolset(dice)));
        }
        Self(tools)
    }

    /// The kit of an agent that holds these tools.
    pub(crate) const fn of(tools: Vec<Tool>) -> Self {
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
    pub(crate) fn tools(&self) -> Vec<Tool> {
        self.0.clone()
    }

    /// What becomes of a call of `name`.
    pub(crate) fn offer(&self, name: &str) -> Offer {
        if self.customs().iter().any(|custom| custom == name) {
            return Offer::Custom;
        }
        let toolset = self.0.iter().find_map(|tool| match tool {
            Tool::Toolset(toolset) => Some(toolset),
            Tool::Custom(_) => None,
        });
        let (Some(toolset), true) = (toolset, Builtin::NAMES.contains(&name)) else { return Offer::Nothing };
        let (mut enabled, mut policy) =
            (toolset.default_config.enabled, toolset.default_config.permission_policy);
        for config in toolset.configs.iter().filter(|config| config.name.name() == name) {
            (enabled, policy) = (config.enabled, config.permission_policy);
        }
        match (enabled && !UNSERVED.contains(&name), policy) {
            (false, _) => Offer::Nothing,
            (true, Policy::AlwaysAllow) => Offer::Allow,
            (true, Policy::AlwaysAsk) => Offer::Ask,
        }
    }

    /// The names of the tools that the client runs.
    pub(crate) fn customs(&self) -> Vec<String> {
        let customs = self.0.iter().filter_map(|tool| match tool {
            Tool::Custom(custom) => Some(custom.name.clone()),
            Tool::Toolset(_) => None,
        });
        customs.collect()
    }

    /// The names of the built-in tools that are offered.
    pub(crate) fn builtins(&self) -> Vec<String> {
        let offered = |name: &&&str| self.offer(name) != Offer::Nothing;
        Builtin::NAMES.iter().filter(offered).map(|name| (*name).to_owned()).collect()
    }

    /// All that a model is offered, in order.
    pub(crate) fn offered(&self) -> Vec<String> {
        let names = |tool: &Tool| match tool {
            Tool::Custom(custom) => vec![custom.name.clone()],
            Tool::Toolset(_) => self.builtins(),
        };
        self.0.iter().flat_map(names).collect()
    }
}

fn toolset(dice: &mut Dice) -> Toolset {
    let policy = |dice: &mut Dice| if dice.once_in(2) { Policy::AlwaysAsk } else { Policy::AlwaysAllow };
    let default_config = ToolDefault { enabled: !dice.once_in(6), permission_policy: policy(dice) };
    let mut configs = Vec::new();
    for name in Builtin::ALL {
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

fn custom(name: &str) -> Tool {
    let schema = serde_json::json!({"type": "object"});
    let input_schema = schema.as_object().cloned().unwrap_or_default();
    Tool::Custom(CustomTool { name: name.into(), description: "does it".into(), input_schema })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_tool_goes_by_its_own_config_and_the_rest_by_the_default() {
        let ask = ToolDefault { enabled: true, permission_policy: Policy::AlwaysAsk };
        let config =
            |name, enabled| ToolConfig { name, enabled, permission_policy: Policy::AlwaysAllow, web: None };
        let configs = vec![config(Builtin::Bash, true), config(Builtin::Read, false)];
        let kit = Kit(vec![custom("weigh"), Tool::Toolset(Toolset { default_config: ask, configs })]);
        let offers = ["weigh", "bash", "read", "write", "web_fetch", "sort"].map(|name| kit.offer(name));
        let (custom, nothing) = (Offer::Custom, Offer::Nothing);
        assert_eq!(offers, [custom, Offer::Allow, nothing, Offer::Ask, nothing, nothing]);
        assert_eq!(kit.offered(), ["weigh", "bash", "edit", "write", "glob", "grep"]);
    }

    #[test]
    fn another_kit_is_another_one() {
        let mut dice = Dice::new(3);
        let kit = Kit::throw(&mut dice.clone());
        assert_ne!(kit.other(&mut dice), kit);
    }
}
