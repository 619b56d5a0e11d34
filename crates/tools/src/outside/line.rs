//! The line to one jail: which calls wait for an answer, what is still to be said, and whether it is over.
//!
//! It exists before its jail does, so that calls made at once share one jail, and it outlives it by a
//! moment, so that a call that comes too late waits until the next jail may start.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use protocol::{SessionId, ThreadId};
use sandbox::JailGauge;
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    ending::{JailEnding, failed},
    lock::lock,
};
use crate::{
    BeginCall, ToolCall, ToolOutcome,
    inside::{builtins, tool},
    wire::{DiskCut, JailWeight, WantedSpace},
};

/// Calls that one session may have under way.
pub(super) const OPEN_CALLS: usize = 256;
pub(super) const CALLS_FULL: &str =
    "Nothing ran: too many calls are under way in this session. Wait until some have ended, then try again.";
/// Answers to calls that nobody made, and notices, before the jail counts as broken.
const STRAYS: u32 = 1_000;
/// How long a jail may take to start, beyond a call's own time.
const START: Duration = Duration::from_secs(30);

/// The line to one jail.
#[derive(Debug)]
pub(super) struct JailLink {
    pub(super) session: SessionId,
    /// How long beyond its bound a call is waited for.
    margin: Duration,
    calls: Mutex<Calls>,
    /// Tells from outside how much memory the jail holds, once it has started.
    gauge: OnceLock<JailGauge>,
    /// The jail has started: calls may begin.
    started: CancellationToken,
    /// Something is to be said.
    to_say: Notify,
    /// A call came or went.
    changed: Notify,
    /// No more calls are taken, and the jail is to end.
    pub(super) closed: CancellationToken,
    /// The jail is gone, and the next may start.
    pub(super) gone: CancellationToken,
}

#[derive(Debug)]
struct Calls {
    /// The next call's number.
    next: u64,
    open: BTreeMap<u64, Open>,
    outbox: VecDeque<LinkMessage>,
    /// When the last call came or went.
    used: Instant,
    /// When its session's turn began.
    turn: Instant,
    strays: u32,
    ending: Option<JailEnding>,
    /// The watch's question, and who waits for its answer.
    asked: Option<(u64, oneshot::Sender<WatchAnswer>)>,
}

#[derive(Debug)]
struct Open {
    /// `None`: cancelled, its answer is thrown away.
    reply: Option<oneshot::Sender<ToolOutcome>>,
    bound: Duration,
    /// When the jail counts as stuck.
    due: Instant,
    sent: bool,
}

/// Something to say to the jail.
#[derive(Debug)]
pub(super) enum LinkMessage {
    /// Run this call.
    Run(u64, ToolCall),
    /// Stop it.
    Cancel(u64),
    /// End this thread's shell.
    Leave(ThreadId),
    /// Say what the jail holds, within so many milliseconds.
    Weigh(u64, u64),
    /// Take back what grew until there is so much room.
    CutBack(u64, WantedSpace),
}

/// What the jail answered to the watch.
#[derive(Debug)]
pub(super) enum WatchAnswer {
    Weight(JailWeight),
    Cut(DiskCut),
}

/// Why a line does not take a call.
#[derive(Debug)]
pub(super) enum CallNotTaken {
    /// It is over; the call, to be made on the next.
    Closed(Box<ToolCall>),
    /// It has as many as it may, or there will be no next.
    Refused(ToolOutcome),
}

/// What a jail's watch sees.
enum Sight {
    Over(JailEnding),
    QuietUntil(Instant),
}

impl JailLink {
    pub(super) fn new(session: SessionId, margin: Duration) -> Self {
        Self {
            session,
            margin,
            calls: Mutex::new(Calls {
                next: 0,
                open: BTreeMap::new(),
                outbox: VecDeque::new(),
                used: Instant::now(),
                turn: Instant::now(),
                strays: 0,
                ending: None,
                asked: None,
            }),
            gauge: OnceLock::new(),
            started: CancellationToken::new(),
            to_say: Notify::new(),
            changed: Notify::new(),
            closed: CancellationToken::new(),
            gone: CancellationToken::new(),
        }
    }

