//! Tries routes for real: what a provider says it has, whether a model of it answers, and whether it calls a
//! tool.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use models::ModelClient;
use protocol::{
    content::ContentBlock,
    prompt::{FailureClass, MessagePart, MessageRole, ModelAnswer, ModelFailure, Prompt, PromptMessage},
    routes::{OfferedModel, ProviderKey, Route, RoutePatience, RouteProvider, Routes},
};
use tokio::time::{Instant, timeout};

use crate::calling::{self, MissingForModel};

/// How long a request to a route may take whose settings give it no more.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);
/// Routes that are tried side by side.
const AT_ONCE: usize = 8;
/// What a model is asked.
const QUESTION: &str = "Reply with the word ok.";

/// The words of a failure to which nobody answered, and of an answer that is no TLS.
const UNREACHED: [&str; 2] = ["cannot be reached", "did not answer in time"];
const NO_TLS: &str = "InvalidContentType";

/// What came of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RouteTrial {
    /// This model answered; beside that, how many models the provider says it has for the route, or why it
    /// does not say; and what is missing where it is served.
    Answered { model: String, took: Duration, offered: Result<usize, String>, missing: Vec<MissingForModel> },
    /// It was not tried, and that is all right.
    Skipped { why: String },
    /// It does not work: what happened, and what to do.
    Failed { what: String, fix: String },
}

impl RouteTrial {
    /// Whether the model answers and agents cannot use it.
    pub(crate) fn lacks_what_agents_need(&self) -> bool {
        match self {
            Self::Answered { missing, .. } => missing.iter().any(|missing| missing.needed),
            Self::Skipped { .. } | Self::Failed { .. } => false,
        }
    }
}

/// Tries each of `routes`, side by side; in the order of the table. `models` are the ids to ask where a
/// pattern leaves it open, `skipped` says why a route need not be tried.
pub(crate) async fn all(
    oracle: &dyn ModelClient,
    routes: &Routes,
    models: &[String],
    skipped: &dyn Fn(&Route) -> Option<String>,
) -> Vec<RouteTrial> {
    side_by_side(routes, async |route| match skipped(route) {
        Some(why) => RouteTrial::Skipped { why },
        None => match timeout(patience(route), one(oracle, routes, route, models)).await {
            Ok(RouteTrial::Answered { model, took, offered, mut missing }) => {
                missing.extend(tool(oracle, route, &model).await);
                missing.sort_by_key(|missing| !missing.needed);
                missing.dedup();
                RouteTrial::Answered { model, took, offered, missing }
            }
            Ok(found) => found,
            Err(_) => silent(route),
        },
    })
    .await
}

/// How long a request to a route may take: a model that is loaded first has the time that the route gives it.
fn patience(route: &Route) -> Duration {
    let first_byte = route.patience.first_byte;
    if first_byte > RoutePatience::DEFAULT.first_byte { first_byte + PATIENCE } else { PATIENCE }
}

/// What a call of a tool shows to be missing.
async fn tool(oracle: &dyn ModelClient, route: &Route, model: &str) -> Vec<MissingForModel> {
    // The built-in script calls what it likes.
    if route.provider == RouteProvider::Script {
        return Vec::new();
    }
    let prompt = calling::prompt(model);
    match timeout(patience(route), oracle.ask(&prompt, &mut |_| {})).await {
        Ok(Ok(answer)) => calling::missing(&answer),
        Ok(Err(failure)) => vec![calling::refused(&failure, fix(route, &failure))],
        Err(_) => {
            let what = format!("a request with a tool got {}", nothing(route));
            let fix =
                format!("see whether {} answers at all, and whether a proxy is in between", route.base_url);
            vec![MissingForModel::needed(what, fix)]
        }
    }
}

