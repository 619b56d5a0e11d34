//! `sim storm --seed N`: the lives of a few seeds, told whole.

use std::io::{self, Write};

use sim::size::LifeSize;
use sim::storm;

/// Which lives.
#[derive(Debug, clap::Args)]
pub(crate) struct StormArgs {
    /// The first seed.
    #[arg(long)]
    seed: u64,
    /// How many seeds; each is lived small and wide.
    #[arg(long, default_value_t = 1)]
    lives: u64,
}

pub(crate) fn run(args: StormArgs, out: &mut dyn Write) -> io::Result<bool> {
    let (mut passed, mut failed) = (0_u64, 0_u64);
    for life in 0..args.lives {
        for size in [LifeSize::Small, LifeSize::Wide] {
            if storm::tell(args.seed.wrapping_add(life), size, out)? {
                passed += 1;
            } else {
                failed += 1;
            }
        }
    }
    writeln!(out, "{passed} passed, {failed} failed")?;
    Ok(failed == 0)
}
