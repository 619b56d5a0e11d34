//! POSTs that are sent again (docs/rules.md 4): how one is known, and how it waits for the one before it.
//!
//! What the one before came to is found in what it left behind: `engine::PostAttempt`. While it is still
//! being worked on nobody knows, so that whoever may be its repeat waits here. Of one that was refused it is
//! kept that it left nothing, so that its repeat is not taken for that of an older one that asked the same.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::HeaderMap;
use engine::{PostAttempt, RequestHash};
use protocol::limits;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::{auth::CallerKey, error::ApiProblem};

/// How many times the client says that it has sent a request before.
const COUNT: &str = "x-stainless-retry-count";
/// How many refused POSTs of one key are remembered, 32 bytes each; then its oldest is forgotten.
const REFUSED: usize = 1_024;
/// The key that a client may give a request.
const KEY: &str = "Idempotency-Key";

/// What a POST's headers say of how it is known.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AttemptHeaders {
    /// The hash of its key.
    Key(RequestHash),
    /// It has none; whether it was sent before.
    Plain { again: bool },
}

impl AttemptHeaders {
    /// # Errors
    /// A key that is none.
    pub(crate) fn of(caller: CallerKey, headers: &HeaderMap) -> Result<Self, ApiProblem> {
        Ok(match key(headers)? {
            Some(key) => Self::Key(print(b'k', caller, key, b"")),
            None => Self::Plain { again: again(headers) },
        })
    }

    /// How the POST is known: by its key if it has one, else by caller, path and body once it is sent again.
    pub(crate) fn attempt(self, caller: CallerKey, path: &str, body: &[u8]) -> PostAttempt {
        let asked = print(b'a', caller, path, body);
        match self {
            Self::Key(name) => PostAttempt::keyed(name, asked),
            Self::Plain { again } => PostAttempt::plain(asked, again),
        }
    }
}

fn print(kind: u8, caller: CallerKey, name: &str, body: &[u8]) -> RequestHash {
    let mut hash = Sha256::new();
    hash.update([kind]);
    hash.update(caller.0);
    hash.update((name.len() as u64).to_be_bytes());
    hash.update(name);
    hash.update(body);
    let hash: [u8; 32] = hash.finalize().into();
    let mut print = RequestHash::default();
    print.copy_from_slice(&hash[..size_of::<RequestHash>()]);
    print
}

fn again(headers: &HeaderMap) -> bool {
    let count = headers.get(COUNT).and_then(|count| count.to_str().ok());
    count.and_then(|count| count.parse::<u32>().ok()).is_some_and(|count| count > 0)
}

fn key(headers: &HeaderMap) -> Result<Option<&str>, ApiProblem> {
    let mut sent = headers.get_all(KEY).iter();
    let Some(first) = sent.next() else { return Ok(None) };
    let fits = |key: &&str| {
        // What a header's text may hold beside what is seen is a tab.
        (1..=limits::IDEMPOTENCY_KEY_CHARS).contains(&key.len()) && !key.contains('\t')
    };
    if let Some(key) = first.to_str().ok().map(str::trim).filter(fits)
        && sent.next().is_none()
    {
        return Ok(Some(key));
    }
    let most = limits::IDEMPOTENCY_KEY_CHARS;
    let message =
        format!("must be sent once, and be 1 to {most} visible characters of ASCII, or spaces within");
    Err(ApiProblem::parameter(KEY, message))
}

/// A key that was given to another request.
pub(crate) fn another() -> ApiProblem {
    let hours = limits::IDEMPOTENCY_KEY_S / 3_600;
    let message = format!(
        "{KEY}: this key came with another request, of another path or body, within the last {hours} hours; \
         give each request a key of its own"
    );
    ApiProblem::conflict(protocol::error::ErrorKind::Conflict, message)
}

/// The POSTs that are being worked on, and those that were refused.
#[derive(Debug, Clone, Default)]
pub(crate) struct IdempotencyCache(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    working: BTreeMap<RequestHash, Same>,
    refused: BTreeMap<CallerKey, Refused>,
}

/// Those that are one and the same.
#[derive(Debug)]
struct Same {
    many: usize,
    /// Closed when the last of them ends.
    ended: watch::Sender<()>,
}

