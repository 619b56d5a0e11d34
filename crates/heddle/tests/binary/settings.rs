//! Settings, as the person at the terminal meets them: where each comes from, and what is wrong with one.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt as _;

use crate::house::{ask, heddle, serve, serving, start, status, text};
use crate::provider::Provider;

/// Every setting of the server below, with its value and where it was said.
fn expected(file: &std::path::Path) -> Vec<String> {
    let line = |line: usize| format!("{}:{line}", file.display());
    vec![
        format!("config | {} | HEDDLE_CONFIG", file.display()),
        "listen | 127.0.0.1:0 | --listen".to_owned(),
        format!("data | there | {}", line(1)),
        "extra_ca | none | default".into(),
        "sandbox.mode | off | --sandbox".into(),
        "sandbox.readonly | none | default".into(),
        "sandbox.uids | 2000000000:4096 | default".into(),
        "sandbox.user | none | default".into(),
        "sandbox.jails | 64 | default".into(),
        "sandbox.keep_days | 30 | default".into(),
        "sandbox.memory_mib | 4096 | default".into(),
        "sandbox.memory_free_mib | 0 | default".into(),
        "sandbox.disk_mib | 10240 | default".into(),
        "sandbox.disk_free_mib | 1024 | default".into(),
        "threads.max | 25 | default".into(),
        "threads.max_depth | 1 | default".into(),
        "cache.bytes | 67108864 | default".into(),
        format!("log.format | json | {}", line(6)),
        "log.filter | debug | HEDDLE_LOG".into(),
        "cors.origins | none | default".into(),
        "routes.\"claude-*\".provider | messages | default".into(),
        "routes.\"claude-*\".base_url | http://127.0.0.1:3 | HEDDLE_ANTHROPIC_BASE_URL".into(),
        "routes.\"claude-*\".key | not set (ANTHROPIC_API_KEY) | default".into(),
        "routes.\"claude-*\".key_file | none | default".into(),
        "routes.\"claude-*\".window | 200000 | default".into(),
        "routes.\"claude-*\".max_output | 32000 | default".into(),
        "routes.\"claude-*\".concurrency | 256 | default".into(),
        "routes.\"claude-*\".attempts | 8 | default".into(),
        "routes.\"claude-*\".connect | 10 | default".into(),
        "routes.\"claude-*\".silence | 120 | default".into(),
        "routes.\"claude-*\".first_byte | 120 | default".into(),
        "routes.\"claude-*\".headers | none | default".into(),
        "routes.\"claude-*\".body | none | default".into(),
        "routes.\"claude-*\".leave_out | none | default".into(),
        format!("routes.\"m-*\".provider | chat-completions | {}", line(8)),
        format!("routes.\"m-*\".base_url | http://127.0.0.1:9 | {}", line(9)),
        format!("routes.\"m-*\".key | set (M_KEY) | {}", line(10)),
        "routes.\"m-*\".key_file | none | default".into(),
        "routes.\"m-*\".window | 128000 | default".into(),
        "routes.\"m-*\".max_output | 8192 | default".into(),
        "routes.\"m-*\".concurrency | 256 | default".into(),
        "routes.\"m-*\".attempts | 8 | default".into(),
        "routes.\"m-*\".connect | 10 | default".into(),
        "routes.\"m-*\".silence | 120 | default".into(),
        "routes.\"m-*\".first_byte | 120 | default".into(),
        "routes.\"m-*\".headers | none | default".into(),
        "routes.\"m-*\".body | none | default".into(),
        "routes.\"m-*\".leave_out | none | default".into(),
        "routes.heddle-demo | the built-in script | default".into(),
        "HEDDLE_API_KEY | set | HEDDLE_API_KEY".into(),
    ]
}

