//! What a command may try against its shell, its jail and the disk.

use std::fs;
use std::time::Duration;

use sandbox::{Isolation, JailLimits};
use serde_json::json;

use crate::support::{APART, FINDS_ALL, Jail, everywhere, everywhere_with, good, now};

const RESTARTED: &str = "[shell restarted: working directory and variables are gone]\n";

#[test]
fn whatever_a_command_does_to_the_shell_the_next_one_runs() {
    everywhere(|jail| {
        for command in [
            "exec >/dev/null",
            "exec >/dev/null 2>&1",
            "exec >&- 2>&-",
            "exec </dev/null",
            "exec <&-",
            "exec 3>&- 4>&- 255>&-",
            "exec 3<&- 0<&- 1>&- 2>&-",
            "PATH=",
            "IFS=0123456789abcdef",
            "readonly IFS PATH HOME PS1 BASHOPTS LINENO",
            "trap 'echo trapped' ERR RETURN",
            "trap '' INT TERM PIPE CHLD",
            "shopt -s expand_aliases; alias eval=false builtin=false printf=false set=false",
            "shopt -s extglob nullglob failglob dotglob globstar",
            "printf() { command echo fooled; }; set() { command echo fooled; }; eval() { command echo fooled; }",
            "set -f; set -o noclobber; set -C; set -a; set -b; set -h; set -k; set -B; set -H",
            "set -x; set -v",
            "set -o pipefail; set -m",
            "PS4='$(command echo fooled >&2) '; BASH_XTRACEFD=1; set -x",
            "unset PATH HOME PWD OLDPWD; hash -r; enable -n test cd",
            "export BIG=$(/usr/bin/head -c 120000 /dev/zero | /usr/bin/tr '\\0' x)",
            "f() { f; }; LANG=xx; LC_ALL=yy",
            "PROMPT_COMMAND='exit 9'; POSIXLY_CORRECT=1",
        ] {
            let answer = jail.bash(command);
            assert!(answer.text().len() < 10_000, "{command}: {answer:?}");
            let first = jail.bash("\\echo here");
            assert!(first.text().ends_with("here\n"), "{command}: {answer:?} then {first:?}");
            let second = jail.bash("\\echo again");
            assert_eq!(second, good("again\n"), "{command}: {answer:?} then {first:?}");
            assert_eq!(jail.call("bash", json!({"restart": true})), good(RESTARTED.trim_end()));
        }
    });
}

#[test]
fn signals_to_pid_1_change_nothing() {
    everywhere(|jail| {
        if jail.isolation == Isolation::Off {
            return;
        }
        assert_eq!(jail.bash("X=kept"), good("(no output)"));
        for _ in 0..3 {
            let send = "for n in $(seq 64) SEGV BUS SEGV; do for i in 1 2 3 4 5; do kill -$n 1 2> /dev/null; done; done; echo sent";
            assert_eq!(jail.bash(send), good("sent\n"));
            assert!(jail.call("glob", json!({"pattern": "none"})).text().contains("no files match"));
        }
        assert_eq!(jail.bash("echo $X"), good("kept\n"));
    });
}

#[test]
fn a_shell_that_is_made_deaf_costs_one_timeout_and_no_more() {
    everywhere(|jail| {
        for command in [
            "for fd in /proc/$$/fd/*; do fd=${fd##*/}; eval \"exec $fd>&-\" 2>/dev/null; done",
            "set -n; echo deaf",
            "builtin() { :; }",
            "kill -STOP $$",
            "for fd in 10 11 12 13; do cat <&$fd & done 2>/dev/null; exec sleep 1000",
        ] {
            let call = json!({"command": command, "timeout_ms": 1_000});
            jail.call("bash", call);
            let next = jail.call("bash", json!({"command": "echo on", "timeout_ms": 1_000}));
            if next.is_error {
                // What broke it showed only now.
                assert_eq!(jail.bash("echo on"), good(&format!("{RESTARTED}on\n")), "{command}: {next:?}");
            } else {
                assert!(next.text().ends_with("on\n"), "{command}: {next:?}");
            }
            assert_eq!(jail.bash("echo on"), good("on\n"), "{command}");
        }
    });
}

#[test]
fn the_end_of_a_command_cannot_be_forged() {
    everywhere(|jail| {
        // What an earlier command has seen on the shell's own socket is of no use in a later one.
        let forge = "for fd in 0 3 10 11 12; do (printf '%032x 0\\n' 7 >&$fd) 2>/dev/null; done; \
                     for n in 1 2 3; do echo 'deadbeefdeadbeefdeadbeefdeadbeef 0'; done; printf '\\0\\0\\0\\7\"x\"'; \
                     (exit 5)";
        let answer = jail.bash(forge);
        assert!(answer.is_error && answer.text().ends_with("[exit status 5]"), "{answer:?}");
        assert_eq!(jail.bash("echo on"), good("on\n"));
        // Programs have none of the shell's descriptors but the three.
        let has = "bash -c 'readlink /proc/$$/fd/*' | grep -c socket; true";
        assert_eq!(jail.bash(has), good("0\n"));
    });
}