/// Those whose newest first attempt left nothing.
#[derive(Debug, Default)]
struct Refused {
    names: BTreeSet<RequestHash>,
    /// The same and some that were done since, the oldest first.
    order: VecDeque<RequestHash>,
}

/// One that is being worked on, until this is dropped.
#[derive(Debug)]
pub(crate) struct IdempotencySlot {
    working: IdempotencyCache,
    caller: CallerKey,
    name: RequestHash,
    /// Whether it is sent for the first time.
    first: bool,
}

impl IdempotencyCache {
    /// Lets a POST in; one that may have been sent before waits for those that it may repeat.
    pub(crate) async fn enter(&self, caller: CallerKey, attempt: &PostAttempt) -> IdempotencySlot {
        while let Some(mut before) = self.join(attempt) {
            // An error is their end: nothing is ever sent.
            while before.changed().await.is_ok() {}
        }
        IdempotencySlot { working: self.clone(), caller, name: attempt.name(), first: !attempt.may_repeat() }
    }

    /// Counts it as one that is worked on, or says for what it waits.
    fn join(&self, attempt: &PostAttempt) -> Option<watch::Receiver<()>> {
        let mut known = self.lock();
        let same = known.working.entry(attempt.name());
        if let std::collections::btree_map::Entry::Occupied(same) = &same
            && attempt.may_repeat()
        {
            return Some(same.get().ended.subscribe());
        }
        same.or_insert_with(|| Same { many: 0, ended: watch::Sender::new(()) }).many += 1;
        None
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IdempotencySlot {
    /// Whether the newest first attempt was refused: what an older one left is not of this.
    pub(crate) fn was_refused(&self) -> bool {
        self.working
            .lock()
            .refused
            .get(&self.caller)
            .is_some_and(|refused| refused.names.contains(&self.name))
    }

    /// Ends it with its answer. Of a failure of ours nobody knows whether it left something.
    pub(crate) fn end<T>(self, answer: &Result<T, ApiProblem>) {
        let all = &mut self.working.lock().refused;
        match answer {
            Ok(_) => {
                if let Some(refused) = all.get_mut(&self.caller)
                    && refused.names.remove(&self.name)
                    && refused.names.is_empty()
                {
                    all.remove(&self.caller);
                }
            }
            Err(problem) if self.first && problem.comes_again() => {
                all.entry(self.caller).or_default().keep(self.name);
            }
            Err(_) => {}
        }
    }
}

impl Refused {
    fn keep(&mut self, name: RequestHash) {
        if !self.names.insert(name) {
            return;
        }
        self.order.push_back(name);
        if self.order.len() > REFUSED
            && let Some(oldest) = self.order.pop_front()
        {
            self.names.remove(&oldest);
        }
    }
}

impl Drop for IdempotencySlot {
    fn drop(&mut self) {
        let working = &mut self.working.lock().working;
        if let Some(same) = working.get_mut(&self.name) {
            same.many -= 1;
            if same.many == 0 {
                working.remove(&self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use protocol::error::ErrorKind;

    const ONE: CallerKey = CallerKey([1; 32]);

    fn named(path: &str, again: bool) -> PostAttempt {
        PostAttempt::plain(print(b'a', ONE, path, b"{}"), again)
    }

    fn headers(sent: &[(&'static str, &str)]) -> HeaderMap {
        sent.iter()
            .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
            .collect()
    }

    #[test]
    fn caller_path_and_body_make_a_post_and_so_does_a_key() {
        let one = (CallerKey([1; 32]), "/a", "{}");
        let attempt = |(caller, path, body): (CallerKey, &str, &str), sent: &[_]| {
            let told = AttemptHeaders::of(caller, &headers(sent)).expect("no key, or one");
            told.attempt(caller, path, body.as_bytes())
        };
        let plain = attempt(one, &[]);
        for other in
            [(CallerKey([2; 32]), "/a", "{}"), (one.0, "/b", "{}"), (one.0, "/a", "{ }"), (one.0, "/a{", "}")]
        {
            assert_ne!(attempt(other, &[]).name(), plain.name());
        }
        assert_eq!(attempt(one, &[(COUNT, "2")]), PostAttempt::plain(plain.name(), true));
        for none in ["0", "-1", "x", ""] {
            assert_eq!(attempt(one, &[(COUNT, none)]), plain, "{none}");
        }
        let keyed = attempt(one, &[("idempotency-key", "k")]);
        assert_eq!(keyed, PostAttempt::keyed(keyed.name(), plain.name()));
        assert_eq!(attempt((one.0, "/b", ""), &[("idempotency-key", " k ")]).name(), keyed.name());
        for other in [(one, "l"), ((CallerKey([2; 32]), "/a", "{}"), "k")] {
            assert_ne!(attempt(other.0, &[("idempotency-key", other.1)]).name(), keyed.name());
        }
    }

    #[test]
    fn a_key_that_is_none_is_named() {
        let long = "k".repeat(limits::IDEMPOTENCY_KEY_CHARS);
        assert_eq!(key(&headers(&[("idempotency-key", &long)])).expect("a key"), Some(&*long));
        let longer = format!("{long}k");
        for sent in [vec![""], vec![" "], vec![&*longer], vec!["ü"], vec!["a", "a"]] {
            let mut all = HeaderMap::new();
            for value in &sent {
                all.append(
                    "idempotency-key",
                    axum::http::HeaderValue::from_bytes(value.as_bytes()).expect("one"),
                );
            }
            let problem = key(&all).expect_err("none");
            assert!(problem.message.starts_with("Idempotency-Key: "), "{sent:?}: {}", problem.message);
        }
    }

    #[tokio::test]
    async fn a_repeat_waits_for_all_before_it_and_a_first_attempt_for_nobody() {
        let working = IdempotencyCache::default();
        let first = working.enter(ONE, &named("/a", false)).await;
        let second = working.enter(ONE, &named("/a", false)).now_or_never().expect("it waits for nobody");
        assert!(working.enter(ONE, &named("/b", true)).now_or_never().is_some());
        let again = named("/a", true);
        let mut repeat = Box::pin(working.enter(ONE, &again));
        assert!(futures_util::poll!(&mut repeat).is_pending());
        drop(first);
        assert!(futures_util::poll!(&mut repeat).is_pending());
        drop(second);
        let slot = repeat.await;
        assert!(working.enter(ONE, &again).now_or_never().is_none(), "repeats wait for each other");
        drop(slot);
        assert!(working.lock().working.is_empty());
    }

    #[tokio::test]
    async fn what_was_refused_is_kept_until_it_is_done_and_never_more_than_its_bound() {
        let working = IdempotencyCache::default();
        let told = async |path: &str, answer: Result<(), ApiProblem>| {
            working.enter(ONE, &named(path, false)).await.end(&answer);
            working.enter(ONE, &named(path, true)).await.was_refused()
        };
        let refused = || ApiProblem::new(ErrorKind::RateLimit, "too many");
        assert!(!told("/a", Ok(())).await);
        assert!(!told("/a", Err(ApiProblem::parameter("x", "no"))).await, "nobody sends this again");
        assert!(told("/a", Err(refused())).await);
        assert!(told("/a", Err(ApiProblem::internal("nobody knows"))).await);
        assert!(!told("/b", Err(ApiProblem::internal("nobody knows"))).await);
        assert!(told("/a", Err(refused())).await);
        assert!(!told("/a", Ok(())).await);
        // A repeat that is refused says nothing of its first attempt, which may have been done.
        working.enter(ONE, &named("/a", true)).await.end(&Err::<(), _>(refused()));
        assert!(!working.enter(ONE, &named("/a", true)).await.was_refused());
        assert!(working.lock().refused.is_empty());
        for number in 0..=REFUSED {
            assert!(told(&number.to_string(), Err(refused())).await);
        }
        let known = |path: &str| working.lock().refused[&ONE].names.contains(&named(path, true).name());
        assert!(!known("0") && known("1"));
        assert_eq!(working.lock().refused[&ONE].order.len(), REFUSED);
        let other = named("1", true);
        assert!(!working.enter(CallerKey([2; 32]), &other).await.was_refused(), "each key has its own");
    }
}

#[cfg(test)]
#[path = "retried_tests.rs"]
mod doors;