#[test]
fn the_doctor_says_every_setting_and_where_it_was_said() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("heddle.toml");
    let toml = "data = \"there\"\nlisten = \"127.0.0.1:1\"\n\n[log]\nfilter = \"warn\"\nformat = \"json\"\n\
                [routes.\"m-*\"]\nprovider = \"chat-completions\"\nbase_url = \"http://127.0.0.1:9\"\n\
                key = \"M_KEY\"\n";
    std::fs::write(&file, toml).expect("written");
    let mut doctor = heddle(&["doctor", "--listen", "127.0.0.1:0", "--sandbox=off"]);
    doctor
        .env("HEDDLE_CONFIG", &file)
        .env("HEDDLE_LOG", "debug")
        .env("HEDDLE_API_KEY", "open-sesame-and-more");
    doctor.env("M_KEY", "key-of-the-model").env("HEDDLE_ANTHROPIC_BASE_URL", "http://127.0.0.1:3");
    let output = doctor.output().expect("it runs");
    let (out, wrong) = text(&output);
    assert!(output.status.success(), "{out}{wrong}");
    let cells = |line: &str| {
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let told: Vec<String> = out
        .lines()
        .map_while(|line| {
            let cells = cells(line);
            (!cells.is_empty()).then(|| cells.join(" | "))
        })
        .collect();
    assert_eq!(told, expected(&file));
    for secret in ["open-sesame-and-more", "key-of-the-model"] {
        assert!(!out.contains(secret) && !wrong.contains(secret), "{out}{wrong}");
    }
}

#[test]
fn a_variable_that_is_set_to_nothing_counts_as_unset() {
    let folder = tempfile::tempdir().expect("a directory");
    std::fs::write(folder.path().join("heddle.toml"), "listen = \"127.0.0.1:0\"\n").expect("written");
    let doctor = |variables: &[(&str, &str)]| {
        let mut doctor = heddle(&["doctor", "--sandbox=off"]);
        doctor.current_dir(folder.path()).envs(variables.iter().copied());
        let output = doctor.output().expect("it runs");
        let (out, wrong) = text(&output);
        assert!(output.status.success(), "{out}{wrong}");
        // What follows says how much room is free.
        out.split("\n\n").next().expect("the settings").to_owned()
    };
    let blank = ["API_KEY", "ANTHROPIC_BASE_URL", "CONFIG", "DATA", "LISTEN", "LOG", "LOG_FORMAT", "SANDBOX"];
    let names = blank.map(|name| format!("HEDDLE_{name}"));
    for nothing in ["", " "] {
        let variables: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), nothing)).collect();
        assert_eq!(doctor(&variables), doctor(&[]));
    }
}

#[test]
fn what_is_legal_but_worth_a_word_is_a_warning() {
    let mut doctor = heddle(&["doctor", "--listen", "0.0.0.0:0", "--sandbox=off"]);
    let output = doctor.env("HEDDLE_LISTN", "127.0.0.1:1").output().expect("it runs");
    let (out, _) = text(&output);
    assert!(output.status.success(), "{out}");
    for said in [
        "WARNING: nothing reads the variable HEDDLE_LISTN; did you mean HEDDLE_LISTEN?\n",
        "WARNING: anybody who reaches 0.0.0.0:0 can try keys: put TLS in front of it; whoever asks from \
         another machine needs a key for /metrics, /healthz and /readyz too\n",
        "NOTE: set ANTHROPIC_API_KEY to run agents whose model is claude-*\n",
    ] {
        assert!(out.contains(said), "no {said} in {out}");
    }
}

#[test]
fn a_key_file_that_holds_no_key_is_a_warning_with_its_path() {
    let folder = tempfile::tempdir().expect("a directory");
    let (file, key) = (folder.path().join("heddle.toml"), folder.path().join("key"));
    let toml = format!("[routes.m]\nprovider = \"messages\"\nkey_file = {key:?}\n");
    std::fs::write(&file, toml).expect("written");
    let told = || {
        let mut doctor = heddle(&["doctor", "--listen", "127.0.0.1:0", "--sandbox=off"]);
        let output = doctor.env("HEDDLE_CONFIG", &file).output().expect("it runs");
        assert!(output.status.success(), "{:?}", text(&output));
        text(&output).0
    };
    let warned = format!("WARNING: no agent with a model of m can run: the file {} ", key.display());
    let out = told();
    assert!(out.contains(&format!("{warned}cannot be read: No such file")), "{out}");
    std::fs::write(&key, "open-sesame\nand-more\n").expect("written");
    let out = told();
    assert!(out.contains(&format!("{warned}holds more than one line")) && !out.contains("sesame"), "{out}");
    std::fs::write(&key, "open-sesame\r\n").expect("written");
    let out = told();
    assert!(!out.contains(&warned) && !out.contains("sesame"), "{out}");
}

