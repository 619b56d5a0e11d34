//! A life: some sessions on one store, served by one engine after the other, each in a runtime of its own
//! whose clock stands still. A power cut is the end of that runtime; the store stays.

use std::sync::Arc;
use std::time::Duration;

use engine::{Clock, Engine, EngineParts, SeededEntropy};
use protocol::Timestamp;
use protocol::routes::{Route, Routes};
use store::{MemoryStoreFaults, Store};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use super::fake_model::FakeModel;
use super::fake_tools::FakeTools;
use super::place::ActorPlace;
use super::run_record::{RunRecord, StreamReader};
use super::session_log::{MODEL, SessionLog};
use super::{client, reader, verdicts};
use crate::dice::Dice;
use crate::law::law;
use crate::life::BrokenLife;
use crate::line::LogLine;

/// When every life begins.
const BEGAN: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
/// Looks at the sessions until they must rest, and the time between two.
const PATIENCE: (u32, Duration) = (240, Duration::from_secs(5));
/// How long clients may take to end when nothing is wrong any more.
const ENDING: Duration = Duration::from_mins(10);
/// How long everything is watched at rest.
const REST: Duration = Duration::from_secs(130);

/// Bytes of the caches that lives are lived with: none, one for a session or two, and the usual one.
const CACHES: [usize; 3] = [0, 24 * 1024, protocol::limits::SESSION_CACHE_BYTES];

struct Life {
    dice: Dice,
    book: Arc<RunRecord>,
    faults: MemoryStoreFaults,
    now: Timestamp,
    sessions: usize,
    /// Whether the disk does wrong.
    foul: bool,
    /// Readers of the engine that runs now.
    readers: usize,
    /// Bytes that sessions at rest may take in memory.
    cache_bytes: usize,
}

/// Lives one life, and says how often each mishap came.
///
/// # Errors
/// The law that it broke.
pub(super) fn live(seed: u64) -> Result<Arc<RunRecord>, Box<BrokenLife<LogLine>>> {
    let mut dice = Dice::new(seed);
    let faults = MemoryStoreFaults::default();
    let book = Arc::new(RunRecord::new(Store::memory_with(faults.clone()), seed));
    let (sessions, foul) = (2 + dice.below(3) as usize, !dice.once_in(3));
    let cache_bytes = CACHES[seed as usize % CACHES.len()];
    let mut life =
        Life { dice, book: Arc::clone(&book), faults, now: BEGAN, sessions, foul, readers: 0, cache_bytes };
    let lived = life.live();
    let objection = book.objection().or_else(|| lived.err().map(|why| (0, why)));
    match objection {
        None => Ok(book),
        Some((session, why)) => {
            let log = book.tale(session, |tale| tale.lines.clone()).unwrap_or_default();
            Err(Box::new(BrokenLife { why: format!("session {session}: {why}"), log }))
        }
    }
}

fn runtime() -> Result<Runtime, String> {
    let built = Builder::new_current_thread().enable_time().start_paused(true).build();
    built.map_err(|why| format!("runtime: {why}"))
}

impl Life {
    fn live(&mut self) -> Result<(), String> {
        let reigns = 1 + self.dice.below(3);
        for reign in 1..=reigns {
            self.reign(reign == reigns)?;
            if self.book.objection().is_some() {
                return Ok(());
            }
        }
        self.afterwards()
    }

    /// One engine, from its start to its end.
    fn reign(&mut self, last: bool) -> Result<(), String> {
        let runtime = runtime()?;
        let ended = runtime.block_on(self.reigns(last));
        // Whatever still runs ends here, wherever it stands.
        drop(runtime);
        self.clear();
        ended
    }

    async fn reigns(&mut self, last: bool) -> Result<(), String> {
        let engine = self.start().await?;
        let clients = self.people(&engine);
        let mut everybody = clients;
        let storm = Duration::from_millis(8_000 + self.dice.below(36_000));
        let calms = last || self.dice.once_in(3);
        self.weather(&engine, storm).await;
        if calms {
            self.calm(&engine, &mut everybody).await?;
        }
        self.now = engine.now();
        if !last && self.dice.once_in(3) {
            self.book.count("stop");
            self.faults.sync();
            self.book.set_stopping(Some(engine.now()));
            let stopped = tokio::time::timeout(ENDING, engine.stop()).await;
            self.book.set_stopping(None);
            law!(stopped.is_ok(), "stop: it never ends");
            let running = self.book.running();
            law!(running.is_empty(), "stop: {running:?} still run");
            // Long enough for those who come to a closed door.
            tokio::time::sleep(Duration::from_secs(3)).await;
        } else {
            self.book.count("power cut");
        }
        self.now = self.now.max(engine.now());
        Ok(())
    }

