//! What makes a kind of cuts: a client that works over every kill, and a judge of what it is shown then.

use std::fmt;
use std::path::PathBuf;

use dice::Dice;
use serde_json::Value;

use crate::caller::CutsCaller;
use crate::hitch::CallHitch;
use crate::session::CalledSession;

/// A client that works over every kill; its constants say what load all of them make together.
pub(crate) trait Client: Sized {
    /// The kind's verb.
    const NAME: &'static str;
    /// What goes on when the server is killed.
    const WHILE: &'static str;
    /// How often the server is killed where nobody says it.
    const KILLS: u64;
    /// Clients side by side.
    const CLIENTS: u64;
    /// The shortest and the longest time under load before a kill, in milliseconds.
    const LOAD_MS: (u64, u64);

    /// What all sessions use.
    type Ground;
    /// What a session shows at rest, and what its client knows of it.
    type Shown;

    /// Makes what all sessions use, at a server that has nothing yet.
    async fn prepare(caller: &CutsCaller) -> Result<Self::Ground, CallHitch>;

    /// The client at `place`; whatever it numbers, it numbers behind `number`.
    fn new(place: u64, dice: Dice, number: u64) -> Self;

    /// Goes on for a while, from wherever the last kill has left it; it is called again and again until a
    /// request has no good answer.
    async fn turn(&mut self, caller: &CutsCaller, ground: &Self::Ground) -> Result<(), CallHitch>;

    /// How many of its messages the server said yes to.
    fn acknowledged(&self) -> usize;

    /// The ids of all sessions that it ever had.
    fn sessions(&self) -> Vec<String>;

    /// Lets one of them come to rest, and gives what it then shows; `model` calls the model server.
    async fn settle(
        &mut self,
        session: &CalledSession<'_>,
        model: &CutsCaller,
    ) -> Result<Self::Shown, CallHitch>;
}

/// The judge of what such clients are shown; it prints what it has counted.
pub(crate) trait CutsJudge: Default + fmt::Display {
    type Client: Client;

    /// What is wrong with one session.
    fn session(
        &mut self,
        session: &str,
        shown: &<Self::Client as Client>::Shown,
        evidence: &CutsEvidence,
    ) -> Vec<String>;

    /// What is wrong with the list of all sessions.
    fn sessions(&self, _listed: &[Value]) -> Vec<String> {
        Vec::new()
    }

    /// Whether so much has happened that it tells something when nothing is wrong.
    fn is_telling(&self) -> bool;
}

/// What a judge has beside what the API shows.
#[derive(Debug, Default)]
pub(crate) struct CutsEvidence {
    /// The server's data directory.
    pub(crate) data: PathBuf,
    /// The moments of the kills, as the API spells them.
    pub(crate) kills: Vec<String>,
}

impl CutsEvidence {
    /// What stands in the file `counter` of a session's workspace; nothing if no command of it ever ran.
    pub(crate) fn counter(&self, session: &str) -> String {
        let file = self.data.join("sandboxes").join(session).join("workspace/counter");
        std::fs::read_to_string(file).unwrap_or_default()
    }
}
