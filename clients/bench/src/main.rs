//! Measures the server's speed and memory: a load client, two model servers that do not think, and a ceiling.
//!
//! `bench quick --heddle BINARY [--against BINARY]` prints one table; the other verbs are the processes that
//! it starts.

mod ceiling;
mod cost;
mod line;
mod load;
mod memory;
mod model;
mod quick;
mod subject;
mod table;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

/// What went wrong, for the person at the terminal.
type Wrong = Box<dyn Error + Send + Sync>;
type Outcome<T> = Result<T, Wrong>;

/// Measures the server's speed and memory.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Options {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// One run of two minutes: creating, turns, CPU and memory, beside a ceiling on the same wire
    Quick {
        /// The server's binary, built for release
        #[arg(long)]
        heddle: PathBuf,
        /// A second one, measured in the same run
        #[arg(long)]
        against: Option<PathBuf>,
        /// Where the data directories are made: on the disk that is to be measured
        #[arg(long)]
        place: PathBuf,
    },
    /// The CPU of two servers for the same turns, turn about: for who looks where it goes
    Cost {
        /// The server's binary, built for release
        #[arg(long)]
        heddle: PathBuf,
        /// A second one
        #[arg(long)]
        against: PathBuf,
        /// Where the data directories are made
        #[arg(long)]
        place: PathBuf,
        /// How often each has its turn
        #[arg(long, default_value_t = 10)]
        rounds: usize,
    },
    /// A model server that reads no request and answers with the same bytes each time
    Model {
        /// How long it takes, in milliseconds
        #[arg(long, default_value_t = 0)]
        delay_ms: u64,
    },
    /// A server that keeps the wire and the two commits of a turn, and no rule
    Ceiling {
        /// Its database
        #[arg(long)]
        database: PathBuf,
        /// The model server behind the agent `quick`
        #[arg(long)]
        quick: String,
        /// The model server behind the agent `slow`
        #[arg(long)]
        slow: String,
    },
}

fn main() -> ExitCode {
    match run(Options::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            say(&format!("error: {why}"));
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Outcome<()> {
    let mut one = tokio::runtime::Builder::new_current_thread();
    match verb {
        // One thread for the client and one for each model leaves as much as can be to who is measured.
        Verb::Quick { heddle, against, place } => {
            one.enable_all().build()?.block_on(quick::run(heddle, against, &place))
        }
        Verb::Cost { heddle, against, place, rounds } => {
            one.enable_all().build()?.block_on(cost::run([heddle, against], &place, rounds))
        }
        Verb::Model { delay_ms } => {
            one.enable_all().build()?.block_on(model::serve(Duration::from_millis(delay_ms)))
        }
        Verb::Ceiling { database, quick, slow } => {
            let many = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            many.block_on(ceiling::serve(&database, [quick, slow]))
        }
    }
}

#[expect(clippy::print_stdout, reason = "the report, and where a process listens")]
fn say(line: &str) {
    println!("{line}");
}
