//! `sim team N`: a storm of sessions with several threads.

use std::io::{self, Write};

use sim::team::{self, TeamStorm};

/// How many lives, from which seed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
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

pub(crate) fn run(args: Args, out: &mut dyn Write) -> io::Result<bool> {
    if args.tell {
        return team::tell(args.seed, out);
    }
    team::run(TeamStorm { seed: args.seed, lives: args.lives }, out)
}
