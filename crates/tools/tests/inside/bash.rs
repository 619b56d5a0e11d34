//! `bash`: what survives between commands, what an answer says, and how a command ends.

use std::time::Duration;

use serde_json::json;

use crate::support::{APART, Answer, FINDS_ALL, Jail, bad, everywhere, good, now};

const RESTARTED: &str = "[shell restarted: working directory and variables are gone]\n";

/// What is said of a command that ended its shell.
fn ended(how: &str) -> String {
    if FINDS_ALL {
        format!(
            "[the command ended its shell {how}: directory, variables and functions are as before this command, and \
             what runs in the background goes on]"
        )
    } else {
        format!(
            "[the shell itself ended {how}, and what it had started was ended with it; the next command gets a new one]"
        )
    }
}

#[test]
fn directory_variables_and_functions_survive_between_commands() {
    everywhere(|jail| {
        let workspace = jail.layout.workspace.display().to_string();
        assert_eq!(jail.bash("pwd"), good(&format!("{workspace}\n")));
        assert_eq!(
            jail.bash("mkdir -p a/b && cd a/b; x='1  2'; f() { echo \"f $x\"; }"),
            good("(no output)")
        );
        assert_eq!(jail.bash("pwd; f"), good(&format!("{workspace}/a/b\nf 1  2\n")));
        assert_eq!(jail.bash("sleep 0 & wait $!; echo $?"), good("0\n"));
    });
}

#[test]
fn both_streams_come_as_one_in_order_and_a_failure_is_told_with_its_status() {
    everywhere(|jail| {
        assert_eq!(jail.bash("echo a; echo b >&2; echo c"), good("a\nb\nc\n"));
        assert_eq!(jail.bash("printf 'no end'; (exit 3)"), bad("no end\n[exit status 3]"));
        assert_eq!(jail.bash("false"), bad("[exit status 1]"));
        assert_eq!(jail.bash("bash -c 'kill -9 $$'").text().lines().last(), Some("[exit status 137]"));
    });
}

#[test]
fn commands_find_nothing_on_standard_input() {
    everywhere(|jail| {
        assert_eq!(jail.bash("cat; read x; echo \"$? <$x>\""), good("1 <>\n"));
        assert_eq!(jail.bash("cat <<E | tr a b\naaa\nE"), good("bbb\n"));
    });
}

#[test]
fn wrong_texts_fail_and_the_shell_lives_on() {
    everywhere(|jail| {
        assert_eq!(jail.bash("x=kept"), good("(no output)"));
        for command in [
            "echo 'no end",
            "echo \"no end",
            "if true; then",
            "echo )",
            "for",
            "echo $(",
            "echo ${x!}",
            "echo $((1/0))",
            "cat <(",
            "`",
            "esac; done; }",
            "\\",
            "exit_nothing_like_it",
        ] {
            let answer = jail.bash(command);
            assert!(answer.is_error || command == "\\", "{command}: {answer:?}");
            assert_eq!(jail.bash("echo $x"), good("kept\n"), "after {command}");
        }
        let heredoc = jail.bash("cat <<END\nline");
        assert!(heredoc.text().contains("line\n"), "{heredoc:?}");
        assert_eq!(jail.bash("# nothing"), good("(no output)"));
        assert_eq!(jail.bash("echo $x # a ' quote"), good("kept\n"));
        assert_eq!(jail.bash("echo ok\n\n\n"), good("ok\n"));
        assert_eq!(jail.bash("readonly r=1; r=2; echo $r").text().lines().last(), Some("[exit status 1]"));
        assert_eq!(jail.bash("echo $x$r"), good("kept1\n"));
    });
}

#[test]
fn options_that_end_the_shell_do_not_outlive_the_command() {
    everywhere(|jail| {
        let traced = jail.bash("set -x; echo a");
        assert_eq!(traced, good("++ echo a\na\n"));
        assert_eq!(jail.bash("set -euo pipefail; x=1; echo $x"), good("1\n"));
        assert_eq!(jail.bash("echo ${nothing}; false; echo $x"), good("\n1\n"));
        assert_eq!(jail.bash("set -e; false; echo never"), bad(&ended("with status 1")));
        assert_eq!(
            jail.bash("false; echo on"),
            good(&format!("{}on\n", if FINDS_ALL { "" } else { RESTARTED }))
        );
        assert_eq!(jail.bash("echo b"), good("b\n"));
    });
}

