//! `heddle completions`: what a shell must know to complete our command line.

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;

use crate::{Cli, Outcome, say};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// For which shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "For bash, in ~/.bashrc:\n    source <(heddle completions bash)\n\n\
For zsh, into a folder of $fpath:\n    heddle completions zsh > ~/.zfunc/_heddle\n\n\
For fish:\n    heddle completions fish > ~/.config/fish/completions/heddle.fish")]
pub(crate) struct CompleteFlags {
    /// The shell.
    shell: Shell,
}

pub(crate) fn run(flags: &CompleteFlags) -> Outcome {
    let whole = Cli::command();
    // What only the server itself starts is no word to complete.
    let verbs = whole.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned();
    let mut shown = Command::new("heddle").version(VERSION).propagate_version(true).subcommands(verbs);
    let mut script = Vec::new();
    clap_complete::generate(flags.shell, &mut shown, "heddle", &mut script);
    say(&String::from_utf8(script)?);
    Ok(())
}