#[test]
fn a_server_warns_of_a_variable_that_nobody_reads_and_starts() {
    let data = tempfile::tempdir().expect("a directory");
    let mut command = serving(data.path(), &[]);
    command.env("HEDDLE_APIKEY", "sesame").stderr(std::process::Stdio::piped());
    let mut server = start(&mut command);
    let said = "nothing reads the variable HEDDLE_APIKEY; did you mean HEDDLE_API_KEY?";
    assert!(server.said.contains(&format!("WARNING: {said}\n")), "{:?}", server.said);
    server.signal("TERM");
    let (log, code) = server.ended();
    assert!(log.contains("WARN") && log.contains(said) && !log.contains("sesame"), "{log}");
    assert_eq!(code, Some(0));
}

#[test]
fn a_warning_is_read_once_where_both_outputs_are_one_whatever_is_logged() {
    for filter in ["info", "error"] {
        let data = tempfile::tempdir().expect("a directory");
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let mut command = serving(data.path(), &["--sandbox=off", "--log", filter]);
        command.stdout(writer.try_clone().expect("another")).stderr(writer);
        let mut child = command.spawn().expect("it runs");
        drop(command);
        let said: Vec<String> = BufReader::new(reader)
            .lines()
            .map_while(Result::ok)
            .take_while(|line| !line.starts_with("listening on "))
            .collect();
        child.kill().and_then(|()| child.wait()).expect("it ends");
        let warned = said.iter().filter(|line| line.contains("the sandbox is OFF")).count();
        assert_eq!(warned, 1, "{said:?}");
    }
}

#[test]
fn a_file_that_is_named_must_be_readable() {
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().to_str().expect("a plain path");
    let gone = format!("{path}/gone.toml");
    let refused = |command: &mut std::process::Command| {
        let output = command.output().expect("it runs");
        assert_eq!(output.status.code(), Some(1));
        text(&output).1
    };
    for verb in ["serve", "doctor"] {
        let wrong = refused(&mut heddle(&[verb, "--config", &gone]));
        assert!(wrong.starts_with(&format!("heddle: --config: cannot read {gone}: No such")), "{wrong}");
        let wrong = refused(heddle(&[verb]).env("HEDDLE_CONFIG", path));
        assert!(wrong.starts_with(&format!("heddle: HEDDLE_CONFIG: cannot read {path}: ")), "{wrong}");
    }
}

#[test]
fn all_mistakes_of_file_variables_and_flags_are_told_at_once_and_in_order() {
    let folder = tempfile::tempdir().expect("a directory");
    let data = folder.path().join("data");
    let toml = format!(
        "listen = \"here\"\ndata = {data:?}\nsandbx = 1\n[sandbox]\nkeep_days = 0\nreadonly = [{:?}]\n[cors]\n\
         origins = [\"*\", 4]\n[routes.m]\nprovider = \"mesages\"\nkey = \"sk-secret\"\n",
        folder.path()
    );
    let file = folder.path().join("heddle.toml");
    std::fs::write(&file, toml).expect("written");
    for verb in ["serve", "doctor"] {
        let mut command = heddle(&[verb, "--sandbox", "of"]);
        command.env("HEDDLE_CONFIG", &file).env("HEDDLE_LOG_FORMAT", "yaml").env("HEDDLE_API_KEY", "sesame");
        let output = command.output().expect("it runs");
        let (out, wrong) = text(&output);
        assert_eq!((output.status.code(), out.as_str()), (Some(1), ""), "{wrong}");
        let begins: Vec<(usize, &str)> = vec![
            (
                1,
                "listen: `here` is no address to listen on; write an address and a port, such as 127.0.0.1:7717",
            ),
            (3, "unknown key `sandbx`; did you mean `sandbox`?"),
            (5, "sandbox.keep_days: must be 1 to 36500, and is 0"),
            (6, "sandbox.readonly: "),
            (8, "cors.origins: must be a text in \"quotes\", and is a whole number"),
            (8, "cors.origins: `*` would let any web page"),
            (10, "routes.m.provider: unknown value `mesages`; did you mean `messages`?"),
            (11, "routes.m.key: must be the name of an environment variable"),
        ];
        let mut begins: Vec<String> =
            begins.into_iter().map(|(line, said)| format!("{}:{line}: {said}", file.display())).collect();
        begins.push("HEDDLE_LOG_FORMAT: log.format: unknown value `yaml`; known are text, json".into());
        begins.push("--sandbox: sandbox.mode: unknown value `of`; did you mean `off`?".into());
        begins.push("HEDDLE_API_KEY: is easy to guess: ".into());
        assert_eq!(wrong.lines().count(), begins.len(), "{wrong}");
        for (line, begin) in wrong.lines().zip(begins) {
            let line = line.strip_prefix("heddle: ").expect("whose words these are");
            assert!(line.starts_with(&begin), "{line} is not {begin}");
        }
    }
    assert!(!data.exists());
}

