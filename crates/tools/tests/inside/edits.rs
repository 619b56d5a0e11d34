//! `write` and `edit`: what a file holds afterwards, and what stays as it was.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::json;

use crate::support::{Jail, bad, everywhere, good};

fn content(jail: &Jail, path: &str) -> String {
    fs::read_to_string(jail.workspace(path)).unwrap()
}

#[test]
fn a_file_is_made_with_its_folders_and_then_overwritten_with_its_mode_kept() {
    everywhere(|jail| {
        let path = jail.layout.workspace.join("a/b/file");
        let made = jail.call("write", json!({"file_path": "a/b/file", "content": "one"}));
        assert_eq!(made, good(&format!("created {} (3 bytes)", path.display())));
        assert!(!jail.bash("chmod 751 a/b/file").is_error);
        let again = jail.call("write", json!({"file_path": path, "content": "zwölf"}));
        assert_eq!(again, good(&format!("overwrote {} (6 bytes)", path.display())));
        assert_eq!(content(jail, "a/b/file"), "zwölf");
        let mode = fs::metadata(jail.workspace("a/b/file")).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, 0o751);
        assert_eq!(fs::read_dir(jail.workspace("a/b")).unwrap().count(), 1);
        let new = jail.bash("umask 022; stat -c %a a/b; touch x; stat -c %a x");
        assert!(!new.is_error);
        assert!(!jail.call("write", json!({"file_path": "empty", "content": ""})).is_error);
        assert_eq!(content(jail, "empty"), "");
    });
}

#[test]
fn a_link_and_a_file_of_two_names_are_written_through() {
    everywhere(|jail| {
        jail.put("file", "old");
        symlink("file", jail.workspace("link")).unwrap();
        assert!(!jail.call("write", json!({"file_path": "link", "content": "new"})).is_error);
        assert!(fs::symlink_metadata(jail.workspace("link")).unwrap().is_symlink());
        assert_eq!(content(jail, "file"), "new");
        fs::hard_link(jail.workspace("file"), jail.workspace("twin")).unwrap();
        assert!(!jail.call("write", json!({"file_path": "twin", "content": "both"})).is_error);
        assert_eq!(content(jail, "file"), "both");
    });
}

#[test]
fn what_cannot_be_written_is_said_with_what_to_do() {
    everywhere(|jail| {
        jail.put("file", "x");
        let workspace = jail.layout.workspace.display().to_string();
        let write =
            |jail: &mut Jail, path: &str| jail.call("write", json!({"file_path": path, "content": "y"}));
        assert_eq!(
            write(jail, "."),
            bad(&format!(
                "{workspace}/. is a directory; see what is in it with `glob`, or with `ls` in bash"
            ))
        );
        let below = write(jail, "file/below");
        assert!(
            below.is_error && below.text().contains("a part of the path before its end is a file"),
            "{below:?}"
        );
        assert!(!jail.bash("mkfifo fifo").is_error);
        assert_eq!(
            write(jail, "fifo"),
            bad(&format!("{workspace}/fifo is a FIFO, not a file; use bash for it"))
        );
        let folder = write(jail, "new/");
        assert!(folder.is_error && folder.text().contains("name a file in it"), "{folder:?}");
        assert!(write(jail, "/dev/null").text().ends_with("is a device, not a file; use bash for it"));
        let long = write(jail, &"x".repeat(300));
        assert!(long.is_error && long.text().contains("choose a shorter name"), "{long:?}");
        if jail.isolation == sandbox::Isolation::Local {
            assert!(!jail.bash("touch readonly; chmod 444 readonly").is_error);
            for path in ["readonly", "/etc/passwd", "/usr/bin/bash", "/new", "/proc/sys/kernel/hostname"] {
                let answer = write(jail, path);
                assert!(answer.is_error, "{path}: {answer:?}");
            }
        }
    });
}