#[test]
fn a_shell_that_took_over_goes_on_whatever_attributes_its_variables_are_given() {
    everywhere(|jail| {
        for attribute in
            ["declare -i REPLY", "declare -n REPLY=x", "unset -n REPLY; declare -a REPLY", "readonly REPLY=1"]
        {
            jail.bash("exit 3");
            assert!(!jail.bash("x=kept").is_error);
            assert_eq!(jail.bash(attribute), good("(no output)"), "{attribute}");
            assert_eq!(jail.bash("echo $x"), good("kept\n"), "{attribute}");
            assert_eq!(jail.bash("exit 4"), bad(&ended("with status 4")), "{attribute}");
        }
        assert!(!jail.bash("set").text().contains("\n__line="), "it is to be seen");
    });
}

#[test]
fn a_command_that_ends_its_shell_takes_nothing_along() {
    everywhere(|jail| {
        let workspace = jail.layout.workspace.display().to_string();
        for (command, how, is_error) in [
            ("echo out; exit 3", "with status 3", true),
            ("echo out; exit", "with status 0", false),
            ("echo out; set -euo pipefail; false | true; exit 9", "with status 1", true),
            ("echo out; set -u; echo $nothing 2>/dev/null", "with status 1", true),
            ("echo out; : ${nothing?} 2>/dev/null", "with status 1", true),
            ("trap 'exit 4' ERR; echo out; false", "with status 4", true),
            ("trap 'echo out' EXIT; exit 5", "with status 5", true),
            ("echo out; exec sleep 0.1", "with status 0", false),
            ("echo out; exec false", "with status 1", true),
            ("echo out; kill -9 $BASHPID", "by signal 9", true),
            ("echo out; kill -SEGV $BASHPID", "by signal 11", true),
            ("echo out; exec nothing_like_it 2>/dev/null", "with status 127", true),
        ] {
            let before = jail.bash("cd /; x=1; f() { echo f; }; sleep 1000 & b=$!; true");
            assert!(!before.is_error, "{before:?}");
            let answer = jail.bash(&format!("cd /tmp; x=2; f() {{ :; }}; y=2; {command}"));
            let text = format!("out\n{}", ended(how));
            let tail = answer.text().find("out\n").map_or("", |at| &answer.text()[at..]);
            // Where redirections do not reach a shell's own last words, these come too.
            assert!(tail.ends_with(&text[4..]) && answer.is_error == is_error, "{command}: {answer:?}");
            let next = jail.bash("echo \"<$x$y>\" $PWD; f; kill -0 $b && echo alive");
            if FINDS_ALL {
                assert_eq!(next, good("<1> /\nf\nalive\n"), "{command}");
            } else {
                let began = format!("{RESTARTED}<> {workspace}\n");
                assert!(next.text().starts_with(&began), "{command}: {next:?}");
            }
        }
    });
}

/// They are found, ended and told like those of a shell as it was started.
#[cfg(all(target_os = "linux", not(heddle_portable)))]
#[test]
fn a_shell_that_was_taken_over_is_like_the_first() {
    everywhere(|jail| {
        let begun = jail.bash("sleep 1000 & echo $! > first; x=kept; shopt -s extglob");
        assert_eq!(begun, good("(no output)"));
        for _ in 0..3 {
            assert_eq!(jail.bash("exit 1"), bad(&ended("with status 1")));
            assert_eq!(jail.bash("echo $x; shopt -q extglob && echo set; echo $-"), good("kept\nset\nhBs\n"));
        }
        // Programs get SIGINT, no socket, no more children than there are, and nothing on standard input.
        assert_eq!(jail.bash("bash -c 'kill -INT $$; echo on'; echo $?"), good("130\n"));
        assert_eq!(jail.bash("bash -c 'readlink /proc/$$/fd/*' | grep -c socket; true"), good("0\n"));
        assert_eq!(jail.bash("sleep 0.1 & wait; jobs; cat; echo waited"), good("waited\n"));
        assert_eq!(jail.bash("sleep 1000 & y=$!; true"), good("(no output)"));
        assert_eq!(jail.bash("[ $! = $y ] && jobs | wc -l"), good("1\n"));
        for wrong in ["echo 'no end", "echo )", "if true; then", "\\", "echo $((1/0))", "echo ${x!}"] {
            jail.bash(wrong);
            assert_eq!(jail.bash("echo $x"), good("kept\n"), "after {wrong}");
        }
        let late = jail
            .call("bash", json!({"command": "sleep 1000 & echo $! > last; sleep 1000", "timeout_ms": 1_000}));
        assert!(late.text().contains("timed out after 1000 ms"), "{late:?}");
        let gone =
            "for pid in $(cat first last); do kill -0 $pid 2>/dev/null && echo alive; done; echo looked";
        assert_eq!(jail.bash(gone), good(&format!("{RESTARTED}looked\n")));
        if jail.isolation == sandbox::Isolation::Local {
            // No more than the one that is put aside for this command.
            assert_eq!(jail.bash("cat /proc/[0-9]*/stat | grep -c ') T '"), good("1\n"));
        }
    });
}

