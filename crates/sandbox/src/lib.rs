//! The workshop: where commands run and can do no harm to the host.
//!
//! Empty until the jail is built. The room stands so that the table in `ARCHITECTURE.md` is whole and its
//! check holds from the first day: nothing of ours may reach in here. Until then no agent can be saved with
//! a built-in tool (`protocol::tool` refuses it by name), so nothing runs.
