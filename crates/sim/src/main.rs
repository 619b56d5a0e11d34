//! The storm's program: each subcommand is a module of `commands`.

mod commands;

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Lives of sessions under dice.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Small lives of about 60 steps, with every kind of mishap.
    Small(commands::small::SmallArgs),
    /// Wide lives of 1,000 steps.
    Wide(commands::wide::WideArgs),
    /// The lives of a few seeds, with their whole logs: what to run on the seed of a failing storm.
    Storm(commands::storm::StormArgs),
    /// Lives of sessions with a coordinator and its children.
    Team(commands::team::TeamArgs),
    /// Lives of sessions whose provider refuses by content, by size and by order.
    Stern(commands::stern::SternArgs),
    /// The real engine on a faulty memory disk, with clients, readers and power cuts.
    Engine(commands::engine::EngineArgs),
}

fn main() -> io::Result<ExitCode> {
    let mut out = io::stdout();
    let well = match Args::parse().command {
        Command::Small(args) => commands::small::run(args, &mut out),
        Command::Wide(args) => commands::wide::run(args, &mut out),
        Command::Storm(args) => commands::storm::run(args, &mut out),
        Command::Team(args) => commands::team::run(args, &mut out),
        Command::Stern(args) => commands::stern::run(args, &mut out),
        Command::Engine(args) => commands::engine::run(args, &mut out),
    };
    Ok(if well? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