/// What each of `routes` offers, or why that is not known.
pub(crate) async fn offers(
    oracle: &dyn ModelClient,
    routes: &Routes,
    skipped: &dyn Fn(&Route) -> Option<String>,
) -> Vec<Result<Vec<OfferedModel>, String>> {
    side_by_side(routes, async |route| match skipped(route) {
        Some(why) => Err(why),
        None => match timeout(PATIENCE, oracle.offered(route)).await {
            Ok(offered) => offered.map_err(|failure| failure.message),
            Err(_) => Err(format!("no answer within {} seconds", PATIENCE.as_secs())),
        },
    })
    .await
}

/// Runs `work` for every route, a few at a time, and shows on a terminal how far it is.
async fn side_by_side<T>(routes: &Routes, work: impl AsyncFn(&Route) -> T) -> Vec<T> {
    let progress = Progress::begin(routes.0.len());
    let work = &work;
    let jobs = routes.0.iter().enumerate().map(|(place, route)| async move { (place, work(route).await) });
    let mut done: Vec<(usize, T)> = Vec::new();
    let mut jobs = stream::iter(jobs).buffer_unordered(AT_ONCE);
    while let Some(job) = jobs.next().await {
        done.push(job);
        progress.show(done.len());
    }
    progress.end();
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, found)| found).collect()
}

async fn one(oracle: &dyn ModelClient, routes: &Routes, route: &Route, models: &[String]) -> RouteTrial {
    let leads_here = |model: &str| routes.route(model).is_some_and(|taken| taken.pattern == route.pattern);
    let named = models.iter().find(|model| leads_here(model)).cloned();
    let named = named.or_else(|| (!route.pattern.ends_with('*')).then(|| route.pattern.clone()));
    let offered = oracle.offered(route);
    if let Some(model) = named {
        let (asked, offered) = tokio::join!(ask(oracle, &model), offered);
        let offered = offered.map(|offered| offered.len()).map_err(|failure| failure.message);
        return match asked {
            Ok((took, missing)) => RouteTrial::Answered { model, took, offered, missing },
            Err(failure) => failed(route, &failure),
        };
    }
    let offered = match offered.await {
        Ok(offered) => offered,
        Err(failure) => return failed(route, &failure),
    };
    let Some(first) = offered.iter().find(|offered| leads_here(&offered.id)) else {
        return RouteTrial::Failed {
            what: "the provider names no model that this route answers for".into(),
            fix: "name one yourself: --model ID".into(),
        };
    };
    let model = first.id.clone();
    match ask(oracle, &model).await {
        Ok((took, missing)) => RouteTrial::Answered { model, took, offered: Ok(offered.len()), missing },
        Err(failure) => failed(route, &failure),
    }
}

/// How long the model took to answer, and what its answer shows to be missing.
async fn ask(
    oracle: &dyn ModelClient,
    model: &str,
) -> Result<(Duration, Vec<MissingForModel>), ModelFailure> {
    let began = Instant::now();
    let answer: ModelAnswer = oracle.ask(&prompt(model), &mut |_| {}).await?;
    let took = began.elapsed();
    // Whether it calls tools is not asked here.
    let seen = calling::missing(&answer).into_iter().filter(|missing| !missing.needed);
    Ok((took, seen.collect()))
}

fn prompt(model: &str) -> Prompt {
    let parts = vec![MessagePart::Content(ContentBlock::text(QUESTION))];
    let messages = vec![Arc::new(PromptMessage { role: MessageRole::User, parts })];
    Prompt { model: model.to_owned(), system: None, tools: Vec::new(), messages, counted: None }
}

fn nothing(route: &Route) -> String {
    format!("no answer within {} seconds", patience(route).as_secs())
}

fn silent(route: &Route) -> RouteTrial {
    let fix = format!(
        "see whether {} answers at all, and whether a proxy is in between; if its model is loaded first, say \
         how long that may take with `first_byte`",
        route.base_url
    );
    RouteTrial::Failed { what: nothing(route), fix }
}

fn failed(route: &Route, failure: &ModelFailure) -> RouteTrial {
    RouteTrial::Failed { what: failure.message.clone(), fix: fix(route, failure) }
}