    async fn start(&mut self) -> Result<Engine, String> {
        self.book.set_calm(false);
        self.book.refresh_all().await;
        for session in self.book.sessions() {
            verdicts::head(&self.book, session).await?;
        }
        self.book.born(self.now);
        self.now = self.now.after(Duration::from_millis(self.dice.below(50_000)));
        let clock = Clock::from(self.now);
        let seed = u128::from(self.dice.bits()) << 64 | u128::from(self.dice.bits());
        // No fewer than an empty answer is asked for.
        let attempts = [3, 8, 20][(seed % 3) as usize];
        let seer = FakeModel::new(Arc::clone(&self.book), clock, Dice::new(self.dice.bits()), attempts);
        let route = Route { attempts, ..Route::script(MODEL) };
        let hands = FakeTools::new(Arc::clone(&self.book), clock, Dice::new(self.dice.bits()));
        let parts = EngineParts {
            tree: engine::ThreadLimits::default(),
            store: self.book.store().clone(),
            oracle: Arc::new(seer),
            hands: Arc::new(hands),
            routes: Routes(vec![route]),
            clock,
            dice: SeededEntropy::seeded(seed),
            cache_bytes: self.cache_bytes,
        };
        Engine::start(parts).await.map_err(|why| format!("start: {why}"))
    }

    /// Clients and readers of every session.
    fn people(&mut self, engine: &Engine) -> People {
        let (mut clients, mut readers) = (JoinSet::new(), JoinSet::new());
        let first = self.readers;
        for session in 1..=self.sessions {
            let place = || ActorPlace { engine: engine.clone(), book: Arc::clone(&self.book), session };
            for client in 0..=self.dice.below(3) {
                clients.spawn(client::run(place(), Dice::new(self.dice.bits()), client == 0));
            }
            for _ in 0..=self.dice.below(3) {
                readers.spawn(reader::run(place(), Dice::new(self.dice.bits())));
                self.readers += 1;
            }
        }
        People { clients, readers, slots: first..self.readers }
    }

    /// The disk does wrong for a while, or does not; who only watches keeps the book.
    async fn weather(&mut self, engine: &Engine, storm: Duration) {
        let end = engine.now().after(storm);
        while engine.now() < end && self.book.objection().is_none() {
            let pause = Duration::from_millis(self.dice.below(8_000)).min(end.since(engine.now()));
            tokio::time::sleep(pause).await;
            self.book.refresh_all().await;
            if self.foul && self.dice.once_in(3) {
                self.fault(engine, end).await;
            }
        }
    }

    /// Something goes wrong for a moment.
    async fn fault(&mut self, engine: &Engine, end: Timestamp) {
        let kind = self.dice.below(9);
        let lost = matches!(kind, 5..=6);
        self.book.shadow(engine.now(), lost);
        match kind {
            0..=2 => {
                self.book.count("disk fails");
                self.faults.fail_next(1 + self.dice.below(3) as u32);
            }
            3..=4 => {
                let times = if self.dice.once_in(6) { 12 } else { 1 + self.dice.below(8) as u32 };
                self.book.count(if times > 8 { client::LASTING } else { "conflict" });
                self.faults.conflict_next(times);
            }
            5..=6 => {
                self.book.count("answer lost");
                self.faults.lose_answers(1 + self.dice.below(2) as u32);
            }
            _ => {
                self.book.count("disk stalls");
                self.faults.stall();
            }
        }
        let pause = Duration::from_millis(self.dice.below(5_000)).min(end.since(engine.now()));
        tokio::time::sleep(pause).await;
        // A power cut finds it as it is.
        if engine.now() < end {
            self.faults.sync();
            self.clear();
            self.book.shadow(engine.now(), lost);
        }
    }

    /// The disk is well again, and holds no orders.
    fn clear(&self) {
        self.faults.fail_next(0);
        self.faults.conflict_next(0);
        self.faults.lose_answers(0);
        self.faults.crash();
    }

