//! The one table of errors: what went wrong becomes a status, a type, a message and a code.
//!
//! The outer message says what to do and goes to the client; the inner one goes to the log. The body
//! itself is written in `answer`, which knows the request's id.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use engine::{CommitError, DocumentError, EngineFault, OpenError};
use kernel::{Refusal, rules::DocumentRefusal};
use protocol::{
    Invalid, Object,
    error::{ErrorBody, ErrorDetail, ErrorKind},
    limits, parse,
};

/// What is said of something that is neither a session's log nor its head row.
const KEPT: &str = "what is kept of this is damaged";

/// An error on its way to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiProblem {
    pub(crate) status: StatusCode,
    pub(crate) kind: ErrorKind,
    /// For the client.
    pub(crate) message: String,
    /// `details.error_code`.
    pub(crate) code: Option<&'static str>,
    /// `x-should-retry`, where the client's own rule would be wrong.
    pub(crate) retry: Option<bool>,
    /// `retry-after`: seconds after which it may be otherwise.
    pub(crate) wait_s: Option<u64>,
    /// For the log.
    pub(crate) inner: Option<String>,
    /// What all requests may fail for at once, so that the log does not tell of each.
    pub(crate) often: Option<FrequentReason>,
}

/// A reason of ours that holds for many requests, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrequentReason {
    Full,
    Damaged,
}

impl ApiProblem {
    /// A problem with the status that goes with its kind.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self {
            status,
            kind,
            message: message.into(),
            code: None,
            retry: None,
            wait_s: None,
            inner: None,
            often: None,
        }
    }

    /// There is no such thing.
    pub(crate) fn missing(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, what)
    }

    /// The path is there, the method is not; the `right` ones are. An agent cannot be deleted at all, so that
    /// for DELETE there is nothing at its path.
    pub(crate) fn wrong_method(method: &str, path: &str, right: &[&str]) -> Self {
        if method == "DELETE" && is_an_agents(path) {
            return Self::missing(
                "an agent is not deleted; archive it with POST, at this path and `/archive` behind it",
            );
        }
        let (method, path) = (parse::shown(method), parse::shown(path));
        let mut message = format!("{path} does not take {method}");
        if !right.is_empty() {
            message.extend(["; it takes ", &right.join(", ")]);
        }
        Self { status: StatusCode::METHOD_NOT_ALLOWED, ..Self::new(ErrorKind::InvalidRequest, message) }
    }

    /// An operation of the API that Heddle does not have yet. It will not have it at the next try either.
    pub(crate) fn not_built(operation: &str) -> Self {
        Self::unsupported(format!("{operation} is not supported yet by this version of Heddle"))
    }

    /// An operation of the API that is about Google's cloud, where nothing of this server lies.
    pub(crate) fn of_google(operation: &str) -> Self {
        Self::unsupported(format!(
            "{operation} is not supported: it is about data in Google Cloud, and Heddle keeps all data in its \
             own data directory"
        ))
    }

    fn unsupported(message: String) -> Self {
        Self { retry: Some(false), ..Self::new(ErrorKind::NotSupported, message) }
    }

    /// A query parameter is wrong.
    pub(crate) fn parameter(name: &str, message: impl std::fmt::Display) -> Self {
        Self::new(ErrorKind::InvalidRequest, format!("{name}: {message}"))
    }

    /// Our own fault: the client gets no more than that.
    pub(crate) fn internal(inner: impl std::fmt::Display) -> Self {
        let message = "the server failed; try again, and look into its log if it goes on";
        Self { inner: Some(inner.to_string()), ..Self::new(ErrorKind::Api, message) }
    }

    /// Nothing can be written, and it is not for us to mend.
    pub(crate) fn full(inner: impl std::fmt::Display) -> Self {
        Self::unwritten(inner, "the server's disk is full; nothing was written; try again when there is room")
    }

    fn unwritten(inner: impl std::fmt::Display, message: &str) -> Self {
        Self {
            inner: Some(inner.to_string()),
            often: Some(FrequentReason::Full),
            ..Self::new(ErrorKind::Api, message)
        }
    }

    /// What is asked for cannot be trusted any more.
    pub(crate) fn damaged(damage: store::DamagedPart) -> Self {
        let what = match damage {
            store::DamagedPart::Log { position, .. } => {
                format!("this session's log is damaged at position {position}")
            }
            store::DamagedPart::Head { .. } => "what is kept of this session is damaged".to_owned(),
            store::DamagedPart::Document { .. } => KEPT.to_owned(),
        };
        Self::lost(&what, store::StoreFault::Damaged(damage).to_string())
    }

    /// What is asked for, or something that belongs to it, cannot be read any more.
    pub(crate) fn unreadable(inner: impl ToString) -> Self {
        Self::lost(KEPT, inner.to_string())
    }

    /// It will not be better at the next try.
    fn lost(what: &str, inner: String) -> Self {
        let message = format!(
            "{what} on the server's disk; restore the data directory from a backup; everything else goes on"
        );
        let often = Some(FrequentReason::Damaged);
        Self { inner: Some(inner), often, retry: Some(false), ..Self::new(ErrorKind::Api, message) }
    }

    /// The server is about to stop.
    pub(crate) fn stopping() -> Self {
        Self::new(ErrorKind::Overloaded, "the server is stopping; try again in a moment")
    }

    /// A 409 that comes again however often it is tried.
    pub(crate) fn conflict(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { status: StatusCode::CONFLICT, retry: Some(false), ..Self::new(kind, message) }
    }

    /// Whether it is sure that nothing was written, and that clients send the request again.
    pub(crate) fn comes_again(&self) -> bool {
        match self.kind {
            ErrorKind::RateLimit | ErrorKind::Overloaded => true,
            ErrorKind::Api => matches!(self.often, Some(FrequentReason::Full)),
            ErrorKind::InvalidRequest
            | ErrorKind::Authentication
            | ErrorKind::Permission
            | ErrorKind::NotFound
            | ErrorKind::Conflict
            | ErrorKind::RequestTooLarge
            | ErrorKind::NotSupported => false,
        }
    }

    /// The body, for the request with this id.
    pub(crate) fn body(&self, request_id: String) -> ErrorBody {
        let details = self.code.map(|code| Object::from_iter([("error_code".to_owned(), code.into())]));
        ErrorBody {
            error: ErrorDetail { kind: self.kind, message: self.message.clone(), details },
            request_id,
        }
    }
}

