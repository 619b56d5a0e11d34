//! The server's end of the tools: one jail a session, made at its first call and shared by its threads.

mod blame;
mod content;
mod ending;
mod frames;
mod keep;
mod line;
mod losses;
mod shells;
mod sweep;
mod trees;
mod turns;
mod unused;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use protocol::{SessionId, ThreadId, limits, prompt::Toolbox};
use sandbox::{Folders, Isolation, Layout, Limits, Users, Wanted};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    ending::{Ending, failed},
    frames::Lanes,
    keep::Keeping,
    line::{Line, NotTaken, lock},
    trees::Trees,
    turns::{Seat, Turns},
};
pub use self::{sweep::Sweep, unused::Clocks};
use crate::{
    Begin, Call, Hands, Outcome,
    inside::tool,
    workplace::{Bounds, Workplace},
};

/// How long `stop` waits for the jails.
const STOP: Duration = Duration::from_secs(5);
/// A call that waited as long is told so.
const TOLD: Duration = Duration::from_secs(2);
/// Sessions remembered as warned of; beyond it all are forgotten, and warned of once more.
const WARNED: usize = 1_024;

/// How the sandboxes are.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where their folders are: one a session, named by its id.
    pub root: PathBuf,
    /// The program that `jail` is asked of; normally [`sandbox::program`].
    pub program: PathBuf,
    /// How they are kept from the host.
    pub isolation: Isolation,
    /// Further trees that they see, read-only; those that are not there are left out.
    pub readonly: Vec<PathBuf>,
    /// What each may use.
    pub limits: Limits,
    /// Which users they run as.
    pub users: Wanted,
    /// After how long without a call a jail is ended; its files are kept.
    pub idle: Duration,
    /// Days after which the files of a session that does not use them are removed.
    pub keep_days: u32,
    /// Jails alive at once. Beyond it the one that has been idle longest is ended, and sessions wait
    /// their turn.
    pub jails_max: usize,
    /// How long a call waits for its session's turn.
    pub wait: Duration,
    /// After how long a session's next call stands behind those of sessions that wait for a jail.
    pub turn: Duration,
    /// How much longer than its own bound a call is waited for before its jail is ended.
    pub margin: Duration,
}

impl Settings {
    /// What docs/rules.md 10 says, for folders in `root` and jails of `program`.
    pub fn new(root: PathBuf, program: PathBuf) -> Self {
        Self {
            root,
            program,
            isolation: Isolation::Local,
            readonly: Vec::new(),
            limits: Limits::default(),
            users: Wanted::DEFAULT,
            idle: Duration::from_mins(10),
            keep_days: 30,
            jails_max: limits::SANDBOXES,
            wait: Duration::from_secs(limits::SANDBOX_WAIT_S),
            turn: Duration::from_secs(limits::SANDBOX_TURN_S),
            margin: Duration::from_secs(15),
        }
    }
}

/// Hands that work in jails on this machine. Clones share them.
#[derive(Debug, Clone)]
pub struct LocalHands(Arc<Shop>);

#[derive(Debug)]
struct Shop {
    settings: Settings,
    users: Users,
    folders: Folders,
    posts: Mutex<BTreeMap<SessionId, Post>>,
    /// Locked within `posts`, never around it.
    turns: Turns,
    /// Sessions whose jail did not start, and whose owner was told.
    warned: Mutex<BTreeSet<SessionId>>,
    trees: Trees,
    lanes: Lanes,
    /// Wakes the watch: a jail came.
    came: Notify,
    /// What models are told where every session has a jail, once somebody asked.
    toolbox: OnceLock<Arc<Toolbox>>,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Lets the keeping of one jail panic, for a test.
    #[cfg(debug_assertions)]
    ends: Notify,
}

/// What there is of a session.
#[derive(Debug, Clone)]
enum Post {
    /// A jail: starting, alive or ending.
    Jail(Arc<Line>),
    /// Its files are being removed; cancelled when they are.
    Removing(CancellationToken),
}

/// Where a call may go.
enum Place {
    Line(Arc<Line>),
    /// Nowhere yet: until this is cancelled.
    Wait(CancellationToken),
    Refused(Outcome),
}

