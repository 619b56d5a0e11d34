//! What the shells are told of the command line.

use std::process::{Command, Stdio};

use crate::house::{heddle, text};

fn script(shell: &str) -> String {
    let output = heddle(&["completions", shell]).output().expect("it runs");
    assert!(output.status.success(), "{:?}", text(&output));
    text(&output).0
}

#[test]
fn every_shell_gets_a_script() {
    for (shell, sign) in [
        ("bash", "complete -F _heddle"),
        ("zsh", "#compdef heddle"),
        ("fish", "complete -c heddle"),
        ("elvish", "edit:completion:arg-completer[heddle]"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let script = script(shell);
        assert!(script.contains(sign) && script.contains("doctor"), "{shell}");
        assert!(
            !script.contains("The inside of a sandbox") && !script.contains("heddle__jail"),
            "{shell} is told what only the server itself starts"
        );
    }
    let wrong = heddle(&["completions", "csh"]).output().expect("it runs");
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn bash_reads_the_script_and_completes_with_it() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("heddle.bash");
    std::fs::write(&file, script("bash")).expect("written");
    let file = file.to_str().expect("a plain path");
    let bash = |arguments: &[&str]| {
        let output = Command::new("bash").args(arguments).stdin(Stdio::null()).output().expect("it runs");
        assert!(output.status.success(), "{:?}", text(&output));
        text(&output).0
    };
    bash(&["-n", file]);
    // What bash itself does when a person presses the key.
    let press = "source \"$1\"; shift; COMP_WORDS=(\"$@\"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); \
                 _heddle \"$1\" \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD - 1]}\"; \
                 printf '%s\\n' \"${COMPREPLY[@]}\"";
    for (typed, offered) in [
        (&["heddle", "do"][..], "doctor\n"),
        (&["heddle", "serve", "--log-f"], "--log-format\n"),
        (&["heddle", "serve", "--log-format", ""], "text\njson\n"),
        (&["heddle", "models", "li"], "list\n"),
        (&["heddle", "doctor", "--ro"], "--routes\n"),
        (&["heddle", "completions", "ba"], "bash\n"),
    ] {
        let arguments = [&["-c", press, "bash", file], typed].concat();
        assert_eq!(bash(&arguments), offered, "after {typed:?}");
    }
}