impl IntoResponse for ApiProblem {
    /// An answer without a body; `answer::dress` writes it.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Invalid> for ApiProblem {
    fn from(wrong: Invalid) -> Self {
        let message =
            if wrong.path.is_empty() { wrong.message } else { format!("{}: {}", wrong.path, wrong.message) };
        let kind = if wrong.absent { ErrorKind::NotFound } else { ErrorKind::InvalidRequest };
        Self { code: wrong.code, ..Self::new(kind, message) }
    }
}

/// Whether this is the path of one agent.
fn is_an_agents(path: &str) -> bool {
    path.strip_prefix("/v1/agents/").is_some_and(|id| !id.is_empty() && !id.contains('/'))
}

impl From<DocumentRefusal> for ApiProblem {
    fn from(refused: DocumentRefusal) -> Self {
        match refused {
            DocumentRefusal::Invalid(wrong) => wrong.into(),
            DocumentRefusal::Taken(taken) => {
                Self::conflict(ErrorKind::Conflict, format!("{}: {}", taken.path, taken.message))
            }
            DocumentRefusal::InUse(used) => Self::conflict(ErrorKind::InvalidRequest, used.to_string()),
            DocumentRefusal::Stale { sent, current } => Self::conflict(
                ErrorKind::InvalidRequest,
                format!(
                    "version: concurrent modification: {sent} was sent, but the current version is {current}; \
                     fetch the latest version and try again"
                ),
            ),
        }
    }
}

impl From<DocumentError> for ApiProblem {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::Refused(refused) => refused.into(),
            DocumentError::Fault(fault) => fault.into(),
        }
    }
}

impl From<OpenError> for ApiProblem {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Document(error) => error.into(),
            OpenError::Commit(error) => error.into(),
        }
    }
}

impl From<Refusal> for ApiProblem {
    /// State refusals are 400, never 409 (docs/rules.md 11).
    fn from(refusal: Refusal) -> Self {
        match &refusal {
            Refusal::Stale => Self::internal("a client's input was called stale"),
            Refusal::QueueFull => Self::new(ErrorKind::RateLimit, refusal.message()),
            Refusal::Invalid(wrong) => wrong.clone().into(),
            Refusal::NoSuchThread { .. } => Self::missing(refusal.message()),
            Refusal::UnknownThread { .. } => {
                Self::missing(format!("{}: {}", refusal.path().unwrap_or_default(), refusal.message()))
            }
            Refusal::Terminated
            | Refusal::RequiresAction { .. }
            | Refusal::UnknownCall { .. }
            | Refusal::Answered { .. }
            | Refusal::NotYours { .. }
            | Refusal::NotAsked { .. }
            | Refusal::ThreadTerminated { .. }
            | Refusal::ThreadOver { .. }
            | Refusal::PrimaryThread { .. }
            | Refusal::ThreadBusy { .. }
            | Refusal::Busy { .. } => {
                Invalid::new(refusal.path().unwrap_or_default(), refusal.message()).into()
            }
        }
    }
}

