//! Which models agents may name: what the routes say by themselves, and what their providers offer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::join_all;
use models::ModelClient;
use protocol::{
    prompt::FailureClass,
    routes::{OfferedModel, Route, Routes},
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use crate::{Engine, lock::lock};

/// How long a provider may take to say what it has.
const ASKED: Duration = Duration::from_secs(5);
/// How long what it said is remembered.
const GOOD: Duration = Duration::from_mins(1);
/// How long it is left alone when it said nothing.
const FAILED: Duration = Duration::from_secs(10);

/// The models of the Messages API, for a route to it whose provider cannot be asked: without a key it tells
/// nobody. The order of the contract.
pub const KNOWN: [&str; 18] = [
    "claude-fable-5",
    "claude-fable-5-1",
    "claude-fable-5-2",
    "claude-haiku-4-5",
    "claude-haiku-4-5-20251001",
    "claude-haiku-5-5",
    "claude-opus-4-5",
    "claude-opus-4-5-20251101",
    "claude-opus-4-6",
    "claude-opus-4-7",
    "claude-opus-4-8",
    "claude-opus-5",
    "claude-opus-5-5",
    "claude-sonnet-4-5",
    "claude-sonnet-4-5-20250929",
    "claude-sonnet-4-6",
    "claude-sonnet-5",
    "claude-sonnet-5-5",
];

/// A model that a route answers for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedModel {
    /// Its id, and what its provider says of it.
    pub model: OfferedModel,
    /// Tokens it reads at most.
    pub window: u64,
    /// Tokens it writes in one answer at most.
    pub max_output: u64,
}

impl Engine {
    /// Every model that a route certainly answers for, no id twice: the newest first, those of unknown age
    /// behind them by name. A provider that is away costs its models their place, and never the list.
    pub async fn models(&self) -> Vec<ServedModel> {
        self.0.catalog.offers(self.oracle(), self.routes()).await
    }

    /// The model `id`: as its provider shows it, else by its bare name; `None` when no route answers for it.
    pub async fn model(&self, id: &str) -> Option<ServedModel> {
        let route = self.routes().route(id)?;
        Some(self.0.catalog.offer(self.oracle(), route, id).await)
    }
}

/// What the providers said last.
#[derive(Debug)]
pub(crate) struct ModelCatalog {
    /// By the route's pattern.
    heard: Mutex<BTreeMap<String, Heard>>,
    /// One asks, the others wait for what it hears.
    turn: Semaphore,
}

#[derive(Debug)]
struct Heard {
    until: Instant,
    models: Vec<OfferedModel>,
}

impl Default for ModelCatalog {
    fn default() -> Self {
        Self { heard: Mutex::default(), turn: Semaphore::new(1) }
    }
}

impl ModelCatalog {
    async fn offers(&self, oracle: &dyn ModelClient, routes: &Routes) -> Vec<ServedModel> {
        self.refresh(oracle, &routes.0).await;
        let heard = lock(&self.heard);
        let mut seen = BTreeSet::new();
        let mut offers = Vec::new();
        for route in &routes.0 {
            let listed = match heard.get(&route.pattern) {
                Some(heard) => heard.models.clone(),
                None if many(route) => Vec::new(),
                None => vec![bare(&route.pattern)],
            };
            for model in listed {
                // Another route may be the one that answers for it.
                let answers = routes.route(&model.id).is_some_and(|first| first.pattern == route.pattern);
                if answers && seen.insert(model.id.clone()) {
                    offers.push(offer(route, model));
                }
            }
        }
        drop(heard);
        offers.sort_by(|one, other| {
            let newest = other.model.created_at.cmp(&one.model.created_at);
            newest.then_with(|| one.model.id.cmp(&other.model.id))
        });
        offers
    }

    /// The model `id`, for which `route` answers; no other route's provider is asked.
    async fn offer(&self, oracle: &dyn ModelClient, route: &Route, id: &str) -> ServedModel {
        self.refresh(oracle, std::slice::from_ref(route)).await;
        let heard = lock(&self.heard);
        let mut listed = heard.get(&route.pattern).into_iter().flat_map(|heard| &heard.models);
        let found = listed.find(|model| model.id == id).cloned();
        offer(route, found.unwrap_or_else(|| bare(id)))
    }

    /// Asks the providers of those patterns whose answer is not known or too old, side by side.
    async fn refresh(&self, oracle: &dyn ModelClient, routes: &[Route]) {
        if self.due(routes).is_empty() {
            return;
        }
        let Ok(_turn) = self.turn.acquire().await else { return };
        let due = self.due(routes);
        let told = join_all(due.iter().map(|route| ask(oracle, route))).await;
        let now = Instant::now();
        let mut heard = lock(&self.heard);
        for (route, (models, kept)) in due.into_iter().zip(told) {
            heard.insert(route.pattern.clone(), Heard { until: now + kept, models });
        }
    }

    fn due<'a>(&self, routes: &'a [Route]) -> Vec<&'a Route> {
        let (heard, now) = (lock(&self.heard), Instant::now());
        let fresh = |route: &Route| heard.get(&route.pattern).is_some_and(|heard| heard.until > now);
        routes.iter().filter(|route| many(route) && !fresh(route)).collect()
    }
}

/// What a route's provider has, and how long that holds.
async fn ask(oracle: &dyn ModelClient, route: &Route) -> (Vec<OfferedModel>, Duration) {
    let pattern = route.pattern.as_str();
    match timeout(ASKED, oracle.offered(route)).await {
        Ok(Ok(models)) if models.is_empty() => (known(route), GOOD),
        Ok(Ok(models)) => (models, GOOD),
        Ok(Err(failure)) if failure.class == FailureClass::Denied && pattern.starts_with("claude-") => {
            tracing::debug!(pattern, message = failure.message, "a provider does not say what it has");
            (known(route), FAILED)
        }
        Ok(Err(failure)) => {
            tracing::warn!(pattern, message = failure.message, "a route's models are left out of the list");
            (Vec::new(), FAILED)
        }
        Err(_) => {
            let seconds = ASKED.as_secs();
            tracing::warn!(pattern, seconds, "a route's models are left out: its provider did not answer");
            (Vec::new(), FAILED)
        }
    }
}

