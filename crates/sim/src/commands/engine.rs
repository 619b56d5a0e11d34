//! `sim engine N`: a storm of the real engine on a faulty memory disk.

use std::io::{self, Write};

use sim::engine_storm::{self, EngineStorm};

/// How many lives, from which seed.
#[derive(Debug, clap::Args)]
pub(crate) struct EngineArgs {
    /// How many lives.
    #[arg(default_value_t = 500)]
    lives: u64,
    /// The seed of the first life.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(crate) fn run(args: EngineArgs, out: &mut dyn Write) -> io::Result<bool> {
    engine_storm::run(EngineStorm { seed: args.seed, lives: args.lives }, out)
}
