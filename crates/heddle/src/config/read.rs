//! Reads `heddle.toml`: finds each key's line, and every mistake in it at once.
//!
//! What may stand where is the schema of the types in `file`; this walks the text and the schema side by
//! side, because only the text knows its lines.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use protocol::near;
use serde::Deserialize as _;
use serde_json::Value as Schema;
use toml::{
    Spanned,
    de::{DeArray, DeInteger, DeTable, DeValue, Deserializer},
};

use super::{
    file::{self, SettingsFile, spelled},
    source::{SettingLines, SettingMistake, SettingSource},
};

/// What a file says, and on which lines; what is wrong in it counts as not said.
#[derive(Debug)]
pub(super) struct ReadSettings {
    pub(super) file: SettingsFile,
    pub(super) lines: SettingLines,
    pub(super) mistakes: Vec<SettingMistake>,
    /// Whether it is TOML, so that what is not said in it does not stand there.
    pub(super) legible: bool,
}

/// No file.
impl Default for ReadSettings {
    fn default() -> Self {
        Self {
            file: SettingsFile::default(),
            lines: SettingLines::default(),
            mistakes: Vec::new(),
            legible: true,
        }
    }
}

/// Reads the file that was `named` somewhere, or the one that is there by default, if it is there.
pub(super) fn read(named: Option<(PathBuf, SettingSource)>) -> ReadSettings {
    let path = named.as_ref().map_or(Path::new("heddle.toml"), |(path, _)| path);
    match std::fs::read_to_string(path) {
        Ok(text) => parse(path, &text),
        Err(wrong) if named.is_none() && wrong.kind() == std::io::ErrorKind::NotFound => {
            ReadSettings::default()
        }
        Err(wrong) => {
            let message = format!("cannot read {}: {wrong}", path.display());
            let source = match named {
                Some((_, source)) => source,
                None => SettingSource::File(path.into()),
            };
            ReadSettings {
                mistakes: vec![SettingMistake { source, message }],
                legible: false,
                ..ReadSettings::default()
            }
        }
    }
}

