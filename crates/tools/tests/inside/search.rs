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
        assert!(!jail.bash("mkdir many; cd many; seq 1 51000 | xargs touch; cd ..").is_error);
        let answer = glob(jail, json!({"pattern": "many/none*"}));
        let note = "\n[only the first 50,000 entries were looked at; give a narrower `path`]";
        assert!(answer.text().ends_with(note), "{}", answer.text());
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