    /// Takes a call, which has its place from now on and is said to the jail once it may begin.
    pub(super) fn ask(self: &Arc<Self>, call: ToolCall) -> Result<CallWaiting, CallNotTaken> {
        let mut calls = self.lock();
        if let Some(ending) = &calls.ending {
            return Err(if ending.is_last() {
                CallNotTaken::Refused(ending.outcome(false))
            } else {
                CallNotTaken::Closed(Box::new(call))
            });
        }
        if calls.open.len() >= OPEN_CALLS {
            return Err(CallNotTaken::Refused(failed(CALLS_FULL)));
        }
        let (reply, answer) = oneshot::channel();
        let number = calls.next;
        let bound = bound(&call);
        let due = Instant::now() + START + bound + self.margin;
        calls.next += 1;
        calls.open.insert(number, Open { reply: Some(reply), bound, due, sent: false });
        drop(calls);
        self.changed.notify_one();
        Ok(CallWaiting { line: Arc::clone(self), number, call: Some(call), answer })
    }

    /// Has a call said to the jail; of one that was answered meanwhile nothing is.
    fn begin(&self, number: u64, call: ToolCall) {
        let mut calls = self.lock();
        if calls.open.contains_key(&number) {
            calls.outbox.push_back(LinkMessage::Run(number, call));
        }
        drop(calls);
        self.to_say.notify_one();
    }

    /// What is to be said next, once there is something.
    pub(super) async fn next(&self) -> LinkMessage {
        loop {
            if let Some(message) = self.take() {
                return message;
            }
            self.to_say.notified().await;
        }
    }

    fn take(&self) -> Option<LinkMessage> {
        let mut calls = self.lock();
        let message = calls.outbox.pop_front()?;
        if let LinkMessage::Run(number, _) = message
            && let Some(open) = calls.open.get_mut(&number)
        {
            open.sent = true;
            open.due = Instant::now() + open.bound + self.margin;
            self.changed.notify_one();
        }
        Some(message)
    }

    /// The jail's answer to a call. One that nobody waits for is thrown away; `Err`: there are too many of
    /// these.
    pub(super) fn answer(&self, number: u64, outcome: ToolOutcome) -> Result<(), JailEnding> {
        let mut calls = self.lock();
        // A number that was not sent yet is a guess of the jail's.
        if !calls.open.get(&number).is_some_and(|open| open.sent) {
            drop(calls);
            return self.stray();
        }
        if let Some(reply) = calls.open.remove(&number).and_then(|open| open.reply) {
            // Whoever asked may have left this very moment.
            let _unheard = reply.send(outcome);
        }
        calls.used = Instant::now();
        calls.strays = 0;
        drop(calls);
        self.changed.notify_one();
        Ok(())
    }

    /// The jail started, and this weighs it.
    pub(super) fn start(&self, gauge: JailGauge) {
        // A line has one jail.
        let _set = self.gauge.set(gauge);
        self.started.cancel();
    }

    pub(super) fn gauge(&self) -> Option<JailGauge> {
        self.gauge.get().cloned()
    }

    /// What the jail says it holds; nothing from one that ends first or does not answer in time.
    pub(super) async fn weigh(&self, within: Duration) -> Option<JailWeight> {
        let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        match timeout(within, self.question(|ask| LinkMessage::Weigh(ask, within_ms))).await.ok()?? {
            WatchAnswer::Weight(weight) => Some(weight),
            WatchAnswer::Cut(_) => None,
        }
    }

    /// Has it end its processes and take back what grew.
    pub(super) async fn cut_back(&self, room: WantedSpace) -> Option<DiskCut> {
        match self.question(|ask| LinkMessage::CutBack(ask, room)).await? {
            WatchAnswer::Cut(cut) => Some(cut),
            WatchAnswer::Weight(_) => None,
        }
    }