/// What to do about a failure.
fn fix(route: &Route, failure: &ModelFailure) -> String {
    match (failure.class, &route.key) {
        (FailureClass::Denied, Some(ProviderKey::Variable(name))) => {
            format!("set {name} to a key that the provider takes")
        }
        (FailureClass::Denied, Some(ProviderKey::File(path))) => {
            format!("write a key that the provider takes, and nothing else, into {path}")
        }
        (FailureClass::Denied, None) => {
            "name the environment variable that holds the provider's key in `key`, or the file in `key_file`"
                .to_owned()
        }
        (FailureClass::Unavailable, _) => unavailable(route, &failure.message),
        (FailureClass::Cut, _) => format!(
            "something takes requests at {}: its own log may say why it sends nothing more, unless a proxy is in \
             between",
            route.base_url
        ),
        (FailureClass::Overloaded | FailureClass::RateLimited | FailureClass::Empty, _) => {
            "try again in a while".to_owned()
        }
        (FailureClass::Billing, _) => "see to the account at the provider".to_owned(),
        (FailureClass::Invalid | FailureClass::Overflow | FailureClass::Full | FailureClass::Unusable, _) => {
            "check the model's id, `provider`, `base_url` and `max_output` of the route".to_owned()
        }
        (FailureClass::NoRoute, _) => {
            "add a route for the model, or check its id, and `provider` and `base_url` of the route"
                .to_owned()
        }
    }
}

/// What to do about a provider that failed or cannot be reached, which only the message tells apart.
fn unavailable(route: &Route, message: &str) -> String {
    let url = &route.base_url;
    match url.strip_prefix("https://") {
        Some(rest) if message.contains(NO_TLS) => {
            return format!("does it speak http? then write http://{rest}");
        }
        Some(_) | None => {}
    }
    if UNREACHED.iter().any(|words| message.contains(words)) {
        return format!(
            "see that something answers at {url}; a proxy comes from the environment, a company's certificate \
             from `extra_ca`"
        );
    }
    format!(
        "something answers at {url} and fails: its own log may say why; if it passes, try again in a while"
    )
}

/// A line on the terminal that says how far it is, and is gone in the end.
struct Progress {
    all: usize,
    shown: bool,
}

impl Progress {
    fn begin(all: usize) -> Self {
        let progress = Self { all, shown: std::io::stderr().is_terminal() };
        progress.show(0);
        progress
    }

    fn show(&self, done: usize) {
        self.write(&format!("\r\x1b[Kasking the providers: {done} of {} routes", self.all));
    }

    fn end(&self) {
        self.write("\r\x1b[K");
    }

