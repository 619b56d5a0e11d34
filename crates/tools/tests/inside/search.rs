//! `glob` and `grep`: order, rules, bounds.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::support::{Answer, Jail, everywhere, good, now};

/// What is said when rules were followed and nothing was found.
const RULED: &str = ", and what a .gitignore or .ignore names";

fn glob(jail: &mut Jail, input: Value) -> Answer {
    jail.call("glob", input)
}

fn grep(jail: &mut Jail, input: Value) -> Answer {
    jail.call("grep", input)
}

/// Sets how old a file is.
fn age(jail: &Jail, path: &str, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 - seconds);
    File::options().write(true).open(jail.workspace(path)).unwrap().set_modified(time).unwrap();
}

#[test]
fn files_come_newest_first_and_equals_by_path() {
    everywhere(|jail| {
        for (path, seconds) in [
            ("a.rs", 30),
            ("src/b.rs", 10),
            ("src/deep/c.rs", 20),
            ("src/d.txt", 5),
            (".hidden/e.rs", 20),
            (".git/f.rs", 1),
        ] {
            jail.put(path, "x");
            age(jail, path, seconds);
        }
        let all = "src/b.rs\n.hidden/e.rs\nsrc/deep/c.rs\na.rs";
        assert_eq!(glob(jail, json!({"pattern": "**/*.rs"})), good(all));
        assert_eq!(glob(jail, json!({"pattern": "*.rs"})), good("a.rs"));
        assert_eq!(glob(jail, json!({"pattern": "*.rs", "path": "src"})), good("src/b.rs"));
        assert_eq!(
            glob(jail, json!({"pattern": "src/**/*.{rs,txt}"})),
            good("src/d.txt\nsrc/b.rs\nsrc/deep/c.rs")
        );
        let absolute = jail.layout.workspace.join("src/*").display().to_string();
        assert_eq!(glob(jail, json!({"pattern": absolute})), good("src/d.txt\nsrc/b.rs"));
        assert_eq!(glob(jail, json!({"pattern": "src/d.txt"})), good("src/d.txt"));
        let shown = jail.layout.workspace.display().to_string();
        assert_eq!(
            glob(jail, json!({"pattern": "*.py"})),
            good(&format!("no files match `*.py` in {shown}; `**/*.py` looks deeper"))
        );
        let wrong = glob(jail, json!({"pattern": "a[b"}));
        assert!(
            wrong.is_error && wrong.text().starts_with("`pattern`: error parsing glob 'a[b'"),
            "{wrong:?}"
        );
        let nowhere = glob(jail, json!({"pattern": "*", "path": "none"}));
        assert!(nowhere.is_error && nowhere.text().contains("check the path"), "{nowhere:?}");
        assert!(glob(jail, json!({"pattern": "*", "path": "a.rs"})).is_error);
    });
}

#[test]
fn two_hundred_files_are_shown_and_the_rest_counted() {
    everywhere(|jail| {
        assert!(!jail.bash("touch f{1..250}").is_error);
        let answer = glob(jail, json!({"pattern": "f*"}));
        let lines: Vec<_> = answer.text().lines().collect();
        assert_eq!(lines.len(), 201);
        assert_eq!(lines[200], "[50 more, all older; give a narrower pattern]");
    });
}

