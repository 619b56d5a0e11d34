//! The one door for a provider's words: its key is taken out of them before they are cut.

use core::fmt;
use std::{borrow::Cow, sync::Arc};

use protocol::limits;

/// Most characters of a provider's own message that are passed on.
const MESSAGE_CHARS: usize = 500;
/// Stands for the key, and for what was cut off.
const HIDDEN: &str = "…";

/// The key that a provider was given, if it was given one.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct ProviderSecret(Option<Arc<str>>);

/// Shows nothing of it.
impl fmt::Debug for ProviderSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").finish_non_exhaustive()
    }
}

impl ProviderSecret {
    /// This key's.
    pub(crate) fn of(key: Option<&str>) -> Self {
        Self(key.filter(|key| !key.is_empty()).map(Arc::from))
    }

    /// Whether a text holds it.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        matches!(self.without(text), Cow::Owned(_))
    }

    /// `: message` without its own full stop, cut to [`MESSAGE_CHARS`]; ends the sentence.
    pub(crate) fn said(&self, message: &str) -> String {
        let message = self.without(message);
        let message = message.trim().trim_end_matches('.');
        if message.is_empty() {
            return ".".to_owned();
        }
        match message.char_indices().nth(MESSAGE_CHARS) {
            Some((end, _)) => format!(": {}{HIDDEN}", message.get(..end).unwrap_or_default()),
            None => format!(": {message}."),
        }
    }

    /// A few words, cut to what an error repeats of a text.
    pub(crate) fn shown(&self, words: &str) -> String {
        self.without(words).chars().take(limits::SHOWN_CHARS).collect()
    }

    /// Takes the beginning of the key off the end of what was not read to its end.
    pub(crate) fn unfinished(&self, body: &mut Vec<u8>) {
        let key = self.0.as_deref().unwrap_or_default().as_bytes();
        let begun = (1..key.len()).rev().find(|length| body.ends_with(&key[..*length]));
        body.truncate(body.len() - begun.unwrap_or(0));
    }

    /// The words without it, also where slashes are escaped as in JSON.
    fn without<'t>(&self, told: &'t str) -> Cow<'t, str> {
        let Some(key) = &self.0 else { return told.into() };
        let escaped = key.replace('/', "\\/");
        let mut words = Cow::Borrowed(told);
        for spelled in [&**key, escaped.as_str()] {
            if words.contains(spelled) {
                words = words.replace(spelled, HIDDEN).into();
            }
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "sk-ABCDEFGHIJKLMNOPQRSTUVWXYZ/0123456789";

    #[test]
    fn the_key_is_taken_out_before_words_are_cut_wherever_it_stands() {
        let secret = ProviderSecret::of(Some(KEY));
        for before in (0..limits::SHOWN_CHARS + 5).chain(MESSAGE_CHARS - KEY.len() - 5..MESSAGE_CHARS + 5) {
            for spelled in [KEY.to_owned(), KEY.replace('/', "\\/")] {
                let words = format!("{}{spelled} and {KEY}", "x".repeat(before));
                for told in [secret.said(&words), secret.shown(&words)] {
                    assert!(!told.contains("sk-") && !told.contains("sk"), "{before}: {told}");
                }
            }
        }
        assert_eq!(secret.said(&format!("no {KEY}.")), ": no ….");
        assert_eq!(ProviderSecret::default().said("why."), ": why.");
        assert_eq!(ProviderSecret::of(Some("")).shown("why"), "why");
        assert_eq!(format!("{secret:?}"), "Secret { .. }");
    }

    #[test]
    fn half_a_key_at_the_end_of_what_was_cut_is_taken_off() {
        let secret = ProviderSecret::of(Some(KEY));
        for length in 0..KEY.len() {
            let mut body = format!("denied: {}", &KEY[..length]).into_bytes();
            secret.unfinished(&mut body);
            assert_eq!(body, b"denied: ", "{length}");
        }
    }
}
