//! Tools of an agent: toolsets with their policies, and custom tools that the client runs
//! (docs/rules.md 16).

use alloc::{format, string::String, vec::Vec};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Object, limits,
    parse::{self, Fields, Invalid},
};
pub use crate::{
    builtin::BuiltinName,
    toolset::{PermissionPolicy, ToolConfig, ToolDefault, Toolset},
};

/// One entry of an agent's `tools`.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "type")]
#[schemars(rename = "Tool")]
pub enum AgentTool {
    /// The built-in tools.
    #[serde(rename = "agent_toolset_20260401")]
    Toolset(Toolset),
    /// A tool that the client runs.
    #[serde(rename = "custom")]
    Custom(CustomTool),
}

/// A tool that the client runs.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
pub struct CustomTool {
    /// Its name: 1 to 128 of `A-Z a-z 0-9 _ -`.
    pub name: String,
    /// What it does and when to use it; not empty.
    pub description: String,
    /// The JSON Schema of its input, as it was sent.
    pub input_schema: Object,
}

/// Reads an agent's `tools`.
///
/// # Errors
/// The field that is wrong: a name twice, more than 256 tools in sum, a source of URLs that is no custom
/// tool of the list, a schema that is no object schema, or a kind of tool that is not served.
pub fn tools(value: Value, path: &str) -> Result<Vec<AgentTool>, Invalid> {
    let tools = parse::list(0, limits::TOOLS, tool)(value, path)?;
    for (index, tool) in tools.iter().enumerate() {
        let twice = |other: &AgentTool| match (other, tool) {
            (AgentTool::Custom(one), AgentTool::Custom(other)) => one.name == other.name,
            (AgentTool::Toolset(_), AgentTool::Toolset(_)) => true,
            (AgentTool::Toolset(_), AgentTool::Custom(_)) | (AgentTool::Custom(_), AgentTool::Toolset(_)) => {
                false
            }
        };
        if tools.iter().take(index).any(twice) {
            return Err(Invalid::new(format!("{path}.{index}"), "this tool is already in the list"));
        }
    }
    let sum: usize = tools.iter().map(AgentTool::count).sum();
    if sum > limits::TOOLS {
        let message = format!("must have at most {} tools in sum, has {sum}", limits::TOOLS);
        return Err(Invalid::new(path, message));
    }
    let custom =
        |name: &str| tools.iter().any(|tool| matches!(tool, AgentTool::Custom(tool) if tool.name == name));
    for (index, tool) in tools.iter().enumerate() {
        if let AgentTool::Toolset(toolset) = tool {
            toolset.sources_are(custom, &format!("{path}.{index}"))?;
        }
    }
    Ok(tools)
}

impl AgentTool {
    /// How many tools it comes to.
    fn count(&self) -> usize {
        match self {
            Self::Toolset(toolset) => {
                BuiltinName::ALL.iter().filter(|tool| toolset.of(**tool).enabled).count()
            }
            Self::Custom(_) => 1,
        }
    }
}

fn tool(value: Value, path: &str) -> Result<AgentTool, Invalid> {
    let mut fields = Fields::of(value, path)?;
    let known = ["custom", "agent_toolset_20260401", "mcp_toolset"];
    let tag = fields.tag(&known)?;
    match tag.as_str() {
        "custom" => {
            let name = fields.required("name", tool_name)?;
            let description =
                fields.required("description", parse::text(1, limits::TOOL_DESCRIPTION_CHARS))?;
            let input_schema = fields.required("input_schema", input_schema)?;
            fields.finish()?;
            Ok(AgentTool::Custom(CustomTool { name, description, input_schema }))
        }
        "agent_toolset_20260401" => Toolset::read(fields).map(AgentTool::Toolset),
        "mcp_toolset" => Err(Invalid::unsupported(path, "an MCP toolset")),
        _ => Err(fields.unknown_tag(&tag, &known)),
    }
}

fn tool_name(value: Value, path: &str) -> Result<String, Invalid> {
    let name = parse::text(1, limits::TOOL_NAME_CHARS)(value, path)?;
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') {
        return Err(Invalid::new(path, "may hold only letters, digits, `_` and `-`"));
    }
    let reserved = name.starts_with("mcp__") || name.starts_with("ant__");
    if reserved || BuiltinName::NAMES.contains(&name.as_str()) {
        let message = format!("`{name}` is a built-in or reserved name; choose another");
        return Err(Invalid::new(path, message));
    }
    Ok(name)
}

