//! What a provider says went wrong, found in whatever shape it says it.

use protocol::{
    prompt::{FailureClass, ModelFailure},
    usage::RequestTokens,
};
use serde_json::Value;

use crate::{
    class::{by_status, by_word},
    loose::{FrameData, LooseReader, count, word},
    named::{self, MessagePath},
    secret::ProviderSecret,
    sse::SseDecoder,
    weight::is_readable,
};

/// How deep a sentence is looked for.
const DEPTH: usize = 8;
/// Most sentences of a list of what is wrong.
const SENTENCES: usize = 8;
/// Where a sentence stands, the likeliest member first.
const MEMBERS: [&str; 19] = [
    "message",
    "msg",
    "detail",
    "error_message",
    "errorMessage",
    "error_msg",
    "error_description",
    "description",
    "error",
    "errors",
    "Message",
    "details",
    "reason",
    "title",
    "text",
    "status_msg",
    "Error",
    "exception",
    "data",
];
/// Where an error stands within another object.
const WITHIN: [&str; 4] = ["error", "Error", "response", "base_resp"];
/// Words by which providers say that a conversation no longer fits, whatever else they call it.
const OVERFLOW: [&str; 7] = [
    "maximum context length",
    "context length",
    "context window",
    "context size",
    "context limit",
    "prompt is too long",
    "input is too long",
];

/// Words by which providers say that it is the content that they do not take, under whatever status: a
/// filter's, and those of a model that takes no pictures.
const CONTENT: [&str; 14] = [
    "content exists risk",
    "content filter",
    "content policy",
    "content management policy",
    "usage policies",
    "inappropriate content",
    "sensitive content",
    "prohibited content",
    "input flagged",
    "flagged by",
    "moderation",
    "image input",
    "failed to load image",
    "failed to process image",
];

/// Words by which a server says that its chat template does not take the conversation, as if it had failed.
const TEMPLATE: [&str; 2] = ["jinja exception", "raise_exception"];

/// What a body that says what went wrong is written in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum ProblemForm {
    /// Nothing is said.
    #[default]
    Silent,
    /// JSON, as an API writes.
    Api,
    /// A web page.
    Page,
    /// Plain lines.
    Lines,
}

/// What a provider says went wrong; what it does not say is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ProviderProblem {
    form: ProblemForm,
    kind: String,
    code: String,
    /// The parameter that it names beside its sentence.
    param: String,
    /// The status that it names, which need not be the answer's own.
    status: Option<u16>,
    message: String,
    /// The places of the request that it names.
    paths: Vec<MessagePath>,
}

impl ProviderProblem {
    /// Reads an error's body: JSON, a stream of it, a page or plain lines.
    pub(crate) fn read(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let text = text.trim();
        if let Some(value) = json(text.as_bytes()) {
            return Self::of(&value);
        }
        let framed = ["data:", "event:", "error:"].iter().any(|field| text.starts_with(field));
        let frames =
            framed.then(|| SseDecoder::default().take(&[text.as_bytes(), b"\n\n"].concat()).ok()).flatten();
        if let Some(value) = frames.into_iter().flatten().find_map(|frame| json(&frame.data)) {
            return Self::of(&value);
        }
        let (form, message) = match text.starts_with('<') {
            _ if text.is_empty() => return Self::default(),
            true => (ProblemForm::Page, page(text)),
            false => (ProblemForm::Lines, text.split_whitespace().collect::<Vec<_>>().join(" ")),
        };
        Self { form, message, ..Self::default() }
    }

