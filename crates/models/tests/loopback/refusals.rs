//! Chat completions on loopback: requests that are refused, and what is said of them.

use std::time::Duration;

use axum::{body::Body, http::Response};
use protocol::prompt::FailureClass::{
    self, Billing, Denied, Invalid, NoRoute, Overflow, Overloaded, RateLimited, Unavailable, Unusable,
};
use serde_json::{Value, json};

use crate::{
    chat::{ask, delta, finish, frames, models},
    provider::{Fake, said, streamed},
};

async fn refused(status: u16, body: Value) -> (FailureClass, String) {
    let provider = Fake::failing(status, &[], body).await;
    let failure = ask(&models(&provider.base_url)).await.0.expect_err("a failure");
    (failure.class, failure.message.replace(&provider.base_url, "http://x"))
}

fn openai(kind: &str, code: &str) -> Value {
    json!({"error": {"message": "Why.", "type": kind, "param": null, "code": code}})
}

#[tokio::test]
async fn each_status_has_its_class_unless_the_words_say_more() {
    let (invalid, limit) = ("invalid_request_error", "context_length_exceeded");
    let refusal = "The model provider refused the request";
    let long = "The conversation does not fit the model's window";
    let denied = "The model provider does not accept the key in THE_KEY";
    let poor = "The account at the model provider cannot pay";
    let slow = "The model provider limits the rate of requests";
    let failed = "The model provider at http://x/v1 failed";
    for (status, body, class, what) in [
        (400, openai(invalid, "x"), Invalid, refusal),
        (400, openai(invalid, limit), Overflow, long),
        (413, openai(invalid, limit), Overflow, long),
        (500, openai("exceed_context_size_error", ""), Overflow, long),
        (413, openai("request_too_large", "x"), Invalid, refusal),
        (401, openai(invalid, "invalid_api_key"), Denied, denied),
        (403, openai(invalid, "x"), Denied, denied),
        (402, openai("x", "x"), Billing, poor),
        (429, openai("insufficient_quota", "insufficient_quota"), Billing, poor),
        (429, openai("requests", "rate_limit_exceeded"), RateLimited, slow),
        (408, openai("x", "x"), Unavailable, failed),
        (500, openai("server_error", "x"), Unavailable, failed),
        (503, openai("unavailable_error", "x"), Unavailable, failed),
        (498, openai("capacity_exceeded", "x"), Overloaded, "The model provider is overloaded"),
        (529, openai("x", "x"), Overloaded, "The model provider is overloaded"),
    ] {
        assert_eq!(
            refused(status, body.clone()).await,
            (class, format!("{what} ({status}): Why.")),
            "{body}"
        );
    }
}

#[tokio::test]
async fn what_was_said_is_found_in_every_form() {
    for (body, said) in [
        (json!({"error": {"message": "Why."}}), ": Why."),
        (json!({"error": {"code": 400, "message": "Why.", "type": "BadRequestError"}}), ": Why."),
        (json!({"error": "Why."}), ": Why."),
        (json!({"object": "error", "message": "Why.", "code": 400}), ": Why."),
        (json!({"message": "Why."}), ": Why."),
        (json!({"detail": "Why."}), ": Why."),
        (json!({"detail": [{"loc": ["body"], "msg": "Why"}, {"msg": "And how"}]}), ": Why; And how."),
        (json!("Why."), ": Why."),
        (json!({"error": {}}), "."),
        (json!({"error": null}), "."),
        (json!([]), "."),
    ] {
        let sentence = format!("The model provider refused the request (422){said}");
        assert_eq!(refused(422, body.clone()).await, (Invalid, sentence), "{body}");
    }
    let (_, leaked) = refused(401, json!({"error": {"message": "bad key: secret"}})).await;
    assert_eq!(leaked, "The model provider does not accept the key in THE_KEY (401): bad key: ….");
}

#[tokio::test]
async fn a_model_or_an_api_that_is_not_there_is_named_with_its_route() {
    let model =
        "http://x/v1 does not know the model `chat-test`, to which the route chat-* leads (404): Why.";
    assert_eq!(
        refused(404, openai("invalid_request_error", "model_not_found")).await,
        (NoRoute, model.to_owned())
    );
    let door = "There is no such API at http://x/v1 (404): check the base URL of the route chat-*.";
    assert_eq!(refused(404, json!({})).await, (NoRoute, door.to_owned()));
}

#[tokio::test]
async fn an_answer_that_is_no_stream_is_told_from_one_that_broke_off() {
    for (body, class, sentence) in [
        (
            json!({"error": {"message": "Why.", "code": 429}}),
            RateLimited,
            "The model provider failed in the middle of its answer: Why.",
        ),
        (
            json!({"object": "chat.novel", "said": [{"message": {"content": "hi"}}]}),
            Unusable,
            "The model provider sent its answer in one piece, in a form that is not its API's.",
        ),
        (
            json!({"error": "no such key: secret"}),
            Unavailable,
            "The model provider failed in the middle of its answer: no such key: ….",
        ),
        (json!("hi"), Unavailable, "The model provider failed in the middle of its answer: hi."),
    ] {
        assert_eq!(refused(200, body.clone()).await, (class, sentence.to_owned()), "{body}");
    }
}

#[tokio::test]
async fn a_rate_limit_says_when_to_come_back() {
    let provider = Fake::failing(429, &[("retry-after", "7")], openai("x", "rate_limit_exceeded")).await;
    let failure = ask(&models(&provider.base_url)).await.0.expect_err("a failure");
    assert_eq!((failure.class, failure.retry_after), (RateLimited, Some(Duration::from_secs(7))));
}

#[tokio::test]
async fn who_wants_the_bound_by_its_new_name_is_asked_once_more_and_nobody_else() {
    let refusal = "Unsupported parameter: 'max_tokens' is not supported with this model. \
                   Use 'max_completion_tokens' instead.";
    let body = json!({"error": {"message": refusal, "type": "invalid_request_error", "param": "max_tokens",
        "code": "unsupported_parameter"}});
    let strict = Fake::start(move |seen| {
        if seen.body.get("max_tokens").is_none() {
            return streamed(frames(&[delta(json!({"content": "hi"})), finish("stop")]));
        }
        Response::builder().status(400).body(Body::from(body.to_string())).expect("a response")
    })
    .await;
    assert_eq!(ask(&models(&strict.base_url)).await.0.map(|answer| answer.blocks), Ok(vec![said("hi")]));
    let bounds: Vec<[Option<u64>; 2]> = strict
        .seen()
        .iter()
        .map(|seen| ["max_tokens", "max_completion_tokens"].map(|field| seen.body.get(field)?.as_u64()))
        .collect();
    assert_eq!(bounds, [[Some(8192), None], [None, Some(8192)]]);

    let stubborn = Fake::failing(400, &[], json!({"error": {"message": refusal}})).await;
    let failure = ask(&models(&stubborn.base_url)).await.0.expect_err("a failure");
    assert_eq!((failure.class, stubborn.seen().len()), (Invalid, 2), "asked twice, not for ever");
    let large = "'max_tokens' or 'max_completion_tokens' is too large: 8192.";
    let other = Fake::failing(400, &[], json!({"error": {"message": large}})).await;
    let failure = ask(&models(&other.base_url)).await.0.expect_err("a failure");
    assert_eq!((failure.class, other.seen().len()), (Invalid, 1));
}
