//! The door of the tests, which a release has not: through it one thread or task of the server panics.

use engine::Engine;
use server::End;
use tools::LocalToolRunner;

use crate::{log, supervise::VitalTask, terminal};

/// Lets the thread or task of this name panic.
pub(crate) fn door(engine: &Engine, hands: &LocalToolRunner) -> End {
    let (engine, hands) = (engine.clone(), hands.clone());
    End::new(move |name| end_one(engine.clone(), hands.clone(), name))
}

async fn end_one(engine: Engine, hands: LocalToolRunner, name: String) -> bool {
    let Some(vital) = VitalTask::ALL.into_iter().find(|vital| vital.name() == name) else { return false };
    match vital {
        VitalTask::StoreWriter | VitalTask::StoreReader => return engine.store().break_thread(&name).await,
        VitalTask::SandboxKeeper => hands.end_a_keeping(),
        VitalTask::LogWriter => {
            let Some(lines) = log::lines() else { return false };
            lines.end();
        }
        VitalTask::OutWriter => {
            let Some(lines) = terminal::lines() else { return false };
            lines.end();
        }
        VitalTask::EngineSweep
        | VitalTask::EnginePins
        | VitalTask::EngineLease
        | VitalTask::EngineRecovery
        | VitalTask::SessionRecovery
        | VitalTask::SessionCommits
        | VitalTask::SessionFollower
        | VitalTask::SessionJob
        | VitalTask::SandboxSweep
        | VitalTask::SandboxWatch
        | VitalTask::KeyWatch
        | VitalTask::AcceptLoop
        | VitalTask::Signals => engine.ends().end(&name),
    }
    true
}
