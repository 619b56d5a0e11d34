//! One task a jail: starts it, says and hears what there is, and sees it gone.

use std::collections::BTreeSet;
use std::os::unix::net::UnixStream as StdStream;
use std::path::Path;
use std::sync::Arc;

use protocol::{ThreadId, tool::BuiltinName};
use sandbox::{Isolation, Jail, JailPlan};
use tokio::net::{
    UnixStream,
    unix::{ReadHalf, WriteHalf},
};

use super::{
    ending::{JailEnding, failed},
    frames,
    line::{JailLink, LinkMessage, WatchAnswer},
    lock::lock,
    losses::{self, ProcessLosses},
    shells,
    shop::Jails,
};
use crate::{
    ToolCall,
    wire::{FromJail, LowDisk, ToJail},
};

/// Sessions remembered as warned of; beyond it all are forgotten, and warned of once more.
const WARNED: usize = 1_024;

/// The keeping of one jail. However it ends, the line is closed and the session's next jail may start.
#[derive(Debug)]
pub(super) struct JailTask {
    shop: Arc<Jails>,
    line: Arc<JailLink>,
}

impl Drop for JailTask {
    fn drop(&mut self) {
        self.line.close(JailEnding::Died);
        lock(&self.shop.posts).remove(&self.line.session);
        self.line.gone.cancel();
        self.shop.turns.wake_first();
    }
}

impl JailTask {
    pub(super) fn new(shop: Arc<Jails>, line: Arc<JailLink>) -> Self {
        Self { shop, line }
    }

    pub(super) async fn run(self) {
        let (shop, line) = (Arc::clone(&self.shop), Arc::clone(&self.line));
        let mut starting = self.shop.tasks.spawn_blocking(move || start(&shop, &line));
        let started = tokio::select! {
            biased;
            // A start cannot be cut; its calls are answered meanwhile.
            () = self.watch() => starting.await,
            started = &mut starting => started,
        };
        let session = self.line.session;
        match started {
            Ok(Ok(jail)) => {
                lock(&self.shop.warned).remove(&session);
                tracing::info!(%session, "a sandbox started");
                self.line.start(jail.gauge());
                let losses = ProcessLosses::of(session, jail.gauge());
                self.serve(&jail, &losses).await;
                let lack = self.lack_of_memory(losses).await;
                let (shop, line) = (Arc::clone(&self.shop), Arc::clone(&self.line));
                // It cannot fail but by a panic, which is logged where it happens.
                let _ended = self.shop.tasks.spawn_blocking(move || end(&shop, &line, jail)).await;
                let ending = self.line.ending().unwrap_or(JailEnding::Died);
                if lack && ending == JailEnding::Died {
                    tracing::warn!(%session, reason = losses::NO_MEMORY, "a sandbox ended");
                } else {
                    tracing::info!(%session, reason = ending.reason(), "a sandbox ended");
                }
            }
            Ok(Err(why)) => self.not_started(why),
            Err(_panic) => self.not_started("the server failed while it started the sandbox".to_owned()),
        }
    }

    /// Returns when the line is closed; meanwhile says when its place could be another's.
    async fn watch(&self) {
        self.line.watch(self.shop.settings.idle, || self.shop.turns.wake_first()).await;
    }

    fn not_started(&self, why: String) {
        let session = self.line.session;
        let new = {
            let mut warned = lock(&self.shop.warned);
            if warned.len() >= WARNED {
                warned.clear();
            }
            warned.insert(session)
        };
        if new {
            tracing::warn!(%session, why, "a sandbox could not start; `heddle doctor` says what is missing");
        }
        self.line.close(JailEnding::NoStart(why));
    }

    /// Whether the kernel has lately ended processes of the jail for lack of memory. To be asked before its
    /// end, after which nobody knows.
    async fn lack_of_memory(&self, losses: ProcessLosses) -> bool {
        self.shop.tasks.spawn_blocking(move || losses.lack_of_memory()).await.unwrap_or(false)
    }

    /// Talks with the jail until the line is closed.
    async fn serve(&self, jail: &Jail, losses: &ProcessLosses) {
        let mut stream = match jail.socket().and_then(asynchronous) {
            Ok(stream) => stream,
            Err(wrong) => return self.line.close(JailEnding::NoStart(wrong.to_string())),
        };
        let (from, to) = stream.split();
        let ending = tokio::select! {
            biased;
            () = self.watch() => return,
            ending = self.hear(from, losses) => ending,
            ending = self.say(to) => ending,
        };
        self.line.close(ending);
    }