#[test]
fn a_directory_that_is_gone_is_no_trap() {
    everywhere(|jail| {
        assert!(!jail.bash("mkdir d; cd d; rmdir ../d").is_error);
        let there = jail.bash("ls; echo still; cd ..; pwd");
        assert!(there.text().contains("still\n"), "{there:?}");
    });
}

#[test]
fn fifty_megabytes_of_output_leave_memory_flat() {
    everywhere(|jail| {
        assert_eq!(jail.bash("echo warm"), good("warm\n"));
        let before = peak(jail);
        let answer = jail.bash("head -c 50000000 /dev/zero | tr '\\0' 'x'");
        assert!(!answer.is_error && answer.text().len() < 20_000, "{}", answer.text().len());
        assert!(answer.text().contains("[49984000 of 50000000 characters are left out here."));
        let more = jail.bash("head -c 90000000 /dev/zero | tr '\\0' 'x'");
        assert!(more.text().contains("Its first 64 MiB are in"), "{}", &more.text()[7_900..8_300]);
        let grown = peak(jail) - before;
        assert!(grown < 16 << 10, "grew by {grown} KiB");
        let kept = fs::metadata(jail.folder.join("results/sevt_3.txt")).unwrap().len();
        assert_eq!(kept, 64 << 20);
    });
}

/// The most memory that the process which serves ever had, in KiB: the one child of the outer process.
fn peak(jail: &Jail) -> u64 {
    let outer = jail.pid();
    let inner = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).unwrap();
    let inner = inner.split(' ').next().unwrap();
    let status = fs::read_to_string(format!("/proc/{inner}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn nothing_outlives_the_jail() {
    everywhere(|jail| {
        let start = format!(
            "({APART} bash -c 'exec -a outlives_the_jail sleep 1000' >/dev/null 2>&1 &); \
             (trap '' TERM INT HUP; exec -a outlives_the_jail sleep 1000) & echo up"
        );
        assert!(!jail.bash(&start).is_error);
        let folder = jail.folder.display().to_string();
        jail.end();
        let left = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let cwd = fs::read_link(entry.ok()?.path().join("cwd")).ok()?;
            cwd.to_str()?.starts_with(&folder).then_some(cwd)
        });
        assert_eq!(left.count(), 0);
    });
}

#[test]
fn a_fork_bomb_ends_with_its_command_and_reading_goes_on_meanwhile() {
    // Only where the bomb is bounded: a limit of its own user namespace.
    everywhere_with(JailLimits { processes: 40, ..JailLimits::default() }, |jail| {
        if jail.isolation == Isolation::Off {
            return;
        }
        jail.put("file", "text");
        let bomb = ":(){ :|:& };: 2>/dev/null; touch began; while :; do :; done 2>/dev/null";
        let call = jail.send("bash", json!({"command": bomb, "timeout_ms": 2_000}));
        assert_eq!(jail.call("read", json!({"file_path": "file"})), good("text"));
        let answer = jail.answer(call);
        assert!(answer.is_error && answer.text().contains("timed out after 2000 ms"), "{answer:?}");
        let began = now();
        assert_eq!(jail.bash("echo on"), good(&format!("{RESTARTED}on\n")));
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    });
}

#[test]
fn a_disk_that_fills_ends_every_process_and_can_be_cleared_then() {
    everywhere_with(JailLimits { disk_bytes: 8 << 20, ..JailLimits::default() }, |jail| {
        let fill = "n=0; while :; do head -c 1000000 /dev/zero > f$n; n=$((n+1)); sleep 0.2; done";
        let idle = jail.send_as("idle", "bash", json!({"command": "x=1"}), false);
        assert_eq!(jail.answer(idle), good("(no output)"));
        let answer = jail.bash(fill);
        let why = "[the files of this session may take 8 MiB and take ";
        assert!(answer.is_error && answer.text().contains(why), "{answer:?}");
        while jail.killed.is_empty() {
            jail.hear();
        }
        assert!(jail.killed[0].starts_with(why), "{:?}", jail.killed);
        let idle = jail.send_as("idle", "bash", json!({"command": "echo \"<$x>\""}), false);
        assert_eq!(jail.answer(idle), good(&format!("{RESTARTED}{}\n<>\n", jail.killed[0])));
        let cleared = jail.bash("rm -f f*; echo *");
        assert_eq!(cleared, good(&format!("{RESTARTED}*\n")));
    });
}

/// Elsewhere than on Linux this is what "off" does not do (docs/divergences.md).
#[cfg(not(all(target_os = "linux", not(heddle_portable))))]
#[test]
fn what_leaves_its_group_outlives_the_jail_where_there_is_no_linux() {
    everywhere(|jail| {
        let leaves = "set -m; sleep 1000 >/dev/null 2>&1 & echo $! > left; echo up";
        assert_eq!(jail.bash(leaves), good("up\n"));
        let left: i32 = fs::read_to_string(jail.workspace("left")).unwrap().trim().parse().unwrap();
        jail.end();
        let left = rustix::process::Pid::from_raw(left).unwrap();
        // It is there to be killed.
        rustix::process::kill_process(left, rustix::process::Signal::KILL).unwrap();
    });
}

