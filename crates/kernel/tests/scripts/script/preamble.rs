//! The lines of a script, and what stands before those that a test is about.

/// A line of a script.
pub(crate) struct Line {
    /// Where it stands in the text of the test, from one.
    pub(crate) number: usize,
    pub(crate) words: String,
    /// Whether it stands before the rule: it is played and not told.
    pub(crate) silent: bool,
}

/// Ends the preamble of a script that has one.
pub(crate) const RULE: &str = "---";

/// What many preambles begin with, by what a line `given …` calls it.
const GIVEN: [(&str, &[&str]); 7] = [
    ("look_up is called", &[r#"message "hi""#, "answer tool look_up"]),
    ("look_up and weigh are called", &[r#"message "hi""#, "answer tool look_up; tool weigh"]),
    ("write is asked about", &[r#"message "hi""#, "answer tool write"]),
    (
        "spinner works",
        &[r#"message "go""#, r#"answer tool create_agent {"agent": "spinner", "task": "spin"}"#],
    ),
    (
        "spinner and dyer work",
        &[
            r#"message "go""#,
            r#"answer tool create_agent {"agent": "spinner", "task": "spin"}; tool create_agent {"agent": "dyer", "task": "dye"}"#,
        ],
    ),
    (
        "spinner is waited for",
        &[r#"message "go""#, r#"answer tool Agent {"agent": "spinner", "task": "spin"}"#],
    ),
    (
        "spinner is waited for and dyer works",
        &[
            r#"message "go""#,
            r#"answer tool Agent {"agent": "spinner", "task": "spin"}; tool create_agent {"agent": "dyer", "task": "dye"}"#,
        ],
    ),
];

/// The lines of a script, those of its `given` among them, and the rule.
pub(crate) fn lines(script: &str) -> Vec<Line> {
    let numbered = script.lines().map(str::trim).zip(1..).filter(|(line, _)| !line.is_empty());
    let numbered: Vec<(&str, usize)> = numbered.collect();
    let first = numbered.iter().position(|(line, _)| *line == RULE).unwrap_or_default();
    let mut lines = Vec::new();
    for (place, (line, number)) in numbered.into_iter().enumerate() {
        let (silent, alone) = (place < first, [line]);
        let words: &[&str] = match line.strip_prefix("given ") {
            Some(name) if silent => given(name),
            _ => &alone,
        };
        lines.extend(words.iter().map(|words| Line { number, words: (*words).to_owned(), silent }));
    }
    lines
}

fn given(name: &str) -> &'static [&'static str] {
    let found = GIVEN.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("no such preamble: {name}")).1
}
