//! How long an answer may be: what the model's window leaves beside the conversation.

use protocol::{
    content::{Block, Source},
    limits::ANSWER_TOKENS_MIN,
    memory,
    prompt::{Failure, FailureClass, Message, Part, Prompt},
    routes::Route,
};

use crate::{failure::failure, problem::Problem};

/// Bytes of text to a token: few tokenizers take less of one, so that what was not counted is not overrated.
const BYTES_PER_TOKEN: usize = 4;
/// Tokens of a picture or a page, about; and what no provider takes a picture for.
const PICTURE_TOKENS: usize = 1_500;
const PICTURE_TOKENS_MOST: usize = 10_000;
/// Tokens that a provider may count beside what it was sent: templates, and prompts of its own.
const UNSEEN_TOKENS: usize = 20_000;

/// Tokens that the next answer may take: the route's most, or what is left of its window if that is less.
/// Less than a useful rest, by the provider's own count, is a failure. Where nobody said how large the window is,
/// the provider refuses what does not fit, and is asked for less then.
pub(crate) fn bound(prompt: &Prompt, route: &Route) -> Result<u64, Failure> {
    if !route.window_known {
        return Ok(route.max_output);
    }
    let useful = useful(route.max_output);
    let (counted, seen) = counted(prompt);
    if counted > 0 && counted.saturating_add(useful) > route.window {
        let message = format!(
            "The conversation takes {counted} of the {} tokens of the model's window, which leaves no room \
             for an answer. Begin a new session; if the model reads more, say so with `window` in the route {}.",
            route.window, route.pattern
        );
        return Err(failure(FailureClass::Full, message));
    }
    let since: usize = prompt.messages.iter().skip(seen).map(|message| tokens(message)).sum();
    let about = if seen == 0 { since + opening(prompt) } else { since };
    let rest = route.window.saturating_sub(counted).saturating_sub(about as u64);
    Ok(route.max_output.min(rest.max(useful)))
}

/// The provider's count of the first messages, and how many these are. One that they cannot come to is none: who
/// is never asked again because of it could never correct it.
fn counted(prompt: &Prompt) -> (u64, usize) {
    let Some(counted) = prompt.counted else { return (0, 0) };
    let parts = prompt.messages.iter().take(counted.messages).flat_map(|message| &message.parts);
    let tools = prompt.tools.iter().map(|tool| {
        tool.name.len() + tool.description.len() + memory::object(&tool.input_schema)
    });
    let before = UNSEEN_TOKENS + prompt.system.as_deref().map_or(0, str::len) + tools.sum::<usize>();
    let most = parts.map(|part| most(part)).fold(before, usize::saturating_add);
    if counted.tokens > most as u64 { (0, 0) } else { (counted.tokens, counted.messages) }
}

/// More tokens than a part can be: no token is less than a byte.
fn most(part: &Part) -> usize {
    let content = match part {
        Part::Content(block) => core::slice::from_ref(block),
        Part::ToolResult { content, .. } => content,
        Part::Thinking(_) | Part::Beside { .. } | Part::ToolUse { .. } => &[],
    };
    let shown = content.iter().map(|block| match block {
        Block::Image { source: Source::Base64 { .. } } => PICTURE_TOKENS_MOST,
        Block::Image { .. } | Block::Document { source: Source::Base64 { .. }, .. } => usize::MAX,
        Block::Document { source: Source::Text { .. }, .. } => 0,
        Block::Document { .. } => usize::MAX,
        Block::Text { .. } | Block::SearchResult { .. } | Block::Redacted => 0,
    });
    shown.fold(memory::part(part), usize::saturating_add)
}

/// A shorter bound to ask once more with, after a refusal that says `asked` is too long beside the
/// conversation.
pub(crate) fn shorter(problem: &Problem, asked: u64) -> Option<u64> {
    let useful = useful(asked);
    let numbers = numbers(problem.message());
    let overflow = problem.is_overflow();
    // What is read and the window stand among the numbers, in whatever words.
    let rests = numbers.iter().flat_map(|used| numbers.iter().map(move |window| (*used, *window)));
    let rests = rests.filter(|(used, window)| used < window && *window < used.saturating_add(asked));
    let rest = rests.map(|(used, window)| window - used).filter(|rest| *rest >= useful).min();
    let most = || numbers.iter().copied().filter(|number| (useful..asked).contains(number)).max();
    let names = ["max_tokens", "max_completion_tokens"].iter().any(|name| problem.names(name));
    let bound = match (overflow, names) {
        (true, _) => rest.unwrap_or(useful),
        (false, true) => most()?,
        (false, false) => return None,
    };
    (bound < asked).then_some(bound)
}

fn useful(max_output: u64) -> u64 {
    ANSWER_TOKENS_MIN.min(max_output)
}

