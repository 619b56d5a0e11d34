//! The keys in the environment's variables: which are a provider's, and which open a server of ours.

use protocol::routes::{OWN_KEY, ProviderKey, Routes};

use super::{
    environment::{API_KEY, variable},
    routes::PROVIDER_KEY,
};

/// How the provider's keys begin that no server of ours makes.
const ANTHROPIC: &str = "sk-ant-";

/// The key of the provider that is there without being named, unless it is one of ours.
pub(crate) fn provider_key() -> Option<String> {
    provider_key_in(PROVIDER_KEY, &variable)
}

/// What is to be said if that variable holds one of ours.
pub(crate) fn own_provider_key() -> Option<String> {
    variable(PROVIDER_KEY).filter(|key| is_own(key)).map(|_| own(PROVIDER_KEY))
}

/// The variables that hold the providers' keys.
pub(crate) fn variables(routes: &Routes) -> impl Iterator<Item = &str> {
    routes.0.iter().filter_map(|route| match route.key.as_ref()? {
        ProviderKey::Variable(name) => Some(name.as_str()),
        ProviderKey::File(_) => None,
    })
}

/// The provider's key that the variable `name` holds.
pub(super) fn provider_key_in(name: &str, variable: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    variable(name).filter(|key| !is_own(key))
}

/// Whether it opens a server such as this one: who uses the SDKs has that in the variable of the provider.
pub(super) fn is_own(key: &str) -> bool {
    key.trim().starts_with(OWN_KEY)
}

/// What is odd about the keys in the variables of `routes`, and about the one that opens this server.
pub(super) fn doubts(
    routes: &Routes,
    env_key: Option<&str>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Vec<String> {
    let own = variables(routes).filter(|name| variable(name).is_some_and(|key| is_own(&key))).map(own);
    let foreign = env_key.filter(|key| key.trim().starts_with(ANTHROPIC)).map(|_| foreign());
    own.chain(foreign).collect()
}

fn own(name: &str) -> String {
    format!(
        "{name} holds an API key of a Heddle server (it begins with {OWN_KEY}), which is never sent to a provider: it \
         counts as not set"
    )
}

fn foreign() -> String {
    format!(
        "{API_KEY} begins like a key of Anthropic's ({ANTHROPIC}): it opens this server to whoever has it, and is not what \
         models are asked with, which is {PROVIDER_KEY}"
    )
}