#[test]
fn a_key_that_no_client_can_send_opens_no_server() {
    let folder = tempfile::tempdir().expect("a directory");
    let data = folder.path().join("data");
    for (key, is) in [
        (&b"open-sesame\nand-more"[..], "an end of a line"),
        (b"open-sesame\x7fand-more", "a control character"),
        ("öffne-dich-sesam-1".as_bytes(), "a character that is not of ASCII"),
        (b"open-sesame\xffand-more", "a character that is not of ASCII"),
    ] {
        let said = format!("heddle: HEDDLE_API_KEY holds {is}, which no client can send in a header: ");
        for verb in ["serve", "doctor"] {
            let mut command = heddle(&[verb, "--sandbox=off", "--listen=127.0.0.1:0", "--data"]);
            let output =
                command.arg(&data).env("HEDDLE_API_KEY", OsStr::from_bytes(key)).output().expect("it runs");
            let (_, wrong) = text(&output);
            assert!(output.status.code() == Some(1) && wrong.starts_with(&said), "{verb}: {wrong}");
        }
    }
    assert!(!data.exists(), "nothing is made");
    let mut stop = heddle(&["stop", "--all", "--key", "open-sesame\nand-more"]);
    let (_, wrong) = text(&stop.env("HEDDLE_URL", "127.0.0.1:9").output().expect("it runs"));
    assert!(wrong.contains("holds an end of a line") && !wrong.contains("sesame"), "{wrong}");
}

#[test]
fn a_key_of_a_server_of_ours_is_never_sent_to_a_provider_and_one_of_a_provider_is_doubted_as_ours() {
    let folder = tempfile::tempdir().expect("a directory");
    let provider = Provider::open();
    let own = "hdl_open-sesame-and-more";
    let set = |command: &mut std::process::Command| {
        command.env("ANTHROPIC_API_KEY", own).env("HEDDLE_API_KEY", "sk-ant-open-sesame");
        command.env("HEDDLE_ANTHROPIC_BASE_URL", &provider.url);
    };
    let said = [
        "WARNING: ANTHROPIC_API_KEY holds an API key of a Heddle server (it begins with hdl_), which is never sent \
         to a provider: it counts as not set\n",
        "WARNING: HEDDLE_API_KEY begins like a key of Anthropic's (sk-ant-): ",
    ];
    let mut doctor = heddle(&["doctor", "--routes", "--sandbox=off", "--listen=127.0.0.1:0", "--data"]);
    set(doctor.arg(folder.path().join("none")));
    let out = text(&doctor.output().expect("it runs")).0;
    let mut serve = serving(&folder.path().join("data"), &["--sandbox=off"]);
    set(serve.stderr(std::process::Stdio::null()));
    let server = start(&mut serve);
    let begin = server.said.concat();
    for said in said {
        assert!(out.contains(said) && begin.contains(said), "no {said} in {out} or {begin}");
    }
    assert!(begin.contains("claude-* (ANTHROPIC_API_KEY is not set)"), "{begin}");
    ask(&server.url, "GET", "/v1/models", &["x-api-key: sk-ant-open-sesame"], "");
    assert_eq!(provider.calls(), 0);

    // Where a route is named, so is the mistake; verbs beside a server send nothing to its providers.
    let file = folder.path().join("heddle.toml");
    std::fs::write(&file, "[routes.m]\nprovider = \"messages\"\nkey = \"ANTHROPIC_API_KEY\"\n")
        .expect("written");
    let mut refused = serving(&folder.path().join("other"), &[]);
    set(refused.env("HEDDLE_CONFIG", &file));
    let (_, wrong) = text(&refused.output().expect("it runs"));
    let said = format!(
        "heddle: {}:3: routes.m.key: the variable ANTHROPIC_API_KEY holds an API key",
        file.display()
    );
    assert!(wrong.starts_with(&said) && !wrong.contains("sesame"), "{wrong}");
    let mut stop = heddle(&["stop", "--all", "--url", &server.url]);
    set(stop.env("HEDDLE_CONFIG", &file));
    assert_eq!(text(&stop.output().expect("it runs")).0, "nothing is running\n");
}

