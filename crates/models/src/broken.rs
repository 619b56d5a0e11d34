//! Which objects of a stream say that it failed: by their form, since everybody words it in another way.

use serde_json::Value;

use crate::{loose::count, problem::ProviderProblem};

/// Members that are there only where something failed.
const FAILURES: [&str; 9] = [
    "errors",
    "Error",
    "exception",
    "detail",
    "error_msg",
    "errorMessage",
    "error_description",
    "error_message",
    "failure",
];
/// Members that name what an object is.
const KINDS: [&str; 5] = ["type", "object", "event", "kind", "status"];
/// Members that hold a status or a number of an error.
const CODES: [&str; 6] = ["code", "error_code", "errorCode", "statusCode", "status_code", "http_code"];
/// What is written in the place of an error where there is none.
const FINE: [&str; 12] =
    ["", "null", "none", "nil", "undefined", "false", "0", "200", "ok", "success", "succeeded", "no error"];

/// Whether an object of a stream is an error and nothing else; `name` is its event's. `carries`: it is a
/// piece of an answer, beside which only plain words count.
pub(crate) fn is_error(name: &[u8], value: &Value, carries: bool) -> bool {
    let told = |keys: &[&str], says: fn(&Value) -> bool| told_in(value, keys, says);
    told(&["error", "error_message"], is_failure)
        || told(&["object", "type"], |kind| kind == "error")
        || is_named(&String::from_utf8_lossy(name))
        || value.get("base_resp").is_some_and(|said| told_in(said, &["status_code"], is_code))
        || !carries
            && (told(&FAILURES, is_failure)
                || told(&["success", "ok"], |is| is == false)
                || told(&KINDS, |kind| kind.as_str().is_some_and(is_named))
                || told(&CODES, is_status)
                || told(&["status"], is_status)
                || told(&CODES, is_code) && !ProviderProblem::of(value).message().is_empty())
}

fn told_in(value: &Value, keys: &[&str], says: fn(&Value) -> bool) -> bool {
    keys.iter().any(|key| value.get(*key).is_some_and(says))
}

/// Whether what stands in the place of an error says that something failed.
pub(crate) fn is_failure(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) => true,
        Value::Number(_) | Value::String(_) => is_code(value),
        Value::Array(items) => items.iter().any(is_failure),
        Value::Object(fields) => fields.values().any(is_failure),
    }
}

/// Whether a number or a word is not one that says that all is well.
fn is_code(value: &Value) -> bool {
    match value {
        Value::Number(_) => !matches!(count(value), Some(0 | 200..=299)),
        Value::String(text) => {
            !FINE.contains(&text.trim().trim_end_matches('.').to_ascii_lowercase().as_str())
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

/// Whether a number is the status of an HTTP answer that failed.
fn is_status(value: &Value) -> bool {
    count(value).is_some_and(|status| (400..600).contains(&status))
}

/// Whether the name of an event or of a kind is that of a failure.
pub(crate) fn is_named(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["error", "exception"].iter().any(|word| name.contains(word))
        || ["failed", "failure", "fail"].iter().any(|word| name.ends_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_error_is_known_by_its_form() {
        for error in [
            json!({"detail": "died"}),
            json!({"code": 500, "msg": "died"}),
            json!({"code": "data_inspection_failed", "message": "died"}),
            json!({"error_code": 1301, "error_msg": "died"}),
            json!({"errors": [{"message": "died"}]}),
            json!({"success": false, "message": "died"}),
            json!({"statusCode": 503, "message": "died"}),
            json!({"type": "response.failed", "response": {"error": {"message": "died"}}}),
            json!({"type": "exception", "message": "died"}),
            json!({"status": "error", "message": "died"}),
            json!({"event": "error", "data": "died"}),
            json!({"Error": {"Message": "died"}}),
            json!({"exception": "died"}),
            json!({"choices": [], "base_resp": {"status_code": 1002, "status_msg": "died"}}),
        ] {
            assert!(is_error(b"", &error, false), "{error}");
            assert_eq!(ProviderProblem::of(&error).message(), "died", "{error}");
        }
        for name in ["error", "exception", "modelStreamErrorException", "response.failed"] {
            assert!(is_error(name.as_bytes(), &json!({}), false), "{name}");
        }
        for none in [
            json!({"type": "ping"}),
            json!({"status": "queued", "message": "the third in line"}),
            json!({"code": 0, "message": "ok", "data": {}}),
            json!({"code": 200, "msg": "welcome"}),
            json!({"base_resp": {"status_code": 0, "status_msg": ""}}),
            json!({"id": 7, "model": "m", "usage": {"prompt_tokens": 500}}),
            json!({"success": true, "detail": null, "errors": []}),
        ] {
            assert!(!is_error(b"", &none, false), "{none}");
        }
        assert!(!is_error(b"message", &json!({"code": 500, "detail": "so"}), true), "beside an answer");
    }

    #[test]
    fn what_says_that_nothing_failed_is_no_error() {
        for fine in [
            json!({"code": 0, "message": ""}),
            json!({"message": null, "code": null}),
            json!({"code": ""}),
            json!({"code": 200, "message": "OK"}),
            json!({"message": "success", "code": 0}),
            json!(0),
            json!("null"),
            json!({}),
            json!([]),
            json!([{}]),
            json!(false),
            json!(""),
        ] {
            assert!(!is_error(b"", &json!({ "error": fine, "error_message": fine }), true), "{fine}");
        }
        for error in [
            json!({"code": 0, "message": "died"}),
            json!({"code": 500, "message": ""}),
            json!({"type": "overloaded_error"}),
            json!("died"),
            json!(true),
            json!(502),
            json!([{"message": "died"}]),
        ] {
            assert!(is_error(b"", &json!({ "error": error }), true), "{error}");
        }
    }
}
