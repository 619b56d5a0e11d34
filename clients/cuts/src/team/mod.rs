//! Team cuts: coordinators and their children work. Every child is made once and reports once, to its
//! coordinator and to that one's model; no command runs twice; who was archived stays so; and everything
//! comes to rest (docs/rules.md 2 and 3).

pub(crate) mod client;
pub(crate) mod judge;
pub(crate) mod mail;
pub(crate) mod script;
pub(crate) mod shown;
pub(crate) mod tally;