impl LocalHands {
    /// Hands with these settings. Starts nothing and touches no file.
    pub fn new(settings: Settings) -> Self {
        let jails = u32::try_from(settings.jails_max).unwrap_or(u32::MAX);
        let users = Users::new(settings.program.clone(), settings.users, jails);
        Self(Arc::new(Shop {
            folders: Folders::new(settings.root.clone(), users.clone()),
            users,
            settings,
            posts: Mutex::default(),
            turns: Turns::default(),
            warned: Mutex::default(),
            trees: Trees::default(),
            lanes: Lanes::default(),
            came: Notify::new(),
            toolbox: OnceLock::new(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            #[cfg(debug_assertions)]
            ends: Notify::new(),
        }))
    }

    /// Lets the task that keeps a jail panic, the next one if there is none, so that a test sees what becomes
    /// of it.
    #[cfg(debug_assertions)]
    pub fn end_a_keeping(&self) {
        self.0.ends.notify_one();
    }

    async fn call(&self, call: Call, begin: Begin<'_>) -> Option<Outcome> {
        if let Some(refused) = refused(&call) {
            return Some(refused);
        }
        let (session, since) = (call.session, Instant::now());
        let mut seat = None;
        match timeout(self.0.settings.wait, self.asked(call, &mut seat)).await {
            Ok(Ok(waiting)) => {
                drop(seat);
                let waited = since.elapsed();
                let outcome = waiting.outcome(begin).await?;
                Some(if waited < TOLD { outcome } else { turns::told(outcome, waited) })
            }
            Ok(Err(outcome)) => Some(outcome),
            Err(_) => {
                let ahead = self.0.turns.ahead(session);
                Some(turns::in_vain(self.0.settings.wait, self.0.settings.jails_max, ahead))
            }
        }
    }

    /// Takes a place in the session's jail, once there is one. A seat is held until then, so that nobody
    /// comes in between.
    async fn asked(&self, mut call: Call, seat: &mut Option<Seat>) -> Result<line::Waiting, Outcome> {
        loop {
            let wait = match self.place(call.session, seat) {
                Place::Line(line) => match line.ask(call) {
                    Ok(waiting) => return Ok(waiting),
                    Err(NotTaken::Closed(back)) => {
                        call = *back;
                        line.gone.clone()
                    }
                    Err(NotTaken::Refused(outcome)) => return Err(outcome),
                },
                Place::Wait(until) => until,
                Place::Refused(outcome) => return Err(outcome),
            };
            wait.cancelled().await;
        }
    }

    fn place(&self, session: SessionId, seat: &mut Option<Seat>) -> Place {
        let mut posts = lock(&self.0.posts);
        if self.0.stop.is_cancelled() {
            return Place::Refused(Ending::Stopping.outcome(false));
        }
        let has = match posts.get(&session) {
            Some(Post::Jail(line)) => Some(Arc::clone(line)),
            Some(Post::Removing(_)) => return Place::Refused(Ending::Over.outcome(false)),
            None => None,
        };
        let turns = &self.0.turns;
        if turns.is_over(session) {
            return Place::Refused(Ending::Over.outcome(false));
        }
        let look = seat.as_ref().and_then(|_| turns.look(session));
        // Who waits goes first, also before a session that has had its jail for long.
        let first = turns.is_first(session);
        let may = match &has {
            Some(line) => first || !line.is_over_its_turn(self.0.settings.turn) || turns.is_empty(),
            None => (first || turns.is_empty()) && self.has_room(&posts),
        };
        if !may {
            return look.map_or_else(|| self.join(session, seat), Place::Wait);
        }
        if let Some(line) = has {
            if first {
                line.begin_turn();
            }
            return Place::Line(line);
        }
        let line = Arc::new(Line::new(session, self.0.settings.margin));
        posts.insert(session, Post::Jail(Arc::clone(&line)));
        self.0.came.notify_one();
        self.0.tasks.spawn(self.0.mortal(Keeping::new(Arc::clone(&self.0), Arc::clone(&line)).run()));
        Place::Line(line)
    }

    /// Stands in the line of those who wait, and looks once more from there.
    fn join(&self, session: SessionId, seat: &mut Option<Seat>) -> Place {
        match self.0.turns.join(&self.0, session) {
            Ok(taken) => {
                *seat = Some(taken);
                let at_once = CancellationToken::new();
                at_once.cancel();
                Place::Wait(at_once)
            }
            Err(refused) => Place::Refused(refused),
        }
    }

    /// Whether one more jail may live; if not, the one that has been idle longest is ended. Whoever is first
    /// among those who wait is woken when a jail is gone, and when one turns idle.
    fn has_room(&self, posts: &BTreeMap<SessionId, Post>) -> bool {
        let lines = || {
            posts.values().filter_map(|post| match post {
                Post::Jail(line) => Some(line),
                Post::Removing(_) => None,
            })
        };
        if lines().count() < self.0.settings.jails_max {
            return true;
        }
        if !lines().any(|line| line.closed.is_cancelled()) {
            let mut quiet: Vec<_> =
                lines().filter_map(|line| line.quiet_since().map(|since| (since, line))).collect();
            quiet.sort_by_key(|(since, _)| *since);
            quiet.into_iter().find(|(_, line)| line.close_if_quiet(Ending::Evicted));
        }
        false
    }

    async fn close(&self, session: SessionId) {
        self.0.turns.end(session);
        let gone = match lock(&self.0.posts).get(&session) {
            Some(Post::Jail(line)) => {
                line.close(Ending::Over);
                line.gone.clone()
            }
            Some(Post::Removing(done)) => done.clone(),
            None => return,
        };
        gone.cancelled().await;
    }

    async fn close_all(&self) {
        self.0.stop.cancel();
        for post in lock(&self.0.posts).values() {
            match post {
                Post::Jail(line) => line.close(Ending::Stopping),
                Post::Removing(_) => {}
            }
        }
        self.0.turns.wake_all();
        self.0.tasks.close();
        if timeout(STOP, self.0.tasks.wait()).await.is_err() {
            tracing::warn!("some sandboxes were still ending when the server stopped; they end with it");
        }
    }
}

impl Shop {
    /// `keeping`, which a test may let panic.
    #[cfg(debug_assertions)]
    fn mortal<F: Future<Output = ()>>(self: &Arc<Self>, keeping: F) -> impl Future<Output = ()> + use<F> {
        let shop = Arc::clone(self);
        async move {
            // Dropped by the panic, as it would be if it panicked itself.
            let mut keeping = std::pin::pin!(keeping);
            tokio::select! {
                biased;
                () = shop.ends.notified() => panic!("ended by a test"),
                () = &mut keeping => {}
            }
        }
    }