    /// Reads an error in any of the forms that APIs give it: an object or a text, itself, within another,
    /// in a list, or written as JSON within a text.
    pub(crate) fn of(value: &Value) -> Self {
        let (mut inner, mut outer) = (value, value);
        for _ in 0..DEPTH {
            let deeper = match inner {
                Value::Array(several) => several.iter().find(|one| one.is_object()),
                Value::Object(fields) => {
                    let mut within = WITHIN.iter().filter_map(|key| fields.get(*key));
                    within.find(|error| error.is_object() || error.is_array())
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
            };
            match deeper {
                Some(deeper) => (outer, inner) = (inner, deeper),
                None => break,
            }
        }
        let either = |keys: &[&str]| {
            let found =
                [inner, outer].into_iter().flat_map(|at| keys.iter().map(move |key| word(at.get(*key))));
            found.into_iter().find(|word| !word.is_empty()).unwrap_or_default()
        };
        let status = [inner, outer].into_iter().find_map(|at| {
            let told = ["code", "status", "status_code", "statusCode", "http_code"];
            told.iter().filter_map(|key| at.get(*key)).find_map(status)
        });
        let message =
            [sentence(inner, DEPTH), sentence(outer, DEPTH)].into_iter().find(|said| !said.is_empty());
        let kind = [inner, outer].into_iter().flat_map(|at| {
            ["type", "status", "error_type", "__type"].iter().map(move |key| word(at.get(*key)))
        });
        // An outer `type` is often no more than "error".
        let kind = kind.into_iter().find(|kind| !kind.is_empty() && kind != "error").unwrap_or_default();
        let message = message.unwrap_or_default();
        let form = if message.is_empty() { ProblemForm::Silent } else { ProblemForm::Api };
        let (code, param) = (either(&["code", "error_code"]), either(&["param"]));
        let details = [inner, outer].into_iter().find_map(|at| at.get("details"));
        let paths = named::paths(&message, &param, details);
        Self { form, kind, code, param, status, message, paths }
    }

    /// What it says, as one sentence.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// What it is written in.
    pub(crate) fn form(&self) -> ProblemForm {
        self.form
    }

    /// Whether it is an API that speaks, of something else than its own address.
    pub(crate) fn is_of_the_api(&self) -> bool {
        self.form == ProblemForm::Api && !self.message.trim_end_matches('.').eq_ignore_ascii_case("not found")
    }

    /// Whether it says these words, in any case of letters.
    pub(crate) fn says(&self, words: &str) -> bool {
        self.message.to_ascii_lowercase().contains(words)
    }

    /// Whether it names a member of the request.
    pub(crate) fn names(&self, member: &str) -> bool {
        self.param == member || self.says(member)
    }

    /// The places of the request that it names.
    pub(crate) fn paths(&self) -> &[MessagePath] {
        &self.paths
    }

    /// Whether it says that the conversation does not fit.
    pub(crate) fn is_overflow(&self) -> bool {
        [&self.code, &self.kind].into_iter().any(|word| is_overflow(word))
            || OVERFLOW.iter().any(|words| self.says(words))
    }

    /// The class of an answer with this status: the status decides, but for what comes under any.
    pub(crate) fn class_of(&self, status: u16) -> FailureClass {
        match self.certain(Some(status)) {
            Some(class) => class,
            None if status == 400 => self.refused(),
            None => by_status(status),
        }
    }

    /// The class of a failure that no status of an answer tells: the status that it names, else its words.
    pub(crate) fn class(&self) -> FailureClass {
        let status = self.status.map(by_status);
        let class = self
            .certain(self.status)
            .or(status)
            .or_else(|| by_word(&self.code))
            .or_else(|| by_word(&self.kind));
        match class {
            Some(FailureClass::Invalid) => self.refused(),
            Some(class) => class,
            None => FailureClass::Unavailable,
        }
    }

    /// The failure that an error in the middle of a stream means.
    pub(crate) fn in_stream(&self, tokens: RequestTokens, secret: &ProviderSecret) -> ModelFailure {
        let why = secret.said(&self.message);
        let message = format!("The model provider failed in the middle of its answer{why}");
        ModelFailure {
            class: self.class(),
            status: None,
            message,
            retry_after: None,
            tokens,
            spots: Vec::new(),
        }
    }

    /// The class that is right whatever the status is: an account that cannot pay comes as 429, a history
    /// that is too long as 400, 413 or 500.
    fn certain(&self, status: Option<u16>) -> Option<FailureClass> {
        if [&self.code, &self.kind].into_iter().any(|word| word == "insufficient_quota") {
            return Some(FailureClass::Billing);
        }
        if matches!(status, Some(500..)) && TEMPLATE.iter().any(|words| self.says(words)) {
            return Some(FailureClass::Invalid);
        }
        let of_content = || {
            [&self.code, &self.kind].into_iter().any(|word| is_filter(word))
                || CONTENT.iter().any(|words| self.says(words))
        };
        if !matches!(status, Some(401 | 402 | 429)) && of_content() {
            return Some(FailureClass::Invalid);
        }
        let by_words = !matches!(status, Some(401..=403 | 429)) && self.is_overflow();
        (by_words || [&self.code, &self.kind].into_iter().any(|word| is_overflow(word)))
            .then_some(FailureClass::Overflow)
    }

    /// A refused request: the same will fail again, unless it only says that the account cannot pay.
    fn refused(&self) -> FailureClass {
        // At its beginning: a refusal may quote what somebody said.
        let said = self.message.trim_start().to_ascii_lowercase();
        if said.starts_with("your credit balance") { FailureClass::Billing } else { FailureClass::Invalid }
    }
}

/// Whether a word for an error is a filter's. 1301 is Zhipu's.
fn is_filter(word: &str) -> bool {
    let letters = word.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    matches!(
        letters.trim_end_matches("error"),
        "contentfilter"
            | "contentpolicyviolation"
            | "responsibleaipolicyviolation"
            | "datainspectionfailed"
            | "prohibitedcontent"
            | "promptblocked"
            | "1301"
    )
}

fn is_overflow(word: &str) -> bool {
    matches!(word, "context_length_exceeded" | "exceed_context_size_error")
}

fn json(text: &[u8]) -> Option<Value> {
    if !is_readable(text) {
        return None;
    }
    let pieces = LooseReader::default().read(text).ok()?;
    let found = pieces.into_iter().find_map(|piece| match piece {
        FrameData::Value(read) => Some(read.value),
        FrameData::Done | FrameData::Words(_) => None,
    });
    // A body that is one text is a sentence; an empty one is none.
    found.or_else(|| serde_json::from_slice(text).ok().filter(Value::is_string))
}

/// The status that a member holds.
fn status(value: &Value) -> Option<u16> {
    count(value).and_then(|status| u16::try_from(status).ok()).filter(|status| (400..600).contains(status))
}

/// The sentence that a person needs, wherever it stands.
fn sentence(value: &Value, depth: usize) -> String {
    let Some(deeper) = depth.checked_sub(1) else { return String::new() };
    match value {
        Value::String(text) => {
            let within = text.trim_start().starts_with(['{', '[']).then(|| json(text.as_bytes())).flatten();
            let within = within.map(|value| sentence(&value, deeper)).filter(|said| !said.is_empty());
            within.unwrap_or_else(|| text.trim().to_owned())
        }
        Value::Array(several) => {
            let each = several.iter().map(|wrong| sentence(wrong, deeper)).filter(|said| !said.is_empty());
            each.take(SENTENCES).collect::<Vec<_>>().join("; ")
        }
        Value::Object(fields) => {
            let found = MEMBERS.iter().filter_map(|key| fields.get(*key)).map(|told| sentence(told, deeper));
            let told = found.into_iter().find(|said| !said.is_empty()).unwrap_or_default();
            let place = place(fields.get("loc"));
            let told = if place.is_empty() || told.is_empty() { told } else { format!("{place}: {told}") };
            // A gateway's own words say little; what it was told stands beside them.
            let raw =
                fields.get("metadata").and_then(|beside| beside.get("raw")).map(|raw| sentence(raw, deeper));
            match raw.filter(|raw| !raw.is_empty() && !told.contains(raw.as_str())) {
                Some(raw) if told.is_empty() => raw,
                Some(raw) => format!("{}: {raw}", told.trim_end_matches('.')),
                None => told,
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => String::new(),
    }
}

/// The place in the request that a mistake is at, without what they all begin with.
fn place(loc: Option<&Value>) -> String {
    let steps = loc.and_then(Value::as_array).into_iter().flatten().map(|step| word(Some(step)));
    steps.filter(|step| !step.is_empty() && step != "body").collect::<Vec<_>>().join(".")
}

/// What a web page calls itself.
fn page(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let between = |tag: &str| {
        let begin = lower.find(&format!("<{tag}"))?;
        let begin = begin + lower.get(begin..)?.find('>')? + 1;
        let end = begin + lower.get(begin..)?.find(&format!("</{tag}"))?;
        let inside = text.get(begin..end)?.split_whitespace().collect::<Vec<_>>().join(" ");
        (!inside.is_empty() && !inside.contains('<')).then_some(inside)
    };
    between("title").or_else(|| between("h1")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_sentence_is_found_in_any_shape() {
        let raw = json!({"object": "error", "message": "Unexpected role", "code": "3230"}).to_string();
        let told = json!({"message": "Provider returned error", "code": 400, "metadata": {"raw": raw}});
        let place = json!({"loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"});
        for (body, message) in [
            (json!([{"error": {"code": 400, "message": "why", "status": "INVALID_ARGUMENT"}}]), "why"),
            (json!({"error": {"message": {"detail": "why"}}}), "why"),
            (json!({"error": {"message": json!({"error": {"message": "why"}}).to_string()}}), "why"),
            (json!({ "error": told }), "Provider returned error: Unexpected role"),
            (json!({"message": {"detail": [place]}}), "stream_options: Extra inputs are not permitted"),
            (json!({"errors": [{"message": "why"}, "and how"]}), "why; and how"),
            (json!({"error_type": "x", "error_message": "why"}), "why"),
            (json!({"title": "Unprocessable", "detail": "why"}), "why"),
            (json!({"message": "Not found"}), "Not found"),
            (json!({"type": "error"}), ""),
        ] {
            assert_eq!(ProviderProblem::of(&body).message(), message, "{body}");
        }
    }

    #[test]
    fn a_body_is_read_whatever_it_is_written_in() {
        for (body, form, message) in [
            ("", ProblemForm::Silent, ""),
            (
                "upstream connect error\n or disconnect",
                ProblemForm::Lines,
                "upstream connect error or disconnect",
            ),
            (
                "<html><head><title>502 Bad\n Gateway</title></head></html>",
                ProblemForm::Page,
                "502 Bad Gateway",
            ),
            ("<!doctype html><h1>Log in</h1>", ProblemForm::Page, "Log in"),
            ("<html>", ProblemForm::Page, ""),
            ("data: {\"error\":{\"message\":\"why\"}}\n\ndata: [DONE]\n\n", ProblemForm::Api, "why"),
            ("error: {\"message\":\"why\"}", ProblemForm::Api, "why"),
            ("\"why\"", ProblemForm::Api, "why"),
        ] {
            let problem = ProviderProblem::read(body.as_bytes());
            assert_eq!((problem.form(), problem.message()), (form, message), "{body}");
        }
    }

    #[test]
    fn a_status_decides_before_words_and_a_code_that_is_none_does_not() {
        let class = |error: Value| ProviderProblem::of(&json!({ "error": error })).class();
        assert_eq!(class(json!({"code": 503, "type": "invalid_request_error"})), FailureClass::Unavailable);
        assert_eq!(class(json!({"code": "3230", "type": "invalid_request_error"})), FailureClass::Invalid);
        assert_eq!(class(json!({"code": 400, "status": "INVALID_ARGUMENT"})), FailureClass::Invalid);
        assert_eq!(class(json!({"status": "RESOURCE_EXHAUSTED"})), FailureClass::RateLimited);
        assert_eq!(class(json!({"type": "BadRequestError"})), FailureClass::Invalid);
        assert_eq!(class(json!({"type": "AuthenticationError"})), FailureClass::Denied);
        assert_eq!(
            class(json!({"message": "the request exceeds the available context size"})),
            FailureClass::Overflow
        );
        assert_eq!(class(json!({"message": "why"})), FailureClass::Unavailable);
    }

    #[test]
    fn what_is_refused_for_its_content_is_that_under_any_status() {
        for (status, error) in [
            (403, json!({"message": "Input flagged by policy x", "code": 403})),
            (404, json!({"message": "No endpoints found that support image input", "code": 404})),
            (500, json!("Failed to load image or audio file")),
            (200, json!({"code": "content_filter"})),
            (200, json!({"code": "1301", "message": "…"})),
            (503, json!({"type": "data_inspection_failed"})),
        ] {
            let problem = ProviderProblem::of(&json!({ "error": error }));
            assert_eq!(problem.class_of(status), FailureClass::Invalid, "{error}");
            assert_eq!(problem.class(), FailureClass::Invalid, "{error} in a stream");
        }
        let class = |status, message: &str| {
            ProviderProblem::of(&json!({"error": {"message": message}})).class_of(status)
        };
        assert_eq!(class(403, "Forbidden"), FailureClass::Denied);
        assert_eq!(class(429, "flagged by the rate limit"), FailureClass::RateLimited);
        assert_eq!(class(400, "Your credit balance is too low"), FailureClass::Billing);
        assert_eq!(class(400, "messages.0: \"what is my credit balance\""), FailureClass::Invalid);
    }
}
