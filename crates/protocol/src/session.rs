//! Sessions and threads as the API shows them (docs/rules.md 18).

use alloc::{string::String, vec::Vec};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    EnvironmentId, Object, SessionId, ThreadId, Timestamp,
    agent::{SessionAgent, ThreadAgent},
    parse::Metadata,
    schema::Tagged,
    usage::Usage,
};

/// What a session or a thread is doing, as it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Status")]
pub enum SessionStatus {
    /// It works.
    Running,
    /// It rests, or waits for the client.
    Idle,
    /// It waits to try again.
    Rescheduling,
    /// It is over.
    Terminated,
}

impl SessionStatus {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Rescheduling, Self::Running, Self::Idle, Self::Terminated];

    /// Every status's name, as the lists' filters take them.
    pub const NAMES: &'static [&'static str] = &["rescheduling", "running", "idle", "terminated"];

    /// The status's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Idle => "idle",
            Self::Rescheduling => "rescheduling",
            Self::Terminated => "terminated",
        }
    }

    /// The status of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Whether something goes on, or will by itself.
    pub const fn is_busy(self) -> bool {
        match self {
            Self::Running | Self::Rescheduling => true,
            Self::Idle | Self::Terminated => false,
        }
    }
}

/// A session.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "type", rename = "session")]
#[schemars(rename = "Session", transform = Tagged("session"))]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// The agent it works with.
    pub agent: SessionAgent,
    /// Where its tools run.
    pub environment_id: EnvironmentId,
    /// What it is called.
    pub title: Option<String>,
    /// The owner's own notes.
    pub metadata: Metadata,
    /// Always empty: resources are not served.
    pub resources: Vec<Object>,
    /// Always empty: vaults are not served.
    pub vault_ids: Vec<String>,
    /// Always null: budgets are not served.
    pub budget: Option<Object>,
    /// Always null: deployments are not served.
    pub deployment_id: Option<String>,
    /// Always empty: outcomes are not served.
    pub outcome_evaluations: Vec<Object>,
    /// How long it worked.
    pub stats: SessionStats,
    /// What it used.
    pub usage: Usage,
    /// What it is doing.
    pub status: SessionStatus,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Since when it takes no more events.
    pub archived_at: Option<Timestamp>,
}

/// How long a session worked, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, JsonSchema, Serialize, Deserialize)]
pub struct SessionStats {
    /// The sum of each thread's running time.
    pub active_seconds: Option<f64>,
    /// From its making to now, or to its end.
    pub duration_seconds: Option<f64>,
}

/// A thread of a session.
#[derive(Debug, Clone, PartialEq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "type", rename = "session_thread")]
#[schemars(rename = "Thread", transform = Tagged("session_thread"))]
pub struct SessionThread {
    /// Its id.
    pub id: ThreadId,
    /// The session it belongs to.
    pub session_id: SessionId,
    /// The thread that made it; null for the primary.
    pub parent_thread_id: Option<ThreadId>,
    /// The agent it works with.
    pub agent: ThreadAgent,
    /// What it is doing.
    pub status: SessionStatus,
    /// How long it worked; null until its status first changes.
    pub stats: Option<ThreadStats>,
    /// What it used; null until its status first changes.
    pub usage: Option<Usage>,
    /// The workflow run it belongs to.
    pub workflow_run_id: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Since when it is over.
    pub archived_at: Option<Timestamp>,
}

/// How long a thread worked, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, JsonSchema, Serialize, Deserialize)]
pub struct ThreadStats {
    /// Without the time it rested.
    pub active_seconds: Option<f64>,
    /// From its making to now, or to its end.
    pub duration_seconds: Option<f64>,
    /// From its making to its first work; zero for a child.
    pub startup_seconds: Option<f64>,
}
