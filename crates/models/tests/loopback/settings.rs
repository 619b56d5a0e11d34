//! What a route's settings make of its requests, as the provider sees them, on both wires.

use std::{fs, os::unix::fs::symlink, path::Path, time::Duration};

use axum::body::Body;
use futures_util::{StreamExt as _, stream};
use models::{BuildError, ModelClient, ProviderKeys, RoutedModels};
use protocol::{
    Object,
    limits::KEY_FILE_BYTES,
    prompt::{FailureClass, ModelAnswer, ModelFailure},
    routes::{ProviderKey, Route, RoutePatience, RouteProvider, Routes, SpareMember},
};
use serde_json::{Value, json};
use tokio::{net::TcpSocket, time::Instant};

use crate::provider::{Fake, direct, prompt, said, streamed};

const WIRES: [RouteProvider; 2] = [RouteProvider::Messages, RouteProvider::ChatCompletions];

fn route(provider: RouteProvider, base_url: &str) -> Route {
    Route { provider, base_url: base_url.to_owned(), ..Route::script("m") }
}

fn models(route: Route) -> RoutedModels {
    RoutedModels::new(Routes(vec![route]), ProviderKeys::default(), direct()).expect("good settings")
}

async fn ask(models: &RoutedModels) -> Result<ModelAnswer, ModelFailure> {
    models.ask(&prompt("m"), &mut |_| {}).await
}

/// A word, as a stream of this wire says it.
fn word(provider: RouteProvider) -> String {
    let events = match provider {
        RouteProvider::Messages => vec![
            json!({"type": "message_start", "message": {"usage": {"input_tokens": 1}}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "ok"}}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
            json!({"type": "message_stop"}),
        ],
        RouteProvider::ChatCompletions | RouteProvider::Script => {
            vec![json!({"choices": [{"delta": {"content": "ok"}, "finish_reason": "stop"}]}), json!("[DONE]")]
        }
    };
    let data = |event: &Value| event.as_str().map_or_else(|| event.to_string(), str::to_owned);
    events.iter().map(|event| ["data: ", &data(event), "\n\n"].concat()).collect()
}

async fn answering(provider: RouteProvider) -> Fake {
    Fake::start(move |_| streamed(word(provider))).await
}

/// The key of the last request, as it came.
fn key(fake: &Fake) -> String {
    let last = fake.seen().pop().expect("a request");
    let key = last.header("x-api-key").or(last.header("authorization")).expect("a key");
    key.trim_start_matches("Bearer ").to_owned()
}

fn keyed(provider: RouteProvider, base_url: &str, file: &Path) -> RoutedModels {
    let path = file.to_str().expect("a plain path").to_owned();
    models(Route { key: Some(ProviderKey::File(path)), ..route(provider, base_url) })
}

#[tokio::test]
async fn a_key_in_a_file_is_read_with_each_request_and_trimmed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, link) = (folder.path().join("schlüssel"), folder.path().join("link"));
    symlink(&file, &link).expect("a link");
    for provider in WIRES {
        let fake = answering(provider).await;
        let models = keyed(provider, &fake.base_url, &link);
        for (written, sent) in [
            ("first", "first"),
            ("second\n", "second"),
            ("\u{feff}third\r\n", "third"),
            (" \n\tfourth \r\n\r\n", "fourth"),
        ] {
            fs::write(&file, written).expect("written");
            assert_eq!(ask(&models).await.map(|answer| answer.blocks), Ok(vec![said("ok")]));
            assert_eq!(key(&fake), sent);
        }
        // As a secret is turned over: another file under the same name.
        let next = folder.path().join("next");
        fs::write(&next, "fifth").expect("written");
        fs::rename(&next, &file).expect("renamed");
        ask(&models).await.expect("an answer");
        assert_eq!(key(&fake), "fifth");
    }
}