/// The whole numbers that a text names.
fn numbers(text: &str) -> Vec<u64> {
    text.split(|letter: char| !letter.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

/// What stands before the history.
fn opening(prompt: &Prompt) -> usize {
    let tools: usize = prompt.tools.iter().map(|tool| tool.name.len() + tool.description.len()).sum();
    (prompt.system.as_deref().map_or(0, str::len) + tools) / BYTES_PER_TOKEN
}

fn tokens(message: &Message) -> usize {
    message.parts.iter().map(part).sum()
}

fn part(part: &Part) -> usize {
    match part {
        Part::Content(block) => block_tokens(block),
        // It may not be sent at all.
        Part::Thinking(_) | Part::Beside { .. } => 0,
        Part::ToolUse { name, input, .. } => {
            (name.len() + protocol::memory::object(input) / 4) / BYTES_PER_TOKEN
        }
        Part::ToolResult { content, .. } => content.iter().map(block_tokens).sum(),
    }
}

fn block_tokens(block: &Block) -> usize {
    match block {
        Block::Text { text } => text.len() / BYTES_PER_TOKEN,
        Block::SearchResult { content, .. } => {
            content.iter().map(|part| part.text.len()).sum::<usize>() / BYTES_PER_TOKEN
        }
        Block::Document { source: Source::Text { data, .. }, .. } => data.len() / BYTES_PER_TOKEN,
        Block::Document { .. } | Block::Image { .. } => PICTURE_TOKENS,
        Block::Redacted => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::prompt::{Counted, Role};
    use serde_json::json;
    use std::sync::Arc;

    fn prompt(counted: Option<(u64, usize)>, said: &[usize]) -> Prompt {
        let message = |bytes: &usize| {
            let parts = vec![Part::Content(Block::text("x".repeat(*bytes)))];
            Arc::new(Message { role: Role::User, parts })
        };
        let counted = counted.map(|(tokens, messages)| Counted { tokens, messages });
        let messages = said.iter().map(message).collect();
        Prompt { model: "m".into(), system: None, tools: vec![], messages, counted }
    }

    fn route() -> Route {
        Route { window: 32_768, window_known: true, max_output: 8_192, ..Route::script("m") }
    }

    #[test]
    fn an_answer_may_be_as_long_as_the_window_leaves_room_for() {
        let bound = |counted, said: &[usize]| bound(&prompt(counted, said), &route());
        let long = 40_000;
        assert_eq!(bound(None, &[4]), Ok(8_192), "never counted");
        assert_eq!(bound(Some((24_000, 1)), &[long, 400]), Ok(8_192));
        assert_eq!(bound(Some((27_000, 1)), &[long, 400]), Ok(32_768 - 27_000 - 100));
        assert_eq!(bound(None, &[4 * 30_000]), Ok(2_768));
        assert_eq!(bound(Some((27_000, 1)), &[long, 4 * 9_000]), Ok(1_024), "a guess alone refuses nothing");
        let full = bound(Some((31_800, 1)), &[long]).expect_err("a failure");
        assert_eq!(full.class, FailureClass::Full);
        let unsaid = super::bound(&prompt(Some((1_000_000, 1)), &[4]), &Route::script("m"));
        assert_eq!(unsaid, Ok(8_192), "nobody said how much the model reads");
        assert!(
            full.message.contains("31800 of the 32768 tokens") && full.message.contains("`window`"),
            "{full}"
        );
        let said = Route { window_known: true, ..Route::script("m") };
        let full = super::bound(&prompt(Some((1_000_000, 1)), &[4_000_000]), &said).expect_err("a failure");
        assert!(full.message.contains("1000000 of the 128000 tokens"), "what is said is meant: {full}");
    }

    #[test]
    fn a_count_that_the_conversation_cannot_come_to_keeps_nobody_from_asking_again() {
        let bound = |counted, prompt: Prompt| {
            super::bound(&Prompt { counted: Some(Counted { tokens: counted, messages: 1 }), ..prompt }, &route())
        };
        for tokens in [40_000, u64::MAX] {
            assert_eq!(bound(tokens, prompt(None, &[400])), Ok(8_192), "{tokens}");
        }
        let picture = |source| {
            let parts = vec![Part::Content(Block::Document { source, title: None, context: None })];
            Prompt { messages: vec![Arc::new(Message { role: Role::User, parts })], ..prompt(None, &[]) }
        };
        let pdf = Source::Base64 { data: "JVBERi0=".into(), media_type: "application/pdf".into() };
        assert!(bound(40_000, picture(pdf)).is_err(), "its pages may be many");
    }

    #[test]
    fn a_refusal_of_the_length_says_how_much_less_it_must_be() {
        let shorter = |message: &str| shorter(&Problem::of(&json!({"error": {"message": message}})), 8_192);
        for (message, bound) in [
            ("maximum context length is 32768 tokens, you requested 27000 + 8192", Some(5_768)),
            ("input length and `max_tokens` exceed context limit: 195000 + 8192 > 200000", Some(5_000)),
            ("This model's maximum context length is 32768 tokens.", Some(1_024)),
            (
                "max_tokens is too large: 8192. This model supports at most 4096 completion tokens",
                Some(4_096),
            ),
            ("'max_tokens' or 'max_completion_tokens' is too large: 8192.", None),
            ("bad", None),
        ] {
            assert_eq!(shorter(message), bound, "{message}");
        }
    }
}