fn input_schema(value: Value, path: &str) -> Result<Object, Invalid> {
    let schema = parse::object(value, path)?;
    let at = |key: &str| parse::join(path, key);
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        return Err(Invalid::new(at("type"), "must be `object`"));
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        if schema.contains_key(key) {
            return Err(Invalid::new(at(key), "is not allowed at the top of a tool's schema"));
        }
    }
    if let Some(properties) = schema.get("properties").filter(|value| !value.is_null()) {
        let Value::Object(properties) = properties else {
            return Err(Invalid::new(at("properties"), "must be an object"));
        };
        for name in properties.keys() {
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
            if name.is_empty() || name.len() > limits::PROPERTY_NAME_CHARS || !name.bytes().all(legal) {
                return Err(Invalid::new(
                    parse::join(&at("properties"), name),
                    "a property name has 1 to 64 of letters, digits, `_`, `.` and `-`",
                ));
            }
        }
    }
    match reference(&Value::Object(schema.clone()), path) {
        Some(wrong) => Err(wrong),
        None => Ok(schema),
    }
}

/// Finds a `$ref`, which no provider resolves. The depth is bounded by the JSON reader.
fn reference(value: &Value, path: &str) -> Option<Invalid> {
    match value {
        Value::Object(object) => object.iter().find_map(|(key, value)| {
            let at = parse::join(path, key);
            if key == "$ref" && value.is_string() {
                return Some(Invalid::new(at, "`$ref` is not allowed; write the schema out"));
            }
            reference(value, &at)
        }),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(index, item)| reference(item, &format!("{path}.{index}")))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{borrow::ToOwned, vec};
    use serde_json::json;

    fn custom(name: &str, schema: Value) -> Value {
        json!({"type": "custom", "name": name, "description": "d", "input_schema": schema})
    }

    #[test]
    fn a_custom_tool_keeps_its_schema_as_it_was_sent() {
        let schema = json!({"type": "object", "properties": {"b": {"type": "string"}, "a": {}}, "x-more": 1});
        let read = tools(json!([custom("look_up", schema.clone())]), "tools").expect("legal");
        let input_schema = schema.as_object().cloned().unwrap_or_default();
        assert_eq!(
            read,
            vec![AgentTool::Custom(CustomTool {
                name: "look_up".into(),
                description: "d".into(),
                input_schema
            })]
        );
        assert_eq!(serde_json::to_value(&read).expect("writes"), json!([custom("look_up", schema)]));
    }

    #[test]
    fn tools_are_counted_in_sum_and_those_that_are_off_are_not() {
        let customs = |count: usize| (0..count).map(|n| custom(&format!("t{n}"), json!({"type": "object"})));
        let with = |count: usize, toolset: Value| {
            let tools = customs(count).chain([toolset]).collect::<Value>();
            super::tools(tools, "tools").map(|tools| tools.len()).map_err(|wrong| wrong.message)
        };
        let all = json!({"type": "agent_toolset_20260401"});
        let one = json!({"type": "agent_toolset_20260401", "default_config": {"enabled": false},
            "configs": [{"name": "bash", "enabled": true}]});
        assert_eq!(with(248, all.clone()), Ok(249));
        assert_eq!(with(249, all), Err("must have at most 256 tools in sum, has 257".into()));
        assert_eq!(with(255, one.clone()), Ok(256));
        assert_eq!(with(256, one), Err("must have at most 256 elements, has 257".into()));
    }

    #[test]
    fn a_source_of_urls_is_a_custom_tool_of_the_list() {
        let source = json!({"type": "only", "tools": [
            {"type": "tool_reference", "name": "a"}, {"type": "tool_reference", "name": "b"},
        ]});
        let toolset = json!({"type": "agent_toolset_20260401", "configs": [
            {"name": "web_fetch", "url_sources": {"client_tool_results": source}},
        ]});
        let with = |names: &[&str]| {
            let customs = names.iter().map(|name| custom(name, json!({"type": "object"})));
            let tools = [toolset.clone()].into_iter().chain(customs).collect::<Value>();
            super::tools(tools, "tools").map(|tools| tools.len()).map_err(|wrong| wrong.path)
        };
        assert_eq!(with(&["a", "b"]), Ok(3));
        let path = "tools.0.configs.0.url_sources.client_tool_results.tools.1.name";
        assert_eq!(with(&["a"]), Err(path.into()));
    }

    #[test]
    fn a_tool_without_a_type_is_told_those_that_there_are() {
        let wrong = tools(json!([{"name": "a"}]), "tools").expect_err("no type");
        let said = "this field is required: `custom`, `agent_toolset_20260401` or `mcp_toolset`";
        assert_eq!(wrong, Invalid::new("tools.0.type", said));
    }

    #[test]
    fn a_name_is_letters_digits_and_two_signs_and_nobody_elses() {
        let named = |name: &str| {
            let read = tools(json!([custom(name, json!({"type": "object"}))]), "tools");
            read.map(drop).map_err(|wrong| (wrong.path, wrong.code))
        };
        for name in ["a", "A-Z_09", &"x".repeat(128), "mcp_x", "ant_x", "Bash", "MCP__x"] {
            assert_eq!(named(name), Ok(()), "{name}");
        }
        let path = "tools.0.name".to_owned();
        for name in ["", &"x".repeat(129), "a.b", "é", "a\u{0}", " a"] {
            assert_eq!(named(name), Err((path.clone(), None)), "{name}");
        }
        for name in ["bash", "web_search", "mcp__", "mcp__a__b", "ant__x"] {
            assert_eq!(named(name), Err((path.clone(), None)), "{name}");
        }
    }

    #[test]
    fn each_mistake_names_its_field() {
        let object = json!({"type": "object"});
        for (sent, path) in [
            (json!([custom("bash", object.clone())]), "tools.0.name"),
            (json!([custom("mcp__x", object.clone())]), "tools.0.name"),
            (json!([custom("a b", object.clone())]), "tools.0.name"),
            (json!([custom("a", object.clone()), custom("a", object)]), "tools.1"),
            (json!([custom("a", json!({"type": "array"}))]), "tools.0.input_schema.type"),
            (json!([custom("a", json!({"type": "object", "anyOf": []}))]), "tools.0.input_schema.anyOf"),
            (
                json!([custom("a", json!({"type": "object", "properties": {"p": {"$ref": "#/x"}}}))]),
                "tools.0.input_schema.properties.p.$ref",
            ),
            (
                json!([custom("a", json!({"type": "object", "properties": {"a b": {}}}))]),
                "tools.0.input_schema.properties.a b",
            ),
            (json!([custom("a", json!({"properties": {}}))]), "tools.0.input_schema.type"),
            (json!([custom("a", json!({"type": "object", "oneOf": []}))]), "tools.0.input_schema.oneOf"),
            (json!([custom("a", json!({"type": "object", "allOf": []}))]), "tools.0.input_schema.allOf"),
            (
                json!([custom("a", json!({"type": "object", "$defs": {"x": [{"$ref": "#"}]}}))]),
                "tools.0.input_schema.$defs.x.0.$ref",
            ),
            (
                json!([custom("a", json!({"type": "object", "properties": {"": {}}}))]),
                "tools.0.input_schema.properties.",
            ),
            (
                json!([custom("a", json!({"type": "object", "properties": {"p".repeat(65): {}}}))]),
                &format!("tools.0.input_schema.properties.{}", "p".repeat(65)),
            ),
            (
                json!([{"type": "custom", "name": "a", "input_schema": {"type": "object"}}]),
                "tools.0.description",
            ),
            (json!([{"type": "custom", "name": "a", "description": ""}]), "tools.0.description"),
            (json!([{"type": "agent_toolset_20260401"}, {"type": "agent_toolset_20260401"}]), "tools.1"),
            (json!([{"type": "mcp_toolset"}]), "tools.0"),
            (json!([{"type": "other"}]), "tools.0.type"),
        ] {
            assert_eq!(tools(sent, "tools").map_err(|wrong| wrong.path), Err(path.into()));
        }
    }
}