#[test]
fn an_edit_changes_the_one_place_or_all_of_them() {
    everywhere(|jail| {
        jail.put("file", "one\ntwo\nthree\ntwo\n");
        let path = jail.layout.workspace.join("file").display().to_string();
        let edit = |jail: &mut Jail, old: &str, new: &str| {
            jail.call("edit", json!({"file_path": "file", "old_string": old, "new_string": new}))
        };
        assert_eq!(edit(jail, "three", "3"), good(&format!("changed 1 place in {path} (line 3)")));
        assert_eq!(
            edit(jail, "two", "2"),
            bad(&format!(
                "`old_string` is 2 times in {path} (lines 2, 4): add lines around it until only one place fits, or \
                 send \"replace_all\": true"
            ))
        );
        assert_eq!(edit(jail, "3\ntwo\n", "3\n"), good(&format!("changed 1 place in {path} (line 3)")));
        assert_eq!(content(jail, "file"), "one\ntwo\n3\n");
        let all = json!({"file_path": "file", "old_string": "o", "new_string": "0", "replace_all": true});
        assert_eq!(jail.call("edit", all), good(&format!("changed 2 places in {path} (lines 1, 2)")));
        assert_eq!(content(jail, "file"), "0ne\ntw0\n3\n");
        assert_eq!(
            edit(jail, "nothing", "x"),
            bad(&format!("`old_string` is not in {path}: read the file and copy the text exactly"))
        );
        assert_eq!(
            edit(jail, "\ttw0\n  3", "x"),
            bad(&format!(
                "`old_string` is not in {path}, but at line 2 is a text that differs only in blanks: read these \
                 lines with `view_range` and copy them exactly"
            ))
        );
        let missing = jail.call("edit", json!({"file_path": "none", "old_string": "a", "new_string": "b"}));
        assert!(missing.is_error && missing.text().contains("check the path with `glob`"), "{missing:?}");
    });
}

#[test]
fn an_edit_keeps_the_ends_of_lines_the_mode_and_bytes_that_are_no_text() {
    everywhere(|jail| {
        jail.put("windows", "a\r\nb\r\nc\r\n");
        assert!(!jail.bash("chmod 640 windows || true").text().is_empty());
        let edit = json!({"file_path": "windows", "old_string": "a\nb", "new_string": "x\ny\nz"});
        assert!(!jail.call("edit", edit).is_error);
        assert_eq!(content(jail, "windows"), "x\r\ny\r\nz\r\nc\r\n");
        let edit = json!({"file_path": "windows", "old_string": "c", "new_string": "d\ne"});
        assert!(!jail.call("edit", edit).is_error);
        assert_eq!(content(jail, "windows"), "x\r\ny\r\nz\r\nd\r\ne\r\n");
        jail.put("mixed", "a\r\nb\nc\n");
        let edit = json!({"file_path": "mixed", "old_string": "b\nc", "new_string": "B\nC"});
        assert!(!jail.call("edit", edit).is_error);
        let edit = json!({"file_path": "mixed", "old_string": "a\nB", "new_string": "A\nB"});
        assert!(!jail.call("edit", edit).is_error);
        assert_eq!(content(jail, "mixed"), "A\r\nB\nC\n");
        jail.put("latin", b"caf\xe9 one\n");
        let edit = json!({"file_path": "latin", "old_string": "one", "new_string": "two"});
        assert!(!jail.call("edit", edit).is_error);
        assert_eq!(fs::read(jail.workspace("latin")).unwrap(), b"caf\xe9 two\n");
    });
}

