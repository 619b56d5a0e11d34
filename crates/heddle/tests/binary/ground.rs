//! What stands in the way of a server is said before anything is made, by `serve` and by `doctor`; verbs in
//! the wrong place make nothing.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use crate::house::{heddle, post, serve, start, status, text};

/// Why the command ended with exit status 1.
fn refused(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    let (out, wrong) = text(&output);
    assert_eq!(output.status.code(), Some(1), "{out}{wrong}");
    wrong
}

fn utf8(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

#[test]
fn what_stands_in_the_way_stops_the_doctor_too_and_nothing_is_made() {
    let folder = tempfile::tempdir().expect("a directory");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address").to_string();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("file"), "").expect("written");
    std::fs::create_dir(at("broken")).expect("made");
    std::fs::write(at("broken/heddle.db"), "This is not a database. ".repeat(100)).expect("written");
    std::fs::write(at("trees.toml"), format!("[sandbox]\nreadonly = [{:?}]\n", folder.path()))
        .expect("written");
    let (file, trees) = (at("file"), at("trees.toml"));
    let broken = at("broken");
    let cases: [(&[&str], &str, &str); 6] = [
        (&["--listen", &taken], "data", "another program listens there"),
        (&["--listen", "192.0.2.1:1"], "data", "this machine has no such address"),
        (&[], utf8(&file), "file is a file; name a directory with --data"),
        (&[], "file/below", "file is a file; name a directory with --data"),
        (&[], utf8(&broken), "cannot open the database"),
        (&["--config", utf8(&trees)], "data", "sandbox.readonly: "),
    ];
    for (more, data, said) in cases {
        let data = at(data);
        for verb in ["serve", "doctor"] {
            let base = [verb, "--sandbox=off", "--data", utf8(&data)];
            let listen: &[&str] = if more.contains(&"--listen") { &[] } else { &["--listen=127.0.0.1:0"] };
            let wrong = refused(&mut heddle(&[&base, listen, more].concat()));
            assert!(wrong.contains(said), "{verb} {more:?}: {wrong}");
        }
    }
    assert!(!at("data").exists(), "nothing is made");
    assert_eq!(std::fs::read_dir(at("broken")).expect("a list").count(), 1, "nothing is made");
    // Both at once.
    let wrong = refused(&mut heddle(&["serve", "--listen", &taken, "--data", utf8(&at("file"))]));
    assert!(wrong.lines().count() == 2 && wrong.lines().all(|line| line.starts_with("heddle: ")), "{wrong}");
}

#[test]
fn a_directory_that_a_server_has_is_as_it_should_be_to_the_doctor() {
    let data = tempfile::tempdir().expect("a directory");
    let server = serve(data.path());
    let listen = server.url.trim_start_matches("http://").to_owned();
    let doctor = ["doctor", "--sandbox=off", "--listen", &listen, "--data", utf8(data.path())];
    let output = heddle(&doctor).output().expect("it runs");
    let (out, wrong) = text(&output);
    assert!(output.status.success(), "{out}{wrong}");
    let served =
        format!("  ok      data: {}: a running heddle serves it at {}\n", data.path().display(), server.url);
    let port = format!("  ok      port: {listen} is taken, as it should be by the running heddle\n");
    assert!(out.contains(&served) && out.contains(&port), "{out}");
    // The port of another's is not the one that it should have.
    let folder = tempfile::tempdir().expect("a directory");
    let other = serve(folder.path());
    let taken = other.url.trim_start_matches("http://");
    let wrong =
        refused(&mut heddle(&["doctor", "--sandbox=off", "--listen", taken, "--data", utf8(data.path())]));
    let said = format!("; the heddle that serves the data directory listens on {listen}\n");
    assert!(wrong.contains("another program listens there") && wrong.ends_with(&said), "{wrong}");
    drop(server);
    let (out, _) = text(&heddle(&doctor).output().expect("it runs"));
    let free = format!("  ok      port: {listen} is free\n");
    assert!(out.contains("it is there, and this user can write in it\n") && out.contains(&free), "{out}");
}

#[test]
fn a_log_that_stayed_behind_is_said_by_whoever_opens_the_copy_and_never_spoils_it() {
    let folder = tempfile::tempdir().expect("a directory");
    let (data, other) = (folder.path().join("data"), folder.path().join("other"));
    for _ in 0..2 {
        let mut server = serve(&data);
        server.signal("TERM");
        assert!(server.child.wait().expect("it ends").success());
    }
    drop(serve(&data));
    let mut server = serve(&other);
    let key = std::fs::read_to_string(other.join("first-key")).expect("text");
    let system = "word ".repeat(5_000);
    for number in 0..40 {
        let agent = format!(r#"{{"name": "a{number}", "model": "heddle-demo", "system": "{system}"}}"#);
        post(&server.url, &key, "/v1/agents", &agent);
    }
    server.signal("TERM");
    assert!(server.child.wait().expect("it ends").success());
    std::fs::copy(other.join("heddle.db"), data.join("heddle.db")).expect("copied");
    let files = || ["heddle.db", "heddle.db-wal"].map(|name| std::fs::read(data.join(name)).expect("there"));
    let before = files();
    let told = "move both away and start again; else restore the data directory from a backup\n";
    let place = ["--data", utf8(&data)];
    let doctor =
        heddle(&[&["doctor", "--sandbox=off", "--listen=127.0.0.1:0"], &place[..]].concat()).output();
    let (out, wrong) = text(&doctor.expect("it runs"));
    assert!(
        out.contains("  MISSING data: cannot open the database ") && wrong.ends_with(told),
        "{out}{wrong}"
    );
    assert!(files() == before, "the doctor changes nothing");
    for verb in [&["keys", "list"][..], &["serve", "--sandbox=off", "--listen=127.0.0.1:0"]] {
        let wrong = refused(&mut heddle(&[verb, &place[..]].concat()));
        assert!(wrong.ends_with(told), "{verb:?}: {wrong}");
        assert!(files() == before, "{verb:?} spoils it");
    }
}

#[test]
fn verbs_beside_a_server_make_no_directory_and_say_where_they_looked() {
    let folder = tempfile::tempdir().expect("a directory");
    for verb in [&["list"][..], &["create", "ci"], &["revoke", "apikey_1111111111111111111111"]] {
        let wrong = refused(heddle(&[&["keys"], verb].concat()).current_dir(folder.path()));
        let data = folder.path().canonicalize().expect("there").join("heddle-data");
        let said = format!("heddle: there is no data directory at {}; set --data", data.display());
        assert!(wrong.starts_with(&said), "{wrong}");
    }
    // A directory of somebody else's work is no data directory either.
    std::fs::write(folder.path().join("notes"), "").expect("written");
    let wrong = refused(&mut heddle(&["keys", "list", "--data", utf8(folder.path())]));
    assert!(wrong.starts_with("heddle: there is no data directory at "), "{wrong}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a list").count(), 1, "nothing is made");
    let wrong = refused(&mut heddle(&["keys", "list", "--data", utf8(&folder.path().join("notes"))]));
    assert!(wrong.ends_with("notes is a file; name a directory with --data\n"), "{wrong}");
}

#[test]
fn a_name_is_where_to_listen_and_an_address_of_this_machine_needs_no_scheme() {
    let data = tempfile::tempdir().expect("a directory");
    let mut command = heddle(&["serve", "--listen", "localhost:0", "--data", utf8(data.path())]);
    let server = start(command.stderr(std::process::Stdio::null()));
    assert!(server.url.starts_with("http://127.0.0.1:"), "{}", server.url);
    assert_eq!(status(&server.url, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"), "HTTP/1.1 200 OK");
    let key = std::fs::read_to_string(data.path().join("first-key")).expect("text");
    let stop = |url: &str| {
        let mut stop = heddle(&["stop", "--all", "--key", &key]);
        stop.env("HEDDLE_URL", url);
        stop
    };
    let bare = server.url.trim_start_matches("http://").replace("127.0.0.1", "localhost");
    let output = stop(&bare).output().expect("it runs");
    assert_eq!(text(&output).0, "nothing is running\n", "{output:?}");
    let wrong = refused(&mut stop("loom:7717"));
    let said =
        "heddle: `loom:7717` is no address of a server: write --url or HEDDLE_URL as https://loom:7717, or ";
    assert!(wrong.starts_with(said), "{wrong}");
    let secure = format!("https://{bare}");
    let wrong = refused(&mut stop(&secure));
    let said = format!("heddle: {secure} speaks http, not https: write --url or HEDDLE_URL as http://{bare}");
    assert!(wrong.starts_with(&said), "{wrong}");
    let wrong =
        refused(heddle(&["stop", "--all", "--key", "wrong"]).env("HEDDLE_URL", format!("{bare}/v1/")));
    assert!(wrong.starts_with(&format!("heddle: the server at http://{bare} answered 401: ")), "{wrong}");
    drop(server);
    let wrong = refused(&mut stop(&bare));
    let said = format!("heddle: cannot reach http://{bare} (Connection refused (os error ");
    assert!(wrong.starts_with(&said) && wrong.contains("is `heddle serve` running there?"), "{wrong}");
}

#[test]
fn without_a_key_the_verbs_say_where_one_is_to_be_had() {
    let folder = tempfile::tempdir().expect("a directory");
    for verb in [&["tail", "sesn_1"][..], &["show", "sesn_1"], &["stop", "--all"]] {
        let wrong = refused(heddle(verb).current_dir(folder.path()));
        assert!(wrong.starts_with("heddle: no key: give --key, or set HEDDLE_API_KEY, "), "{wrong}");
        assert!(
            wrong.contains("`heddle keys create`") && wrong.contains("first-key in heddle-data"),
            "{wrong}"
        );
    }
}

#[test]
fn stop_says_what_it_can_be_told() {
    let output = heddle(&["stop"]).output().expect("it runs");
    let (_, wrong) = text(&output);
    assert_eq!(output.status.code(), Some(2));
    assert!(wrong.contains("<SESSION|--all>"), "{wrong}");
}

#[test]
fn a_temporary_directory_that_is_not_there_is_named_and_not_the_data_directory() {
    let folder = tempfile::tempdir().expect("a directory");
    let gone = folder.path().join("gone");
    let mut serve = heddle(&["serve", "--listen=127.0.0.1:0", "--data", utf8(&folder.path().join("data"))]);
    let wrong = refused(serve.env("TMPDIR", &gone));
    assert!(wrong.contains(&format!("in {}", gone.display())) && wrong.contains("Set TMPDIR to"), "{wrong}");
    assert!(!wrong.contains("data directory") && !folder.path().join("data").exists(), "{wrong}");
}
