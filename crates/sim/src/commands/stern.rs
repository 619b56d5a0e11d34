//! `sim stern N`: a storm of sessions whose provider refuses by content, by size and by order.

use std::io::{self, Write};

use sim::stern::{self, SternStorm};

/// How many lives, from which seed.
#[derive(Debug, clap::Args)]
pub(crate) struct SternArgs {
    /// How many lives.
    #[arg(default_value_t = 10000)]
    lives: u64,
    /// The seed of the first life.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Tells the life of the seed with its whole log, and no other.
    #[arg(long)]
    tell: bool,
}

pub(crate) fn run(args: SternArgs, out: &mut dyn Write) -> io::Result<bool> {
    if args.tell {
        return stern::tell(args.seed, out);
    }
    stern::run(SternStorm { seed: args.seed, lives: args.lives }, out)
}