#[test]
fn what_was_put_aside_for_a_command_is_not_seen_by_it() {
    everywhere(|jail| {
        assert_eq!(jail.bash("sleep 1000 & y=$!; true"), good("(no output)"));
        assert_eq!(jail.bash("[ $! = $y ] && jobs | wc -l"), good("1\n"));
        assert_eq!(
            jail.bash("kill %1; wait; jobs >/dev/null; jobs | wc -l").text().lines().last(),
            Some("0")
        );
        // Woken too early, it goes on waiting.
        assert_eq!(jail.bash("kill -CONT -1 2>/dev/null; echo on"), good("on\n"));
        assert_eq!(jail.bash("echo on"), good("on\n"));
    });
}

#[test]
fn a_commit_needs_no_questions_first() {
    everywhere(|jail| {
        let commit = "git init -q r 2>/dev/null && cd r && touch a && git add a && git commit -qm first && git log --format='%an <%ae> %s'";
        let here = jail.isolation == sandbox::Isolation::Local && !jail.bash("git --version").is_error;
        if here {
            assert_eq!(jail.bash(commit), good("agent <agent@sandbox.invalid> first\n"));
            assert_eq!(
                jail.bash(
                    "git config user.name me; git commit -q --allow-empty -m x; git log -1 --format=%an"
                ),
                good("me\n")
            );
            assert_eq!(jail.bash("git config --get-all safe.directory"), good("*\n"));
        }
    });
}

#[test]
fn a_restart_gives_a_fresh_shell_and_runs_the_command_that_came_with_it() {
    everywhere(|jail| {
        assert_eq!(jail.bash("x=1"), good("(no output)"));
        assert_eq!(jail.call("bash", json!({"restart": true})), good(RESTARTED.trim_end()));
        assert_eq!(jail.bash("echo \"<$x>\"; x=2"), good("<>\n"));
        let both = jail.call("bash", json!({"restart": true, "command": "echo \"<$x>\""}));
        assert_eq!(both, good(&format!("{RESTARTED}<>\n")));
        assert_eq!(jail.bash("echo still"), good("still\n"));
        let neither = jail.call("bash", json!({"restart": false}));
        assert!(
            neither.is_error && neither.text().starts_with("`command`: this field is required."),
            "{neither:?}"
        );
    });
}

#[test]
fn a_shell_of_an_earlier_jail_is_told_as_lost_once() {
    everywhere(|jail| {
        let call = jail.send_as("t", "bash", json!({"command": "echo a"}), true);
        assert_eq!(jail.answer(call), good(&format!("{RESTARTED}a\n")));
        let call = jail.send_as("t", "bash", json!({"command": "echo b"}), true);
        assert_eq!(jail.answer(call), good("b\n"));
    });
}

