//! Ids: a prefix, then 128 bits in base58 padded to 22 characters (docs/rules.md 11).
//!
//! Ids are read in both forms (base58 and 32 hex digits) and by every known alias of a prefix; id order
//! means nothing. An event id carries in its low 32 bits the log position at which it was minted
//! (docs/rules.md 8), so a lookup can seek.

use core::{cmp::Ordering, fmt, hash::Hash, hash::Hasher, marker::PhantomData, str::FromStr};

use schemars::{JsonSchema as _, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What an id names. Implemented by the empty enums of this module only.
pub trait IdKind: 'static {
    /// The prefix Heddle writes, without the underscore.
    const PREFIX: &'static str;
    /// Further prefixes that are read as the same kind.
    const ALIASES: &'static [&'static str] = &[];
}

/// The id of one `K`: 128 bits.
pub struct Id<K>(u128, PhantomData<fn() -> K>);

macro_rules! kinds {
    ($(
        $(#[$doc:meta])*
        $kind:ident, $id:ident, $prefix:literal, [$($alias:literal),*], $noun:literal;
    )*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $kind {}
        impl IdKind for $kind {
            const PREFIX: &'static str = $prefix;
            const ALIASES: &'static [&'static str] = &[$($alias),*];
        }
        $(#[$doc])*
        pub type $id = Id<$kind>;
    )*

    /// The schema of the ids that stand in paths and fields of this name, as `agent_id` for an agent.
    pub fn described(name: &str, generator: &mut SchemaGenerator) -> Option<Schema> {
        let noun = name.strip_suffix("_id")?;
        $(if $noun.split_once(' ').is_some_and(|(_, known)| known == noun) {
            return Some(Id::<$kind>::json_schema(generator));
        })*
        None
    }

    /// What ids with this prefix name.
    fn noun(prefix: &str) -> Option<&'static str> {
        $(if prefix == $prefix $(|| prefix == $alias)* {
            return Some($noun);
        })*
        None
    }
    };
}

kinds! {
    /// A saved agent.
    Agent, AgentId, "agent", [], "an agent";
    /// An environment: where tools run.
    Environment, EnvironmentId, "env", ["environment"], "an environment";
    /// An event of a session's log.
    Event, EventId, "sevt", ["evt", "event"], "an event";
    /// A file.
    File, FileId, "file", [], "a file";
    /// An API key.
    ApiKey, ApiKeyId, "apikey", [], "an API key";
    /// One HTTP request.
    Request, RequestId, "req", [], "a request";
    /// A session: one ordered log and a sandbox.
    Session, SessionId, "sesn", ["sess", "session"], "a session";
    /// A thread: one agent's loop inside a session.
    Thread, ThreadId, "sthr", ["thread", "thr"], "a thread";
    /// A workspace: every row carries one.
    Workspace, WorkspaceId, "wrkspc", ["workspace"], "a workspace";
}

impl<K: IdKind> Id<K> {
    /// The id with these 128 bits.
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits, PhantomData)
    }

    /// The id's 128 bits.
    pub const fn bits(self) -> u128 {
        self.0
    }

    /// The sixteen bytes, most significant first: what the store keeps.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

impl Id<Event> {
    /// An event id from 96 bits of dice and the log position at which it is minted.
    pub const fn minted(dice: u128, at: u64) -> Self {
        Self::from_bits((dice & !0xffff_ffff) | (at & 0xffff_ffff) as u128)
    }

    /// The log position at which this id was minted; its event stands there or later.
    pub const fn minted_at(self) -> u64 {
        (self.0 & 0xffff_ffff) as u64
    }
}

/// Why a text is not an id of the kind asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub struct NotAnId {
    prefix: &'static str,
    given: Given,
}

impl NotAnId {
    /// Whether it is an id of this kind in the form that only other servers give, so that it names nothing
    /// here.
    pub const fn is_foreign(self) -> bool {
        matches!(self.given, Given::Foreign)
    }
}

impl fmt::Display for NotAnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (prefix, noun) = (self.prefix, noun(self.prefix).unwrap_or_default());
        if self.is_foreign() {
            let (_, noun) = noun.split_once(' ').unwrap_or_default();
            return write!(f, "no such {noun} here; ids of another server are unknown");
        }
        write!(f, "expected {noun}'s id, `{prefix}_` and {BASE58_LEN} letters and digits{}", self.given)
    }
}

/// What was given in its place, as far as that shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Given {
    /// The id of something else.
    Other(&'static str),
    /// The right prefix, and then no id.
    Broken,
    /// The right prefix, and then what another server writes.
    Foreign,
    Nothing,
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(noun) => write!(f, ", and this is the id of {noun}"),
            Self::Broken => f.write_str(", and this one is cut off or misspelled"),
            Self::Foreign | Self::Nothing => Ok(()),
        }
    }
}

impl<K: IdKind> FromStr for Id<K> {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let wrong = |given| NotAnId { prefix: K::PREFIX, given };
        let (prefix, rest) = text.rsplit_once('_').ok_or(wrong(Given::Nothing))?;
        if prefix != K::PREFIX && !K::ALIASES.contains(&prefix) {
            return Err(wrong(noun(prefix).map_or(Given::Nothing, Given::Other)));
        }
        let other = if is_foreign(rest) { Given::Foreign } else { Given::Broken };
        bits_of(rest).map(Self::from_bits).ok_or(wrong(other))
    }
}