#[tokio::test]
async fn a_file_without_a_key_is_named_and_nothing_of_what_it_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("key");
    let long = format!("sesame{}", "x".repeat(usize::try_from(KEY_FILE_BYTES).expect("few")));
    for provider in WIRES {
        let fake = answering(provider).await;
        let models = keyed(provider, &fake.base_url, &file);
        for (written, why) in [
            (None, "cannot be read: No such file or directory"),
            (Some(&b""[..]), "holds no key"),
            (Some(b" \r\n"), "holds no key"),
            (Some(long.as_bytes()), "holds more than 16384 bytes"),
            (Some(b"s\0e\0s\0a\0m\0e\0\xff\xfe"), "holds what is no text in UTF-8"),
            (Some(b"sesame\r\nsesame2\r\n"), "holds more than one line"),
            (Some(b"ses\0ame"), "holds more than one line, or what no key holds"),
        ] {
            drop(fs::remove_file(&file));
            if let Some(written) = written {
                fs::write(&file, written).expect("written");
            }
            let failure = ask(&models).await.expect_err("no key");
            assert_eq!(failure.class, FailureClass::Denied, "asked once");
            let path = file.to_str().expect("a plain path");
            assert!(failure.message.contains(path) && failure.message.contains(why), "{failure}");
            assert!(!failure.message.contains("sesame"), "{failure}");
        }
        let folder = keyed(provider, &fake.base_url, folder.path());
        let failure = ask(&folder).await.expect_err("no key");
        assert!(failure.message.ends_with("is no file."), "{failure}");
        let gone = Some(ProviderKey::File("/is/not/there".to_owned()));
        let listed = Route { key: gone, ..route(provider, &fake.base_url) };
        assert_eq!(folder.offered(&listed).await.expect_err("no key").class, FailureClass::Denied);
        assert_eq!(fake.seen().len(), 0);
    }
}

#[tokio::test]
async fn a_key_of_a_file_is_cut_out_of_what_the_provider_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("key");
    fs::write(&file, "sesame\n").expect("written");
    for provider in WIRES {
        let fake = Fake::failing(401, &[], json!({"error": {"message": "no such key: sesame"}})).await;
        let failure = ask(&keyed(provider, &fake.base_url, &file)).await.expect_err("a failure");
        let (path, denied) = (file.display(), "The model provider does not accept the key in");
        assert_eq!(failure.message, format!("{denied} {path} (401): no such key: …."));
    }
}

fn members(value: &Value) -> Object {
    value.as_object().cloned().expect("an object")
}

#[tokio::test]
async fn further_members_stand_beside_those_of_the_wire_as_they_were_given() {
    let further = json!({"temperature": 0.2, "chat_template_kwargs": {"enable_thinking": false},
        "stop": ["Ä", "\r\n"], "top_k": 40, "größe": true});
    for provider in WIRES {
        let fake = answering(provider).await;
        let (plain, body) = (route(provider, &fake.base_url), members(&further));
        ask(&models(plain.clone())).await.expect("an answer");
        let more = models(Route { body: body.clone(), ..plain });
        ask(&more).await.expect("an answer");
        let [before, after] = fake.seen().try_into().expect("two requests");
        let mut expected = members(&before.body);
        expected.extend(body);
        assert_eq!(members(&after.body), expected);
        let shown = more.request(&prompt("m")).expect("a body");
        assert_eq!(serde_json::from_slice::<Object>(&shown).expect("JSON"), expected);
    }
}

#[test]
fn a_member_that_the_wire_writes_is_no_routes() {
    for (provider, names) in [
        (RouteProvider::Messages, &["model", "messages", "system", "tools", "stream", "max_tokens"][..]),
        (
            RouteProvider::ChatCompletions,
            &[
                "model",
                "messages",
                "tools",
                "stream",
                "stream_options",
                "max_tokens",
                "max_completion_tokens",
                "n",
            ],
        ),
    ] {
        for name in names {
            let body = Object::from_iter([("top_p".to_owned(), json!(1)), ((*name).to_owned(), json!(1))]);
            let route = Route { body, ..route(provider, "http://provider") };
            let made = RoutedModels::new(Routes(vec![route]), ProviderKeys::default(), direct());
            let wrong = BuildError::OwnMember { pattern: "m".to_owned(), name: (*name).to_owned() };
            assert_eq!(made.expect_err("a mistake"), wrong);
        }
    }
}

