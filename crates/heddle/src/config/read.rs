//! Reads `heddle.toml`: finds each key's line, and every mistake in it at once.
//!
//! What may stand where is the schema of the types in `file`; this walks the text and the schema side by
//! side, because only the text knows its lines.

use std::path::{Path, PathBuf};

use serde_json::Value as Schema;
use toml::{
    Spanned,
    de::{DeInteger, DeTable, DeValue},
};

use super::{
    ConfigError,
    file::{self, File, spelled},
    nearest,
    source::{Lines, Mistake, Source},
};

/// What a file says, and on which lines.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) file: File,
    pub(super) lines: Lines,
}

/// Reads the file that was `named` somewhere, or the one that is there by default, if it is there.
pub(super) fn read(named: Option<(PathBuf, Source)>) -> Result<Read, ConfigError> {
    let (path, source) = match &named {
        Some((path, source)) => (path.as_path(), Some(source)),
        None => (Path::new("heddle.toml"), None),
    };
    match std::fs::read_to_string(path) {
        Ok(text) => parse(path, &text),
        Err(wrong) if named.is_none() && wrong.kind() == std::io::ErrorKind::NotFound => Ok(Read::default()),
        Err(wrong) => {
            let named = source.map(|source| format!(", which {source} names")).unwrap_or_default();
            Err(ConfigError::Unreadable { file: path.into(), named, reason: wrong.to_string() })
        }
    }
}

/// Reads `text`, the content of the file at `path`.
pub(super) fn parse(path: &Path, text: &str) -> Result<Read, ConfigError> {
    let mut walk = Walk { text, wrong: Vec::new(), keys: Vec::new() };
    match DeTable::parse(text) {
        Ok(document) => walk.table(file::schema().as_value(), document.get_ref(), ""),
        Err(wrong) => {
            // The library says that there is one, and where, but not which.
            let twice = wrong.message() == "duplicate key";
            let key = wrong.span().filter(|_| twice).and_then(|span| text.get(span));
            let key = key.map(|key| format!(" `{}`", key.trim_matches('"'))).unwrap_or_default();
            walk.wrong(start(&wrong), &format!("{}{key}", wrong.message()));
        }
    }
    if walk.wrong.is_empty() {
        match toml::from_str(text) {
            Ok(file) => return Ok(Read { file, lines: walk.lines(path) }),
            // A text that is no address, and the like: only the type itself knows.
            Err(wrong) => {
                let at = start(&wrong);
                let key = walk.keys.iter().rev().find(|key| key.value.contains(&at));
                let named = key.map(|key| format!("{}: ", key.path)).unwrap_or_default();
                walk.wrong(at, &format!("{named}{}", wrong.message()));
            }
        }
    }
    Err(ConfigError::Wrong(walk.mistakes(path)))
}

fn start(wrong: &toml::de::Error) -> usize {
    wrong.span().map_or(0, |span| span.start)
}

/// A key of the file: where it stands, and where its value does.
struct Key {
    path: String,
    at: usize,
    value: std::ops::Range<usize>,
}

struct Walk<'a> {
    text: &'a str,
    keys: Vec<Key>,
    /// What is wrong, by place.
    wrong: Vec<(usize, String)>,
}