    #[cfg(not(debug_assertions))]
    #[expect(clippy::unused_self, reason = "only a test's build has something to wait for")]
    fn mortal<F: Future<Output = ()>>(&self, keeping: F) -> F {
        keeping
    }
}

/// Why the call may not run at all.
fn refused(call: &Call) -> Option<Outcome> {
    tool::of(call.tool).is_none().then(|| failed("This tool is not available here; go on without it."))
}

impl Hands for LocalHands {
    fn run<'a>(&'a self, call: Call, begin: Begin<'a>) -> BoxFuture<'a, Option<Outcome>> {
        Box::pin(self.call(call, begin))
    }

    fn has_memory(&self) -> bool {
        let limits = &self.0.settings.limits;
        sandbox::memory().is_none_or(|now| now.available_bytes >= limits.memory_least(now.total_bytes))
    }

    fn toolbox(&self, session: SessionId) -> Arc<Toolbox> {
        let Settings { isolation, root, limits, .. } = &self.0.settings;
        let layout = Layout::new(*isolation, &root.join(session.to_string()));
        let made = |bounds| Arc::new(tool::toolbox(&Workplace::new(&layout, bounds)));
        match isolation {
            Isolation::Local => Arc::clone(self.0.toolbox.get_or_init(|| made(Some(Bounds::of(limits))))),
            Isolation::Off => made(None),
        }
    }

    fn leave(&self, session: SessionId, thread: ThreadId) {
        // Without a jail there is no shell.
        if let Some(Post::Jail(line)) = lock(&self.0.posts).get(&session) {
            line.leave(thread);
        }
    }

    fn end(&self, session: SessionId) -> BoxFuture<'_, ()> {
        Box::pin(self.close(session))
    }

    fn remove(&self, session: SessionId) -> BoxFuture<'_, ()> {
        Box::pin(self.discard(session))
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.close_all())
    }
}
