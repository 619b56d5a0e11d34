//! `sim team N`: a storm of sessions with several threads.

use std::io::{self, Write};

use sim::size::LifeSize;
use sim::storm::{self, Storm};

/// How many lives, from which seed.
#[derive(Debug, clap::Args)]
pub(crate) struct TeamArgs {
    /// How many lives.
    #[arg(default_value_t = 5000)]
    lives: u64,
    /// The seed of the first life.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Tells the life of the seed with its whole log, and no other.
    #[arg(long)]
    tell: bool,
}

pub(crate) fn run(args: TeamArgs, out: &mut dyn Write) -> io::Result<bool> {
    if args.tell {
        return storm::tell(args.seed, LifeSize::Team, out);
    }
    storm::run(Storm { size: LifeSize::Team, seed: args.seed, lives: args.lives }, out)
}