impl Walk<'_> {
    fn wrong(&mut self, at: usize, message: &str) {
        self.wrong.push((at, message.trim().to_owned()));
    }

    fn line(&self, at: usize) -> usize {
        self.text.get(..at.min(self.text.len())).unwrap_or_default().matches('\n').count() + 1
    }

    fn lines(&self, path: &Path) -> Lines {
        let of = self.keys.iter().map(|key| (key.path.clone(), self.line(key.at))).collect();
        Lines { file: path.into(), of }
    }

    fn mistakes(mut self, path: &Path) -> Vec<Mistake> {
        self.wrong.sort();
        let mistake = |(at, message): &(usize, String)| Mistake {
            source: Source::Line { file: path.into(), line: self.line(*at) },
            message: message.clone(),
        };
        self.wrong.iter().map(mistake).collect()
    }

    fn table(&mut self, schema: &Schema, table: &DeTable<'_>, path: &str) {
        let known = schema["properties"].as_object();
        for (key, value) in table {
            let name: &str = key.get_ref();
            let inner = if path.is_empty() { spelled(name) } else { format!("{path}.{}", spelled(name)) };
            let schema = match known {
                Some(known) => known.get(name),
                None => Some(&schema["additionalProperties"]),
            };
            let Some(schema) = schema else {
                let known: Vec<&str> = known.into_iter().flatten().map(|(known, _)| known.as_str()).collect();
                self.wrong(key.span().start, &unknown("key", name, &known));
                continue;
            };
            self.keys.push(Key { path: inner.clone(), at: key.span().start, value: value.span() });
            self.value(schema, value, &inner);
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Schema::as_str);
            if let DeValue::Table(given) = value.get_ref() {
                for missing in required.filter(|required| !given.contains_key(*required)) {
                    let one_of = choices(&schema["properties"][missing]).join(" or ");
                    self.wrong(key.span().start, &format!("{inner}: `{missing}` is missing; give {one_of}"));
                }
            }
        }
    }

    fn value(&mut self, schema: &Schema, value: &Spanned<DeValue<'_>>, path: &str) {
        let at = value.span().start;
        let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or("string");
        match (kind, value.get_ref()) {
            ("object", DeValue::Table(table)) => self.table(schema, table, path),
            ("array", DeValue::Array(values)) => {
                for value in values {
                    self.value(&schema["items"], value, path);
                }
            }
            ("integer", DeValue::Integer(number)) => {
                if let Some(wrong) = outside(schema, number) {
                    self.wrong(at, &format!("{path}: {wrong}"));
                }
            }
            ("string", DeValue::String(text)) => {
                let choices = choices(schema);
                let choices: Vec<&str> = choices.iter().map(|choice| choice.trim_matches('"')).collect();
                if !choices.is_empty() && !choices.contains(&text.as_ref()) {
                    self.wrong(at, &format!("{path}: {}", unknown("value", text, &choices)));
                }
            }
            (kind, other) => {
                let expected = expected(kind);
                self.wrong(at, &format!("{path}: must be {expected}, and is {}", found(other)));
            }
        }
    }
}

/// The values that a text may have, quoted, if they are known.
pub(super) fn choices(schema: &Schema) -> Vec<String> {
    let listed = schema["enum"].as_array().into_iter().flatten();
    let described = schema["oneOf"].as_array().into_iter().flatten().map(|choice| &choice["const"]);
    listed.chain(described).filter_map(Schema::as_str).map(|choice| format!("{choice:?}")).collect()
}

fn unknown(what: &str, given: &str, known: &[&str]) -> String {
    match nearest(given, known) {
        Some(near) => format!("unknown {what} `{given}`; did you mean `{near}`?"),
        None => format!("unknown {what} `{given}`; known are {}", known.join(", ")),
    }
}

/// What is wrong with a number that is out of bounds.
fn outside(schema: &Schema, number: &DeInteger<'_>) -> Option<String> {
    let (least, most) = (schema["minimum"].as_u64().unwrap_or(0), schema["maximum"].as_u64());
    let most = most.unwrap_or(i64::MAX.cast_unsigned());
    // What does not even fit is out of bounds as well.
    let within = u64::from_str_radix(number.as_str(), number.radix())
        .is_ok_and(|number| (least..=most).contains(&number));
    (!within).then(|| format!("must be {least} to {most}, and is {number}"))
}

fn expected(kind: &str) -> &'static str {
    match kind {
        "object" => "a table",
        "array" => "a list in [brackets]",
        "integer" => "a whole number",
        _ => "a text in \"quotes\"",
    }
}

