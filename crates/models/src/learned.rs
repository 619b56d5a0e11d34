//! What a route's provider does not take of what we would send, learnt from its refusals and left out since.

use std::sync::atomic::{AtomicU8, Ordering};

use protocol::routes::{Route, SpareMember};

use crate::{kept, problem::ProviderProblem};

/// Something of a request that the answer does not depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestExtra {
    /// That the cost be told.
    StreamOptions,
    /// The longest answer, by its old name.
    MaxTokens,
    /// The longest answer, by its new name.
    MaxCompletionTokens,
    /// What is to be cached.
    CacheControl,
    /// The ids of calls as they are: such a provider takes nine letters and digits.
    CallIds,
    /// What the provider itself had put beside its answers.
    Beside,
}

impl RequestExtra {
    const ALL: [Self; 6] = [
        Self::StreamOptions,
        Self::MaxTokens,
        Self::MaxCompletionTokens,
        Self::CacheControl,
        Self::CallIds,
        Self::Beside,
    ];

    /// Its name in a request, for the log.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::StreamOptions => SpareMember::StreamOptions.name(),
            Self::MaxTokens => SpareMember::MaxTokens.name(),
            Self::MaxCompletionTokens => SpareMember::MaxCompletionTokens.name(),
            Self::CacheControl => SpareMember::CacheControl.name(),
            Self::CallIds => "tool_call_id",
            Self::Beside => "what it puts beside its answers",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// Whether a refusal is of this.
    fn is_refused(self, problem: &ProviderProblem) -> bool {
        match self {
            Self::StreamOptions | Self::CacheControl => problem.names(self.name()),
            Self::MaxTokens | Self::MaxCompletionTokens => {
                let other = if self == Self::MaxTokens { Self::MaxCompletionTokens } else { Self::MaxTokens };
                let advised = |name: &str| {
                    ["use '", "use `", "use "].iter().any(|use_| problem.says(&format!("{use_}{name}")))
                };
                // That the number is too large is another refusal.
                let unknown = UNKNOWN.iter().any(|words| problem.says(words));
                problem.names(self.name()) && !advised(self.name()) && (unknown || advised(other.name()))
            }
            Self::CallIds => problem.says("length of 9"),
            // Where one is missing, that is said in other words.
            Self::Beside => {
                let unknown = UNKNOWN.iter().any(|words| problem.says(words));
                let word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
                let mut words = problem.message().split(|letter| !word(letter));
                unknown && words.any(|word| kept::names().any(|name| name == word))
            }
        }
    }
}

impl From<SpareMember> for RequestExtra {
    fn from(spare: SpareMember) -> Self {
        match spare {
            SpareMember::StreamOptions => Self::StreamOptions,
            SpareMember::MaxTokens => Self::MaxTokens,
            SpareMember::MaxCompletionTokens => Self::MaxCompletionTokens,
            SpareMember::CacheControl => Self::CacheControl,
        }
    }
}

/// Words of a refusal that is of the member, not of its value.
const UNKNOWN: [&str; 9] = [
    "unsupported",
    "not supported",
    "does not support",
    "unknown",
    "unrecognized",
    "unexpected",
    "not permitted",
    "not allowed",
    "additional properties",
];

/// What is left out of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct OmittedExtras(u8);

impl OmittedExtras {
    /// Whether this is left out.
    pub(crate) const fn has(self, extra: RequestExtra) -> bool {
        self.0 & extra.bit() != 0
    }

    /// With this left out too.
    pub(crate) const fn and(self, extra: RequestExtra) -> Self {
        Self(self.0 | extra.bit())
    }

    /// What else is to be left out after such a refusal, if it names something of `sent`.
    pub(crate) fn after(self, problem: &ProviderProblem, sent: &[RequestExtra]) -> Option<Self> {
        sent.iter()
            .find(|extra| !self.has(**extra) && extra.is_refused(problem))
            .map(|extra| self.and(*extra))
    }
}

/// What has been learnt of one route, until the server stops.
#[derive(Debug, Default)]
pub(crate) struct RouteLessons(AtomicU8);

impl RouteLessons {
    /// Nothing yet.
    pub(crate) const fn new() -> Self {
        Self(AtomicU8::new(0))
    }

    /// What is known of a route before it is asked: what its settings leave out.
    pub(crate) fn of(route: &Route) -> Self {
        let left_out = route.leave_out.iter().map(|spare| RequestExtra::from(*spare));
        Self(AtomicU8::new(left_out.fold(OmittedExtras::default(), OmittedExtras::and).0))
    }

    /// What is left out of the next request.
    pub(crate) fn omitted(&self) -> OmittedExtras {
        OmittedExtras(self.0.load(Ordering::Relaxed))
    }

    /// Notes what a request was served without, and says in the log what is new of it.
    pub(crate) fn note(&self, omitted: OmittedExtras, route: &Route) {
        let before = OmittedExtras(self.0.fetch_or(omitted.0, Ordering::Relaxed));
        for extra in RequestExtra::ALL.into_iter().filter(|extra| omitted.has(*extra) && !before.has(*extra))
        {
            let (route, left_out) = (&route.pattern, extra.name());
            tracing::warn!(%route, left_out, "the provider refuses this; it is left out from now on");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_refusal_is_of_what_it_names_and_not_of_what_it_advises() {
        let refused = |message: &str| {
            let problem = ProviderProblem::of(&json!({"error": {"message": message}}));
            OmittedExtras::default().after(&problem, &RequestExtra::ALL)
        };
        let only = |extra| Some(OmittedExtras::default().and(extra));
        let rename = "Unsupported parameter: 'max_tokens' is not supported with this model. \
                      Use 'max_completion_tokens' instead.";
        assert_eq!(refused(rename), only(RequestExtra::MaxTokens));
        assert_eq!(
            refused("max_completion_tokens: Extra inputs are not permitted"),
            only(RequestExtra::MaxCompletionTokens)
        );
        assert_eq!(refused("'max_tokens' or 'max_completion_tokens' is too large: 8192."), None);
        assert_eq!(
            refused("Extra inputs are not permitted: stream_options"),
            only(RequestExtra::StreamOptions)
        );
        assert_eq!(
            refused("system.0.cache_control: Extra inputs are not permitted"),
            only(RequestExtra::CacheControl)
        );
        assert_eq!(
            refused("Tool call id was call_1 but must be a-z, A-Z, 0-9, with a length of 9."),
            only(RequestExtra::CallIds)
        );
        let own = "messages.2.assistant.reasoning: property 'messages.2.assistant.reasoning' is unsupported";
        assert_eq!(refused(own), only(RequestExtra::Beside));
        assert_eq!(refused("Unsupported parameter: 'reasoning_effort' is not supported."), None);
        assert_eq!(
            refused("The `reasoning_content` in the thinking mode must be passed back to the API."),
            None
        );
        assert_eq!(refused("bad"), None);
    }
}
