//! The routes, tried: `heddle doctor --routes` and `heddle models list`.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::house::{heddle, text};
use crate::provider::Provider;

/// A settings' file with a route that works, one whose key is refused, and one where nobody listens.
fn settings(folder: &std::path::Path, provider: &Provider) -> String {
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let (url, file) = (&provider.url, folder.join("heddle.toml"));
    let text = format!(
        "[routes.m-good]\nprovider = \"messages\"\nbase_url = \"{url}\"\nkey = \"MODEL_KEY\"\n\
         [routes.\"m-open-*\"]\nprovider = \"messages\"\nbase_url = \"{url}\"\nwindow = 9000\n\
         [routes.m-denied]\nprovider = \"messages\"\nbase_url = \"{url}/denied\"\nkey = \"MODEL_KEY\"\n\
         [routes.m-away]\nprovider = \"messages\"\nbase_url = \"http://{nobody}\"\n\
         [routes.m-keyless]\nprovider = \"messages\"\nbase_url = \"{url}\"\nkey = \"NOT_SET_AT_ALL\"\n"
    );
    std::fs::write(&file, text).expect("written");
    file.to_str().expect("a plain path").to_owned()
}

#[test]
fn the_doctor_asks_nobody_unless_told_to() {
    let (folder, provider) = (tempfile::tempdir().expect("a directory"), Provider::open());
    let file = settings(folder.path(), &provider);
    let mut doctor = heddle(&["doctor", "--sandbox=off", "--listen=127.0.0.1:0", "--config", &file]);
    let output = doctor.env("MODEL_KEY", "sesame").output().expect("it runs");
    assert!(output.status.success(), "{:?}", text(&output));
    assert_eq!(provider.calls(), 0);
}

#[test]
fn the_doctor_tries_each_route_and_fails_if_one_does() {
    let (folder, provider) = (tempfile::tempdir().expect("a directory"), Provider::open());
    let file = settings(folder.path(), &provider);
    let arguments = [
        "doctor",
        "--sandbox=off",
        "--listen=127.0.0.1:0",
        "--config",
        &file,
        "--routes",
        "--model",
        "m-open-7",
    ];
    let output = heddle(&arguments).env("MODEL_KEY", "sesame").output().expect("it runs");
    let (out, wrong) = text(&output);
    assert_eq!(output.status.code(), Some(1), "{out}{wrong}");
    assert_eq!(wrong, "heddle: 3 of 7 routes failed\n");
    let (_, tried) = out.split_once("routes, tried\n").expect("the routes");
    let lines: Vec<&str> = tried.lines().collect();
    for (line, expected) in lines.iter().zip([
        "  ok      heddle-demo: heddle-demo answered in ",
        "  FAILED  m-keyless: ",
        "          set NOT_SET_AT_ALL to a key that the provider takes",
        "  FAILED  m-denied: ",
        "          set MODEL_KEY to a key that the provider takes",
        "  FAILED  m-away: ",
        "          see that something answers at http://127.0.0.1:",
        "  ok      m-good: m-good answered in ",
        "  without claude-*: not asked: ANTHROPIC_API_KEY is not set",
        "  ok      m-open-*: m-open-7 answered in ",
    ]) {
        assert!(line.starts_with(expected), "{line} is not {expected} in {tried}");
    }
    assert_eq!(lines.len(), 10, "{tried}");
    assert!(!out.contains("sesame"), "{out}");
    assert!(provider.calls() >= 5, "two models are asked twice, and one is denied");
}

#[test]
fn what_to_do_about_a_route_that_fails_is_told_by_how_it_fails() {
    let (folder, provider) = (tempfile::tempdir().expect("a directory"), Provider::open());
    let (url, file) = (&provider.url, folder.path().join("heddle.toml"));
    let tls = url.replace("http://", "https://");
    let routes =
        [("m-broken", format!("{url}/broken")), ("m-plain", tls), ("m-open", format!("{url}/denied"))];
    let route = |(name, url): &(&str, String)| {
        format!("[routes.{name}]\nprovider = \"messages\"\nbase_url = {url:?}\n")
    };
    std::fs::write(&file, routes.iter().map(route).collect::<String>()).expect("written");
    let mut doctor = heddle(&["doctor", "--sandbox=off", "--listen=127.0.0.1:0", "--routes", "--config"]);
    let (out, _) = text(&doctor.arg(&file).output().expect("it runs"));
    let advice = |name: &str| {
        let mut lines = out.lines().skip_while(|line| !line.starts_with(&format!("  FAILED  {name}: ")));
        lines.nth(1).unwrap_or_else(|| panic!("no {name} in {out}")).trim().to_owned()
    };
    let fails = format!("something answers at {url}/broken and fails: ");
    assert!(advice("m-broken").starts_with(&fails), "{out}");
    assert_eq!(advice("m-plain"), format!("does it speak http? then write {url}"));
    assert!(advice("m-open").ends_with("in `key`, or the file in `key_file`"), "{out}");
    assert!(out.contains("; the provider names 1 model\n"), "{out}");
}