#[test]
fn lines_are_found_as_ripgrep_finds_them() {
    everywhere(|jail| {
        jail.put("a.txt", "one needle\nnothing\nNeedle two\r\n");
        jail.put("src/b.rs", "fn needle() {}\n");
        jail.put(".hidden", "needle hidden\n");
        jail.put("target/c", "needle ignored\n");
        jail.put("bin", b"needle\0binary\n");
        jail.put("latin", b"caf\xe9 needle\n");
        jail.put(".git/config", "needle\n");
        let all = ".hidden:1:needle hidden\na.txt:1:one needle\nlatin:1:caf\u{fffd} needle\nsrc/b.rs:1:fn needle() {}";
        jail.put(".gitignore", "target/\n");
        assert_eq!(grep(jail, json!({"pattern": "needle"})), good(all));
        assert_eq!(
            grep(jail, json!({"pattern": "(?i)^needle", "path": "a.txt"})),
            good("a.txt:3:Needle two")
        );
        assert_eq!(
            grep(jail, json!({"pattern": "fn \\w+\\(", "path": "src"})),
            good("src/b.rs:1:fn needle() {}")
        );
        let shown = jail.layout.workspace.display().to_string();
        assert_eq!(
            grep(jail, json!({"pattern": "no such"})),
            good(&format!("no line matches `no such` in {shown} (binary files{RULED}, are left out)"))
        );
        assert_eq!(
            grep(jail, json!({"pattern": "no such", "path": "a.txt"})),
            good(&format!("no line matches `no such` in {shown}/a.txt (binary files are left out)"))
        );
        for pattern in ["(", "a\nb", "\\p{Nothing}", "(((a{1000}){1000}){1000})"] {
            let wrong = grep(jail, json!({"pattern": pattern}));
            let said = "`pattern` is no regular expression that can be searched for: ";
            assert!(wrong.is_error && wrong.text().starts_with(said), "{wrong:?}");
        }
        assert!(grep(jail, json!({"pattern": "a", "path": "none"})).is_error);
    });
}

#[test]
fn long_lines_are_cut_and_many_matches_end_with_a_note() {
    everywhere(|jail| {
        jail.put("long", format!("{}\n", "ä".repeat(5_000)));
        let long = grep(jail, json!({"pattern": "ä", "path": "long"}));
        assert_eq!(long, good(&format!("long:1:{} [cut]", "ä".repeat(2_000))));
        jail.put("many", "match\n".repeat(100_000));
        let many = grep(jail, json!({"pattern": "match", "path": "many"}));
        assert!(many.text().len() < 99_000 && many.text().len() > 95_000, "{}", many.text().len());
        let last = many.text().lines().last().unwrap();
        assert_eq!(
            last,
            "[more matches are left out, as much is shown as fits; give a narrower pattern or `path`]"
        );
        // A line that no memory should hold.
        jail.put("wide", "x".repeat(20 << 20));
        let wide = grep(jail, json!({"pattern": "y", "path": "wide"}));
        assert!(wide.text().contains("[not searched: 1 of the files, the first "), "{}", wide.text());
    });
}

#[test]
fn a_walk_sees_fifty_thousand_entries_and_no_trap_in_it_hangs() {
    everywhere(|jail| {
        let traps = "mkdir trap huge; mkfifo trap/.gitignore fifo; mkdir .git; truncate -s 1G huge/.ignore; \
                     ln -s / root; ln -s . self; echo needle > trap/in; echo needle > found; echo needle > huge/in";
        assert!(!jail.bash(traps).is_error);
        let shown = jail.layout.workspace.display().to_string();
        let left = |count: u32, first: &str| {
            format!(
                "\n[not looked into: {count} folders, the first {shown}/{first}: its .gitignore or .ignore is no \
                 file, or has more than 1 MiB; remove that, or search there with bash]"
            )
        };
        let found = grep(jail, json!({"pattern": "needle"}));
        let either = [left(2, "trap"), left(2, "huge")].map(|note| good(&format!("found:1:needle{note}")));
        assert!(either.contains(&found), "{found:?}");
        assert_eq!(
            glob(jail, json!({"pattern": "in", "path": "trap"})),
            good(&format!("no files match `in` in {shown}/trap; `**/in` looks deeper{}", left(1, "trap")))
        );
        assert_eq!(grep(jail, json!({"pattern": "needle", "path": "huge/in"})), good("huge/in:1:needle"));
        fs::create_dir(jail.workspace("many")).unwrap();
        for name in 0..51_000 {
            File::create(jail.workspace(&format!("many/{name}"))).unwrap();
        }
        let answer = glob(jail, json!({"pattern": "many/none*"}));
        let note = "\n[only the first 50,000 entries were looked at; give a narrower `path`]";
        assert!(answer.text().ends_with(note), "{}", answer.text());
    });
}

