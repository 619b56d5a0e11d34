//! The built-in tools: what there is to know of each, and where that stands.

use std::time::Duration;

use protocol::{
    Object, limits,
    parse::{Fields, Invalid},
    prompt::{ToolSpec, Toolbox},
    tool::Builtin,
};
use serde_json::Value;

use super::{bash, edit, glob, grep, input::Input, read, write};
use crate::workplace::Workplace;

/// A built-in tool.
pub(crate) struct Tool {
    /// What a model is told of it.
    pub(super) told: fn(&Workplace) -> Told,
    /// How its input looks, for a model that has sent another.
    pub(super) usage: fn() -> String,
    /// Reads its input.
    pub(super) read: fn(&mut Fields) -> Result<Input, Invalid>,
    /// How long it may take with an input that nobody has read yet.
    pub(crate) bound: fn(&Object) -> Duration,
}

/// What a model is told of a tool, beside its name.
pub(super) struct Told {
    /// What it does and when to use it.
    pub(super) description: String,
    /// Of its input: the fields, as JSON Schema describes them.
    pub(super) properties: Value,
    /// Those of them that must be there.
    pub(super) required: &'static [&'static str],
}

/// How long a tool may take that runs no command.
pub(crate) const BOUND: Duration = Duration::from_secs(limits::TOOL_S);

/// What there is to know of `tool`; `None`: it is not served.
pub(crate) const fn of(tool: Builtin) -> Option<Tool> {
    match tool {
        Builtin::Bash => Some(bash::TOOL),
        Builtin::Edit => Some(edit::TOOL),
        Builtin::Read => Some(read::TOOL),
        Builtin::Write => Some(write::TOOL),
        Builtin::Glob => Some(glob::TOOL),
        Builtin::Grep => Some(grep::TOOL),
        Builtin::WebFetch | Builtin::WebSearch => None,
    }
}

/// What the models of a session are told of all of them.
pub(crate) fn toolbox(workplace: &Workplace) -> Toolbox {
    Toolbox::new(|tool| of(tool).map(|known| spec(tool, (known.told)(workplace))))
}

fn spec(tool: Builtin, told: Told) -> ToolSpec {
    let Told { description, properties, required } = told;
    let mut input_schema = Object::new();
    input_schema.insert("type".into(), "object".into());
    input_schema.insert("properties".into(), properties);
    input_schema.insert("required".into(), required.into());
    input_schema.insert("additionalProperties".into(), false.into());
    ToolSpec { name: tool.name().into(), description, input_schema }
}

#[cfg(test)]
mod tests {
    use super::{super::input, *};
    use serde_json::json;

    #[test]
    fn the_law_lets_call_what_there_is() {
        for tool in Builtin::ALL {
            assert_eq!(of(tool).is_some(), tool.served(), "{}", tool.name());
        }
    }

    /// An input with all fields that a model is told of, or with all but one.
    fn input(properties: &Object, without: Option<&str>) -> Object {
        let example = |(field, schema): (&String, &Value)| {
            let value = match schema["type"].as_str() {
                Some("string") => json!(field),
                Some("boolean") => json!(true),
                Some("integer") => json!(1),
                Some("array") => json!([1, 2]),
                kind => panic!("{field} is of {kind:?}"),
            };
            (field.clone(), value)
        };
        properties.iter().filter(|(field, _)| without != Some(field.as_str())).map(example).collect()
    }

    #[test]
    fn what_a_model_is_told_to_send_is_understood_and_nothing_less() {
        let workplace = Workplace { workspace: "/w".into(), outputs: "/o".into(), jail: None };
        for (tool, known) in Builtin::ALL.into_iter().filter_map(|tool| Some((tool, of(tool)?))) {
            let Told { properties, required, .. } = (known.told)(&workplace);
            let Value::Object(properties) = properties else { panic!("fields") };
            let read = |without| input::read(tool, input(&properties, without)).err();
            assert_eq!(read(None), None);
            for field in properties.keys() {
                let optional = !required.contains(&field.as_str());
                assert_eq!(read(Some(field)).is_none(), optional, "{} without {field}", tool.name());
                assert!((known.usage)().contains(&format!("\"{field}\"")), "{} shows {field}", tool.name());
            }
        }
    }
}