#[test]
fn the_doctor_says_what_is_missing_where_a_model_is_served_and_fails_if_no_agent_can_work() {
    let (folder, provider) = (tempfile::tempdir().expect("a directory"), Provider::open());
    let (url, file) = (&provider.url, folder.path().join("heddle.toml"));
    let tried = |names: &[&str]| {
        let route = |name: &&str| {
            format!(
                "[routes.m-{name}]\nprovider = \"messages\"\nbase_url = \"{url}/{name}\"\nbody = {{ top_k = 1 }}\n"
            )
        };
        std::fs::write(&file, names.iter().map(route).collect::<String>()).expect("written");
        let mut doctor = heddle(&["doctor", "--sandbox=off", "--listen=127.0.0.1:0", "--routes", "--config"]);
        let output = doctor.arg(&file).output().expect("it runs");
        let (out, wrong) = text(&output);
        let (_, tried) = out.split_once("routes, tried\n").expect("the routes");
        (output.status.code(), tried.to_owned(), wrong)
    };
    let (code, out, wrong) = tried(&["good", "thinks"]);
    assert_eq!((code, wrong.as_str()), (Some(0), ""), "{out}");
    assert_eq!(out.matches("without m-").count(), 1, "{out}");
    assert!(
        out.contains("  without m-thinks: thinking stands in the text\n          start its server"),
        "{out}"
    );
    assert!(out.contains("--reasoning-parser"), "{out}");
    let (code, out, wrong) = tried(&["good", "talks"]);
    assert_eq!(code, Some(1), "{out}");
    assert_eq!(wrong, "heddle: 1 of 4 routes answer, but no agent can work over them\n");
    let told =
        "  MISSING m-talks: a tool call stands in the text, so that nothing runs\n          start its server";
    assert!(out.contains("  ok      m-talks: ") && out.contains(told), "{out}");
    assert!(out.contains("--tool-call-parser") && out.contains("--jinja"), "{out}");
}

#[test]
fn the_routes_are_listed_for_people_and_for_machines() {
    let (folder, provider) = (tempfile::tempdir().expect("a directory"), Provider::open());
    let file = settings(folder.path(), &provider);
    let list = |more: &[&str]| {
        let arguments = [&["models", "list", "--config", &file], more].concat();
        let output = heddle(&arguments).env("MODEL_KEY", "sesame").output().expect("it runs");
        assert!(output.status.success(), "{:?}", text(&output));
        text(&output).0
    };
    let table = list(&[]);
    let begin = |line: &str| {
        line.split("  ").filter(|cell| !cell.is_empty()).map(str::trim).map(str::to_owned).collect::<Vec<_>>()
    };
    let lines: Vec<Vec<String>> = table.lines().map(begin).collect();
    assert_eq!(lines[0], ["route", "provider", "base URL", "window", "max output", "models"]);
    assert_eq!(lines[1], ["heddle-demo", "script", "-", "128000", "8192", "heddle-demo"]);
    let open = lines.iter().find(|line| line[0] == "m-open-*").expect("a row");
    assert_eq!(open[..5], ["m-open-*", "messages", &provider.url, "9000", "8192"]);
    let claude = lines.iter().find(|line| line[0] == "claude-*").expect("a row");
    assert_eq!(claude[5], "not asked: ANTHROPIC_API_KEY is not set");

    let rows: Vec<Value> = serde_json::from_str(&list(&["--json"])).expect("JSON");
    assert_eq!(rows.len(), 7);
    let demo = json!({
        "route": "heddle-demo", "provider": "script", "base_url": null,
        "window": 128_000, "max_output": 8_192, "error": null,
        "models": [{"id": "heddle-demo", "display_name": null, "created_at": null}],
    });
    assert_eq!(rows[0], demo);
    let claude = json!({
        "route": "claude-*", "provider": "messages", "base_url": "https://api.anthropic.com",
        "window": 200_000, "max_output": 32_000,
        "models": null, "error": "not asked: ANTHROPIC_API_KEY is not set",
    });
    assert_eq!(rows[5], claude);
}
