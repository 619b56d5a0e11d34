//! `sim small N`: a storm of small lives.

use std::io::{self, Write};

use sim::size::LifeSize;
use sim::storm::{self, Storm};

/// How many lives, from which seed.
#[derive(Debug, clap::Args)]
pub(crate) struct SmallArgs {
    /// How many lives.
    #[arg(default_value_t = 20000)]
    lives: u64,
    /// The seed of the first life.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(crate) fn run(args: SmallArgs, out: &mut dyn Write) -> io::Result<bool> {
    storm::run(Storm { size: LifeSize::Small, seed: args.seed, lives: args.lives }, out)
}
