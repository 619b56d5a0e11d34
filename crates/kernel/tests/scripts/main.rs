//! Scripts: given a log, when an input, then facts; text in, text out.

mod calls;
mod delegation;
mod failures;
mod hands;
mod histories;
mod interrupts;
mod refused;
mod script;
mod sessions;
mod threads;
mod turns;
mod verdicts;
