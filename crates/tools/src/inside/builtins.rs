//! The built-in tools: which there are, what models are told of them, and who reads a call's input. A mistake
//! names its field and says what to send.

use protocol::{
    Object,
    parse::{Fields, Invalid},
    prompt::{ToolSpec, Toolbox},
    tool::BuiltinName,
};
use serde_json::Value;

use super::{
    bash, edit, glob, grep, read,
    tool::{BuiltinTool, CheckedInput, ToolText},
    write,
};
use crate::workplace::Workplace;

/// What there is to know of `tool`; `None`: it is not served.
pub(crate) const fn of(tool: BuiltinName) -> Option<BuiltinTool> {
    match tool {
        BuiltinName::Bash => Some(bash::TOOL),
        BuiltinName::Edit => Some(edit::TOOL),
        BuiltinName::Read => Some(read::TOOL),
        BuiltinName::Write => Some(write::TOOL),
        BuiltinName::Glob => Some(glob::TOOL),
        BuiltinName::Grep => Some(grep::TOOL),
        BuiltinName::WebFetch | BuiltinName::WebSearch => None,
    }
}

/// What the models of a session are told of all of them.
pub(crate) fn toolbox(workplace: &Workplace) -> Toolbox {
    Toolbox::new(|tool| of(tool).map(|known| spec(tool, (known.told)(workplace))))
}

fn spec(tool: BuiltinName, told: ToolText) -> ToolSpec {
    let ToolText { description, properties, required } = told;
    let mut input_schema = Object::new();
    input_schema.insert("type".into(), "object".into());
    input_schema.insert("properties".into(), properties);
    input_schema.insert("required".into(), required.into());
    input_schema.insert("additionalProperties".into(), false.into());
    ToolSpec { name: tool.name().into(), description, input_schema }
}

/// Reads the input of `tool`.
///
/// # Errors
/// What the model is told.
pub(super) fn read_input(tool: BuiltinName, input: Object) -> Result<CheckedInput, String> {
    let name = tool.name();
    let known = of(tool).ok_or_else(|| format!("`{name}` is not served here; do without it"))?;
    let result = Fields::of(Value::Object(input), "").and_then(|mut fields| {
        let read = (known.read)(&mut fields)?;
        fields.finish()?;
        Ok(read)
    });
    result.map_err(|Invalid { path, message, code: _, absent: _ }| {
        let end = if message.ends_with('?') { "" } else { "." };
        format!("`{path}`: {message}{end} Send {name} {}.", (known.usage)())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn mistake(tool: BuiltinName, input: Value) -> String {
        let Value::Object(input) = input else { panic!("an object") };
        read_input(tool, input).err().expect("a mistake")
    }

    #[test]
    fn each_mistake_names_its_field_and_says_what_to_send() {
        use BuiltinName::{Bash, Edit, Glob, Grep, Read, WebFetch, Write};
        for (tool, input, said) in [
            (Bash, json!({}), "`command`: this field is required. Send bash {\"command\": string,"),
            (Bash, json!({"command": 1}), "`command`: expected a string, got a number. Send bash {"),
            (Bash, json!({"command": "a\0"}), "`command`: must hold no NUL character"),
            (
                Bash,
                json!({"command": "a", "timeout_ms": 600_001}),
                "`timeout_ms`: must be a whole number, between 1 and 600000, is 600001. Send bash {",
            ),
            (Read, json!({}), "`file_path`: this field is required. Send read {\"file_path\": string"),
            (Read, json!({"file_path": ""}), "`file_path`: must be a path"),
            (Read, json!({"file_path": "x".repeat(4_097)}), "`file_path`: must have at most 4096"),
            (Read, json!({"file_path": "a", "view_range": [1]}), "`view_range`: must have at least 2"),
            (Read, json!({"file_path": "a", "view_range": [0, 4]}), "`view_range`: the first line must"),
            (Read, json!({"file_path": "a", "view_range": [5, 4]}), "`view_range`: the first line must"),
            (Read, json!({"file_path": "a", "view_range": ["1", 4]}), "`view_range.0`: expected a whole"),
            (Write, json!({"file_path": "a"}), "`content`: this field is required. Send write {"),
            (
                Edit,
                json!({"file_path": "a", "old_string": "", "new_string": "b"}),
                "`old_string`: must not be empty",
            ),
            (
                Edit,
                json!({"file_path": "a", "old_string": "b", "new_string": "b"}),
                "`new_string`: is the same as `old_string`",
            ),
            (Glob, json!({"pattern": ["a"]}), "`pattern`: expected a string, got an array. Send glob {"),
            (Grep, json!({"pattern": ""}), "`pattern`: must not be empty. Send grep {\"pattern\""),
            (WebFetch, json!({}), "`web_fetch` is not served here"),
        ] {
            let mistake = mistake(tool, input);
            assert!(mistake.starts_with(said), "{mistake}");
        }
    }

    #[test]
    fn a_field_that_nobody_takes_is_told_what_is_taken() {
        for (tool, input, said) in [
            (
                BuiltinName::Bash,
                json!({"command": "a", "cwd": "/"}),
                "`cwd`: unknown field; this takes `command`, `restart` or `timeout_ms`. Send bash {",
            ),
            (
                BuiltinName::Bash,
                json!({"command": "a", "timeout": 1}),
                "`timeout`: unknown field; did you mean `timeout_ms`? Send bash {",
            ),
            (
                BuiltinName::Read,
                json!({"path": "a"}),
                "`file_path`: this field is required; `path` was sent, did you mean that? Send read {",
            ),
        ] {
            let mistake = mistake(tool, input);
            assert!(mistake.starts_with(said), "{mistake}");
        }
    }

    #[test]
    fn what_no_text_and_no_path_holds_is_refused() {
        for (tool, input, said) in [
            (
                BuiltinName::Write,
                json!({"file_path": "a", "content": "a\0"}),
                "`content`: must hold no NUL character, which no text file holds; write bytes with printf",
            ),
            (
                BuiltinName::Edit,
                json!({"file_path": "a", "old_string": "a", "new_string": "\0"}),
                "`new_string`: must hold no NUL character",
            ),
            (
                BuiltinName::Read,
                json!({"file_path": "$'a\\x00b'"}),
                "`file_path`: must be a path: not empty and",
            ),
            (BuiltinName::Read, json!({"file_path": "$'\\q'"}), "`file_path`: holds an escape that is none"),
        ] {
            let mistake = mistake(tool, input);
            assert!(mistake.starts_with(said), "{mistake}");
        }
    }

    #[test]
    fn the_law_lets_call_what_there_is() {
        for tool in BuiltinName::ALL {
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
        for (tool, known) in BuiltinName::ALL.into_iter().filter_map(|tool| Some((tool, of(tool)?))) {
            let ToolText { properties, required, .. } = (known.told)(&workplace);
            let Value::Object(properties) = properties else { panic!("fields") };
            let read = |without| read_input(tool, input(&properties, without)).err();
            assert_eq!(read(None), None);
            for field in properties.keys() {
                let optional = !required.contains(&field.as_str());
                assert_eq!(read(Some(field)).is_none(), optional, "{} without {field}", tool.name());
                assert!((known.usage)().contains(&format!("\"{field}\"")), "{} shows {field}", tool.name());
            }
        }
    }
}
