//! The oracle: asks a model, and says what came or what failed, not what that means.
//!
//! [`RoutedModels`] finds a prompt's route and speaks the wire of its provider: the Messages API, the
//! chat-completions API, or the built-in script of `heddle-demo`.

mod blank;
mod broken;
mod chat;
mod class;
mod demo;
mod draft;
mod failure;
mod fold;
mod headers;
mod kept;
mod keys;
mod lacks;
mod learned;
mod loose;
mod members;
mod messages;
mod named;
mod net;
mod offered;
mod problem;
mod reason;
mod room;
mod secret;
pub mod sse;
mod transport;
mod wait;
mod weight;
mod words;

use core::{fmt::Debug, time::Duration};
use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use futures_util::future::BoxFuture;
use protocol::{
    prompt::{AnswerDelta, FailureClass, ModelAnswer, ModelFailure, Prompt},
    routes::{OfferedModel, ProviderKey, Route, RouteProvider, Routes},
};
use reqwest::{Client, Url};

use crate::{
    failure::failure,
    lacks::RouteNotes,
    learned::RouteLessons,
    net::ProviderReach,
    secret::ProviderSecret,
    transport::{ProviderRequest, RequestWriting},
};
pub use crate::{
    headers::is_ours,
    keys::{ProviderKeys, has_key},
    lacks::ServerLack,
    members::why_ours,
    net::{ProviderNet, ProviderProxy},
};

/// Someone who answers prompts.
pub trait ModelClient: Send + Sync + Debug {
    /// Asks once; whether to ask again is the kernel's business. `deltas` hears each piece as it comes,
    /// with the index of its block in the answer. Dropping the future cuts the request.
    fn ask<'a>(
        &'a self,
        prompt: &'a Prompt,
        deltas: &'a mut (dyn FnMut(AnswerDelta) + Send),
    ) -> BoxFuture<'a, Result<ModelAnswer, ModelFailure>>;

    /// The body of the request by which [`ModelClient::ask`] asks, for whoever wants to read it; `None` where
    /// no route leads to the model, or none is sent.
    fn request(&self, _prompt: &Prompt) -> Option<Vec<u8>> {
        None
    }

    /// The models that the provider of `route` says it has and that the route answers for, in its order;
    /// none where it keeps no list.
    fn offered<'a>(&'a self, _route: &'a Route) -> BoxFuture<'a, Result<Vec<OfferedModel>, ModelFailure>> {
        Box::pin(core::future::ready(Ok(Vec::new())))
    }
}

/// The models that the route table leads to.
#[derive(Debug)]
pub struct RoutedModels {
    routes: Routes,
    /// What each route's provider does not take, in the order of the routes.
    learned: Vec<RouteLessons>,
    /// What each route's server lacks, in the same order.
    noted: Vec<RouteNotes>,
    keys: ProviderKeys,
    reach: ProviderReach,
    /// By the time within which a provider must be connected to.
    clients: Mutex<BTreeMap<Duration, Client>>,
}

/// Why there can be no [`RoutedModels`]: a mistake in the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The extra certificates are no PEM, or there is none in it.
    #[error("the extra CA file holds no certificate in PEM form")]
    ExtraCa,
    /// The proxy's address is no URL.
    #[error("the proxy's address is not a URL like http://HOST:PORT")]
    Proxy,
    /// The base URL of a route is no http or https URL.
    #[error("the base URL of route `{pattern}` is not an http or https URL")]
    BaseUrl {
        /// The route's pattern.
        pattern: String,
    },
    /// A header of a route holds what no request can carry.
    #[error("the header `{name}` of route `{pattern}` cannot be sent: its name or its value is not legal")]
    Header {
        /// The route's pattern.
        pattern: String,
        /// The header's name.
        name: String,
    },
    /// A further member of a route's requests is one that we write ourselves.
    #[error("the member `{name}` of the body of route `{pattern}` is written by heddle")]
    OwnMember {
        /// The route's pattern.
        pattern: String,
        /// The member's name.
        name: String,
    },
    /// A header of a route is one that we set ourselves.
    #[error("the header `{name}` of route `{pattern}` is set by heddle; a key belongs into `key`")]
    OwnHeader {
        /// The route's pattern.
        pattern: String,
        /// The header's name.
        name: String,
    },
}

impl RoutedModels {
    /// The models of `routes`. Opens no connection and reads no file.
    pub fn new(routes: Routes, keys: ProviderKeys, net: ProviderNet) -> Result<Self, BuildError> {
        for route in &routes.0 {
            let legal = match route.provider {
                RouteProvider::Messages | RouteProvider::ChatCompletions => is_web(&route.base_url),
                RouteProvider::Script => true,
            };
            if !legal {
                return Err(BuildError::BaseUrl { pattern: route.pattern.clone() });
            }
            headers::own(route)?;
            members::check(route)?;
        }
        let learned = routes.0.iter().map(RouteLessons::of).collect();
        let noted = routes.0.iter().map(|_| RouteNotes::default()).collect();
        let clients = Mutex::default();
        Ok(Self { routes, learned, noted, keys, reach: ProviderReach::new(net)?, clients })
    }

