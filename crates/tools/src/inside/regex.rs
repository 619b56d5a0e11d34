//! Regular expressions of bounded size, whoever wrote the pattern.

use grep_regex::RegexMatcherBuilder;

/// Bytes of a compiled expression, and of its cache: what a hostile one can take.
const BYTES: usize = 10 * 1024 * 1024;

/// What builds one; an error if it would be larger.
pub(super) fn bounded() -> RegexMatcherBuilder {
    let mut builder = RegexMatcherBuilder::new();
    builder.size_limit(BYTES).dfa_size_limit(BYTES);
    builder
}
