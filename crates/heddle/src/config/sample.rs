//! The sample of `heddle.toml`: every key with its meaning, default and bounds, written from the types that
//! read the file. Words stand behind `# `; a line behind a lone `#` is a setting, as it would be without it.

use serde_json::Value as Schema;

use super::{
    file::{self, spelled},
    read::choices,
};

/// Characters of a line.
const WIDTH: usize = 110;
/// The name of an entry in a table that may hold any.
const ANY: &str = "my-model-*";

/// The whole sample.
pub(crate) fn sample() -> String {
    let schema = file::schema().to_value();
    let mut text = String::new();
    words(&mut text, &said(&schema));
    words(&mut text, "To set a key, take away the `#` before it and before the [table] that it stands in.");
    keys(&mut text, &schema);
    tables(&mut text, &schema, &[]);
    text
}

/// The keys of one table that hold a value.
fn keys(text: &mut String, table: &Schema) {
    for (name, key) in properties(table).filter(|(_, key)| !is_table(key)) {
        text.push('\n');
        let example =
            if is_nothing(&key["default"]) && !key["examples"].is_null() { " For example:" } else { "" };
        words(text, &[&said(key), &bounds(key), example].concat());
        text.extend(["#", &spelled(name), " = ", &value(key), "\n"]);
    }
}

/// The keys that hold tables of their own.
fn tables(text: &mut String, table: &Schema, path: &[&str]) {
    for (name, key) in properties(table).filter(|(_, key)| is_table(key)) {
        let mut path = [path, &[name]].concat();
        let mut inner = key;
        if key["additionalProperties"].is_object() {
            path.push(ANY);
            inner = &key["additionalProperties"];
        }
        let header: Vec<String> = path.iter().map(|name| spelled(name)).collect();
        text.push('\n');
        words(text, &said(key));
        text.extend(["#[", &header.join("."), "]\n"]);
        keys(text, inner);
        tables(text, inner, &path);
    }
}

fn properties(table: &Schema) -> impl Iterator<Item = (&str, &Schema)> {
    table["properties"].as_object().into_iter().flatten().map(|(name, key)| (name.as_str(), key))
}

/// A table with a header of its own; what may be said on one line is a value.
fn is_table(key: &Schema) -> bool {
    key["properties"].is_object() || key["additionalProperties"]["properties"].is_object()
}

fn said(schema: &Schema) -> String {
    schema["description"].as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a value may be, as far as it is bounded.
fn bounds(key: &Schema) -> String {
    let (one, some) = (choices(key), choices(&key["items"]));
    if !one.is_empty() {
        return format!(" One of {}.", one.join(", "));
    }
    if !some.is_empty() {
        return format!(" Some of {}.", some.join(", "));
    }
    match (key["minimum"].as_u64(), key["maximum"].as_u64()) {
        (Some(least), Some(most)) => format!(" From {least} to {most}."),
        (Some(_) | None, _) => String::new(),
    }
}

/// The default, or an example where the default is nothing, as TOML.
fn value(key: &Schema) -> String {
    let value = if is_nothing(&key["default"]) { &key["examples"][0] } else { &key["default"] };
    // What has neither is one of a few words.
    let word = || choices(key).into_iter().next().unwrap_or_default();
    toml::Value::try_from(value).map_or_else(|_| word(), |value| value.to_string())
}

fn is_nothing(value: &Schema) -> bool {
    match value {
        Schema::Null => true,
        Schema::Array(values) => values.is_empty(),
        Schema::Object(values) => values.is_empty(),
        Schema::Bool(_) | Schema::Number(_) | Schema::String(_) => false,
    }
}

fn words(text: &mut String, said: &str) {
    let mut line = String::from("#");
    for word in said.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            text.extend([&line, "\n"]);
            line = String::from("#");
        }
        line.extend([" ", word]);
    }
    if line.len() > 1 {
        text.extend([&line, "\n"]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{flags::SaidFlags, read, settled::settle};
    use super::*;
    use std::path::Path;

    /// The sample in the repository, which readers of the documentation see.
    const DOCUMENT: &str = include_str!("../../../../docs/heddle.toml");

    /// The sample with every key set.
    fn set() -> String {
        let bare = |line: &str| match line.strip_prefix('#') {
            Some(key) if !key.starts_with(' ') => key.to_owned(),
            _ => line.to_owned(),
        };
        sample().lines().map(|line| bare(line) + "\n").collect()
    }

    #[test]
    fn the_documents_sample_is_the_one_that_the_binary_prints() {
        assert_eq!(DOCUMENT, sample(), "write it anew: heddle config > docs/heddle.toml");
    }

    #[test]
    fn as_it_stands_the_sample_sets_nothing() {
        let settled = |text: &str| {
            let read = read::parse(Path::new("heddle.toml"), text);
            settle(SaidFlags::default(), read, &|_| None).expect("legal").settings
        };
        assert_eq!(settled(&sample()), settled(""));
    }

    #[test]
    fn with_every_key_set_the_sample_is_legal_and_leaves_no_key_out() {
        let read = read::parse(Path::new("heddle.toml"), &set());
        assert_eq!(read.mistakes, []);
        let mut keys: Vec<String> = read.lines.of.into_keys().collect();
        keys.retain(|key| !key.starts_with("routes.") || key.starts_with("routes.\"my-model-*\"."));
        let given = ["headers.x-team", "body.temperature"];
        let mut known = given.map(|key| format!("routes.\"my-model-*\".{key}")).to_vec();
        let mut open = vec![(String::new(), file::schema().to_value())];
        while let Some((path, table)) = open.pop() {
            for (name, key) in properties(&table) {
                let mut path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                known.push(path.clone());
                if key["additionalProperties"]["properties"].is_object() {
                    path.push_str(".\"my-model-*\"");
                    open.push((path, key["additionalProperties"].clone()));
                } else {
                    open.push((path, key.clone()));
                }
            }
        }
        keys.sort();
        known.sort();
        assert_eq!(keys, known);
    }

    #[test]
    fn defaults_in_the_sample_are_the_ones_that_are_meant() {
        let plain = |text: &str| toml::from_str::<file::SettingsFile>(text).expect("legal");
        let (given, none) = (plain(&set()), file::SettingsFile::default());
        assert_eq!((given.listen, given.data), (none.listen, none.data));
        assert_eq!(given.sandbox.keep_days, none.sandbox.keep_days);
        assert_eq!((given.threads.max, given.threads.max_depth), (none.threads.max, none.threads.max_depth));
        assert_eq!(given.cache.bytes, none.cache.bytes);
        assert_eq!(given.log.filter.0, none.log.filter.0);
    }
}