#[tokio::test]
async fn what_a_route_leaves_out_is_never_sent() {
    for (provider, leave_out, gone, sent) in [
        (
            RouteProvider::ChatCompletions,
            vec![SpareMember::StreamOptions],
            &["stream_options"][..],
            &["max_tokens"][..],
        ),
        (
            RouteProvider::ChatCompletions,
            vec![SpareMember::MaxTokens],
            &["max_tokens"],
            &["max_completion_tokens", "stream_options"],
        ),
        (
            RouteProvider::ChatCompletions,
            vec![SpareMember::MaxTokens, SpareMember::MaxCompletionTokens],
            &["max_tokens", "max_completion_tokens"],
            &["stream_options"],
        ),
        (RouteProvider::Messages, vec![SpareMember::CacheControl], &["cache_control"], &["max_tokens"]),
    ] {
        let fake = answering(provider).await;
        let models = models(Route { leave_out, ..route(provider, &fake.base_url) });
        ask(&models).await.expect("an answer");
        let [seen] = fake.seen().try_into().expect("one request");
        let text = seen.body.to_string();
        for name in gone {
            assert!(!text.contains(&format!("{name:?}")), "{name} in {text}");
        }
        for name in sent {
            assert!(seen.body.get(name).is_some(), "no {name} in {text}");
        }
    }
}

fn patient(connect: u64, first_byte: u64, silence: u64) -> RoutePatience {
    let [connect, first_byte, silence] = [connect, first_byte, silence].map(Duration::from_secs);
    RoutePatience { connect, first_byte, silence }
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_left_after_the_first_byte_of_its_route() {
    let silent = TcpSocket::new_v4().expect("a socket");
    silent.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let listener = silent.listen(8).expect("it listens");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    for provider in WIRES {
        let began = Instant::now();
        let models = models(Route { patience: patient(30, 1, 60), ..route(provider, &url) });
        let failure = ask(&models).await.expect_err("nothing came");
        assert_eq!(failure.class, FailureClass::Cut);
        assert!(
            failure.message.contains("nothing for 1 seconds") && failure.message.contains("`first_byte`")
        );
        assert!(began.elapsed() < Duration::from_secs(20));
    }
}

#[tokio::test]
async fn headers_alone_are_no_answer_and_one_that_has_begun_is_waited_for_as_the_route_says() {
    let hanging = |said: &str| {
        let said = stream::iter([Ok::<_, std::io::Error>(said.to_owned())]).chain(stream::pending());
        streamed(Body::from_stream(said))
    };
    for provider in WIRES {
        let begun = word(provider).replace(",\"finish_reason\":\"stop\"", "");
        let frames =
            begun.split_inclusive("\n\n").take(if provider == RouteProvider::Messages { 2 } else { 1 });
        let begun: String = frames.collect();
        let began = Instant::now();
        let empty = Fake::start(move |_| hanging(": \n\n")).await;
        let empty = models(Route { patience: patient(30, 1, 60), ..route(provider, &empty.base_url) });
        let failure = ask(&empty).await.expect_err("nothing came");
        assert!(failure.message.contains("`first_byte`"), "{failure}");
        let half = Fake::start(move |_| hanging(&begun)).await;
        let half = models(Route { patience: patient(30, 60, 1), ..route(provider, &half.base_url) });
        let failure = ask(&half).await.expect_err("it does not end");
        assert_eq!(failure.message, "The model provider sent nothing for 1 seconds.");
        assert!(began.elapsed() < Duration::from_secs(20));
    }
}

#[tokio::test]
async fn a_host_that_takes_no_connection_is_left_after_the_connect_of_its_route() {
    let full = TcpSocket::new_v4().expect("a socket");
    full.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let listener = full.listen(1).expect("it listens");
    let address = listener.local_addr().expect("an address");
    // Nobody takes them: when the queue is full no further one is answered.
    let mut waiting = Vec::new();
    let soon = Duration::from_millis(300);
    while let Ok(connected) = tokio::time::timeout(soon, tokio::net::TcpStream::connect(address)).await {
        waiting.push(connected.expect("a connection"));
        assert!(waiting.len() < 64, "the queue is never full");
    }
    let began = Instant::now();
    let url = format!("http://{address}");
    let models =
        models(Route { patience: patient(1, 60, 60), ..route(RouteProvider::ChatCompletions, &url) });
    let failure = ask(&models).await.expect_err("no connection");
    assert_eq!(failure.class, FailureClass::Unavailable, "{failure}");
    assert!(failure.message.contains("did not answer in time"), "{failure}");
    assert!(began.elapsed() < Duration::from_secs(9), "and not after the ten seconds of others");
}