    /// Nobody disturbs anything any more: every session must come to rest, and every reader to its end.
    async fn calm(&mut self, engine: &Engine, people: &mut People) -> Result<(), String> {
        self.faults.sync();
        self.clear();
        self.book.set_calm(true);
        if self.foul {
            self.last_straw(engine).await?;
        }
        while let Some(ended) = tokio::time::timeout(ENDING, people.clients.join_next())
            .await
            .map_err(|_| "calm: a client waits for ever".to_owned())?
        {
            ended.map_err(|why| format!("calm: a client died: {why}"))?;
        }
        self.book.refresh_all().await;
        for session in self.book.sessions() {
            let place = ActorPlace { engine: engine.clone(), book: Arc::clone(&self.book), session };
            self.rest(&place).await.unwrap_or_else(|why| self.book.object(session, why));
        }
        tokio::time::sleep(REST).await;
        self.book.refresh_all().await;
        for slot in people.slots.clone() {
            self.arrived(slot).unwrap_or_else(|(session, why)| self.book.object(session, why));
        }
        for session in self.book.sessions() {
            let judged = verdicts::at_rest(&self.book, engine, session, &mut self.dice).await;
            judged.unwrap_or_else(|why| self.book.object(session, why));
        }
        people.readers.shutdown().await;
        self.let_go(engine).await
    }

    /// Whoever rests and is not read is in memory no more, or in the cache, within its bytes.
    async fn let_go(&self, engine: &Engine) -> Result<(), String> {
        // What was cut a moment ago is dropped when its task is next looked at.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let memory = engine.memory();
        law!(memory.live == 0, "memory: all rest, and {} sessions are live", memory.live);
        law!(
            memory.resting_bytes <= self.cache_bytes,
            "memory: sessions at rest take {} bytes of {}",
            memory.resting_bytes,
            self.cache_bytes
        );
        Ok(())
    }

    /// One more request of each session meets a bad disk, and nobody comes after it.
    async fn last_straw(&mut self, engine: &Engine) -> Result<(), String> {
        self.book.shadow(engine.now(), true);
        for session in self.book.sessions() {
            let place = ActorPlace { engine: engine.clone(), book: Arc::clone(&self.book), session };
            if self.dice.once_in(2) {
                self.faults.lose_answers(1);
            } else {
                self.faults.fail_next(1);
            }
            client::send(&place, vec![client::say(&place)]).await?;
            self.clear();
        }
        Ok(())
    }

    async fn rest(&mut self, place: &ActorPlace) -> Result<(), String> {
        let (looks, pause) = PATIENCE;
        for _ in 0..looks {
            place.book.refresh(place.session).await;
            if place.book.tale(place.session, SessionLog::rests) == Some(true)
                || self.book.objection().is_some()
            {
                return Ok(());
            }
            client::settle(place, &mut self.dice).await?;
            tokio::time::sleep(pause).await;
        }
        Err("rest: it never comes to rest".into())
    }

    /// Whether a reader has seen all of its session.
    fn arrived(&self, slot: usize) -> Result<(), (usize, String)> {
        match self.book.read(slot) {
            StreamReader::Done | StreamReader::Nowhere => Ok(()),
            StreamReader::Away(session) => {
                Err((session, format!("stream: reader {slot} does not come back")))
            }
            StreamReader::At(session, from, _) => {
                let next = self.book.tale(session, |tale| tale.posts.get(from).map(|post| post.position));
                let missed = |next| format!("stream: reader {slot} was not shown what stands at {next}");
                next.flatten().map_or(Ok(()), |next| Err((session, missed(next))))
            }
        }
    }

    /// A start on sessions that rest writes nothing; then the whole logs are judged.
    fn afterwards(&mut self) -> Result<(), String> {
        let before = self.book.store().commits();
        let runtime = runtime()?;
        runtime.block_on(async {
            let engine = self.start().await?;
            tokio::time::sleep(REST).await;
            self.let_go(&engine).await
        })?;
        drop(runtime);
        let more = self.book.store().commits() - before;
        law!(more == 0, "rest: a start on what rests made {more} commits");
        for session in self.book.sessions() {
            if let Err(why) = verdicts::whole(&self.book, session) {
                self.book.object(session, why);
            }
        }
        Ok(())
    }
}

struct People {
    clients: JoinSet<()>,
    readers: JoinSet<()>,
    slots: std::ops::Range<usize>,
}
