//! The environment: the one place where it is read, and the names in it that nobody reads.

use std::collections::BTreeSet;
use std::ffi::OsStr;

use protocol::near;

/// Variables that are no flag's.
pub(crate) const API_KEY: &str = "HEDDLE_API_KEY";
pub(crate) const BASE_URL: &str = "HEDDLE_ANTHROPIC_BASE_URL";
/// How the name of every variable of ours begins.
const OURS: &str = "HEDDLE_";

fn says_nothing(value: &str) -> bool {
    value.trim().is_empty()
}

/// Reads one environment variable; blank counts as unset. What is no text is not taken for unset: signs of it
/// stand in its place, and are refused where the value is looked at.
#[expect(clippy::disallowed_methods, reason = "settings are read here and nowhere else")]
pub(crate) fn variable(name: &str) -> Option<String> {
    let value = std::env::var_os(name)?;
    Some(value.to_string_lossy().into_owned()).filter(|value| !says_nothing(value))
}

/// The names of all variables that begin like ours.
#[expect(clippy::disallowed_methods, reason = "settings are read here and nowhere else")]
pub(crate) fn names() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| name.starts_with(OURS)).collect()
}

/// Whether a variable is set to nothing, as a file of variables may leave one.
#[expect(clippy::disallowed_methods, reason = "settings are read here and nowhere else")]
fn is_blank(name: &OsStr) -> bool {
    std::env::var(name).is_ok_and(|value| says_nothing(&value))
}

/// `command`, where a blank variable counts as unset for flags, too.
pub(crate) fn without_blank(command: clap::Command) -> clap::Command {
    let blank = |flag: &clap::Arg| flag.get_env().is_some_and(is_blank);
    let command = command.mut_args(|flag| if blank(&flag) { flag.env(None::<&str>) } else { flag });
    command.mut_subcommands(without_blank)
}

/// Every variable that a verb of `command` reads, and ours that are no flag's.
pub(crate) fn known(command: &clap::Command) -> BTreeSet<String> {
    let mut known = BTreeSet::from([API_KEY.to_owned(), BASE_URL.to_owned()]);
    let mut verbs = vec![command];
    while let Some(verb) = verbs.pop() {
        let variables = verb.get_arguments().filter_map(clap::Arg::get_env);
        known.extend(variables.map(|name| name.to_string_lossy().into_owned()));
        verbs.extend(verb.get_subcommands());
    }
    known
}

/// What to say of those of `names` that are not `known`.
pub(crate) fn strays(names: &[String], known: &BTreeSet<String>) -> Vec<String> {
    let strays = names.iter().filter(|name| !known.contains(*name));
    let known: Vec<&str> = known.iter().filter_map(|name| name.strip_prefix(OURS)).collect();
    let said = strays.map(|name| {
        match near::nearest(name.strip_prefix(OURS).unwrap_or(name), known.iter().copied()) {
            Some(near) => format!("nothing reads the variable {name}; did you mean {OURS}{near}?"),
            None => {
                format!(
                    "nothing reads the variable {name}; known are {OURS}{}",
                    known.join(&format!(", {OURS}"))
                )
            }
        }
    });
    said.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn a_variable_that_nobody_reads_is_named_with_the_nearest_that_is_read() {
        let known = known(&crate::Cli::command());
        for name in ["HEDDLE_API_KEY", "HEDDLE_LISTEN", "HEDDLE_LOG_FORMAT", "HEDDLE_URL"] {
            assert!(known.contains(name), "{name} is read");
        }
        let names = ["HEDDLE_DATA", "HEDDLE_LOGFORMAT", "HEDDLE_QQQQQQQQQQQQQQQQ"].map(String::from);
        let said = strays(&names, &known);
        assert_eq!(said[0], "nothing reads the variable HEDDLE_LOGFORMAT; did you mean HEDDLE_LOG_FORMAT?");
        assert!(said[1].contains("known are HEDDLE_ANTHROPIC_BASE_URL, "), "{said:?}");
        assert_eq!(said.len(), 2);
    }
}
