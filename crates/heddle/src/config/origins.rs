//! The origins of `[cors]`: which web pages may call from a browser.

use reqwest::{Url, header::HeaderValue};

use super::{shown::listed, source::SettingsLedger};

/// Origins that one server may name.
const ORIGINS: usize = 64;

/// Each origin as a browser sends it.
pub(super) fn settle(given: Vec<String>, ledger: &mut SettingsLedger) -> Vec<HeaderValue> {
    let given = ledger.take("cors.origins", None, given, |given| listed(given.iter().cloned()));
    if given.len() > ORIGINS {
        ledger.mistake("cors.origins", format!("must be at most {ORIGINS}, and are {}", given.len()));
    }
    let mut origins = Vec::new();
    for origin in &given {
        match origin_of(origin) {
            Ok(value) => origins.push(value),
            Err(wrong) => ledger.mistake("cors.origins", wrong),
        }
    }
    origins
}

fn origin_of(text: &str) -> Result<HeaderValue, String> {
    if text.contains('*') {
        return Err(format!(
            "`{text}` would let any web page that your users visit call this server from their browser; name \
             the pages' origins one by one"
        ));
    }
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let Some(url) = url else {
        return Err(format!("`{text}` is no origin; write one such as https://app.example"));
    };
    // As a browser spells it: small letters, no path, no port that goes without saying.
    let origin = url.origin().ascii_serialization();
    if origin != text {
        return Err(format!("`{text}` is not how a browser names an origin; write {origin}"));
    }
    HeaderValue::try_from(origin).map_err(|_| format!("`{text}` cannot be sent as a header"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_spelled_as_a_browser_sends_it() {
        for good in ["https://app.example", "http://localhost:5173", "https://a.b:8443"] {
            assert_eq!(origin_of(good), Ok(HeaderValue::from_static(good)));
        }
        for (bad, said) in [
            ("*", "`*` would let any web page"),
            ("https://*.example", "`https://*.example` would let any web page"),
            (
                "https://app.example/",
                "`https://app.example/` is not how a browser names an origin; write https://app.example",
            ),
            (
                "https://App.example:443/x",
                "`https://App.example:443/x` is not how a browser names an origin; write https://app.example",
            ),
            ("app.example", "`app.example` is no origin"),
            ("null", "`null` is no origin"),
        ] {
            let wrong = origin_of(bad).expect_err("no origin");
            assert!(wrong.starts_with(said), "{wrong}");
        }
    }
}
