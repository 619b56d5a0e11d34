//! The lines of a script, and what stands before those that a test is about.

/// A line of a script.
pub(crate) struct Line {
    /// Which of the script's lines it is or stands for, from one.
    pub(crate) number: usize,
    pub(crate) words: String,
    /// Whether it stands before the rule: it is played and not told.
    pub(crate) silent: bool,
}

/// Ends the preamble of a script that has one.
pub(crate) const RULE: &str = "---";

/// What many preambles begin with, by what a line `given …` calls it.
const GIVEN: [(&str, &str); 5] = [
    (
        "look_up is called",
        r#"
        message "hi"
        answer tool look_up
        "#,
    ),
    (
        "look_up and weigh are called",
        r#"
        message "hi"
        answer tool look_up; tool weigh
        "#,
    ),
    (
        "write is asked about",
        r#"
        message "hi"
        answer tool write
        "#,
    ),
    (
        "spinner is waited for",
        r#"
        message "go"
        answer tool Agent {"agent": "spinner", "task": "spin"}
        "#,
    ),
    (
        "spinner and dyer work",
        r#"
        message "go"
        answer tool create_agent {"agent": "spinner", "task": "spin"}; tool create_agent {"agent": "dyer", "task": "dye"}
        "#,
    ),
];

/// The lines of a script, those of its `given` among them, and the rule.
pub(crate) fn lines(script: &str) -> Vec<Line> {
    let mut silent = written(script).any(|words| words == RULE);
    let mut lines = Vec::new();
    for (words, number) in written(script).zip(1..) {
        silent &= words != RULE;
        let line = |words: &str| Line { number, words: words.to_owned(), silent };
        match words.strip_prefix("given ") {
            Some(name) if silent => lines.extend(written(given(name)).map(line)),
            Some(_) | None => lines.push(line(words)),
        }
    }
    lines
}

fn written(script: &str) -> impl Iterator<Item = &str> {
    script.lines().map(str::trim).filter(|line| !line.is_empty())
}

fn given(name: &str) -> &'static str {
    let found = GIVEN.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("no such preamble: {name}")).1
}
