//! The processor time of two servers for the same number of turns. Unlike the rates of the quick run it
//! hardly minds who else uses the cores.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Outcome;
use crate::load;
use crate::subject::{self, MeasuredServer};

/// One lot: so many clients with so many fresh sessions of so many turns.
const CLIENTS: usize = 64;
const SESSIONS: usize = 2;
const TURNS: usize = 8;

/// Measures and prints.
pub(crate) async fn run(binaries: [PathBuf; 2], place: &Path, rounds: usize) -> Outcome<()> {
    let place = tempfile::tempdir_in(place)?;
    let place = place.path();
    let models = [subject::model(Duration::ZERO, place).await?, subject::model(Duration::ZERO, place).await?];
    let mut subjects = Vec::new();
    for (at, binary) in binaries.iter().enumerate() {
        subjects.push(MeasuredServer::heddle(binary, &place.join(at.to_string()), &models, "").await?);
    }
    let mut costs = [Vec::new(), Vec::new()];
    for round in 0..=rounds {
        for at in [round % 2, 1 - round % 2] {
            let subject = &subjects[at];
            let before = subject.process.cpu()?;
            load::equal(subject, CLIENTS, SESSIONS, TURNS).await?;
            let took = subject.process.cpu()?.saturating_sub(before);
            // The first lot warms up.
            if round > 0 {
                costs[at].push(took.as_secs_f64() * 1e3 / (CLIENTS * SESSIONS * TURNS) as f64);
            }
        }
    }
    for (binary, costs) in binaries.iter().zip(&mut costs) {
        costs.sort_unstable_by(f64::total_cmp);
        let (least, most) = (costs.first().ok_or("no round")?, costs.last().ok_or("no round")?);
        let median = costs[costs.len() / 2];
        let name = binary.display();
        crate::say(&format!(
            "{median:.3} CPU-ms a turn ({least:.3}–{most:.3}), its session and stream included: {name}"
        ));
    }
    Ok(())
}
