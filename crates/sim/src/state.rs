//! What a thread may be doing, as the table of a storm tells it apart.

use crate::call_ledger::{CallLedger, LedgerKind};
use crate::team::reading::{PrintedThread, TeamReading, ThreadReading};

macro_rules! names {
    ($(#[$doc:meta])* $of:ident { $($(#[$each:meta])* $variant:ident $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $of { $($(#[$each])* $variant,)* }

        impl $of {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name in the table.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

pub(crate) use names;

names! {
    /// Whose turn it is to be told apart in the table.
    Role {
        /// The session's own.
        Primary "primary",
        /// Another's.
        Child "child",
    }
}

names! {
    /// What a thread is doing.
    State {
        /// It rests; its last turn ended.
        Idle "idle end_turn",
        /// It rests; the model declined.
        Refused "idle refusal",
        /// It rests; the model could not be asked.
        Exhausted "idle exhausted",
        /// A model is asked.
        Asking "asking",
        /// A model is asked and something waits.
        AskingQueued "asking, queued",
        /// One call waits for the client's answer.
        Calling "calling",
        /// More than one does.
        CallingMore "calling, many",
        /// Calls wait for a person's verdict.
        Asked "asked",
        /// Calls wait for a verdict, and others for an answer.
        AskedCalling "asked, calling",
        /// Calls wait for the client and something waits for them.
        CallingQueued "calling, queued",
        /// A tool runs, and nothing needs the client.
        Running "running",
        /// A tool runs, and other calls wait for the client's answer.
        RunningCalling "running, calling",
        /// A tool runs and something waits.
        RunningQueued "running, queued",
        /// A retry waits for its time.
        Retry "waiting",
        /// A retry waits, and something else too.
        RetryQueued "waiting, queued",
        /// It waits for a child that works, or works itself beside that.
        Waits "waits",
        /// It waits for a child that needs the client.
        WaitsBlocked "waits, blocked",
        /// It waits for a child and something waits for it.
        WaitsQueued "waits, queued",
        /// Its model could not be asked.
        Failed "ended, failed",
        /// Its owner archived it.
        Ended "ended, archived",
        /// The session is archived.
        Archived "archived",
        /// The session is deleted.
        Deleted "deleted",
    }
}

impl Role {
    pub(crate) const fn of(thread: &ThreadReading) -> Self {
        if thread.parent.is_some() { Self::Child } else { Self::Primary }
    }
}

impl State {
    pub(crate) fn of(reading: &TeamReading, thread: &ThreadReading) -> Self {
        let queued = !thread.queue.is_empty();
        if reading.over() {
            return if reading.deleted { Self::Deleted } else { Self::Archived };
        }
        if thread.ended {
            return if thread.archived { Self::Ended } else { Self::Failed };
        }
        if thread.asking.is_some() {
            return if queued { Self::AskingQueued } else { Self::Asking };
        }
        if thread.until.is_some() {
            return if queued { Self::RetryQueued } else { Self::Retry };
        }
        if !thread.waits.is_empty() {
            return match (queued, reading.printed(thread.id)) {
                (true, _) => Self::WaitsQueued,
                (false, PrintedThread::Needs(_)) => Self::WaitsBlocked,
                (false, _) => Self::Waits,
            };
        }
        if !thread.desk.open().is_empty() {
            return Self::calling(&thread.desk, queued);
        }
        match thread.stop.as_str() {
            "refusal" => Self::Refused,
            "retries_exhausted" => Self::Exhausted,
            _ => Self::Idle,
        }
    }

    fn calling(desk: &CallLedger, queued: bool) -> Self {
        let needs = |kind| desk.open().iter().filter(|call| call.kind == kind && call.needs_client()).count();
        let (asked, customs) = (needs(LedgerKind::Ask), needs(LedgerKind::Custom));
        match (desk.works(), queued) {
            (true, true) => Self::RunningQueued,
            (true, false) if customs > 0 => Self::RunningCalling,
            (true, false) => Self::Running,
            (false, true) => Self::CallingQueued,
            (false, false) if asked > 0 && customs > 0 => Self::AskedCalling,
            (false, false) if asked > 0 => Self::Asked,
            (false, false) if customs > 1 => Self::CallingMore,
            (false, false) => Self::Calling,
        }
    }

    /// Whether a model is being asked.
    pub const fn asks(self) -> bool {
        matches!(self, Self::Asking | Self::AskingQueued)
    }

    /// Whether a retry waits.
    pub const fn retries(self) -> bool {
        matches!(self, Self::Retry | Self::RetryQueued)
    }

    /// Whether a tool runs.
    pub const fn runs(self) -> bool {
        matches!(self, Self::Running | Self::RunningCalling | Self::RunningQueued)
    }

    /// Whether only the client can go on.
    pub const fn blocked(self) -> bool {
        matches!(self, Self::Calling | Self::CallingMore | Self::CallingQueued)
            || matches!(self, Self::Asked | Self::AskedCalling)
    }

    /// Whether it waits for a child.
    pub const fn waits(self) -> bool {
        matches!(self, Self::Waits | Self::WaitsBlocked | Self::WaitsQueued)
    }

    /// Whether a person may be asked.
    pub const fn asks_person(self) -> bool {
        matches!(self, Self::Asked | Self::AskedCalling | Self::CallingQueued)
    }

    /// Whether a call may wait for the client's answer.
    pub const fn asks_client(self) -> bool {
        matches!(self, Self::Calling | Self::CallingMore | Self::AskedCalling | Self::CallingQueued)
            || matches!(self, Self::RunningCalling | Self::RunningQueued)
    }

    /// Whether a turn is under way.
    pub const fn busy(self) -> bool {
        self.asks() || self.runs() || self.retries() || self.blocked()
    }

    /// Whether its session is over.
    pub const fn over(self) -> bool {
        matches!(self, Self::Archived | Self::Deleted)
    }

    /// Whether its thread has ended, and its session has not.
    pub const fn ended(self) -> bool {
        matches!(self, Self::Failed | Self::Ended)
    }

    /// Whether few threads are met so.
    pub(crate) const fn rare(self) -> bool {
        matches!(self, Self::RunningQueued | Self::RetryQueued | Self::CallingQueued) || self.waits()
    }
}
