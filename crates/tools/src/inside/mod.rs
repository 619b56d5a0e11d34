//! The jail's end: takes calls from the socket, runs the six tools, and answers. docs/rules.md 10.

mod ambient;
mod answer;
mod bash;
pub(crate) mod builtins;
mod calls;
mod disk;
mod edit;
mod ends;
mod files;
mod frames;
mod glob;
mod grep;
mod growth;
mod held;
mod input;
mod names;
mod processes;
mod read;
mod reaper;
mod regex;
mod rules;
mod scales;
mod script;
mod seats;
pub(crate) mod serve;
mod shell;
mod stop;
mod sweep;
mod text;
pub(crate) mod tool;
mod walk;
mod write;

#[cfg(all(target_os = "linux", not(heddle_portable)))]
#[path = "linux/mod.rs"]
mod host;
#[cfg(not(all(target_os = "linux", not(heddle_portable))))]
#[path = "other.rs"]
mod host;
