//! What the first version of the server would have kept of a decision.

use kernel::Decision;
use serde_json::Value;

/// Facts without marks; and beside an asked call the others ran, so that the session was not idle.
pub(crate) fn as_earlier(decision: Decision) -> Decision {
    let mut stored = serde_json::to_value(&decision.facts).expect("written");
    let facts = stored.as_array_mut().expect("facts");
    let held = facts.iter().any(|fact| fact["private"]["held"] == true);
    let rests = ["session.thread_status_idle", "session.usage", "session.status_idle"];
    facts.retain(|fact| !held || !rests.iter().any(|rest| fact["event"]["type"] == *rest));
    for fact in facts {
        if fact["private"]["kind"] == "by_client" {
            fact["private"] = Value::Null;
        }
        if let Some(private) = fact["private"].as_object_mut() {
            private.remove("held");
            private.remove("noted");
        }
    }
    Decision { facts: serde_json::from_value(stored).expect("read"), ..decision }
}
