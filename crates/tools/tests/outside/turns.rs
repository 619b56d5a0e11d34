//! Turns: more sessions than jails, each of which gets one in the order in which it came.

use std::future::pending;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::{join_all, poll_immediate};
use protocol::SessionId;
use sandbox::Isolation;
use tokio::sync::oneshot;
use tools::{ToolOutcome, ToolRunner};

use crate::support::{CHILD, MAIN, ONE, TWO, bash, failed, jail, odd, said, text, within};

const THREE: SessionId = SessionId::from_bits(3);

/// Lets a call come as far as it can by itself. Nothing tells from outside that it waits for its turn.
async fn stands_in_line<F: Future<Output = ToolOutcome>>(mut call: Pin<&mut F>) {
    for _ in 0..20 {
        assert!(poll_immediate(call.as_mut()).await.is_none());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_session_has_its_turn_in_the_order_in_which_it_came() {
    let world = jail(Isolation::Off, |settings| settings.jails_max = 2);
    let order = Mutex::new(Vec::new());
    let (mut one, mut two) = (world.sign(ONE, "sign"), world.sign(TWO, "sign"));
    let hold = |session| world.bash(session, "echo x > sign; until [ -e go ]; do sleep 0.05; done");
    let (first, second) = (hold(ONE), hold(TWO));
    let rest = async {
        one.seen().await;
        two.seen().await;
        let mut calls: Vec<_> = (10..22)
            .map(|n| {
                let session = SessionId::from_bits(10 + n % 6);
                let order = &order;
                let world = &world;
                Box::pin(async move {
                    let outcome = world.bash(session, "sleep 0.1").await;
                    order.lock().unwrap().push(session);
                    outcome
                })
            })
            .collect();
        // Each stands in the line before the next.
        for call in &mut calls {
            stands_in_line(call.as_mut()).await;
        }
        for session in [ONE, TWO] {
            std::fs::write(world.folder(session).join("workspace/go"), "").unwrap();
        }
        join_all(calls).await
    };
    let (first, second, rest) = within(60, async { tokio::join!(first, second, rest) }).await;
    assert!(!first.is_error && !second.is_error);
    assert!(rest.iter().all(|outcome| !outcome.is_error), "{rest:?}");
    let order = order.into_inner().unwrap();
    // Two at once, so that each is one place off at most; and both calls of a session share its turn.
    let expected: Vec<_> = (10..16).map(|n| SessionId::from_bits(10 + n % 6)).collect();
    for (place, session) in expected.iter().enumerate() {
        let at = order.iter().position(|other| other == session).unwrap();
        assert!(at.abs_diff(place * 2) <= 3, "{session} came {at}th: {order:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_always_has_a_call_under_way_lets_those_who_wait_go_first() {
    let world = odd(|settings| {
        settings.jails_max = 1;
        settings.turn = Duration::ZERO;
    });
    let mut sign = world.sign(ONE, "sign");
    let mut running = Box::pin(world.bash(ONE, "hang sign"));
    assert!(poll_immediate(running.as_mut()).await.is_none());
    tokio::select! { outcome = &mut running => panic!("{outcome:?}"), () = sign.seen() => {} }
    let mut waits = Box::pin(world.bash(TWO, "unknown"));
    stands_in_line(waits.as_mut()).await;
    // The session that has the jail comes again, on another thread, and stands behind.
    let mut again = Box::pin(world.run(bash(ONE, CHILD, "unknown")));
    stands_in_line(again.as_mut()).await;
    drop(running);
    let (waited, after) = within(60, async { tokio::join!(waits, again) }).await;
    assert_eq!((waited, after), (said("mine"), said("mine")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_wait_are_given_up_ended_and_stopped_and_hold_up_nobody() {
    let world = odd(|settings| settings.jails_max = 1);
    let mut sign = world.sign(ONE, "sign");
    let mut running = Box::pin(world.bash(ONE, "hang sign"));
    tokio::select! { outcome = &mut running => panic!("{outcome:?}"), () = sign.seen() => {} }
    let over = failed("The session is over; nothing more runs in it.");
    for remove in [false, true] {
        let ends = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if remove { world.hands.remove(TWO).await } else { world.hands.end(TWO).await }
        };
        let (outcome, ()) = within(10, async { tokio::join!(world.bash(TWO, "unknown"), ends) }).await;
        assert_eq!(outcome, over);
    }
    // The first that waits gives up, and the second has its turn all the same.
    let mut first = Box::pin(world.bash(TWO, "unknown"));
    let mut second = Box::pin(world.bash(THREE, "unknown"));
    stands_in_line(first.as_mut()).await;
    stands_in_line(second.as_mut()).await;
    drop((first, running));
    assert_eq!(within(60, second).await, said("mine"));

    let mut sign = world.sign(ONE, "sign-2");
    let mut running = Box::pin(world.run(bash(ONE, MAIN, "hang sign-2")));
    tokio::select! { outcome = &mut running => panic!("{outcome:?}"), () = sign.seen() => {} }
    let stops = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        world.hands.stop().await;
    };
    let (outcome, ()) = within(10, async { tokio::join!(world.bash(TWO, "unknown"), stops) }).await;
    assert_eq!(outcome, failed("The server is stopping, so nothing ran. Try again later."));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waited_is_told_how_long() {
    let world = jail(Isolation::Off, |settings| settings.jails_max = 1);
    let mut sign = world.sign(ONE, "sign");
    let mut running = Box::pin(world.bash(ONE, "echo x > sign; sleep 2.5"));
    tokio::select! { outcome = &mut running => panic!("{outcome:?}"), () = sign.seen() => {} }
    let (_first, second) = within(30, async { tokio::join!(running, world.bash(TWO, "echo ran")) }).await;
    let second = text(&second);
    let waited =
        second.strip_prefix("[this call waited ").and_then(|told| told.split_once(" s until a sandbox"));
    let seconds: u64 = waited.unwrap().0.parse().unwrap();
    assert!(seconds >= 2 && second.contains("ran"), "{second}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_that_a_call_may_not_use_or_gives_up_is_the_next_ones() {
    let world = odd(|settings| settings.jails_max = 1);
    let refused = world.hands.run(bash(ONE, MAIN, "unknown"), Box::pin(async { false }));
    assert_eq!(within(20, refused).await, None);

    let (asks, asked) = oneshot::channel();
    let begin = Box::pin(async move {
        asks.send(()).unwrap();
        pending().await
    });
    let mut leaves = world.hands.run(bash(TWO, MAIN, "unknown"), begin);
    tokio::select! { outcome = &mut leaves => panic!("{outcome:?}"), asked = within(20, asked) => asked.unwrap() }
    drop(leaves);
    assert_eq!(within(20, world.bash(THREE, "unknown")).await, said("mine"));
}
