//! What the model is told to answer under load.

use dice::Dice;
use serde_json::{Value, json};

use crate::event;

/// A message whose text scripts the model and ends with its own number.
pub(crate) fn message(dice: &mut Dice, number: u64) -> Value {
    event::message(&format!("script:{} #{number}", steps(dice, number)))
}

/// The number at the end of a scripted message's text.
pub(crate) fn number(event: &Value) -> Option<u64> {
    event.pointer("/content/0/text")?.as_str()?.rsplit_once('#')?.1.parse().ok()
}

/// A client's answer to the call of the event `call`.
pub(crate) fn result(call: &str) -> Value {
    event::result(call, &format!("found for {call}"))
}

fn steps(dice: &mut Dice, number: u64) -> Value {
    let done = json!({"text": "that is all of it", "chunks": 3});
    let key = format!("cut-{number}");
    match dice.below(8) {
        0 => json!([done]),
        1 | 2 => {
            json!([{"text": "slowly word by word by word", "chunks": 6, "delay_ms": 1 + dice.below(20)}])
        }
        3 => json!([{"thinking": "hm", "text": "first", "tools": calls(dice)}, done]),
        4 => json!([{"tools": calls(dice), "delay_ms": dice.below(10)}, {"tools": calls(dice)}, done]),
        5 => json!([{"fail": 529, "times": 1, "key": key, "retry_after": 0, "then": done}]),
        6 => {
            json!([{"text": "half a word", "chunks": 3, "cut_after": 4, "times": 1, "key": key, "then": done}])
        }
        _ => json!([{"tools": calls(dice)}, done]),
    }
}

fn calls(dice: &mut Dice) -> Vec<Value> {
    (0..=dice.below(3)).map(|word| json!({"name": "look_up", "input": {"word": word.to_string()}})).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_carries_its_number() {
        let mut dice = Dice::new(3);
        let numbers: Vec<_> = (10..40).map(|one| number(&message(&mut dice, one))).collect();
        assert_eq!(numbers, (10..40).map(Some).collect::<Vec<_>>());
        assert_eq!(number(&json!({"type": "user.interrupt"})), None);
    }
}