/// What a route to the Messages API leads to, as far as that is known without asking.
fn known(route: &Route) -> Vec<OfferedModel> {
    if !route.pattern.starts_with("claude-") {
        return Vec::new();
    }
    KNOWN.iter().filter(|id| route.answers(id)).map(|id| bare(id)).collect()
}

/// Whether a route answers for more than the one model of its name.
fn many(route: &Route) -> bool {
    route.pattern.ends_with('*')
}

fn bare(id: &str) -> OfferedModel {
    OfferedModel { id: id.to_owned(), display_name: None, created_at: None }
}

fn offer(route: &Route, model: OfferedModel) -> ServedModel {
    ServedModel { model, window: route.window, max_output: route.max_output }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::BoxFuture;
    use protocol::{
        Timestamp,
        prompt::{AnswerDelta, ModelAnswer, ModelFailure, Prompt},
        usage::RequestTokens,
    };

    /// Providers by the pattern of their route: `slow*` never says anything, `off*` fails, `claude-*` wants a
    /// key, the others have three models of which two are dated.
    #[derive(Debug, Default)]
    struct Providers {
        asked: AtomicUsize,
    }

    impl ModelClient for Providers {
        fn ask<'a>(
            &'a self,
            _prompt: &'a Prompt,
            _deltas: &'a mut (dyn FnMut(AnswerDelta) + Send),
        ) -> BoxFuture<'a, Result<ModelAnswer, ModelFailure>> {
            Box::pin(pending())
        }

        fn offered<'a>(&'a self, route: &'a Route) -> BoxFuture<'a, Result<Vec<OfferedModel>, ModelFailure>> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let failed = |class| ModelFailure {
                class,
                status: None,
                message: "no".into(),
                retry_after: None,
                tokens: RequestTokens::default(),
                spots: Vec::new(),
            };
            match route.pattern.as_str() {
                "slow*" => Box::pin(pending()),
                "off*" => Box::pin(ready(Err(failed(FailureClass::Unavailable)))),
                "claude-*" => Box::pin(ready(Err(failed(FailureClass::Denied)))),
                _ => Box::pin(ready(Ok(vec![
                    OfferedModel { created_at: Some(Timestamp::from_micros(1)), ..bare("m-old") },
                    bare("m-undated"),
                    OfferedModel { created_at: Some(Timestamp::from_micros(2)), ..bare("m-new") },
                    bare("exact"),
                ]))),
            }
        }
    }

    fn routes(patterns: &[&str]) -> Routes {
        Routes(patterns.iter().map(|pattern| Route::script(*pattern)).collect())
    }

    fn ids(offers: &[ServedModel]) -> Vec<&str> {
        offers.iter().map(|offer| offer.model.id.as_str()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_newest_come_first_and_a_provider_that_is_away_is_left_out_in_five_seconds() {
        let (catalog, providers) = (ModelCatalog::default(), Providers::default());
        let routes = routes(&["exact", "off*", "slow*", "*"]);
        let began = Instant::now();
        let offers = catalog.offers(&providers, &routes).await;
        assert_eq!(ids(&offers), ["m-new", "m-old", "exact", "m-undated"]);
        assert_eq!(began.elapsed(), ASKED);
        let found = offers.iter().find(|offer| offer.model.id == "m-new").expect("listed");
        assert_eq!((found.window, found.max_output), (routes.0[3].window, routes.0[3].max_output));
    }

    #[tokio::test(start_paused = true)]
    async fn good_answers_are_remembered_for_a_minute_and_failures_for_ten_seconds() {
        let (catalog, providers) = (ModelCatalog::default(), Providers::default());
        let routes = routes(&["off*", "m-*"]);
        let mut asked = Vec::new();
        for pause in [0, 9, 2, 50] {
            tokio::time::sleep(Duration::from_secs(pause)).await;
            futures_util::join!(catalog.offers(&providers, &routes), catalog.offers(&providers, &routes));
            asked.push(providers.asked.load(Ordering::Relaxed));
        }
        assert_eq!(asked, [2, 2, 3, 5]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_model_asks_its_own_routes_provider_alone_and_an_exact_one_nobodys() {
        let (catalog, providers) = (ModelCatalog::default(), Providers::default());
        let routes = routes(&["exact", "slow*", "m-*"]);
        let began = Instant::now();
        let mut found = Vec::new();
        for (place, id) in [(0, "exact"), (2, "m-new"), (2, "m-unheard")] {
            let one = catalog.offer(&providers, &routes.0[place], id).await;
            found.push((one.model, providers.asked.load(Ordering::Relaxed)));
        }
        let new = OfferedModel { created_at: Some(Timestamp::from_micros(2)), ..bare("m-new") };
        assert_eq!(found, [(bare("exact"), 0), (new, 1), (bare("m-unheard"), 1)]);
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_key_the_known_ids_stand_for_the_messages_api() {
        let (catalog, providers) = (ModelCatalog::default(), Providers::default());
        let mut routes = routes(&["claude-opus-5", "claude-*"]);
        routes.0[0].window = 7;
        let offers = catalog.offers(&providers, &routes).await;
        assert_eq!(ids(&offers), KNOWN);
        let own = offers.iter().find(|offer| offer.model.id == "claude-opus-5").expect("listed");
        assert_eq!(own.window, 7);
    }
}
