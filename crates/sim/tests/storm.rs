//! Storms through their public door: what they print, and that a life is its seed.

use sim::coverage::ActCoverage;
use sim::engine_storm::{self, EngineStorm};
use sim::life::live;
use sim::size::LifeSize;
use sim::storm::{self, Storm};

#[test]
fn the_same_seed_leaves_the_same_log_byte_for_byte() {
    let log =
        |seed| live(seed, LifeSize::Small, &mut ActCoverage::new(LifeSize::Small)).expect("lawful").bodies;
    assert_eq!(log(11), log(11));
    assert_ne!(log(11), log(12));
}

#[test]
fn a_storm_ends_with_what_passed_and_shows_the_table() {
    let mut out = Vec::new();
    let well = storm::run(Storm { size: LifeSize::Small, seed: u64::MAX - 5, lives: 40 }, &mut out)
        .expect("written");
    let out = String::from_utf8(out).expect("text");
    assert!(well, "{out}");
    assert_eq!(out.lines().last(), Some("40 passed, 0 failed"));
    assert!(out.contains("\nanswer refusal ") && out.contains("calling, queued"), "{out}");
}

#[test]
fn a_life_is_told_with_its_whole_log() {
    let mut out = Vec::new();
    assert!(storm::tell(3, LifeSize::Small, &mut out).expect("written"));
    let out = String::from_utf8(out).expect("text");
    let lived = live(3, LifeSize::Small, &mut ActCoverage::new(LifeSize::Small)).expect("lawful");
    assert_eq!(out.lines().count(), lived.log.len() + 1);
    assert!(out.lines().next().is_some_and(|line| line.ends_with("note.opened")), "{out}");
}

#[test]
fn a_storm_of_the_engine_ends_with_what_passed_and_says_what_came() {
    let mut out = Vec::new();
    let well = engine_storm::run(EngineStorm { seed: 41, lives: 11 }, &mut out).expect("written");
    let out = String::from_utf8(out).expect("text");
    assert!(well, "{out}");
    assert_eq!(out.lines().last(), Some("11 passed, 0 failed"));
    assert!(out.contains("power cut ") && out.contains("answer lost "), "{out}");
}

#[test]
fn a_storm_of_threads_ends_with_what_passed_and_a_life_of_it_is_its_seed() {
    let told = |seed| {
        let mut out = Vec::new();
        assert!(storm::tell(seed, LifeSize::Team, &mut out).expect("written"));
        String::from_utf8(out).expect("text")
    };
    assert_eq!(told(3), told(3));
    assert_ne!(told(3), told(4));
    let mut out = Vec::new();
    let well =
        storm::run(Storm { size: LifeSize::Team, seed: u64::MAX - 5, lives: 40 }, &mut out).expect("written");
    let out = String::from_utf8(out).expect("text");
    assert!(well, "{out}");
    assert_eq!(out.lines().last(), Some("40 passed, 0 failed"));
    assert!(out.contains("\nsend_to_parent ") && out.contains("waits, blocked"), "{out}");
}