    /// Asks the jail; one question at a time, before whatever else is to be said.
    async fn question(&self, message: impl FnOnce(u64) -> LinkMessage) -> Option<WatchAnswer> {
        let (reply, answer) = oneshot::channel();
        {
            let mut calls = self.lock();
            if calls.ending.is_some() {
                return None;
            }
            let ask = calls.next;
            calls.next += 1;
            // One that was not asked yet is answered by nobody any more.
            calls
                .outbox
                .retain(|waiting| !matches!(waiting, LinkMessage::Weigh(..) | LinkMessage::CutBack(..)));
            calls.outbox.push_front(message(ask));
            calls.asked = Some((ask, reply));
        }
        self.to_say.notify_one();
        answer.await.ok()
    }

    /// The jail's answer to the watch. One that nobody waits for any more is thrown away.
    pub(super) fn told(&self, ask: u64, told: WatchAnswer) -> Result<(), JailEnding> {
        let asked = self.lock().asked.take_if(|(open, _)| *open == ask);
        let Some((_, reply)) = asked else { return self.stray() };
        // The watch may have stopped waiting this very moment.
        let _unheard = reply.send(told);
        Ok(())
    }

    /// Counts what the jail said without being asked.
    pub(super) fn stray(&self) -> Result<(), JailEnding> {
        let mut calls = self.lock();
        calls.strays += 1;
        if calls.strays > STRAYS { Err(JailEnding::Broken("it talks without being asked")) } else { Ok(()) }
    }

    fn cancel(&self, number: u64) {
        let mut calls = self.lock();
        let Some(open) = calls.open.get_mut(&number) else { return };
        if open.sent {
            open.reply = None;
            open.due = Instant::now() + self.margin;
            calls.outbox.push_back(LinkMessage::Cancel(number));
        } else {
            calls.open.remove(&number);
            calls.outbox.retain(|message| !matches!(message, LinkMessage::Run(other, _) if *other == number));
        }
        calls.used = Instant::now();
        drop(calls);
        self.to_say.notify_one();
        self.changed.notify_one();
    }

    /// Lets a thread's shell end, behind the calls that were asked before.
    pub(super) fn leave(&self, thread: ThreadId) {
        let mut calls = self.lock();
        if calls.ending.is_none() {
            calls.outbox.push_back(LinkMessage::Leave(thread));
        }
        drop(calls);
        self.to_say.notify_one();
    }

    /// Takes no more calls and answers those that wait. The first reason holds.
    pub(super) fn close(&self, ending: JailEnding) {
        self.lock().close(ending);
        self.closed.cancel();
    }

    /// Closes it if no call is under way.
    pub(super) fn close_if_quiet(&self, ending: JailEnding) -> bool {
        let mut calls = self.lock();
        if calls.next == 0 || !calls.open.is_empty() || calls.ending.is_some() {
            return false;
        }
        calls.close(ending);
        drop(calls);
        self.closed.cancel();
        true
    }

    /// Since when no call is under way; `None`: one is, or none was yet, or the line is closed.
    pub(super) fn quiet_since(&self) -> Option<Instant> {
        let calls = self.lock();
        (calls.next > 0 && calls.open.is_empty() && calls.ending.is_none()).then_some(calls.used)
    }

    /// Whether its session has had it for as long as this.
    pub(super) fn is_over_its_turn(&self, turn: Duration) -> bool {
        self.lock().turn.elapsed() >= turn
    }

    /// Its session has waited for its turn and has it now.
    pub(super) fn begin_turn(&self) {
        self.lock().turn = Instant::now();
    }

    /// Why it is closed.
    pub(super) fn ending(&self) -> Option<JailEnding> {
        self.lock().ending.clone()
    }

    /// Returns when the line is closed, and closes it when it has been quiet for `idle` or when an answer
    /// is overdue.
    /// Says each time when no call is under way any more.
    pub(super) async fn watch(&self, idle: Duration, quiet: impl Fn()) {
        loop {
            if self.quiet_since().is_some() {
                quiet();
            }
            match self.look(idle) {
                Sight::Over(ending) => return self.close(ending),
                Sight::QuietUntil(at) => tokio::select! {
                    () = self.closed.cancelled() => return,
                    () = self.changed.notified() => {}
                    () = tokio::time::sleep_until(at) => {}
                },
            }
        }
    }

