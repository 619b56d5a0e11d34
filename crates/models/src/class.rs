//! Which class of failure an HTTP status is, and which one a provider's word for an error.

use protocol::prompt::FailureClass;

/// The class of a status.
pub(crate) fn by_status(status: u16) -> FailureClass {
    match status {
        // 498 is Groq's word for a tier without room.
        498 | 529 => FailureClass::Overloaded,
        429 => FailureClass::RateLimited,
        401 | 403 => FailureClass::Denied,
        402 => FailureClass::Billing,
        // Those that say "not now": a lock, what is locked, what came too early, a client that went.
        408 | 409 | 421 | 423..=425 | 499 | 500.. => FailureClass::Unavailable,
        300..=399 | 404 | 405 | 410 => FailureClass::NoRoute,
        _ => FailureClass::Invalid,
    }
}

/// The class that a provider's word for an error names, however it spells it.
pub(crate) fn by_word(word: &str) -> Option<FailureClass> {
    let letters = word.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let bare = letters.trim_end_matches("exception").trim_end_matches("error");
    Some(match bare {
        "overloaded" | "engineoverloaded" | "capacityexceeded" => FailureClass::Overloaded,
        "ratelimit" | "ratelimitexceeded" | "toomanyrequests" | "resourceexhausted" | "throttling" => {
            FailureClass::RateLimited
        }
        "billing" | "paymentrequired" | "insufficientbalance" => FailureClass::Billing,
        "authentication" | "permission" | "permissiondenied" | "invalidapikey" | "unauthorized"
        | "unauthenticated" | "forbidden" | "accessdenied" => FailureClass::Denied,
        "invalidrequest"
        | "badrequest"
        | "requesttoolarge"
        | "validation"
        | "unprocessableentity"
        | "invalidargument"
        | "failedprecondition"
        | "invalidrequestmessageorder"
        | "invalidfunctioncall" => FailureClass::Invalid,
        "notfound" | "modelnotfound" => FailureClass::NoRoute,
        _ => return None,
    })
}