#[cfg(all(target_os = "linux", not(heddle_portable)))]
#[test]
fn deleted_files_that_are_still_open_count_too() {
    everywhere_with(JailLimits { disk_bytes: 8 << 20, ..JailLimits::default() }, |jail| {
        let fill = "exec 9>f; rm f; while :; do head -c 1000000 /dev/zero >&9; sleep 0.2; done";
        let answer = jail.bash(fill);
        let why = "[the files of this session may take 8 MiB and take ";
        let hidden = " MiB of it in files that are deleted but still open): every process was ended.";
        assert!(
            answer.is_error && answer.text().contains(why) && answer.text().contains(hidden),
            "{answer:?}"
        );
        while jail.killed.is_empty() {
            jail.hear();
        }
        assert!(jail.killed[0].starts_with(why), "{:?}", jail.killed);
        assert_eq!(jail.bash("ls; echo on"), good(&format!("{RESTARTED}on\n")));
    });
}

#[test]
fn what_grew_is_taken_back_when_the_server_says_so_and_both_calls_are_told() {
    everywhere(|jail| {
        let idle = jail.send_as("idle", "bash", json!({"command": "x=1"}), false);
        assert_eq!(jail.answer(idle), good("(no output)"));
        let fill = jail.send("bash", json!({"command": "head -c 8M /dev/zero > new; : > done; sleep 1000"}));
        jail.until("looks", "[ -e done ]");
        let weight = jail.ask(json!({"Weigh": {"ask": 7, "within_ms": 1_000}}))["Weighs"].clone();
        assert_eq!(weight["ask"], 7);
        if FINDS_ALL {
            assert!(weight["weight"]["grown_bytes"].as_u64().unwrap() >= 8 << 20, "{weight}");
            assert!(weight["weight"]["memory_bytes"].as_u64().unwrap() >= 1 << 20, "{weight}");
        }
        let room = json!({"bytes": u64::MAX, "entries": 0, "bytes_most": u64::MAX, "entries_most": 0});
        let cut = jail.ask(json!({"CutBack": {"ask": 8, "room": room}}))["CutBack"].clone();
        let answer = jail.answer(fill);
        let why = "and this session's files grew most, so that every process of it was ended; ";
        assert!(answer.is_error && answer.text().contains(why), "{answer:?}");
        let idle = jail.send_as("idle", "bash", json!({"command": "echo \"<$x>\""}), false);
        let idle = jail.answer(idle);
        assert!(idle.text().starts_with(RESTARTED) && idle.text().ends_with("\n<>\n"), "{idle:?}");
        if FINDS_ALL {
            assert!(cut["cut"]["bytes"].as_u64().unwrap() >= 8 << 20, "{cut}");
            for answer in [answer, idle] {
                assert!(answer.text().contains("removed or cut short, 8 MiB: "), "{answer:?}");
                assert!(answer.text().contains("/new"), "{answer:?}");
            }
            assert!(!jail.workspace("new").exists());
        }
    });
}

#[test]
fn when_the_servers_disk_is_nearly_full_commands_run_and_nothing_grows() {
    everywhere(|jail| {
        jail.put("there", "text");
        let mut low = |tool: &str, input| jail.call_low(tool, input);
        let said = low("bash", json!({"command": "echo x > new; cat there; wc -c < new; X=1; exit 3"}));
        let told = "[the server's disk has 5 MiB left, and under 10 MiB no command can make a file longer, ";
        assert!(said.is_error && said.text().starts_with(told), "{said:?}");
        assert!(
            said.text().contains("File too large") && said.text().ends_with("text0\n[exit status 3]"),
            "{said:?}"
        );
        // Nobody gets a limit back, and the thread's own shell has kept its.
        let said = low("bash", json!({"command": "ulimit -f unlimited; rm new there; echo *"}));
        assert!(said.text().contains("Operation not permitted") && said.text().ends_with("*\n"), "{said:?}");
        let said = low("write", json!({"file_path": "new", "content": "text"}));
        assert!(said.is_error && said.text().contains("no file can grow"), "{said:?}");
        assert_eq!(jail.bash("echo x > new; cat new"), good("x\n"));
    });
}

#[test]
fn a_broken_frame_ends_the_jail() {
    everywhere(|jail| {
        assert!(!jail.bash("sleep 1000 & true").is_error);
        jail.break_frame();
        assert!(jail.closes());
    });
}

#[test]
fn orphans_leave_no_zombies() {
    everywhere(|jail| {
        let orphans = "for n in {1..50}; do (sleep 0.01 & echo $! >> pids); done; echo done";
        assert_eq!(jail.bash(orphans), good("done\n"));
        jail.until("t", "! kill -0 $(cat pids) 2>/dev/null");
    });
}