#[test]
fn a_command_that_takes_too_long_ends_with_what_it_said_and_everything_it_started() {
    everywhere(|jail| {
        let late = |said: &str, ms: u32| {
            bad(&format!(
                "{said}[timed out after {ms} ms and was killed, with everything this shell had started; send a \
                 larger timeout_ms (at most 600000), or start long work in the background with its output in a file]"
            ))
        };
        let run = |jail: &mut Jail, command: &str, ms: u32| {
            jail.call("bash", json!({"command": command, "timeout_ms": ms}))
        };
        assert_eq!(run(jail, "echo begun; sleep 1000", 2_000), late("begun\n", 2_000));
        assert_eq!(jail.bash("echo on"), good(&format!("{RESTARTED}on\n")));
        // Deaf to everything but SIGKILL, in a session of its own, with a child whose parent is gone.
        let deaf = format!(
            "{APART} bash -c 'trap \"\" INT TERM HUP; (while :; do sleep 1; done) & echo $! > deaf; wait' & \
             until [ -s deaf ]; do :; done; trap '' INT TERM; echo begun; while :; do :; done"
        );
        let began = now();
        assert_eq!(run(jail, &deaf, 5_000), late("begun\n", 5_000));
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        assert_eq!(
            jail.bash("kill -0 $(cat deaf) 2>/dev/null && cat /proc/$(cat deaf)/stat").text(),
            format!("{RESTARTED}[exit status 1]")
        );
        // One that listens to SIGINT may say its last words.
        let polite = "bash -c 'trap \"echo bye; exit\" INT; sleep 1000 & wait'";
        assert_eq!(run(jail, polite, 2_000), late("bye\n", 2_000));
        let beyond = run(jail, "true", 600_001);
        assert!(
            beyond
                .text()
                .starts_with("`timeout_ms`: must be a whole number, between 1 and 600000, is 600001."),
            "{beyond:?}"
        );
    });
}

#[test]
fn a_cancelled_command_is_answered_when_its_processes_are_gone() {
    everywhere(|jail| {
        let call = jail.send("bash", json!({"command": "sleep 1000 & echo $! > pid; wait"}));
        let waiting = jail.send("bash", json!({"command": "echo never > never"}));
        jail.until("other", "[ -s pid ]");
        let began = now();
        jail.cancel(waiting);
        jail.cancel(call);
        assert_eq!(jail.answer(call), bad("[cancelled, and killed with everything this shell had started]"));
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert_eq!(jail.answer(waiting), bad("cancelled before it began"));
        let gone = jail.bash("kill -0 $(cat pid) 2>/dev/null || echo gone; ls never 2>/dev/null; true");
        assert_eq!(gone, good(&format!("{RESTARTED}gone\n")));
    });
}

#[test]
fn threads_have_shells_of_their_own_that_run_side_by_side() {
    everywhere(|jail| {
        let one = jail.send_as(
            "one",
            "bash",
            json!({"command": "x=1; until [ -e go ]; do :; done; echo $x"}),
            false,
        );
        let two = jail.send_as("two", "bash", json!({"command": "echo \"<$x>\"; touch go"}), false);
        assert_eq!(jail.answer(two), good("<>\n"));
        assert_eq!(jail.answer(one), good("1\n"));
        // One that is killed leaves the other's background alone.
        let two = jail.send_as("two", "bash", json!({"command": "sleep 1000 & echo $! > pid"}), false);
        assert_eq!(jail.answer(two), good("(no output)"));
        let one = jail.send_as("one", "bash", json!({"restart": true}), false);
        assert_eq!(jail.answer(one), good(RESTARTED.trim_end()));
        let two = jail.send_as("two", "bash", json!({"command": "kill -0 $(cat pid) && echo alive"}), false);
        assert_eq!(jail.answer(two), good("alive\n"));
    });
}

#[test]
fn commands_of_one_thread_run_one_after_the_other() {
    everywhere(|jail| {
        let calls: Vec<_> =
            (0..20).map(|n| jail.send("bash", json!({"command": format!("x=${{x}}{n}; echo $x")}))).collect();
        let mut expected = String::new();
        for (n, call) in calls.into_iter().enumerate() {
            expected += &n.to_string();
            assert_eq!(jail.answer(call), good(&format!("{expected}\n")));
        }
    });
}