    async fn answer(
        &self,
        prompt: &Prompt,
        deltas: &mut (dyn FnMut(AnswerDelta) + Send),
    ) -> Result<ModelAnswer, ModelFailure> {
        let route = self.routes.route(&prompt.model).ok_or_else(|| self.no_route(&prompt.model))?;
        let answer = match route.provider {
            RouteProvider::Messages => {
                messages::ask(&self.line(route, Some(&prompt.model)).await?, prompt, deltas).await?
            }
            RouteProvider::ChatCompletions => {
                chat::ask(&self.line(route, Some(&prompt.model)).await?, prompt, deltas).await?
            }
            RouteProvider::Script => return Ok(demo::ask(prompt, deltas).await),
        };
        if let Some(noted) = self.place(route).and_then(|place| self.noted.get(place)) {
            noted.note(&answer, route);
        }
        Ok(answer)
    }

    fn no_route(&self, model: &str) -> ModelFailure {
        let patterns = self.routes.patterns().join(", ");
        failure(
            FailureClass::NoRoute,
            format!("No route leads to the model `{model}`; there are routes for: {patterns}."),
        )
    }

    /// The route's key, if it wants one; without it no request is worth sending.
    async fn key(&self, route: &Route) -> Result<Option<Cow<'_, str>>, ModelFailure> {
        let key = match &route.key {
            None => return Ok(None),
            Some(ProviderKey::Variable(name)) => {
                let key = self.keys.key(name).map(Cow::Borrowed);
                key.ok_or_else(|| {
                    format!("the variable {name} is not set: set it in the server's environment and start it again")
                })
            }
            Some(ProviderKey::File(path)) => {
                let key = keys::in_file(path).await.map(Cow::Owned);
                key.map_err(|why| format!("the file {path} {why}"))
            }
        };
        key.map(Some)
            .map_err(|why| failure(FailureClass::Denied, format!("No key for {}: {why}.", route.pattern)))
    }

    async fn line<'a>(
        &'a self,
        route: &'a Route,
        model: Option<&'a str>,
    ) -> Result<ProviderRequest<'a>, ModelFailure> {
        let key = self.key(route).await?;
        let headers = headers::all(route, key.as_deref())?;
        let client = self.client(route.patience.connect)?;
        let secret = ProviderSecret::of(key.as_deref());
        Ok(ProviderRequest { client, route, secret, headers, model, learned: self.learned(route) })
    }

    /// Where a route stands in the table.
    fn place(&self, route: &Route) -> Option<usize> {
        self.routes.0.iter().position(|own| own.pattern == route.pattern)
    }

    fn learned(&self, route: &Route) -> &RouteLessons {
        static NOTHING: RouteLessons = RouteLessons::new();
        self.place(route).and_then(|place| self.learned.get(place)).unwrap_or(&NOTHING)
    }

    fn client(&self, connect: Duration) -> Result<Client, ModelFailure> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&connect) {
            return Ok(client.clone());
        }
        let client = self.reach.client(connect).map_err(|error| {
            failure(FailureClass::Unavailable, format!("No HTTP client can be built on this host: {error}."))
        })?;
        clients.insert(connect, client.clone());
        Ok(client)
    }
}

fn is_web(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

impl ModelClient for RoutedModels {
    fn ask<'a>(
        &'a self,
        prompt: &'a Prompt,
        deltas: &'a mut (dyn FnMut(AnswerDelta) + Send),
    ) -> BoxFuture<'a, Result<ModelAnswer, ModelFailure>> {
        Box::pin(self.answer(prompt, deltas))
    }

    /// The built-in script reads the prompt itself; of that the body is what another provider would be sent.
    fn request(&self, prompt: &Prompt) -> Option<Vec<u8>> {
        let route = self.routes.route(&prompt.model)?;
        let bound = room::bound(prompt, route).unwrap_or(route.max_output);
        let writ = RequestWriting { omitted: self.learned(route).omitted(), bound };
        match route.provider {
            RouteProvider::Messages | RouteProvider::Script => messages::body(prompt, route, writ),
            RouteProvider::ChatCompletions => chat::body(prompt, route, writ),
        }
        .ok()
    }

    /// Asks the provider, for 10 seconds at most; reads 2 MiB and gives 1,000 models at most. The built-in
    /// script has its own name.
    fn offered<'a>(&'a self, route: &'a Route) -> BoxFuture<'a, Result<Vec<OfferedModel>, ModelFailure>> {
        Box::pin(async move {
            match route.provider {
                RouteProvider::Messages | RouteProvider::ChatCompletions => {
                    offered::offered(&self.line(route, None).await?).await
                }
                RouteProvider::Script => Ok(demo::offered(route)),
            }
        })
    }
}