    fn look(&self, idle: Duration) -> Sight {
        let mut calls = self.lock();
        let now = Instant::now();
        if let Some(due) = calls.open.values().map(|open| open.due).min() {
            return if due <= now { Sight::Over(JailEnding::Stuck) } else { Sight::QuietUntil(due) };
        }
        let until = calls.used + idle;
        if until > now {
            return Sight::QuietUntil(until);
        }
        // Under the same lock, so that no call slips in between.
        calls.close(JailEnding::Idle);
        Sight::Over(JailEnding::Idle)
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        lock(&self.calls)
    }
}

impl Calls {
    fn close(&mut self, ending: JailEnding) {
        let ending = self.ending.get_or_insert(ending);
        for (_, open) in std::mem::take(&mut self.open) {
            if let Some(reply) = open.reply {
                // Whoever asked may have left this very moment.
                let _unheard = reply.send(ending.outcome(open.sent));
            }
        }
        self.outbox.clear();
        self.asked = None;
    }
}

/// Waits for the answer to one call. Dropping it cancels the call.
#[derive(Debug)]
pub(super) struct CallWaiting {
    line: Arc<JailLink>,
    number: u64,
    /// Until it begins.
    call: Option<ToolCall>,
    answer: oneshot::Receiver<ToolOutcome>,
}

impl CallWaiting {
    /// Lets the call begin, if it may, and waits for what comes of it; `None`: it may not.
    pub(super) async fn outcome(mut self, begin: BeginCall<'_>) -> Option<ToolOutcome> {
        let started = self.line.started.clone();
        let begun = async {
            started.cancelled().await;
            begin.await
        };
        // The sender lives in the line, which answers before it lets go.
        tokio::select! {
            biased;
            answer = &mut self.answer => {
                return Some(answer.unwrap_or_else(|_| JailEnding::Died.outcome(false)));
            }
            may = begun => if !may { return None },
        }
        if let Some(call) = self.call.take() {
            self.line.begin(self.number, call);
        }
        Some((&mut self.answer).await.unwrap_or_else(|_| JailEnding::Died.outcome(true)))
    }
}

impl Drop for CallWaiting {
    fn drop(&mut self) {
        self.line.cancel(self.number);
    }
}

/// What the tool itself promises to keep to.
fn bound(call: &ToolCall) -> Duration {
    builtins::of(call.tool).map_or(tool::BOUND, |known| (known.bound)(&call.input))
}

#[cfg(test)]
mod tests {
    use protocol::{EventId, Object, ThreadId, tool::BuiltinName};
    use serde_json::json;
    use tokio::time::advance;

    use super::*;

    const IDLE: Duration = Duration::from_mins(10);
    const MARGIN: Duration = Duration::from_secs(15);

    fn line() -> Arc<JailLink> {
        Arc::new(JailLink::new(SessionId::from_bits(1), MARGIN))
    }

    fn call(tool: BuiltinName, timeout_ms: Option<u64>) -> ToolCall {
        let input = timeout_ms.map(|ms| ("timeout_ms".to_owned(), json!(ms)));
        ToolCall {
            session: SessionId::from_bits(1),
            thread: ThreadId::from_bits(1),
            event: EventId::from_bits(1),
            tool,
            input: Object::from_iter(input),
        }
    }

    /// Takes a call that begins at once.
    fn begun(line: &Arc<JailLink>, call: ToolCall) -> CallWaiting {
        let mut waiting = line.ask(call).unwrap();
        line.begin(waiting.number, waiting.call.take().unwrap());
        waiting
    }

    async fn outcome(waiting: CallWaiting) -> ToolOutcome {
        waiting.outcome(Box::pin(std::future::pending())).await.unwrap()
    }

    async fn closed_after(line: &JailLink) -> Duration {
        let before = Instant::now();
        line.watch(IDLE, || {}).await;
        assert!(line.closed.is_cancelled());
        before.elapsed()
    }

