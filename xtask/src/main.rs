//! The broom: one tool that checks, tests and measures this repository (`cargo x VERB`).
#![expect(clippy::print_stdout, reason = "the broom talks to a person at a terminal")]

mod arch;
mod bench;
mod circles;
mod compat;
mod conform;
mod contract;
mod difference;
mod limits;
mod output;
mod paperwork;
mod python;
mod references;
mod run;
mod rust_file;
mod served;
mod steps;
mod table;
mod tally;
mod tidy;
mod tree;
mod walkthroughs;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::tree::Tree;

/// Checks, tests and measures Heddle.
#[derive(Debug, Parser)]
#[command(name = "cargo x", disable_help_subcommand = true)]
struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Formatting, lints, `arch` and `tidy`
    Check,
    /// Compares the dependency table of ARCHITECTURE.md with the crates
    Arch,
    /// Reads every source file and the paperwork for what lints cannot see
    Tidy,
    /// Everything that must hold before a change is done, step by step
    Test {
        /// Run this step alone
        #[arg(long, value_name = "STEP", value_parser = steps::NAMES)]
        only: Option<String>,
    },
    /// Replays lives of the simulator from one seed
    Storm {
        /// The seed that a failing storm printed
        #[arg(long)]
        seed: u64,
        /// How many lives, counted from that seed (without it the simulator decides)
        #[arg(long)]
        lives: Option<u64>,
    },
    /// Attacks on the real server: all rows of clients/attacks, also those that need root, loop devices or
    /// minutes
    Attack {
        /// In a small emulated Debian 12 instead: those that need cgroup v2, quotas of projects or systemd
        #[arg(long)]
        vm: bool,
        /// Only the rows whose title or file's name holds one of these
        names: Vec<String>,
    },
    /// The journey of clients/journey with every official client, also the versions that `test` leaves out
    Journey {
        /// Only the clients whose name holds one of these
        names: Vec<String>,
    },
    /// Sends the server requests, good and bad, that are made from its own /openapi.json
    Schema {
        /// How long, in minutes
        #[arg(long, default_value_t = 10)]
        minutes: u32,
        /// The seed that a failing run printed
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Measures the server, built for release, beside a ceiling on the same wire
    Bench {
        /// One run of two minutes, the only one there is yet
        #[arg(long)]
        quick: bool,
        /// A second binary of the server, measured in the same run
        #[arg(long, value_name = "BINARY", requires = "quick")]
        against: Option<PathBuf>,
    },
    /// Writes docs/limits.md from the constants in the source
    Limits,
    /// Writes docs/compatibility.md from the contract, the server's source and what the guests showed
    Conform {
        /// First rewrite clients/contract/contract.json from the official Python SDK
        #[arg(long)]
        refresh: bool,
        /// Only say how the contract of the newest official SDK differs from ours
        #[arg(long, conflicts_with = "refresh")]
        newest: bool,
    },
}

fn main() -> ExitCode {
    let Args { verb } = Args::parse();
    let ended = Tree::find().and_then(|tree| run(verb, &tree));
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            println!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one verb; `Ok(false)` means that it ran and found something wrong.
fn run(verb: Verb, tree: &Tree) -> Result<bool, String> {
    match verb {
        Verb::Check => steps::check(tree, &|line| println!("{line}")),
        Verb::Arch => Ok(report("arch", &arch::check(tree)?)),
        Verb::Tidy => Ok(report("tidy", &tidy::check(tree, &verbs())?)),
        Verb::Test { only } => steps::test(tree, only.as_deref()),
        Verb::Storm { seed, lives } => steps::storm(tree, seed, lives),
        Verb::Attack { vm, names } => steps::attack(tree, vm, &names),
        Verb::Journey { names } => steps::journey(tree, &names),
        Verb::Schema { minutes, seed } => steps::schema(tree, minutes, seed),
        Verb::Bench { quick, against } => bench::run(tree, quick, against.as_deref()),
        Verb::Limits => limits::run(tree),
        Verb::Conform { newest: true, .. } => conform::newest(tree),
        Verb::Conform { refresh, newest: false } => conform::run(tree, refresh),
    }
}

/// Prints what was found, one finding a line, and whether that is nothing.
fn report(verb: &str, findings: &[String]) -> bool {
    told(verb, findings, &|line| println!("{line}"))
}

/// The same, to whom it is told.
fn told(verb: &str, findings: &[String], tell: &dyn Fn(&str)) -> bool {
    for finding in findings {
        tell(&format!("{verb}: {finding}"));
    }
    if findings.is_empty() {
        tell(&format!("{verb}: ok"));
    } else {
        tell(&format!("{verb}: {} to mend", findings.len()));
    }
    findings.is_empty()
}

/// The verbs of `cargo x`, for the check that the README names only these.
fn verbs() -> Vec<String> {
    Args::command().get_subcommands().map(|verb| verb.get_name().to_owned()).collect()
}