/// Reads `text`, the content of the file at `path`.
pub(super) fn parse(path: &Path, text: &str) -> ReadSettings {
    let mut walk = Walk { text, wrong: Vec::new(), keys: Vec::new() };
    let (mut document, errors) = DeTable::parse_recoverable(text);
    let mut legible = true;
    for wrong in &errors {
        // The library says that there is one, and where, but not which.
        let twice = wrong.message() == "duplicate key";
        let key = wrong.span().filter(|_| twice).and_then(|span| text.get(span));
        let key = key.map(|key| format!(" `{}`", key.trim_matches('"'))).unwrap_or_default();
        // What follows on the same line follows from the first.
        if walk.wrong.iter().all(|(at, _)| walk.line(*at) != walk.line(start(wrong))) {
            walk.wrong(start(wrong), &format!("{}{key}", wrong.message()));
        }
        legible &= twice;
    }
    let mut file = SettingsFile::default();
    if legible {
        walk.table(file::schema().as_value(), document.get_mut(), "");
        match SettingsFile::deserialize(Deserializer::from(document)) {
            Ok(read) => file = read,
            // What only the type itself knows.
            Err(wrong) => {
                let at = start(&wrong);
                let key = walk.keys.iter().rev().find(|key| key.value.contains(&at));
                let named = key.map(|key| format!("{}: ", key.path)).unwrap_or_default();
                walk.wrong(at, &format!("{named}{}", wrong.message()));
            }
        }
    }
    ReadSettings { file, lines: walk.lines(path), mistakes: walk.mistakes(path), legible }
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

    fn lines(&self, path: &Path) -> SettingLines {
        let of = self.keys.iter().map(|key| (key.path.clone(), self.line(key.at))).collect();
        SettingLines { file: path.into(), of }
    }

    fn mistakes(mut self, path: &Path) -> Vec<SettingMistake> {
        self.wrong.sort();
        let mistake = |(at, message): &(usize, String)| SettingMistake {
            source: SettingSource::Line { file: path.into(), line: self.line(*at) },
            message: message.clone(),
        };
        self.wrong.iter().map(mistake).collect()
    }

    /// Finds the keys of `table` and what is wrong there, and takes what is wrong out of it.
    fn table(&mut self, schema: &Schema, table: &mut DeTable<'_>, path: &str) {
        let mut wrong = Vec::new();
        for (key, value) in table.iter_mut() {
            if !self.entry(schema, key, value, path) {
                wrong.push(key.get_ref().clone().into_owned());
            }
        }
        for name in &wrong {
            table.remove(name.as_str());
        }
    }

    /// Whether what one key of a table says may stand.
    fn entry(
        &mut self,
        schema: &Schema,
        key: &Spanned<Cow<'_, str>>,
        value: &mut Spanned<DeValue<'_>>,
        path: &str,
    ) -> bool {
        let (name, at): (&str, _) = (key.get_ref(), key.span().start);
        let inner = if path.is_empty() { spelled(name) } else { format!("{path}.{}", spelled(name)) };
        let known = schema["properties"].as_object();
        let schema = match known {
            Some(known) => known.get(name),
            None => Some(&schema["additionalProperties"]),
        };
        let Some(schema) = schema else {
            let known: Vec<&str> = known.into_iter().flatten().map(|(known, _)| known.as_str()).collect();
            let elsewhere = if path.is_empty() { belongs(name) } else { None };
            self.wrong(at, &elsewhere.unwrap_or_else(|| unknown("key", name, &known)));
            return false;
        };
        self.keys.push(Key { path: inner.clone(), at, value: value.span() });
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Schema::as_str);
        let given =
            |value: &DeValue<'_>, name: &str| value.as_table().is_some_and(|at| at.contains_key(name));
        for missing in
            required.clone().filter(|name| value.get_ref().is_table() && !given(value.get_ref(), name))
        {
            let one_of = choices(&schema["properties"][missing]).join(" or ");
            self.wrong(at, &format!("{inner}: `{missing}` is missing; give {one_of}"));
        }
        let right = self.value(schema, value, &inner);
        // So that the rest of the table can be judged, too.
        if let DeValue::Table(table) = value.get_mut() {
            for name in required.filter(|name| !table.contains_key(*name)).collect::<Vec<_>>() {
                let any = choices(&schema["properties"][name]).into_iter().next().unwrap_or_default();
                let any = DeValue::String(Cow::Owned(any.trim_matches('"').to_owned()));
                table.insert(Spanned::new(0..0, Cow::Owned(name.to_owned())), Spanned::new(0..0, any));
            }
        }
        right
    }

    /// Whether a value may stand.
    fn value(&mut self, schema: &Schema, value: &mut Spanned<DeValue<'_>>, path: &str) -> bool {
        // What may be anything is what JSON can say.
        if schema.as_bool() == Some(true) {
            return self.json(value, path);
        }
        let at = value.span().start;
        let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or("string");
        let wrong = match (kind, value.get_mut()) {
            ("object", DeValue::Table(table)) => {
                self.table(schema, table, path);
                None
            }
            ("array", DeValue::Array(values)) => {
                for mut value in std::mem::replace(values, DeArray::new()) {
                    if self.value(&schema["items"], &mut value, path) {
                        values.push(value);
                    }
                }
                None
            }
            ("integer", DeValue::Integer(number)) => outside(schema, number),
            ("string", DeValue::String(text)) => {
                let choices = choices(schema);
                let choices: Vec<&str> = choices.iter().map(|choice| choice.trim_matches('"')).collect();
                let one = choices.is_empty() || choices.contains(&text.as_ref());
                (!one).then(|| unknown("value", text, &choices))
            }
            (kind, other) => Some(format!("must be {}, and is {}", expected(kind), found(other))),
        };
        if let Some(wrong) = &wrong {
            self.wrong(at, &format!("{path}: {wrong}"));
        }
        wrong.is_none()
    }

    /// Whether JSON can say a value.
    fn json(&mut self, value: &Spanned<DeValue<'_>>, path: &str) -> bool {
        let wrong = match value.get_ref() {
            DeValue::Array(values) => {
                return values.iter().all(|value| self.json(value, path));
            }
            DeValue::Table(table) => {
                return table.iter().all(|(_, value)| self.json(value, path));
            }
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).is_err(),
            DeValue::Float(number) => !number.as_str().parse::<f64>().is_ok_and(f64::is_finite),
            DeValue::Datetime(_) => true,
            DeValue::String(_) | DeValue::Boolean(_) => false,
        };
        if wrong {
            let found = found(value.get_ref());
            self.wrong(
                value.span().start,
                &format!("{path}: must be what JSON can say, and is {found} that it cannot"),
            );
        }
        !wrong
    }
}

