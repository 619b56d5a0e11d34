//! `sim wide N`: a storm of wide lives.

use std::io::{self, Write};

use sim::size::LifeSize;
use sim::storm::{self, Storm};

/// How many lives, from which seed.
#[derive(Debug, clap::Args)]
pub(crate) struct WideArgs {
    /// How many lives.
    #[arg(default_value_t = 1000)]
    lives: u64,
    /// The seed of the first life.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(crate) fn run(args: WideArgs, out: &mut dyn Write) -> io::Result<bool> {
    storm::run(Storm { size: LifeSize::Wide, seed: args.seed, lives: args.lives }, out)
}