#[test]
fn what_goes_on_in_the_background_blocks_nothing_and_is_told_with_the_next_command() {
    everywhere(|jail| {
        let serve = "(until [ -e go ]; do :; done; echo late; touch said; sleep 1000) & echo up";
        assert_eq!(jail.bash(serve), good("up\n"));
        assert!(!jail.bash("touch go; until [ -e said ]; do :; done 2>/dev/null").is_error);
        // A flood without end: the shell goes on, and only the last of it is kept.
        assert!(!jail.bash("yes flood & true").is_error);
        for _ in 0..5 {
            let answer = jail.bash("touch mark");
            assert!(!answer.is_error && answer.text().len() < 120_000, "{}", answer.text().len());
        }
        assert_eq!(jail.call("bash", json!({"restart": true})), good(RESTARTED.trim_end()));
        assert_eq!(jail.bash("echo quiet"), good("quiet\n"));
        let answer = jail.bash("(echo from behind; touch behind) > /dev/stdout & wait; echo here");
        assert_eq!(answer, good("from behind\nhere\n"));
        assert_eq!(
            jail.bash("(until [ -e go2 ]; do :; done; echo word; touch said2) & true"),
            good("(no output)")
        );
        let call = jail.send_as(
            "other",
            "bash",
            json!({"command": "touch go2; until [ -e said2 ]; do :; done"}),
            false,
        );
        assert_eq!(jail.answer(call), good("(no output)"));
        let expected =
            "[from background processes since the last command:]\nword\n\n[from this command:]\nhere\n";
        assert_eq!(jail.bash("echo here"), good(expected));
    });
}

#[test]
fn a_long_output_is_whole_in_a_file_and_both_its_ends_are_in_the_answer() {
    everywhere(|jail| {
        assert_eq!(jail.bash("head -c 100000 /dev/zero | tr '\\0' x").text().len(), 100_000);
        let answer = jail.bash("seq 1 100000");
        let whole = (1..=100_000).fold(String::new(), |whole, n| whole + &n.to_string() + "\n");
        let path = jail.layout.results.join("sevt_2.txt");
        let left = whole.len() - 16_000;
        let note = format!(
            "\n\n[{left} of {} characters are left out here. The whole text is in {}: read parts of it with `read` \
             and `view_range`, or search it with `grep`.]\n\n",
            whole.len(),
            path.display()
        );
        assert_eq!(answer, good(&format!("{}{note}{}", &whole[..8_000], &whole[whole.len() - 8_000..])));
        let lines = jail.call("read", json!({"file_path": path, "view_range": [50_000, 50_001]}));
        assert_eq!(lines, good("50000\n50001\n"));
        let found = jail.call("grep", json!({"pattern": "^77777$", "path": path}));
        assert_eq!(found, good(&format!("{}:77777:77777", path.display())));
        let failed = jail.bash("seq 1 100000; exit 7");
        assert!(failed.is_error && failed.text().ends_with(&format!("100000\n{}", ended("with status 7"))));
    });
}

#[test]
fn bytes_that_are_no_text_come_as_marks() {
    everywhere(|jail| {
        assert_eq!(jail.bash("printf 'a\\0b\\377c\\303\\244'"), good("a\u{fffd}b\u{fffd}cä"));
        let random: Answer = jail.bash("head -c 200000 /dev/urandom");
        assert!(!random.is_error);
        assert_eq!(jail.bash("echo on"), good("on\n"));
    });
}

#[test]
fn a_command_of_the_most_bytes_runs_and_one_more_is_refused() {
    everywhere(|jail| {
        let command = format!("wc -c <<'E'\n{}\nE\n", "xxxxxxx'".repeat(130_000));
        assert_eq!(jail.bash(&command), good("1040001\n"));
        let more = jail.bash(&"x".repeat((1 << 20) + 1));
        assert!(more.is_error && more.text().starts_with("`command`: must have at most 1 MiB;"), "{more:?}");
    });
}

#[test]
fn when_too_many_shells_live_the_one_that_was_idle_for_longest_makes_room() {
    everywhere(|jail| {
        let run = |jail: &mut Jail, thread: usize, command: &str| {
            let call = jail.send_as(&format!("t{thread}"), "bash", json!({"command": command}), false);
            jail.answer(call)
        };
        for thread in 0..70 {
            assert_eq!(run(jail, thread, "x=1"), good("(no output)"));
        }
        assert_eq!(run(jail, 69, "echo \"<$x>\""), good("<1>\n"));
        assert_eq!(run(jail, 0, "echo \"<$x>\""), good(&format!("{RESTARTED}<>\n")));
    });
}

#[test]
fn an_interrupt_reaches_programs_also_if_the_server_ignores_it() {
    let mut jail = Jail::deaf();
    let answer =
        jail.bash("bash -c 'trap \"echo bye\" INT QUIT HUP; kill -INT $$; kill -QUIT $$; kill -HUP $$'");
    assert_eq!(answer, good("bye\nbye\nbye\n"));
}