    /// Timers are as coarse as a millisecond.
    fn about(took: Duration, expected: Duration) {
        assert!(took >= expected && took < expected + Duration::from_millis(5), "{took:?}, not {expected:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_line_closes_when_it_has_been_idle_and_a_call_begins_that_anew() {
        let line = line();
        advance(Duration::from_secs(599)).await;
        let waiting = begun(&line, call(BuiltinName::Read, None));
        assert!(matches!(line.next().await, LinkMessage::Run(0, _)));
        advance(Duration::from_secs(30)).await;
        line.answer(0, failed("x")).unwrap();
        assert_eq!(outcome(waiting).await, failed("x"));
        about(closed_after(&line).await, IDLE);
        assert_eq!(line.ending(), Some(JailEnding::Idle));
        assert!(matches!(line.ask(call(BuiltinName::Read, None)), Err(CallNotTaken::Closed(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_waited_for_as_long_as_its_tool_may_take_and_a_margin() {
        for (tool, timeout_ms, bound) in [
            (BuiltinName::Bash, None, 120),
            (BuiltinName::Bash, Some(600_000), 600),
            (BuiltinName::Bash, Some(u64::MAX), 600),
            (BuiltinName::Bash, Some(1_000), 1),
            (BuiltinName::Grep, Some(1_000), 60),
        ] {
            let line = line();
            let waiting = begun(&line, call(tool, timeout_ms));
            assert!(matches!(line.next().await, LinkMessage::Run(0, _)));
            about(closed_after(&line).await, Duration::from_secs(bound) + MARGIN);
            assert_eq!(outcome(waiting).await, JailEnding::Stuck.outcome(true));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_never_sent_is_answered_too() {
        let line = line();
        let waiting = line.ask(call(BuiltinName::Read, None)).unwrap();
        about(closed_after(&line).await, START + tool::BOUND + MARGIN);
        assert_eq!(outcome(waiting).await, JailEnding::Stuck.outcome(false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_call_is_unsaid_if_it_was_not_sent_and_else_cancelled_and_waited_for() {
        let line = line();
        drop(begun(&line, call(BuiltinName::Bash, None)));
        assert!(line.take().is_none());

        let waiting = begun(&line, call(BuiltinName::Bash, None));
        assert!(matches!(line.next().await, LinkMessage::Run(1, _)));
        drop(waiting);
        assert!(matches!(line.take(), Some(LinkMessage::Cancel(1))));
        assert!(!line.close_if_quiet(JailEnding::Evicted), "its processes may still run");
        about(closed_after(&line).await, MARGIN);
        assert_eq!(line.ending(), Some(JailEnding::Stuck));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_said_only_once_it_may_begin_and_one_that_may_not_gives_its_place_back() {
        let line = line();
        let refused = line.ask(call(BuiltinName::Bash, None)).unwrap();
        assert!(line.take().is_none() && line.quiet_since().is_none(), "it has its place and waits");
        line.started.cancel();
        assert_eq!(refused.outcome(Box::pin(async { false })).await, None);
        assert!(line.take().is_none() && line.quiet_since().is_some());

        let ended = line.ask(call(BuiltinName::Bash, None)).unwrap();
        line.close(JailEnding::Died);
        let asked = Box::pin(async { panic!("a jail that is gone begins nothing") });
        assert_eq!(ended.outcome(asked).await, Some(JailEnding::Died.outcome(false)));
        assert!(line.take().is_none());
    }

    #[tokio::test]
    async fn a_line_takes_so_many_calls_and_no_more() {
        let line = line();
        let calls: Vec<_> =
            (0..OPEN_CALLS).map(|_| line.ask(call(BuiltinName::Read, None)).unwrap()).collect();
        assert!(matches!(line.ask(call(BuiltinName::Read, None)), Err(CallNotTaken::Refused(_))));
        drop(calls);
        assert!(line.ask(call(BuiltinName::Read, None)).is_ok());
    }
}
