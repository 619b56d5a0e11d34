//! The settings: what was said (flags, environment, file) and what is meant, as two types, with where each
//! setting was said.

mod choice;
pub(crate) mod environment;
mod file;
mod flags;
mod listen;
mod log;
mod origins;
mod provider_keys;
mod read;
mod route_entry;
mod route_key;
mod routes;
mod sample;
mod sandbox;
mod settled;
mod shown;
mod source;
#[cfg(test)]
mod testing;

pub(crate) use self::{
    choice::{LogFormat, SandboxMode},
    flags::{SaidFlags, SettingsFlags},
    log::{LogSettings, OURS},
    provider_keys::{own_provider_key, provider_key, variables},
    routes::PROVIDER_KEY,
    sample::sample,
    sandbox::SandboxSettings,
    settled::{HOME, HeddleSettings},
    source::ShownSetting,
};