#[test]
fn a_key_file_with_a_key_of_a_server_of_ours_is_a_warning() {
    let folder = tempfile::tempdir().expect("a directory");
    let (file, key) = (folder.path().join("heddle.toml"), folder.path().join("key"));
    std::fs::write(&key, "hdl_open-sesame\n").expect("written");
    std::fs::write(&file, format!("[routes.m]\nprovider = \"messages\"\nkey_file = {key:?}\n"))
        .expect("written");
    let mut doctor = heddle(&["doctor", "--listen", "127.0.0.1:0", "--sandbox=off"]);
    let out = text(&doctor.env("HEDDLE_CONFIG", &file).output().expect("it runs")).0;
    let said = format!("the file {} holds an API key of a Heddle server, which is never sent", key.display());
    assert!(out.contains(&said) && !out.contains("sesame"), "{out}");
}

#[test]
fn the_sample_is_printed_as_it_stands_in_the_documents() {
    let output = heddle(&["config"]).output().expect("it runs");
    assert_eq!(text(&output), (include_str!("../../../../docs/heddle.toml").to_owned(), String::new()));
}

#[test]
fn the_verbs_beside_a_server_find_it_through_its_settings_file() {
    let folder = tempfile::tempdir().expect("a directory");
    let data = folder.path().join("data");
    let server = serve(&data);
    let file = folder.path().join("heddle.toml");
    let listen = server.url.trim_start_matches("http://");
    std::fs::write(&file, format!("listen = {listen:?}\ndata = {data:?}\n")).expect("written");
    let run = |arguments: &[&str]| {
        let output = heddle(arguments).env("HEDDLE_CONFIG", &file).output().expect("it runs");
        assert!(output.status.success(), "{:?}", text(&output));
        text(&output).0
    };
    assert_eq!(run(&["stop", "--all"]), "nothing is running\n");
    // And through its data directory, wherever the settings say that it listens.
    let (key, data) = (std::fs::read_to_string(data.join("first-key")).expect("text"), data.to_str());
    let mut stop = heddle(&["stop", "--all", "--data", data.expect("a plain path")]);
    assert_eq!(text(&stop.output().expect("it runs")).0, "nothing is running\n");
    stop.env("HEDDLE_API_KEY", key.trim());
    assert_eq!(text(&stop.output().expect("it runs")).0, "nothing is running\n");
    let key = run(&["keys", "create", "ci"]).lines().nth(1).expect("a secret").to_owned();
    let get = format!("GET /v1/agents HTTP/1.1\r\nHost: h\r\nx-api-key: {key}\r\n\r\n");
    assert_eq!(status(&server.url, &get), "HTTP/1.1 200 OK");
}

#[test]
fn pages_may_call_once_the_settings_name_their_origin() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("heddle.toml");
    std::fs::write(&file, "[cors]\norigins = [\"https://app.example\"]\n").expect("written");
    let first = ["Origin: https://app.example", "Access-Control-Request-Method: POST"];
    for (more, begin, allowed) in [
        (&["--config", file.to_str().expect("a plain path")][..], "HTTP/1.1 200 OK", true),
        (&[], "HTTP/1.1 405 Method Not Allowed", false),
    ] {
        let data = tempfile::tempdir().expect("a directory");
        let mut command = serving(data.path(), more);
        let server = start(command.stderr(std::process::Stdio::null()));
        let answer = ask(&server.url, "OPTIONS", "/v1/agents", &first, "");
        assert!(answer.starts_with(begin), "{answer}");
        assert_eq!(answer.contains("access-control-"), allowed, "{answer}");
    }
}