/// The values that a text may have, quoted, if they are known.
pub(super) fn choices(schema: &Schema) -> Vec<String> {
    let listed = schema["enum"].as_array().into_iter().flatten();
    let described = schema["oneOf"].as_array().into_iter().flatten().map(|choice| &choice["const"]);
    listed.chain(described).filter_map(Schema::as_str).map(|choice| format!("{choice:?}")).collect()
}

pub(super) fn unknown(what: &str, given: &str, known: &[&str]) -> String {
    let all = known.join(", ");
    match near::nearest(given, known.iter().copied()) {
        Some(near) => format!("unknown {what} `{given}`; did you mean `{near}`? Known are {all}"),
        None => format!("unknown {what} `{given}`; known are {all}"),
    }
}

/// Of a key that stands above all tables and belongs in some: in which.
fn belongs(name: &str) -> Option<String> {
    let schema = file::schema().to_value();
    let tables = schema["properties"].as_object().into_iter().flatten();
    let homes = tables.filter_map(|(table, inner)| {
        if inner["properties"][name].is_object() {
            Some(format!("[{table}]"))
        } else if inner["additionalProperties"]["properties"][name].is_object() {
            Some(format!("[{table}.\"…\"]"))
        } else {
            None
        }
    });
    let homes: Vec<String> = homes.collect();
    (!homes.is_empty()).then(|| format!("`{name}` belongs in a table: write it below {}", homes.join(" or ")))
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
        let mistakes = parse(Path::new("heddle.toml"), text).mistakes;
        mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_key_that_is_unknown_is_named_with_its_line_and_the_nearest_one_on_every_level() {
        for (text, said) in [
            (
                "listen = \"127.0.0.1:1\"\ndate = \"x\"\n",
                "2: unknown key `date`; did you mean `data`? Known are listen, data, extra_ca, sandbox, threads, \
                 cache, log, cors, routes",
            ),
            (
                "\n[sandbox]\nmod = \"off\"\n",
                "3: unknown key `mod`; did you mean `mode`? Known are mode, readonly, uids, user, jails, keep_days, \
                 memory_mib, memory_free_mib, disk_mib, disk_free_mib",
            ),
            (
                "[thread]\nmax = 1\n",
                "1: unknown key `thread`; did you mean `threads`? Known are listen, data, extra_ca, sandbox, threads, \
                 cache, log, cors, routes",
            ),
            (
                "[threads]\nmax_deep = 1\n",
                "2: unknown key `max_deep`; did you mean `max_depth`? Known are max, max_depth",
            ),
            (
                "[log]\nformatt = \"json\"\n",
                "2: unknown key `formatt`; did you mean `format`? Known are format, filter",
            ),
            ("[cors]\norigin = []\n", "2: unknown key `origin`; did you mean `origins`? Known are origins"),
            (
                "[routes.\"m-*\"]\nprovider = \"messages\"\nbase_uri = \"x\"\n",
                "3: unknown key `base_uri`; did you mean `base_url`? Known are provider, base_url, key, key_file, \
                 window, max_output, concurrency, attempts, connect, silence, first_byte, headers, body, leave_out",
            ),
            ("[log]\nqqqqqqqqqqq = 1\n", "2: unknown key `qqqqqqqqqqq`; known are format, filter"),
        ] {
            assert_eq!(mistakes(text), format!("heddle.toml:{said}"));
        }
    }

    #[test]
    fn a_key_that_stands_above_the_table_it_belongs_in_is_sent_there() {
        for (text, said) in [
            ("base_url = \"x\"\n", "`base_url` belongs in a table: write it below [routes.\"…\"]"),
            ("readonly = []\n", "`readonly` belongs in a table: write it below [sandbox]"),
            ("max_depth = 1\n", "`max_depth` belongs in a table: write it below [threads]"),
        ] {
            assert_eq!(mistakes(text), format!("heddle.toml:1: {said}"));
        }
        assert!(mistakes("[log]\nmax_depth = 1\n").starts_with("heddle.toml:2: unknown key `max_depth`; "));
    }

    #[test]
    fn a_value_of_the_wrong_kind_or_out_of_bounds_is_named_with_its_line() {
        for (text, said) in [
            ("listen = 3\n", "1: listen: must be a text in \"quotes\", and is a whole number"),
            ("sandbox = 1\n", "1: sandbox: must be a table, and is a whole number"),
            (
                "[sandbox]\nreadonly = \"/x\"\n",
                "2: sandbox.readonly: must be a list in [brackets], and is a text",
            ),
            (
                "[sandbox]\nreadonly = [\n\"/x\",\n4]\n",
                "4: sandbox.readonly: must be a text in \"quotes\", and is a whole number",
            ),
            (
                "[sandbox]\nmode = \"of\"\n",
                "2: sandbox.mode: unknown value `of`; did you mean `off`? Known are local, off",
            ),
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
    fn what_a_route_may_not_be_set_to_is_named_with_its_line() {
        for (rest, said) in [
            ("silence = 0\n", "3: routes.m.silence: must be 1 to 86400, and is 0"),
            ("first_byte = 86401\n", "3: routes.m.first_byte: must be 1 to 86400, and is 86401"),
            ("connect = 1.5\n", "3: routes.m.connect: must be a whole number, and is a number with a point"),
            ("attempts = 101\n", "3: routes.m.attempts: must be 1 to 100, and is 101"),
            (
                "silense = 5\n",
                "3: unknown key `silense`; did you mean `silence`? Known are provider, base_url, key, key_file, window, \
                 max_output, concurrency, attempts, connect, silence, first_byte, headers, body, leave_out",
            ),
            (
                "leave_out = [\"cache_control\",\n\"stream_option\"]\n",
                "4: routes.m.leave_out: unknown value `stream_option`; did you mean `stream_options`? Known are \
                 stream_options, max_tokens, max_completion_tokens, cache_control",
            ),
            ("body = \"temperature\"\n", "3: routes.m.body: must be a table, and is a text"),
            (
                "[routes.m.body]\na = [{ b = 1 }, { b = nan }]\n",
                "4: routes.m.body.a: must be what JSON can say, and is a number with a point that it cannot",
            ),
            (
                "body = { a = 1979-05-27 }\n",
                "3: routes.m.body.a: must be what JSON can say, and is a time that it cannot",
            ),
            (
                "body = { a = 99999999999999999999 }\n",
                "3: routes.m.body.a: must be what JSON can say, and is a whole number that it cannot",
            ),
        ] {
            let text = format!("[routes.m]\nprovider = \"messages\"\n{rest}");
            assert_eq!(mistakes(&text), format!("heddle.toml:{said}"), "in {text}");
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
    fn what_is_wrong_counts_as_not_said_and_the_rest_is_read() {
        let text = "data = 3\nextra_ca = \"a.pem\"\n[routes.m]\nkey = \"K\"\nwindow = 0\nmax_output = 9\n\
                    [cors]\norigins = [\"https://a\", 4]\n";
        let read = parse(Path::new("heddle.toml"), text);
        assert_eq!(read.mistakes.len(), 4, "{:?}", read.mistakes);
        let route = &read.file.routes["m"];
        assert_eq!((route.key.as_deref(), route.window, route.max_output), (Some("K"), None, Some(9)));
        assert_eq!(read.file.data, SettingsFile::default().data);
        assert_eq!(
            (read.file.extra_ca, read.file.cors.origins),
            (Some("a.pem".into()), vec!["https://a".into()])
        );
    }

    #[test]
    fn all_that_is_no_toml_is_told_at_once() {
        let told = mistakes("data = a\nlisten = \"x\n[log]\nformat == \"json\"\n");
        let lines: Vec<&str> = told.lines().filter_map(|line| line.split(':').nth(1)).collect();
        assert_eq!(lines, ["1", "2", "4"], "{told}");
    }

    #[test]
    fn a_file_that_was_named_must_be_there_and_another_need_not() {
        let gone = PathBuf::from("/is/not/there.toml");
        let read = read(Some((gone, SettingSource::Variable("HEDDLE_CONFIG".into()))));
        let said = read.mistakes[0].to_string();
        assert!(said.starts_with("HEDDLE_CONFIG: cannot read /is/not/there.toml: "), "{said}");
    }
}