    async fn hear(&self, mut from: ReadHalf<'_>, losses: &ProcessLosses) -> JailEnding {
        loop {
            let heard = match frames::hear(&mut from, &self.shop.lanes).await {
                Ok(FromJail::Done { call, outcome }) => self.line.answer(call, outcome),
                Ok(FromJail::Weighs { ask, weight }) => self.line.told(ask, WatchAnswer::Weight(weight)),
                Ok(FromJail::CutBack { ask, cut }) => self.line.told(ask, WatchAnswer::Cut(cut)),
                Ok(FromJail::Killed { why: _ }) => {
                    let session = self.line.session;
                    tracing::info!(%session, "a session's files take too much: its processes were killed");
                    self.line.stray()
                }
                Ok(FromJail::Lost { signal }) => {
                    let losses = losses.clone();
                    // It cannot fail but by a panic, which is logged where it happens.
                    let _told = self.shop.tasks.spawn_blocking(move || losses.tell(signal)).await;
                    self.line.stray()
                }
                Err(ending) => Err(ending),
            };
            if let Err(ending) = heard {
                return ending;
            }
        }
    }

    async fn say(&self, mut to: WriteHalf<'_>) -> JailEnding {
        let mut shells = BTreeSet::new();
        loop {
            let message = match self.line.next().await {
                LinkMessage::Run(number, call) => self.told(number, call, &mut shells).await,
                LinkMessage::Cancel(call) => ToJail::Cancel { call },
                LinkMessage::Weigh(ask, within_ms) => ToJail::Weigh { ask, within_ms },
                LinkMessage::CutBack(ask, room) => ToJail::CutBack { ask, room },
                LinkMessage::Leave(thread) => ToJail::Leave { thread: thread.to_string() },
            };
            let Some(body) = frames::encode(&message) else {
                if let ToJail::Run { call, .. } = message {
                    // Nobody waits any more: then nobody misses it.
                    let _unheard =
                        self.line.answer(call, failed("The input is too large; send less at once."));
                }
                continue;
            };
            if frames::say(&mut to, &body).await.is_err() {
                return JailEnding::Died;
            }
        }
    }

    async fn told(&self, number: u64, call: ToolCall, shells: &mut BTreeSet<ThreadId>) -> ToJail {
        let first = call.tool == BuiltinName::Bash && shells.insert(call.thread);
        ToJail::Run {
            call: number,
            thread: call.thread.to_string(),
            event: call.event.to_string(),
            tool: call.tool,
            input: call.input,
            shell_lost: first && self.had_shell(call.thread).await,
            low: self.low().await,
        }
    }

    /// Whether the disk has so little room that nothing may grow. One that cannot be asked says so itself.
    async fn low(&self) -> Option<LowDisk> {
        let shop = Arc::clone(&self.shop);
        let room = self.shop.tasks.spawn_blocking(move || shop.folders.room()).await.ok()?.ok()?;
        self.shop.low(room)
    }

    /// Whether the thread had a shell in an earlier jail.
    async fn had_shell(&self, thread: ThreadId) -> bool {
        let folder = self.shop.settings.root.join(self.line.session.to_string());
        let noted = self.shop.tasks.spawn_blocking(move || shells::note(&folder, thread)).await;
        match noted {
            Ok(Ok(had)) => had,
            Ok(Err(wrong)) => {
                tracing::warn!(session = %self.line.session, %wrong, "a shell could not be noted");
                false
            }
            Err(_panic) => false,
        }
    }
}

fn asynchronous(stream: StdStream) -> std::io::Result<UnixStream> {
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

fn start(shop: &Jails, line: &JailLink) -> Result<Jail, String> {
    let settings = &shop.settings;
    let folder = shop
        .folders
        .make(&line.session.to_string())
        .map_err(|wrong| format!("the session's folder cannot be made: {wrong}"))?;
    let readonly = match settings.isolation {
        Isolation::Local => shop.trees.there(&settings.readonly),
        Isolation::Off => Vec::new(),
    };
    let plan = JailPlan { isolation: settings.isolation, folder, readonly, limits: settings.limits.clone() };
    sandbox::start(Path::new(&settings.program), &plan, &shop.users).map_err(|fault| fault.to_string())
}

/// Ends the jail. Its folder was used until now, which the sweep is to know; one that is gone stays gone.
fn end(shop: &Jails, line: &JailLink, jail: Jail) {
    jail.end();
    let name = line.session.to_string();
    if shop.settings.root.join(&name).is_dir()
        && let Err(wrong) = shop.folders.make(&name)
    {
        tracing::warn!(session = %line.session, %wrong, "a session's folder could not be touched");
    }
}