const BASE58_LEN: usize = 22;
const HEX_LEN: usize = 32;
/// What the hosted service writes behind a prefix: its version, and then at least as much as we do.
const FOREIGN_VERSION: &str = "01";
const FOREIGN_LEN_MAX: usize = 64;

/// Whether this stands behind the prefix of an id of the hosted service, as `011CZkYpogX7uDKUyvBTophP` does.
fn is_foreign(text: &str) -> bool {
    let digits = text.strip_prefix(FOREIGN_VERSION).unwrap_or_default();
    (BASE58_LEN..=FOREIGN_LEN_MAX).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn bits_of(text: &str) -> Option<u128> {
    match text.len() {
        HEX_LEN => u128::from_str_radix(text, 16).ok().filter(|_| !text.starts_with('+')),
        BASE58_LEN => {
            // A leading '1' is a zero digit of the padding, but bs58 reads each as a zero byte.
            let digits = text.trim_start_matches('1');
            let mut bytes = [0_u8; 17];
            let len = bs58::decode(digits).onto(&mut bytes).ok()?;
            if len > 16 {
                return None;
            }
            Some(bytes.iter().take(len).fold(0, |bits, byte| (bits << 8) | u128::from(*byte)))
        }
        _ => None,
    }
}

impl<K: IdKind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.to_be_bytes();
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let mut digits = [0_u8; BASE58_LEN];
        let len = bs58::encode(bytes.get(zeros..).unwrap_or_default())
            .onto(&mut digits[..])
            .map_err(|_| fmt::Error)?;
        let digits =
            digits.get(..len).and_then(|digits| core::str::from_utf8(digits).ok()).ok_or(fmt::Error)?;
        write!(f, "{}_{digits:1>22}", K::PREFIX)
    }
}

impl<K: IdKind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}
impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<K: IdKind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, K: IdKind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = alloc::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn the_smallest_and_the_largest_id_keep_their_width() {
        let written = [SessionId::from_bits(0).to_string(), SessionId::from_bits(u128::MAX).to_string()];
        assert_eq!(written, ["sesn_1111111111111111111111", "sesn_YcVfxkQb6JRzqk5kF2tNLv"]);
    }

    #[test]
    fn foreign_prefixes_and_overlong_numbers_are_refused() {
        for text in [
            "agent_1111111111111111111111",
            "sesn1111111111111111111111",
            "sesn_zzzzzzzzzzzzzzzzzzzzzz",
            "sesn_0000000000000000000000",
            "sesn_+0000000000000000000000000000001",
            "sesn_",
            "",
        ] {
            assert!(text.parse::<SessionId>().is_err(), "{text} was read as a session id");
        }
    }

    #[test]
    fn what_is_no_id_of_this_kind_is_told_with_what_it_is() {
        for (text, more) in [
            ("env_1111111111111111111111", ", and this is the id of an environment"),
            ("thread_1111111111111111111111", ", and this is the id of a thread"),
            ("session_11111", ", and this one is cut off or misspelled"),
            ("nothing_1111111111111111111111", ""),
            ("", ""),
        ] {
            let wrong = text.parse::<SessionId>().expect_err("no session's id").to_string();
            let begin = "expected a session's id, `sesn_` and 22 letters and digits";
            assert_eq!(wrong, [begin, more].concat());
        }
    }

    #[test]
    fn an_id_of_the_hosted_service_is_told_to_be_of_another_server() {
        for (text, foreign) in [
            ("agent_011CZkYpogX7uDKUyvBTophP", true),
            ("agent_011CZkYpogX7uDKUyvBTophP12", true),
            ("agent_011CZkYpogX7uDKUyvBTop-P", false),
            ("agent_021CZkYpogX7uDKUyvBTophP", false),
            ("agent_011CZkYpogX7uDKUyvBTop", false),
            ("env_011CZkZ9X2dpNyB7HsEFoRfW", false),
        ] {
            let wrong = text.parse::<AgentId>().expect_err("no id of ours");
            assert_eq!(wrong.is_foreign(), foreign, "{text}");
            let told = "no such agent here; ids of another server are unknown";
            assert_eq!(wrong.to_string() == told, foreign, "{text}: {wrong}");
        }
        let hex = "agent_01000000000000000000000000000000";
        assert!(hex.parse::<AgentId>().is_ok(), "the other form of an id of ours");
        let thread = "thread_01CZkYpogX7uDKUyvBTophPAB".parse::<ThreadId>().expect_err("no id of ours");
        assert_eq!(thread.to_string(), "no such thread here; ids of another server are unknown");
    }

    #[test]
    fn an_event_id_carries_its_position() {
        let id = EventId::minted(u128::MAX, 70_000);
        assert_eq!((id.minted_at(), id.bits() >> 32), (70_000, u128::MAX >> 32));
    }

    proptest! {
        #[test]
        fn every_form_and_alias_reads_back(bits: u128) {
            let id = SessionId::from_bits(bits);
            let base58 = id.to_string();
            prop_assert_eq!(base58.len(), 27);
            let digits = base58.strip_prefix("sesn_").unwrap_or_default();
            let hex = alloc::format!("sesn_{bits:032x}");
            for text in [base58.clone(), hex, alloc::format!("session_{digits}"), alloc::format!("sess_{digits}")] {
                prop_assert_eq!(text.parse::<SessionId>(), Ok(id));
            }
        }
    }
}