#[test]
fn an_edit_finds_what_is_shown_whatever_ends_its_lines_have() {
    everywhere(|jail| {
        let edit = |jail: &mut Jail, old: &str, new: &str, all: bool| {
            let input =
                json!({"file_path": "file", "old_string": old, "new_string": new, "replace_all": all});
            jail.call("edit", input)
        };
        let path = jail.layout.workspace.join("file").display().to_string();
        jail.put("file", "a\r\nb\nc\r\n");
        assert_eq!(
            edit(jail, "a\nb\nc", "x\ny\nz", false),
            good(&format!("changed 1 place in {path} (line 1)"))
        );
        assert_eq!(content(jail, "file"), "x\r\ny\nz\r\n");
        jail.put("file", "a\r\nb\r\nc\nd\r\n");
        assert!(!edit(jail, "b", "b1\nb2", false).is_error);
        assert_eq!(content(jail, "file"), "a\r\nb1\r\nb2\r\nc\nd\r\n");
        // All of them are counted.
        jail.put("file", "a\nb\r\na\r\nb\n");
        let twice = edit(jail, "a\nb\n", "x\n", false);
        let told = format!("`old_string` is 2 times in {path} (lines 1, 3): ");
        assert!(twice.is_error && twice.text().starts_with(&told), "{twice:?}");
        // The ends themselves: only what changes counts.
        let done = edit(jail, "\r\n", "\n", true);
        assert_eq!(done, good(&format!("changed 2 places in {path} (lines 2, 3)")));
        assert_eq!(content(jail, "file"), "a\nb\na\nb\n");
        assert_eq!(
            edit(jail, "\r\n", "\n", true),
            bad(&format!(
                "nothing would change in {path}: the lines of `old_string` end there as in `new_string`"
            ))
        );
        jail.put("file", "a\0b");
        let binary = edit(jail, "nothing", "x", false);
        assert!(binary.text().contains("which is a binary file; change it with"), "{binary:?}");
        jail.put("file", "caf\u{e9}\n");
        assert!(edit(jail, "caf\u{fffd}", "x", false).text().contains("it holds U+FFFD"));
    });
}

#[test]
fn no_text_gets_a_nul() {
    everywhere(|jail| {
        jail.put("file", "text");
        let write = jail.call("write", json!({"file_path": "file", "content": "a\0b"}));
        let edit = jail.call("edit", json!({"file_path": "file", "old_string": "text", "new_string": "\0"}));
        for (answer, field) in [(write, "content"), (edit, "new_string")] {
            let told = format!(
                "`{field}`: must hold no NUL character, which no text file holds; write bytes with printf in bash"
            );
            assert!(answer.is_error && answer.text().starts_with(&told), "{answer:?}");
        }
        assert_eq!(content(jail, "file"), "text");
    });
}

#[test]
fn the_home_is_named_by_its_sign_in_every_tool() {
    everywhere(|jail| {
        let path = jail.layout.home.join("a/file").display().to_string();
        let made = jail.call("write", json!({"file_path": "~/a/file", "content": "needle\n"}));
        assert_eq!(made, good(&format!("created {path} (7 bytes)")));
        assert_eq!(jail.bash("cat ~/a/file"), good("needle\n"));
        assert_eq!(jail.call("read", json!({"file_path": "~/a/file"})), good("needle\n"));
        let edit = json!({"file_path": "~/a/file", "old_string": "n", "new_string": "N"});
        assert!(!jail.call("edit", edit).is_error);
        assert_eq!(jail.call("glob", json!({"pattern": "a/*", "path": "~"})), good(&path));
        assert_eq!(jail.call("glob", json!({"pattern": "~/**/fil?"})), good(&path));
        let found = jail.call("grep", json!({"pattern": "Needle", "path": "~/a"}));
        assert_eq!(found, good(&format!("{path}:1:Needle")));
        // What has that name itself.
        assert!(!jail.call("write", json!({"file_path": "./~/file", "content": "own"})).is_error);
        assert_eq!(content(jail, "~/file"), "own");
        assert_eq!(jail.call("glob", json!({"pattern": "*/file"})), good("./~/file"));
        assert_eq!(jail.call("read", json!({"file_path": "./~/file"})), good("own"));
    });
}

#[test]
fn an_edit_that_would_grow_without_bound_is_refused() {
    everywhere(|jail| {
        jail.put("file", "x".repeat(1 << 20));
        let edit = json!({"file_path": "file", "old_string": "x", "new_string": "y".repeat(1000), "replace_all": true});
        let answer = jail.call("edit", edit);
        assert!(answer.is_error && answer.text().contains("more than 16 MiB"), "{answer:?}");
        assert_eq!(content(jail, "file").len(), 1 << 20);
    });
}
