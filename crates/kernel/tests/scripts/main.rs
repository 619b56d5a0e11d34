//! Scripts: given a log, when an input, then facts; text in, text out.

mod calls;
mod cut_calls;
mod delegation;
mod failures;
mod hands;
mod histories;
mod interrupts;
mod mail;
mod refused;
mod restarts;
mod script;
mod sessions;
mod threads;
mod turns;
mod verdicts;
