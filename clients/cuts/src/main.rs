//! Power cuts: the real server is killed at random moments while clients work; then what it shows is judged.
//!
//! A kind of cuts is a [`kind::Client`] and a [`kind::CutsJudge`]; what all kinds share stands once, in
//! [`run`]. `HEDDLE_BIN` and `MODEL_SERVER_BIN` name the binaries.

mod agent;
mod caller;
mod event;
mod hitch;
mod kind;
mod ledger;
mod list;
mod plain;
mod process;
mod run;
mod servers;
mod session;
mod stream;
mod team;
mod tools;

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The real server, killed at random moments while clients work.
#[derive(Parser)]
#[command(name = "cuts")]
struct Options {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Subcommand)]
enum Kind {
    /// While clients speak, answer calls, interrupt and follow their sessions
    Plain(run::CutsArgs),
    /// While agents run commands
    Tools(run::CutsArgs),
    /// While coordinators and their children work
    Team(run::CutsArgs),
}

fn main() -> io::Result<ExitCode> {
    let mut out = io::stdout();
    let well = match Options::parse().kind {
        Kind::Plain(args) => run::run::<plain::judge::PlainJudge>(args, &mut out),
        Kind::Tools(args) => run::run::<tools::judge::ToolsJudge>(args, &mut out),
        Kind::Team(args) => run::run::<team::judge::TeamJudge>(args, &mut out),
    };
    Ok(if well? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
