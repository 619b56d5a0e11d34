//! The storm: lives of sessions under dice, crashes, stale answers and impatient clients, with referees that
//! judge from the log alone.

pub mod act;
pub mod act_weights;
pub(crate) mod agent_tools;
pub(crate) mod call_ledger;
pub(crate) mod client;
pub(crate) mod counters;
pub mod coverage;
pub mod dice;
pub mod engine_storm;
pub(crate) mod law;
pub(crate) mod ledger;
pub mod life;
pub mod line;
pub mod model;
pub(crate) mod outcome;
pub mod referee;
pub mod size;
pub mod state;
pub mod stern;
pub mod storm;
pub mod team;
pub(crate) mod voice;
pub(crate) mod words;
pub(crate) mod world;