    fn write(&self, text: &str) {
        if self.shown {
            // A terminal that is gone is no mistake of ours.
            drop(std::io::stderr().lock().write_all(text.as_bytes()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::BoxFuture;
    use protocol::{
        prompt::{AnswerBlock, AnswerDelta, AnswerStop},
        usage::RequestTokens,
    };
    use std::sync::Mutex;
    use tokio::time::sleep;

    /// Offers two models, answers all but those whose name says otherwise, and remembers who was asked.
    #[derive(Debug, Default)]
    struct Scripted {
        offered: Vec<&'static str>,
        asked: Mutex<Vec<String>>,
    }

    /// The call that is asked for; else a word, behind thinking for one of them.
    fn answer(prompt: &Prompt) -> ModelAnswer {
        let text = if prompt.model == "thinks" { "<think>hm</think>ok" } else { "ok" };
        let text = AnswerBlock::Text { text: text.into() };
        let input = Some([("word".to_owned(), "ok".into())].into_iter().collect());
        let call = |tool: &Arc<protocol::prompt::ToolSpec>| AnswerBlock::ToolUse {
            id: "c".into(),
            name: tool.name.clone(),
            input,
        };
        let call = prompt.tools.first().filter(|_| prompt.model != "talks").map(call);
        let blocks = std::iter::once(text).chain(call).collect();
        ModelAnswer { blocks, stop: AnswerStop::EndTurn, tokens: RequestTokens::default(), opaque: None }
    }

    fn failure(class: FailureClass, message: &str) -> ModelFailure {
        ModelFailure {
            class,
            status: None,
            message: message.into(),
            retry_after: None,
            tokens: RequestTokens::default(),
            spots: Vec::new(),
        }
    }

    impl ModelClient for Scripted {
        fn ask<'a>(
            &'a self,
            prompt: &'a Prompt,
            _deltas: &'a mut (dyn FnMut(AnswerDelta) + Send),
        ) -> BoxFuture<'a, Result<ModelAnswer, ModelFailure>> {
            self.asked.lock().expect("a lock").push(prompt.model.clone());
            Box::pin(async move {
                match prompt.model.as_str() {
                    "denied" => Err(failure(FailureClass::Denied, "401")),
                    "silent" => std::future::pending().await,
                    "tool-silent" if !prompt.tools.is_empty() => std::future::pending().await,
                    "tool-refused" if !prompt.tools.is_empty() => {
                        Err(failure(FailureClass::Invalid, "no tools here"))
                    }
                    "cold" => {
                        sleep(Duration::from_mins(5)).await;
                        Ok(answer(prompt))
                    }
                    _ => Ok(answer(prompt)),
                }
            })
        }

        fn offered<'a>(&'a self, route: &'a Route) -> BoxFuture<'a, Result<Vec<OfferedModel>, ModelFailure>> {
            Box::pin(async move {
                if route.pattern.starts_with("away-") {
                    return Err(failure(FailureClass::Unavailable, "it cannot be reached"));
                }
                let offered =
                    |id: &&str| OfferedModel { id: (*id).into(), display_name: None, created_at: None };
                Ok(self.offered.iter().filter(|id| route.answers(id)).map(offered).collect())
            })
        }
    }

    fn route(pattern: &str, key: Option<&str>) -> Route {
        Route {
            provider: RouteProvider::Messages,
            base_url: "http://there".into(),
            key: key.map(|name| ProviderKey::Variable(name.to_owned())),
            ..Route::script(pattern)
        }
    }

    async fn found(oracle: &Scripted, routes: Vec<Route>, models: &[&str]) -> Vec<RouteTrial> {
        let models: Vec<String> = models.iter().map(|model| (*model).to_owned()).collect();
        let skipped = |route: &Route| (route.pattern == "skip").then(|| "not set up".to_owned());
        all(oracle, &Routes(routes), &models, &skipped).await
    }

    fn answered(model: &str, offered: Result<usize, &str>) -> RouteTrial {
        let offered = offered.map_err(str::to_owned);
        RouteTrial::Answered { model: model.into(), took: Duration::ZERO, offered, missing: Vec::new() }
    }

    fn failed(what: &str, fix: &str) -> RouteTrial {
        RouteTrial::Failed { what: what.into(), fix: fix.into() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_is_asked_itself_and_a_pattern_by_what_is_offered_or_named() {
        let oracle = Scripted { offered: vec!["m-own", "m-1", "m-2"], ..Scripted::default() };
        let routes = || vec![route("m-own", None), route("m-*", None), route("*", None)];
        assert_eq!(
            found(&oracle, routes(), &[]).await,
            [
                answered("m-own", Ok(1)),
                // Not the first that is offered: that one has a route of its own.
                answered("m-1", Ok(3)),
                failed(
                    "the provider names no model that this route answers for",
                    "name one yourself: --model ID"
                ),
            ]
        );
        assert_eq!(
            found(&oracle, routes(), &["other", "m-2"]).await,
            [answered("m-own", Ok(1)), answered("m-2", Ok(3)), answered("other", Ok(3))]
        );
        assert_eq!(oracle.asked.lock().expect("a lock").len(), 10, "each for a word and for a call");
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_work_says_what_to_do_and_holds_up_nobody_else() {
        let routes = ["denied", "silent", "away-*", "skip", "good", "away-1"]
            .map(|pattern| route(pattern, Some("KEY")));
        let began = Instant::now();
        let oracle = Scripted::default();
        assert_eq!(
            found(&oracle, routes.to_vec(), &[]).await,
            [
                failed("401", "set KEY to a key that the provider takes"),
                failed(
                    "no answer within 15 seconds",
                    "see whether http://there answers at all, and whether a proxy is in between; if its model \
                     is loaded first, say how long that may take with `first_byte`"
                ),
                failed(
                    "it cannot be reached",
                    "see that something answers at http://there; a proxy comes from the environment, a \
                     company's certificate from `extra_ca`"
                ),
                RouteTrial::Skipped { why: "not set up".into() },
                answered("good", Ok(0)),
                answered("away-1", Err("it cannot be reached")),
            ]
        );
        assert_eq!(began.elapsed(), PATIENCE);
        assert!(!oracle.asked.lock().expect("a lock").contains(&"skip".to_owned()));
    }

    #[test]
    fn a_provider_that_answered_is_not_said_to_be_away() {
        let told = |class, message: &str, url: &str| {
            let route = Route { base_url: url.into(), ..route("m", None) };
            fix(&route, &failure(class, message))
        };
        for (class, message, url, begins) in [
            (
                FailureClass::Unavailable,
                "at http://there failed (500).",
                "http://there",
                "something answers at",
            ),
            (
                FailureClass::Unavailable,
                "cannot be reached: refused.",
                "http://there",
                "see that something answers",
            ),
            (
                FailureClass::Unavailable,
                "did not answer in time.",
                "http://there",
                "see that something answers",
            ),
            (
                FailureClass::Unavailable,
                NO_TLS,
                "https://there/v1",
                "does it speak http? then write http://there/v1",
            ),
            (FailureClass::Cut, "sent nothing for 5 seconds.", "http://there", "something takes requests at"),
        ] {
            let told = told(class, message, url);
            assert!(told.starts_with(begins), "{message}: {told}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_missing_where_a_model_is_served_is_told_and_nobody_waits_for_ever() {
        let began = Instant::now();
        let routes = ["talks", "thinks", "tool-refused", "tool-silent"].map(|pattern| route(pattern, None));
        let found = found(&Scripted::default(), routes.to_vec(), &[]).await;
        let missing = |found: &RouteTrial| match found {
            RouteTrial::Answered { missing, .. } => {
                missing.iter().map(|missing| (missing.needed, missing.what.clone())).collect::<Vec<_>>()
            }
            RouteTrial::Skipped { .. } | RouteTrial::Failed { .. } => panic!("{found:?}"),
        };
        let told: Vec<_> = found.iter().map(missing).collect();
        let told: Vec<Vec<(bool, &str)>> = told
            .iter()
            .map(|told| told.iter().map(|(needed, what)| (*needed, what.as_str())).collect())
            .collect();
        assert_eq!(
            told,
            [
                vec![(true, "the model was asked to call a tool and called none")],
                vec![(false, "thinking stands in the text")],
                vec![(true, "a request with a tool failed: no tools here")],
                vec![(true, "a request with a tool got no answer within 15 seconds")],
            ]
        );
        assert_eq!(began.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_model_that_is_loaded_first_has_the_time_that_its_route_gives_it() {
        let cold = |first_byte| {
            let patience =
                RoutePatience { first_byte: Duration::from_secs(first_byte), ..RoutePatience::DEFAULT };
            vec![Route { patience, ..route("cold", None) }]
        };
        let oracle = Scripted::default();
        assert!(matches!(&found(&oracle, cold(120), &[]).await[..], [RouteTrial::Failed { .. }]));
        let given = found(&oracle, cold(600), &[]).await;
        let RouteTrial::Answered { took, missing, .. } = &given[0] else { panic!("{given:?}") };
        assert_eq!((took.as_secs(), missing.as_slice()), (300, &[][..]));
    }
}