#[test]
fn no_large_folder_hides_its_neighbours() {
    everywhere(|jail| {
        for folder in 0..55 {
            let folder = jail.workspace(&format!("a/{folder}"));
            fs::create_dir_all(&folder).unwrap();
            for name in 0..1_000 {
                File::create(folder.join(name.to_string())).unwrap();
            }
        }
        for path in ["z1/a.rs", "z2/a.rs", "z3/a.rs", "z1.md", "z2.md", "z3.md", "z4/1/2/3/4/5/a.rs"] {
            jail.put(path, "needle\n");
        }
        let lines = |answer: &Answer| {
            let mut lines: Vec<_> = answer.text().lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        // No deeper entry can match, and nothing is said of a bound.
        assert_eq!(lines(&glob(jail, json!({"pattern": "*.md"}))), ["z1.md", "z2.md", "z3.md"]);
        assert_eq!(lines(&glob(jail, json!({"pattern": "{z1,z2}/*.{rs,md}"}))), ["z1/a.rs", "z2/a.rs"]);
        let note = "[only the first 50,000 entries were looked at; give a narrower `path`]";
        let deep = glob(jail, json!({"pattern": "**/*.rs"}));
        assert_eq!(lines(&deep), [note, "z1/a.rs", "z2/a.rs", "z3/a.rs", "z4/1/2/3/4/5/a.rs"]);
        let found = grep(jail, json!({"pattern": "needle"}));
        let expected = ["z1.md", "z1/a.rs", "z2.md", "z2/a.rs", "z3.md", "z3/a.rs", "z4/1/2/3/4/5/a.rs"];
        assert_eq!(lines(&found)[1..], expected.map(|path| format!("{path}:1:needle")));
    });
}

#[test]
fn rules_of_a_folder_come_before_those_above_it() {
    everywhere(|jail| {
        for path in [
            "x.log",
            "keep.log",
            "sub/x.log",
            "sub/y.log",
            "sub/deep/x.log",
            "out/a",
            "other/x.txt",
            "own/x.log",
        ] {
            jail.put(path, "needle\n");
        }
        jail.put(".gitignore", "*.log\n!keep.log\n/out/\n");
        jail.put("sub/.gitignore", "\u{feff}!x.log\n");
        jail.put("other/.ignore", "*.txt\n");
        // The rules above the top of a repository are not its own.
        assert!(!jail.bash("mkdir .git own/.git").is_error);
        let found = grep(jail, json!({"pattern": "needle"}));
        assert_eq!(
            found,
            good("keep.log:1:needle\nown/x.log:1:needle\nsub/deep/x.log:1:needle\nsub/x.log:1:needle")
        );
        // What is named is looked into, and the rules above it hold there too.
        assert_eq!(glob(jail, json!({"pattern": "out/*"})), good("out/a"));
        let shown = jail.layout.workspace.display().to_string();
        let left = "; what a .gitignore or .ignore names is left out";
        let none = format!("no files match `y*` in {shown}/sub; `**/y*` looks deeper{left}");
        assert_eq!(glob(jail, json!({"pattern": "y*", "path": "sub"})), good(&none));
    });
}

#[test]
fn a_pattern_that_finds_nothing_is_told_what_may_have_been_meant() {
    everywhere(|jail| {
        jail.put("app/[id]/page.tsx", "x");
        let shown = jail.layout.workspace.display().to_string();
        let none = |pattern: &str, rest: &str| good(&format!("no files match `{pattern}` in {shown}{rest}"));
        let hint = "; `[…]` is one character of several, so for brackets in a name send ";
        assert_eq!(
            glob(jail, json!({"pattern": "app/[id]/*.tsx"})),
            none("app/[id]/*.tsx", &format!("{hint}`app/[[]id]/*.tsx`"))
        );
        for pattern in ["app/[[]id]/*.tsx", "app/\\[id\\]/*.tsx", "**/[[]id]/page.tsx"] {
            assert_eq!(glob(jail, json!({"pattern": pattern})), good("app/[id]/page.tsx"));
        }
        assert_eq!(
            glob(jail, json!({"pattern": "**.tsx"})),
            none(
                "**.tsx",
                "; `**/**.tsx` looks deeper; `**` goes through folders only as a whole part, as in `**/*.rs`"
            )
        );
        assert_eq!(glob(jail, json!({"pattern": "app/"})), none("app/", "; `app/*` are the files in it"));
        assert_eq!(
            glob(jail, json!({"pattern": "./app/*"})),
            none("./app/*", "; it matches folders (1), and only files are shown: add `/*`")
        );
    });
}

/// A file system that takes any bytes as a name.
#[cfg(all(target_os = "linux", not(heddle_portable)))]
#[test]
fn every_name_that_is_shown_can_be_opened() {
    everywhere(|jail| {
        let names = [
            r"$'caf\xe9'",
            r"$'line\nline'",
            r"$'end '",
            r"$'no\xe2\x80\xafbreak'",
            r"$'\x1b[0m'",
            "it's",
            "[a] b",
        ];
        for name in names {
            let quoted = if name.starts_with('$') { name.to_owned() } else { format!("\"{name}\"") };
            assert!(!jail.bash(&format!("mkdir -p d; echo needle > d/{quoted}")).is_error, "{name}");
        }
        let inside = |name: &str| match name.strip_prefix("$'") {
            Some(rest) => format!("$'d/{rest}"),
            None => format!("d/{name}"),
        };
        let mut expected: Vec<_> = names.map(inside).into();
        expected.sort();
        let shown = glob(jail, json!({"pattern": "d/*"}));
        let mut lines: Vec<_> = shown.text().lines().map(str::to_owned).collect();
        lines.sort();
        assert_eq!(lines, expected);
        let mut found: Vec<_> =
            grep(jail, json!({"pattern": "needle"})).text().lines().map(str::to_owned).collect();
        found.sort();
        let mut matches: Vec<_> = expected.iter().map(|name| format!("{name}:1:needle")).collect();
        matches.sort();
        assert_eq!(found, matches);
        for name in &expected {
            assert_eq!(jail.call("read", json!({"file_path": name})), good("needle\n"), "{name}");
            let edit = json!({"file_path": name, "old_string": "needle", "new_string": "thread"});
            assert!(!jail.call("edit", edit).is_error, "{name}");
            let found = grep(jail, json!({"pattern": "thread", "path": name}));
            assert_eq!(found, good(&format!("{name}:1:thread")));
            let write = jail.call("write", json!({"file_path": name, "content": ""}));
            assert!(write.text().starts_with("overwrote "), "{write:?}");
        }
        assert_eq!(jail.bash(r"cat d/* | wc -c; ls d | wc -l; cat $'d/caf\xe9'"), good("0\n8\n"));
    });
}

#[test]
fn a_letter_with_its_accent_is_one_in_either_form() {
    everywhere(|jail| {
        let apart = "d\u{65}\u{301}/\u{65}\u{301}.txt";
        let whole = "d\u{e9}/\u{e9}.txt";
        jail.put(apart, "needle\n");
        let path = jail.layout.workspace.join(apart).display().to_string();
        assert_eq!(jail.call("read", json!({"file_path": whole})), good("needle\n"));
        let write = jail.call("write", json!({"file_path": whole, "content": "new needle"}));
        assert_eq!(write, good(&format!("overwrote {path} (10 bytes)")));
        assert_eq!(
            grep(jail, json!({"pattern": "needle", "path": "d\u{e9}"})),
            good(&format!("{apart}:1:new needle"))
        );
        for pattern in
            [whole, "d\u{e9}/*", "*/\u{e9}.txt", "**/?.txt", "d?/[\u{e0}-\u{ff}].txt", "d[!a]/*.t{x,\u{e9}}t"]
        {
            assert_eq!(glob(jail, json!({"pattern": pattern})), good(apart), "{pattern}");
        }
        // Where both are, each is itself.
        jail.put("d\u{65}\u{301}/\u{e9}.txt", "other");
        if fs::read_dir(jail.workspace("d\u{65}\u{301}")).unwrap().count() == 2 {
            assert_eq!(jail.call("read", json!({"file_path": whole})), good("other"));
            assert_eq!(jail.call("read", json!({"file_path": apart})), good("new needle"));
        }
    });
}

#[test]
fn lines_are_found_whatever_their_ends_and_their_encoding() {
    everywhere(|jail| {
        let found = |jail: &mut Jail, content: &[u8], pattern: &str| {
            jail.put("file", content);
            grep(jail, json!({"pattern": pattern, "path": "file"})).text().to_owned()
        };
        for pattern in ["one$", "^one$", "ne$", "(?i)ONE$", "one\\s*$", "(?x) one $", "(?P<name>one)$"] {
            assert_eq!(found(jail, b"no\r\none\r\none more\r\n", pattern), "file:2:one", "{pattern}");
        }
        assert_eq!(found(jail, b"a\r\nb\n", "\\r$"), "file:1:a");
        assert_eq!(found(jail, b"a\r\n\r\n\nb", "^$"), "file:2:\nfile:3:");
        // A `\r` within a line ends none.
        assert_eq!(found(jail, b"10%\r20%\r30%\r\n", "10%.*30%$"), "file:1:10%\r20%\r30%");
        assert!(found(jail, b"10%\r20%\n", "10%$").starts_with("no line matches"));
        assert_eq!(found(jail, "\u{feff}one\n".as_bytes(), "^one"), "file:1:one");
        let wide: Vec<u8> = "\u{feff}a\none é\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(found(jail, &wide, "é$"), "file:2:one é");
        let nul = "\n[searched only up to a NUL byte: 1 of the files, the first file; search on with `grep -a` in \
                   bash]";
        assert!(found(jail, b"a\0\nneedle\n", "needle").ends_with(nul));
        // Of a long line the part that matters.
        let long = format!("{}needle{}\n", "x".repeat(5_000), "y".repeat(5_000));
        let part = format!("file:1:[cut] {}needle{} [cut]", "x".repeat(200), "y".repeat(1_794));
        assert_eq!(found(jail, long.as_bytes(), "needle"), part);
        assert_eq!(
            found(jail, format!("{}needle\n", "ä".repeat(3_000)).as_bytes(), "needle$"),
            format!("file:1:[cut] {}needle", "ä".repeat(200))
        );
    });
}

#[test]
fn a_search_that_finds_nothing_says_that_rules_left_something_out() {
    everywhere(|jail| {
        jail.put("deep/.gitignore", "out\n");
        jail.put("deep/out", "needle\n");
        assert_eq!(glob(jail, json!({"pattern": "**/out"})), good("deep/out"));
        let shown = jail.layout.workspace.display().to_string();
        let none = |rest: &str| good(&format!("no files match `**/*.none` in {shown}{rest}"));
        assert_eq!(glob(jail, json!({"pattern": "**/*.none"})), none(""));
        let left = "; what a .gitignore or .ignore names is left out";
        assert!(!jail.bash("mkdir .git").is_error);
        assert_eq!(glob(jail, json!({"pattern": "**/*.none"})), none(left));
        assert_eq!(
            grep(jail, json!({"pattern": "needle"})),
            good(&format!("no line matches `needle` in {shown} (binary files{RULED}, are left out)"))
        );
        assert!(!jail.bash("rmdir .git; mv deep/.gitignore .ignore").is_error);
        assert_eq!(glob(jail, json!({"pattern": "**/*.none"})), none(left));
    });
}

#[test]
fn a_cancelled_search_ends_at_once() {
    everywhere(|jail| {
        let file = File::create(jail.workspace("sparse")).unwrap();
        file.set_len(1 << 40).unwrap();
        fs::write(jail.workspace("head"), "x\n").unwrap();
        assert!(!jail.bash("yes nothing | head -c 100000000 > large").is_error);
        let calls: Vec<_> = (0..16)
            .map(|_| jail.send("grep", json!({"pattern": "(n|o|t)+.*(h|i|n)+.*z", "path": "large"})))
            .collect();
        for call in &calls {
            jail.cancel(*call);
        }
        let began = now();
        for call in calls {
            jail.answer(call);
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    });
}