impl From<store::StoreFault> for ApiProblem {
    fn from(fault: store::StoreFault) -> Self {
        match fault {
            store::StoreFault::Full { .. } | store::StoreFault::Short { .. } => Self::full(fault),
            store::StoreFault::Damaged(damage) => Self::damaged(damage),
            store::StoreFault::Gone { .. } => Self::unwritten(
                fault,
                "the server's data directory was removed or moved away: nothing new is taken",
            ),
            store::StoreFault::Open { .. }
            | store::StoreFault::Newer { .. }
            | store::StoreFault::Disk(_)
            | store::StoreFault::Corrupt(_)
            | store::StoreFault::Misuse(_)
            | store::StoreFault::Panicked
            | store::StoreFault::Closed => Self::internal(fault),
        }
    }
}

impl From<EngineFault> for ApiProblem {
    fn from(fault: EngineFault) -> Self {
        match fault {
            EngineFault::Store(fault) => fault.into(),
            EngineFault::Corrupt(_) | EngineFault::Unreadable(_) => Self::unreadable(fault),
            EngineFault::Memory => ApiProblem {
                inner: Some(fault.to_string()),
                wait_s: Some(limits::MEMORY_WAIT_S),
                ..Self::new(
                    ErrorKind::Overloaded,
                    "the server has little memory left and takes nothing large now; try again in a moment",
                )
            },
            EngineFault::Unwritable(_)
            | EngineFault::Contended(_)
            | EngineFault::Taken(_)
            | EngineFault::Died => Self::internal(fault),
        }
    }
}

impl From<CommitError> for ApiProblem {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::NotFound => Self::missing("there is no such session, or it is deleted"),
            CommitError::Refused(refusal) => refusal.into(),
            CommitError::Stopping => Self::stopping(),
            CommitError::Fault(fault) => fault.into(),
            CommitError::Conflict { .. } => Self::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::session::SessionStatus;

    #[test]
    fn state_refusals_are_400_and_a_full_queue_is_429() {
        let status = |refusal: Refusal| ApiProblem::from(refusal).status.as_u16();
        let busy = Refusal::Busy { verb: "archive", status: SessionStatus::Running };
        assert_eq!([busy, Refusal::Terminated, Refusal::QueueFull].map(status), [400, 400, 429]);
    }

    #[test]
    fn a_stale_version_is_a_409_that_asks_not_to_be_retried() {
        let problem = ApiProblem::from(DocumentRefusal::Stale { sent: 1, current: 2 });
        assert_eq!(
            (problem.status.as_u16(), problem.kind, problem.retry),
            (409, ErrorKind::InvalidRequest, Some(false))
        );
    }

    #[test]
    fn a_fault_tells_the_log_and_not_the_client() {
        let problem = ApiProblem::from(store::StoreFault::Disk("secret path".into()));
        assert!(!problem.message.contains("secret"), "{}", problem.message);
        assert_eq!(problem.inner.as_deref(), Some("the database failed: secret path"));
    }

    #[test]
    fn a_full_disk_and_a_damaged_log_are_told_in_clear_words() {
        let full = ApiProblem::from(CommitError::from(store::StoreFault::Full { folder: "/secret".into() }));
        let words = "the server's disk is full; nothing was written; try again when there is room";
        assert_eq!((full.status.as_u16(), full.message.as_str()), (500, words));
        assert!(full.inner.is_some_and(|inner| inner.contains("/secret")));
        let short = ApiProblem::from(store::StoreFault::Short { folder: "/secret".into() });
        assert_eq!((short.status.as_u16(), short.message.as_str()), (500, words));
        let session = protocol::SessionId::from_bits(7);
        let damage = store::DamagedPart::Log { session, position: 4 };
        let damaged = ApiProblem::from(EngineFault::Store(store::StoreFault::Damaged(damage)));
        assert_eq!((damaged.status.as_u16(), damaged.retry), (500, Some(false)));
        assert!(damaged.message.contains("log is damaged at position 4"), "{}", damaged.message);
        assert!(damaged.message.contains("restore the data directory from a backup"), "{}", damaged.message);
        let inner = damaged.inner.unwrap_or_default();
        assert!(inner.contains(&session.to_string()) && inner.contains("position 4"), "{inner}");
    }

    #[test]
    fn the_path_and_the_code_reach_the_body() {
        let problem =
            ApiProblem::from(Invalid::new("config.type", "no").with_code("invalid_config_type_change"));
        let body = serde_json::to_value(problem.body("req_1".into())).expect("writes");
        assert_eq!(
            body["error"],
            serde_json::json!({
                "type": "invalid_request_error",
                "message": "config.type: no",
                "details": {"error_code": "invalid_config_type_change"},
            })
        );
    }
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod doors;
