//! The door of the tests, which a release has not: through it one thread or task of the server panics.

use engine::Engine;
use server::End;
use tools::LocalHands;

use crate::{log, supervise::Vital, terminal};

/// Lets the thread or task of this name panic.
pub(crate) fn door(engine: &Engine, hands: &LocalHands) -> End {
    let (engine, hands) = (engine.clone(), hands.clone());
    End::new(move |name| end_one(engine.clone(), hands.clone(), name))
}

async fn end_one(engine: Engine, hands: LocalHands, name: String) -> bool {
    let Some(vital) = Vital::ALL.into_iter().find(|vital| vital.name() == name) else { return false };
    match vital {
        Vital::StoreWriter | Vital::StoreReader => return engine.store().break_thread(&name).await,
        Vital::SandboxKeeper => hands.end_a_keeping(),
        Vital::LogWriter => {
            let Some(lines) = log::lines() else { return false };
            lines.end();
        }
        Vital::OutWriter => {
            let Some(lines) = terminal::lines() else { return false };
            lines.end();
        }
        Vital::EngineSweep
        | Vital::EnginePins
        | Vital::EngineLease
        | Vital::EngineRecovery
        | Vital::SessionRecovery
        | Vital::SessionCommits
        | Vital::SessionFollower
        | Vital::SessionJob
        | Vital::SandboxSweep
        | Vital::SandboxWatch
        | Vital::KeyWatch
        | Vital::AcceptLoop
        | Vital::Signals => engine.ends().end(&name),
    }
    true
}
