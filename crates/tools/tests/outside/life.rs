//! The life of a session's jail: one for its threads, its end, its files, and what the sweep takes.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use protocol::{SessionId, Timestamp, tool::BuiltinName};
use sandbox::Isolation;
use serde_json::json;
use tools::{JailSettings, LocalToolRunner, PairedClocks, ToolRunner};

use crate::support::{
    CHILD, MAIN, ONE, TWO, World, bash, ended, failed, jail, kill, odd, run, said, text, within,
};

const RESTARTED: &str = "[shell restarted: working directory and variables are gone]";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_made_at_once_share_one_jail_and_its_files() {
    let world = jail(Isolation::Local, |_| {});
    let first = bash(ONE, MAIN, "echo one > one; cat /proc/1/stat | cut -d' ' -f 22");
    let other = bash(ONE, CHILD, "echo two > two; cat /proc/1/stat | cut -d' ' -f 22");
    let (first, other) = tokio::join!(world.run(first), world.run(other));
    // The same pid 1, or it would not have started at the same tick.
    assert_eq!((&first, first.is_error), (&other, false));
    assert_eq!(world.jails(), 1);
    assert_eq!(text(&world.bash(ONE, "cat one two").await).trim(), "one\ntwo");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_that_leaves_takes_its_shell_along_and_no_other() {
    for isolation in [Isolation::Local, Isolation::Off] {
        let world = jail(isolation, |_| {});
        assert!(!world.bash(ONE, "X=kept").await.is_error);
        let lives = "sleep 1000 & echo $! > pid; [ -e /proc/$! ] && echo lives";
        let child = world.run(bash(ONE, CHILD, lives)).await;
        assert_eq!(text(&child).trim(), "lives");
        world.hands.leave(ONE, CHILD);
        // Answered behind the leaving; then it is a matter of the shell's end.
        let gone = "until [ ! -e /proc/$(cat pid) ]; do sleep 0.02; done; echo gone $X";
        assert_eq!(text(&within(30, world.bash(ONE, gone)).await).trim(), "gone kept");
        let again = world.run(bash(ONE, CHILD, "echo anew")).await;
        assert_eq!(text(&again).trim(), "anew");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_without_room_for_processes_runs_what_its_shell_does_by_itself() {
    let world = jail(Isolation::Local, |settings| settings.limits.processes = 64);
    // It takes what becomes free, too.
    let fill = "python3 -c '
import os, signal, time
while True:
    try:
        if os.fork() == 0: signal.pause()
    except BlockingIOError:
        open(\"full\", \"a\").write(\"x\")
        time.sleep(0.01)' & x=kept; until [ -s full ]; do :; done";
    assert!(!within(30, world.bash(ONE, fill)).await.is_error);
    let crowded = within(10, world.bash(ONE, "echo $x; kill -9 -1; echo on")).await;
    let told = text(&crowded);
    // What the shell says of its own background job may come behind it.
    let said = told.starts_with("[this session has as many processes") && told.contains("]\nkept\non\n");
    assert!(said, "{told}");
    let programs = async { while text(&world.bash(ONE, "ls -d /workspace").await).trim() != "/workspace" {} };
    within(10, programs).await;
    // Copies of it are put aside again.
    assert!(text(&world.bash(ONE, "exit 3").await).starts_with("[the command ended its shell with status 3"));
    assert_eq!(text(&world.bash(ONE, "echo $x").await).trim(), "kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_do_not_see_each_other() {
    let world = jail(Isolation::Local, |_| {});
    let secret = world.bash(ONE, "echo secret > here; sleep 600 & pwd").await;
    assert_eq!(text(&secret).trim(), "/workspace");
    let look =
        "ls -A /workspace /home /mnt/session/outputs; cat /workspace/here; ls /proc | grep -c '^[0-9]'";
    let seen = text(&world.bash(TWO, look).await);
    assert!(!seen.contains("secret") && seen.contains("/workspace/here: No such file"), "{seen}");
    for path in [world.folder(ONE), world.root(), world.data.path().to_owned()] {
        let seen = world.bash(TWO, &format!("ls -la {}", path.display())).await;
        assert!(seen.is_error && text(&seen).contains("No such file"), "{seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_jail_ends_and_its_files_stay_but_its_shells_do_not() {
    for isolation in [Isolation::Local, Isolation::Off] {
        let world = jail(isolation, |settings| settings.idle = Duration::from_millis(700));
        let first = world.bash(ONE, "mkdir d; cd d; echo kept > file; X=1").await;
        assert!(!first.is_error, "{first:?}");
        if let Some(jail) = world.jail(ONE) {
            ended(jail).await;
        }
        let next = text(&world.bash(ONE, "echo X=$X; cat d/file").await);
        assert_eq!(next.trim(), format!("{RESTARTED}\nX=\nkept"));
        // Told once; and a thread that had no shell has lost none.
        assert_eq!(text(&world.bash(ONE, "echo again").await).trim(), "again");
        let child = world.run(bash(ONE, CHILD, "echo child")).await;
        assert_eq!(text(&child).trim(), "child");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shell_that_went_with_an_earlier_server_is_told_of_too() {
    let world = jail(Isolation::Local, |_| {});
    assert_eq!(text(&world.bash(ONE, "echo one").await).trim(), "one");
    world.hands.stop().await;
    assert_eq!(world.jails(), 0);

    let mut settings = JailSettings::new(world.root(), crate::support::TRUE_JAIL.into());
    settings.limits.free_bytes = 0;
    let later = LocalToolRunner::new(settings);
    let next = run(&later, bash(ONE, MAIN, "echo two")).await;
    assert_eq!(text(&next).trim(), format!("{RESTARTED}\ntwo"));
    later.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_kills_what_runs_and_the_session_goes_on() {
    for isolation in [Isolation::Local, Isolation::Off] {
        let world = jail(isolation, |_| {});
        let mut sign = world.sign(ONE, "sign");
        let run = "trap '' INT TERM; echo $$ > pid; echo x > sign; sleep 1000; echo late > late";
        tokio::select! {
            outcome = world.bash(ONE, run) =>
                panic!("{outcome:?}"),
            () = sign.seen() => {}
        }
        // The same thread: it is run when the shell of the one before is gone.
        let next = within(10, world.bash(ONE, "kill -0 $(cat pid) 2>&1 || true; ls late 2>&1 || true")).await;
        let next = text(&next);
        assert!(next.starts_with(RESTARTED), "{next}");
        assert!(next.contains("No such process") && next.contains("No such file"), "{next}");
        assert_eq!(world.jails(), 1, "the jail itself lives on");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_jail_answers_what_ran_and_the_files_are_there() {
    let world = jail(Isolation::Local, |_| {});
    let mut sign = world.sign(ONE, "sign");
    let killed = async {
        sign.seen().await;
        kill(world.jail(ONE).unwrap());
    };
    let run = world.bash(ONE, "echo kept > file; echo x > sign; sleep 1000");
    let (outcome, ()) = within(30, async { tokio::join!(run, killed) }).await;
    assert!(outcome.is_error && text(&outcome).contains("Check before you repeat it."), "{outcome:?}");
    let next = text(&world.bash(ONE, "cat file").await);
    assert_eq!(next.trim(), format!("{RESTARTED}\nkept"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_session_answers_its_calls_and_keeps_its_files() {
    let world = odd(|_| {});
    let mut sign = world.sign(ONE, "sign");
    let end = async {
        sign.seen().await;
        world.hands.end(ONE).await;
    };
    let (outcome, ()) = within(30, async { tokio::join!(world.bash(ONE, "hang sign"), end) }).await;
    assert_eq!(outcome, failed("The session is over; nothing more runs in it."));
    assert_eq!((world.jails(), world.folder(ONE).is_dir()), (0, true));
    // Of a session that has none there is nothing to end.
    world.hands.end(TWO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_session_leaves_no_jail_and_no_file_whatever_it_is_doing() {
    let world = jail(Isolation::Local, |_| {});
    // Under a call.
    let mut sign = world.sign(ONE, "sign");
    let remove = async {
        sign.seen().await;
        world.hands.remove(ONE).await;
    };
    let run = world.bash(ONE, "mkdir -p a/b; chmod 000 a; echo x > sign; sleep 1000");
    let (outcome, ()) = within(30, async { tokio::join!(run, remove) }).await;
    assert_eq!(outcome, failed("The session is over; nothing more runs in it."));
    assert_eq!((world.jails(), world.folder(ONE).exists()), (0, false));

    // With no jail, and with nothing at all.
    world.folders().make(&TWO.to_string()).unwrap();
    world.hands.remove(TWO).await;
    world.hands.remove(TWO).await;
    assert!(!world.folder(TWO).exists());

    // Under a start, more than once at once, and given up on.
    for _ in 0..5 {
        let removed = async {
            while !world.folder(ONE).exists() {
                tokio::task::yield_now().await;
            }
            let _given_up = futures_util::poll!(world.hands.remove(ONE));
            tokio::join!(world.hands.remove(ONE), world.hands.remove(ONE));
        };
        let run = world.bash(ONE, "sleep 1000");
        let (outcome, ()) = within(30, async { tokio::join!(run, removed) }).await;
        assert_eq!(outcome, failed("The session is over; nothing more runs in it."));
        assert_eq!((world.jails(), world.folder(ONE).exists()), (0, false));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_under_a_removal_is_answered_at_once() {
    let world = odd(|_| {});
    let folder = world.folders().make(&ONE.to_string()).unwrap();
    // As the remains of a jail would, this holds the removal up.
    let lock = std::fs::File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let mut removal = world.hands.remove(ONE);
    assert!(futures_util::poll!(&mut removal).is_pending());
    let outcome = within(5, world.bash(ONE, "unknown")).await;
    assert_eq!(outcome, failed("The session is over; nothing more runs in it."));
    drop(lock);
    within(30, removal).await;
    assert_eq!((world.jails(), folder.exists()), (0, false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_ends_all_jails_side_by_side_and_takes_no_more_calls() {
    let world = odd(|_| {});
    let sessions: Vec<_> = (1..=6).map(SessionId::from_bits).collect();
    let mut signs: Vec<_> = sessions.iter().map(|session| world.sign(*session, "sign")).collect();
    let stop = async {
        for sign in &mut signs {
            sign.seen().await;
        }
        assert_eq!(world.jails(), 6);
        within(5, world.hands.stop()).await;
    };
    let runs = join_all(sessions.iter().map(|session| world.bash(*session, "hang sign")));
    let (outcomes, ()) = within(30, async { tokio::join!(runs, stop) }).await;
    let stopped =
        failed("The server stopped while this ran; its outcome is unknown. Check before you repeat it.");
    assert_eq!(outcomes, vec![stopped; 6]);
    assert_eq!(world.jails(), 0);
    let late = world.bash(ONE, "unknown").await;
    assert_eq!(late, failed("The server is stopping, so nothing ran. Try again later."));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_most_jails_the_longest_idle_one_makes_room() {
    let world = odd(|settings| {
        settings.jails_max = 2;
        settings.wait = Duration::from_millis(500);
    });
    let three = SessionId::from_bits(3);
    assert_eq!(world.bash(ONE, "unknown").await, said("mine"));
    assert_eq!(world.bash(TWO, "unknown").await, said("mine"));
    assert_eq!(world.bash(ONE, "unknown").await, said("mine"));
    assert_eq!(world.bash(three, "unknown").await, said("mine"));
    let alive = [ONE, TWO, three].map(|session| world.jail(session).is_some());
    assert_eq!(alive, [true, false, true]);

    let (mut one, mut other) = (world.sign(ONE, "sign"), world.sign(three, "sign"));
    let full = async {
        one.seen().await;
        other.seen().await;
        world.bash(TWO, "unknown").await
    };
    tokio::select! {
        outcome = world.bash(ONE, "hang sign") => panic!("{outcome:?}"),
        outcome = world.bash(three, "hang sign") => panic!("{outcome:?}"),
        outcome = within(30, full) => {
            let said = text(&outcome);
            assert!(outcome.is_error && said.starts_with("Nothing ran: in 0 s none of the 2 sandboxes"), "{said}");
            assert!(said.contains("and 0 sessions are before it"), "{said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_of_many_sessions_at_once_each_get_their_own_answer() {
    let world = jail(Isolation::Local, |_| {});
    let sessions: Vec<_> = (0..100_u128).map(|n| (n, SessionId::from_bits(100 + n % 8))).collect();
    let world = &world;
    let runs = join_all(sessions.iter().map(|(n, session)| async move {
        let file = format!("f{n}");
        let content = format!("content {n} of {session}");
        let wrote =
            world.tool(*session, BuiltinName::Write, json!({"file_path": file, "content": content})).await;
        let read = world.tool(*session, BuiltinName::Read, json!({"file_path": file})).await;
        (wrote.is_error, read, said(&content))
    }));
    for (write_failed, read, expected) in within(120, runs).await {
        assert_eq!((write_failed, read), (false, expected));
    }
    assert_eq!(world.jails(), 8);
    let counts = join_all(
        (0..8)
            .map(|n| world.tool(SessionId::from_bits(100 + n), BuiltinName::Glob, json!({"pattern": "f*"}))),
    );
    let files: BTreeSet<String> = counts
        .await
        .iter()
        .flat_map(|found| text(found).lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    assert_eq!(files.len(), 100);
    within(5, world.hands.stop()).await;
    assert_eq!(world.jails(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_starts_on_a_disk_that_is_nearly_full_and_is_told_so() {
    for isolation in [Isolation::Local, Isolation::Off] {
        let world = jail(isolation, |settings| settings.limits.free_bytes = u64::MAX);
        let outcome = world.bash(ONE, "echo x > file; ls -s file").await;
        let said = text(&outcome);
        assert!(
            said.starts_with("[the server's disk has ") && said.contains("File too large"),
            "{outcome:?}"
        );
        assert!(said.ends_with("0 file\n"), "{outcome:?}");
    }
}

#[cfg(all(target_os = "linux", not(heddle_portable)))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_memory_runs_short_a_jail_is_ended_and_its_call_told_why() {
    let world = jail(Isolation::Off, |settings| settings.limits.memory_free_bytes = u64::MAX);
    let outcome = tokio::select! {
        outcome = world.bash(ONE, "x=$(head -c 100000000 /dev/zero | tr '\\0' x); sleep 1000") => outcome,
        () = world.hands.watch() => panic!("the watch ended"),
    };
    let said = text(&outcome);
    assert!(
        outcome.is_error && said.starts_with("The server's memory ran short, and the sandbox, which held "),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jail_that_cannot_start_is_an_outcome_that_says_so() {
    let world = crate::support::world("/nowhere/heddle", Isolation::Off, |_| {});
    for _ in 0..2 {
        let outcome = within(30, world.bash(ONE, "echo x")).await;
        let said = text(&outcome);
        assert!(outcome.is_error && said.starts_with("Nothing ran: the sandbox cannot start: "), "{said}");
        assert!(said.contains("heddle doctor"), "{said}");
    }
    let refused = crate::support::world("/bin/false", Isolation::Off, |_| {});
    let outcome = within(30, refused.bash(ONE, "echo x")).await;
    assert!(outcome.is_error && text(&outcome).starts_with("Nothing ran: "), "{outcome:?}");
}

const DAY_MICROS: i64 = 86_400_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sweep_takes_what_is_gone_or_long_unused_and_nothing_else() {
    let world = odd(|_| {});
    let [gone, old, alive, gone_alive] = [11, 12, 13, 14].map(SessionId::from_bits);
    for session in [gone, old] {
        world.folders().make(&session.to_string()).unwrap();
    }
    for session in [alive, gone_alive] {
        assert_eq!(world.bash(session, "unknown").await, said("mine"));
    }
    let strangers = ["sesn_1", "notes", "sess_1111111111111111111113"].map(|name| world.root().join(name));
    for stranger in &strangers {
        std::fs::create_dir(stranger).unwrap();
    }
    std::fs::write(world.root().join("file"), "x").unwrap();
    let folders = || [gone, old, alive, gone_alive].map(|session| world.folder(session).exists());
    let asked = Mutex::new(BTreeSet::new());
    let exists = |session| {
        asked.lock().unwrap().insert(session);
        std::future::ready(session != gone && session != gone_alive)
    };

    let began = micros_now();
    let at = |days: i64, hours: u32| PairedClocks {
        wall: Timestamp::from_micros(began + days * DAY_MICROS + i64::from(hours) * (DAY_MICROS / 24)),
        steady: Duration::from_hours(hours.into()),
    };
    let mut sweep = world.hands.sweep();
    // The engine's jobs are sent between threads.
    sent(sweep.run(at(0, 0), exists)).await;
    assert_eq!(folders(), [false, true, true, false]);
    assert_eq!(*asked.lock().unwrap(), BTreeSet::from([gone, old, alive, gone_alive]));
    assert_eq!(world.jails(), 1);

    // A clock 40 days ahead removes nothing, and when it is set right again nothing is remembered.
    sweep.run(at(40, 1), exists).await;
    sweep.run(at(40, 24), exists).await;
    sweep.run(at(0, 25), exists).await;
    assert_eq!(folders(), [false, true, true, false]);
    // A server that was away for a month.
    let mut sweep = world.hands.sweep();
    sweep.run(at(31, 0), exists).await;
    sweep.run(at(31, 12), exists).await;
    drop(sweep);
    let mut sweep = world.hands.sweep();
    sweep.run(at(31, 14), exists).await;
    sweep.run(at(31, 25), exists).await;
    assert_eq!(folders(), [false, true, true, false], "23 hours are no day");
    sweep.run(at(31, 26), exists).await;
    assert_eq!(folders(), [false, false, true, false], "one with a jail is in use");
    assert!(strangers.iter().all(|stranger| stranger.is_dir()) && world.root().join("file").is_file());
    assert_eq!(world.bash(alive, "unknown").await, said("mine"));
}

fn sent<F: Future + Send>(future: F) -> F {
    future
}

fn micros_now() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the file system stamps with the real time")]
    let now = std::time::SystemTime::now();
    i64::try_from(now.duration_since(std::time::UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_of_nothing_is_well() {
    let world = odd(|_| {});
    let now = PairedClocks { wall: Timestamp::from_micros(0), steady: Duration::ZERO };
    world.hands.sweep().run(now, |_| std::future::ready(false)).await;
    assert!(!world.root().exists());
}

/// What models are told of bash.
fn told(world: &World) -> String {
    world.hands.toolbox(ONE).of(BuiltinName::Bash).unwrap().description.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_meets_the_limits_that_its_model_is_told() {
    let world = jail(Isolation::Local, |_| {});
    let limits = world.bash(ONE, "echo $(ulimit -Hu) $(ulimit -Hn) $(ulimit -Hd) $(ulimit -Hf)").await;
    let met: Vec<u64> = text(&limits).split_whitespace().map(|limit| limit.parse().unwrap()).collect();
    let [processes, files, memory_kib, file_kib] = met[..] else { panic!("{met:?}") };
    let (memory, file) = (memory_kib >> 20, file_kib >> 20);
    let (told, limits) =
        (told(&world), format!("Limits: {processes} processes, {files} open files a process"));
    assert!(told.contains(&format!("{limits}, {memory} GiB of memory ")), "{met:?}: {told}");
    assert!(told.contains(&format!(", {file} GiB a file, 10 GiB of files.")), "{met:?}: {told}");
    assert!((1_024..=4_096).contains(&files), "{files}");
}

#[test]
fn a_model_is_told_where_the_tools_find_themselves() {
    let local = jail(Isolation::Local, |settings| {
        settings.limits.data_bytes = 1 << 30;
        settings.limits.disk_bytes = 5 << 30;
    });
    let inside = told(&local);
    let place =
        "It begins in /workspace; put finished files for the user into /mnt/session/outputs. The machine has";
    assert!(inside.contains(place), "{inside}");
    assert!(inside.contains(", 1 GiB of memory ") && inside.contains(", 5 GiB of files."), "{inside}");
    assert!(
        inside.contains("A command gets 120 seconds unless `timeout_ms` says otherwise (at most 600000)")
    );
    assert!(Arc::ptr_eq(&local.hands.toolbox(ONE), &local.hands.toolbox(TWO)), "no request makes it anew");
    let off: World = jail(Isolation::Off, |_| {});
    let folder = off.folder(ONE);
    let (workspace, outputs) = (folder.join("workspace"), folder.join("outputs"));
    let (workspace, outputs) = (workspace.display(), outputs.display());
    let place =
        format!("It begins in {workspace}; put finished files for the user into {outputs}. It runs on the");
    let outside = told(&off);
    assert!(outside.contains(&place) && !outside.contains("Limits:"), "{outside}");
}