fn found(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str) -> String {
        parse(Path::new("heddle.toml"), text).expect_err("a mistake").to_string()
    }

    #[test]
    fn a_key_that_is_unknown_is_named_with_its_line_and_the_nearest_one_on_every_level() {
        for (text, said) in [
            ("listen = \"127.0.0.1:1\"\ndate = \"x\"\n", "2: unknown key `date`; did you mean `data`?"),
            ("\n[sandbox]\nmod = \"off\"\n", "3: unknown key `mod`; did you mean `mode`?"),
            ("[thread]\nmax = 1\n", "1: unknown key `thread`; did you mean `threads`?"),
            ("[threads]\nmax_deep = 1\n", "2: unknown key `max_deep`; did you mean `max_depth`?"),
            ("[log]\nformatt = \"json\"\n", "2: unknown key `formatt`; did you mean `format`?"),
            ("[cors]\norigin = []\n", "2: unknown key `origin`; did you mean `origins`?"),
            (
                "[routes.\"m-*\"]\nprovider = \"messages\"\nbase_uri = \"x\"\n",
                "3: unknown key `base_uri`; did you mean `base_url`?",
            ),
            ("[log]\nqqqqqqqqqqq = 1\n", "2: unknown key `qqqqqqqqqqq`; known are format, filter"),
        ] {
            assert_eq!(mistakes(text), format!("heddle.toml:{said}"));
        }
    }

    #[test]
    fn a_value_of_the_wrong_kind_or_out_of_bounds_is_named_with_its_line() {
        for (text, said) in [
            ("listen = 3\n", "1: listen: must be a text in \"quotes\", and is a whole number"),
            ("listen = \"here\"\n", "1: listen: invalid socket address syntax"),
            ("sandbox = 1\n", "1: sandbox: must be a table, and is a whole number"),
            (
                "[sandbox]\nreadonly = \"/x\"\n",
                "2: sandbox.readonly: must be a list in [brackets], and is a text",
            ),
            (
                "[sandbox]\nreadonly = [\n\"/x\",\n4]\n",
                "4: sandbox.readonly: must be a text in \"quotes\", and is a whole number",
            ),
            ("[sandbox]\nmode = \"of\"\n", "2: sandbox.mode: unknown value `of`; did you mean `off`?"),
            ("[sandbox]\nuser = 0\n", "2: sandbox.user: must be 1 to 4294967294, and is 0"),
            ("[sandbox]\nkeep_days = -1\n", "2: sandbox.keep_days: must be 1 to 36500, and is -1"),
            (
                "[threads]\nmax = 1.5\n",
                "2: threads.max: must be a whole number, and is a number with a point",
            ),
            ("[threads]\nmax = 0\n", "2: threads.max: must be 1 to 1000, and is 0"),
            ("[threads]\nmax = 1001\n", "2: threads.max: must be 1 to 1000, and is 1001"),
            ("[threads]\nmax_depth = 6\n", "2: threads.max_depth: must be 1 to 5, and is 6"),
            (
                "[threads]\nmax = 99999999999999999999\n",
                "2: threads.max: must be 1 to 1000, and is 99999999999999999999",
            ),
            ("[log]\nformat = \"yaml\"\n", "2: log.format: unknown value `yaml`; known are text, json"),
            ("[log]\nfilter = true\n", "2: log.filter: must be a text in \"quotes\", and is true or false"),
            (
                "[routes.m]\nprovider = \"script\"\n",
                "2: routes.m.provider: unknown value `script`; known are messages, chat-completions",
            ),
            (
                "[routes.\"m-*\"]\nkey = \"K\"\n",
                "1: routes.\"m-*\": `provider` is missing; give \"messages\" or \"chat-completions\"",
            ),
            (
                "[routes.m]\nprovider = \"messages\"\nconcurrency = 4097\n",
                "3: routes.m.concurrency: must be 1 to 4096, and is 4097",
            ),
            (
                "[routes.m]\nprovider = \"messages\"\nwindow = 0\n",
                "3: routes.m.window: must be 1 to 100000000, and is 0",
            ),
            (
                "[routes.m]\nprovider = \"messages\"\nheaders = { a = 1 }\n",
                "3: routes.m.headers.a: must be a text in \"quotes\", and is a whole number",
            ),
        ] {
            assert_eq!(mistakes(text), format!("heddle.toml:{said}"), "in {text}");
        }
    }

    #[test]
    fn a_text_that_is_no_toml_or_says_a_thing_twice_is_named_with_its_line() {
        assert_eq!(mistakes("data = \"a\"\ndata = \"b\"\n"), "heddle.toml:2: duplicate key `data`");
        assert_eq!(mistakes("[threads]\nmax = 1\n[threads]\n"), "heddle.toml:3: duplicate key `threads`");
        assert!(mistakes("data = \"a\"\n\nlisten = [\n").starts_with("heddle.toml:3: unclosed array"));
    }

    #[test]
    fn all_mistakes_are_told_at_once_in_the_order_of_their_lines() {
        assert_eq!(
            mistakes("zzzzzzzzzzzz = 1\nlisten = 2\n[log]\nformat = 3\n").lines().count(),
            3,
            "one line each"
        );
        let told = mistakes("listen = 2\n[log]\nformat = 3\n[cors]\norigins = 4\n");
        let lines: Vec<&str> = told.lines().filter_map(|line| line.split(':').nth(1)).collect();
        assert_eq!(lines, ["1", "3", "5"], "{told}");
    }

    #[test]
    fn a_file_that_was_named_must_be_there_and_another_need_not() {
        let gone = PathBuf::from("/is/not/there.toml");
        let wrong =
            read(Some((gone, Source::Variable("HEDDLE_CONFIG".into())))).expect_err("it is not there");
        let said = wrong.to_string();
        assert!(said.starts_with("cannot read /is/not/there.toml, which HEDDLE_CONFIG names: "), "{said}");
    }
}
