//! The server's end of the tools: one jail a session, made at its first call and shared by its threads.

mod content;
mod ending;
mod frames;
mod keep;
mod line;
mod shells;
mod sweep;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use protocol::{SessionId, ThreadId, prompt::Workplace, tool::Builtin};
use sandbox::{Folders, Isolation, Layout, Limits};
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    ending::{Ending, failed},
    frames::Lanes,
    keep::Keeping,
    line::{Line, NotTaken, lock},
};
use crate::{Call, Hands, Outcome};

/// How long a call waits for the session's last jail to go, or for a place among the jails.
const PLACE: Duration = Duration::from_secs(30);
/// How long `stop` waits for the jails.
const STOP: Duration = Duration::from_secs(5);
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
    /// Further trees that they see, read-only.
    pub readonly: Vec<PathBuf>,
    /// What each may use.
    pub limits: Limits,
    /// The user that they run as when the server is root; otherwise it is not looked at.
    pub owner: Option<u32>,
    /// After how long without a call a jail is ended; its files are kept.
    pub idle: Duration,
    /// Days after which the files of a session that does not use them are removed.
    pub keep_days: u32,
    /// Jails alive at once. Beyond it the one that has been idle longest is ended.
    pub jails_max: usize,
    /// How much longer than its own bound a call is waited for before its jail is ended.
    pub margin: Duration,
}

impl Settings {
    /// What rules.md 10 says, for folders in `root` and jails of `program`.
    pub fn new(root: PathBuf, program: PathBuf) -> Self {
        Self {
            root,
            program,
            isolation: Isolation::Local,
            readonly: Vec::new(),
            limits: Limits::default(),
            owner: Some(65_534),
            idle: Duration::from_mins(10),
            keep_days: 30,
            jails_max: 64,
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
    folders: Folders,
    posts: Mutex<BTreeMap<SessionId, Post>>,
    /// Sessions whose jail did not start, and whose owner was told.
    warned: Mutex<BTreeSet<SessionId>>,
    lanes: Lanes,
    /// Whether the watch runs.
    watching: Mutex<bool>,
    tasks: TaskTracker,
    stop: CancellationToken,
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
        Self(Arc::new(Shop {
            folders: Folders::new(settings.root.clone(), settings.owner),
            settings,
            posts: Mutex::default(),
            warned: Mutex::default(),
            lanes: Lanes::default(),
            watching: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }))
    }

    async fn call(&self, mut call: Call) -> Outcome {
        if let Some(refused) = refused(&call) {
            return refused;
        }
        let placed = timeout(PLACE, async {
            loop {
                let wait = match self.place(call.session) {
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
        });
        match placed.await {
            Ok(Ok(waiting)) => waiting.outcome().await,
            Ok(Err(outcome)) => outcome,
            Err(_) => failed(NO_PLACE),
        }
    }

    fn place(&self, session: SessionId) -> Place {
        let mut posts = lock(&self.0.posts);
        if self.0.stop.is_cancelled() {
            return Place::Refused(Ending::Stopping.outcome(false));
        }
        match posts.get(&session) {
            Some(Post::Jail(line)) => return Place::Line(Arc::clone(line)),
            Some(Post::Removing(_)) => return Place::Refused(Ending::Over.outcome(false)),
            None => {}
        }
        if let Err(full) = self.room(&posts) {
            return full;
        }
        let line = Arc::new(Line::new(session, self.0.settings.margin));
        posts.insert(session, Post::Jail(Arc::clone(&line)));
        self.0.watch();
        self.0.tasks.spawn(Keeping::new(Arc::clone(&self.0), Arc::clone(&line)).run());
        Place::Line(line)
    }

    /// Whether one more jail may live; if not, who makes room.
    fn room(&self, posts: &BTreeMap<SessionId, Post>) -> Result<(), Place> {
        let lines = || {
            posts.values().filter_map(|post| match post {
                Post::Jail(line) => Some(line),
                Post::Removing(_) => None,
            })
        };
        if lines().count() < self.0.settings.jails_max {
            return Ok(());
        }
        if let Some(leaving) = lines().find(|line| line.closed.is_cancelled()) {
            return Err(Place::Wait(leaving.gone.clone()));
        }
        let mut quiet: Vec<_> =
            lines().filter_map(|line| line.quiet_since().map(|since| (since, line))).collect();
        quiet.sort_by_key(|(since, _)| *since);
        let evicted = quiet.into_iter().find(|(_, line)| line.close_if_quiet(Ending::Evicted));
        Err(evicted
            .map_or_else(|| Place::Refused(failed(JAILS_FULL)), |(_, line)| Place::Wait(line.gone.clone())))
    }

    async fn close(&self, session: SessionId) {
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
        self.0.tasks.close();
        if timeout(STOP, self.0.tasks.wait()).await.is_err() {
            tracing::warn!("some sandboxes were still ending when the server stopped; they end with it");
        }
    }
}

/// Why the call may not run at all.
fn refused(call: &Call) -> Option<Outcome> {
    match call.tool {
        Builtin::Bash | Builtin::Edit | Builtin::Read | Builtin::Write | Builtin::Glob | Builtin::Grep => {
            None
        }
        Builtin::WebFetch | Builtin::WebSearch => {
            Some(failed("This tool is not available here; go on without it."))
        }
    }
}

const JAILS_FULL: &str =
    "Nothing ran: every sandbox that this server may run at once is busy. Try again in a minute.";
const NO_PLACE: &str = "Nothing ran: no sandbox was free in time. Try again in a minute.";

impl Hands for LocalHands {
    fn run(&self, call: Call) -> BoxFuture<'_, Outcome> {
        Box::pin(self.call(call))
    }

    fn workplace(&self, session: SessionId) -> Workplace {
        let Settings { isolation, root, .. } = &self.0.settings;
        let layout = Layout::new(*isolation, &root.join(session.to_string()));
        Workplace {
            workspace: layout.workspace.display().to_string(),
            outputs: layout.outputs.display().to_string(),
            jailed: match isolation {
                Isolation::Local => true,
                Isolation::Off => false,
            },
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
