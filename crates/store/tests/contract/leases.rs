//! Leases: who works, until when, and under which number.

use store::{LeaseClaim, Store, StoreFault};
use tokio::task::JoinSet;

use crate::at;

const SCOPE: &str = "sesn_1";

fn held(epoch: u64, took_over: bool, before: impl Into<Option<i64>>) -> LeaseClaim {
    LeaseClaim::Held { epoch, took_over, before: before.into().map(at) }
}

fn taken(holder: &str, until: i64) -> LeaseClaim {
    LeaseClaim::Taken { holder: holder.to_owned(), until: at(until) }
}

async fn claim(store: &Store, holder: &str, now: i64, until: i64) -> LeaseClaim {
    store.claim(SCOPE, holder, at(now), at(until)).await.unwrap()
}

pub(crate) async fn a_free_lease_is_held_and_a_held_one_is_taken(store: Store) {
    assert_eq!(claim(&store, "a", 0, 10).await, held(1, false, None));
    assert_eq!(claim(&store, "b", 9, 20).await, taken("a", 10));
    let other = store.claim("sesn_2", "b", at(9), at(20)).await.unwrap();
    assert_eq!(other, held(1, false, None));
}

pub(crate) async fn the_holder_claims_again_under_the_same_epoch(store: Store) {
    claim(&store, "a", 0, 10).await;
    assert_eq!(claim(&store, "a", 5, 20).await, held(1, false, 10));
    assert_eq!(claim(&store, "a", 30, 40).await, held(1, false, 20));
    assert_eq!(claim(&store, "b", 39, 50).await, taken("a", 40));
}

pub(crate) async fn a_takeover_raises_the_epoch(store: Store) {
    claim(&store, "a", 0, 10).await;
    assert_eq!(claim(&store, "b", 10, 20).await, held(2, true, 10));
    assert_eq!(claim(&store, "a", 11, 20).await, taken("b", 20));
    assert_eq!(claim(&store, "a", 25, 30).await, held(3, true, 20));
}

pub(crate) async fn a_released_lease_is_no_takeover(store: Store) {
    claim(&store, "a", 0, 10).await;
    store.release(SCOPE, 1).await.unwrap();
    assert_eq!(claim(&store, "b", 1, 20).await, held(2, false, 10));
    store.release(SCOPE, 2).await.unwrap();
    assert_eq!(claim(&store, "b", 2, 20).await, held(3, false, 20));
}

pub(crate) async fn a_stale_renewal_is_refused(store: Store) {
    assert!(!store.renew(SCOPE, 1, at(10)).await.unwrap());
    claim(&store, "a", 0, 10).await;
    claim(&store, "b", 10, 20).await;
    assert!(!store.renew(SCOPE, 1, at(99)).await.unwrap());
    assert_eq!(claim(&store, "c", 19, 99).await, taken("b", 20));
    store.release(SCOPE, 2).await.unwrap();
    assert!(!store.renew(SCOPE, 2, at(99)).await.unwrap());
    assert_eq!(claim(&store, "c", 19, 99).await, held(3, false, 20));
}

pub(crate) async fn a_renewed_lease_is_not_taken_over(store: Store) {
    claim(&store, "a", 0, 10).await;
    assert!(store.renew(SCOPE, 1, at(50)).await.unwrap());
    assert_eq!(claim(&store, "b", 49, 60).await, taken("a", 50));
    assert_eq!(claim(&store, "b", 50, 60).await, held(2, true, 50));
}

pub(crate) async fn a_stale_release_frees_nothing(store: Store) {
    store.release(SCOPE, 1).await.unwrap();
    claim(&store, "a", 0, 10).await;
    claim(&store, "b", 10, 20).await;
    store.release(SCOPE, 1).await.unwrap();
    assert_eq!(claim(&store, "a", 11, 30).await, taken("b", 20));
}

pub(crate) async fn a_holder_without_a_name_is_refused(store: Store) {
    let refused = store.claim(SCOPE, "", at(0), at(10)).await;
    assert!(matches!(refused, Err(StoreFault::Misuse(_))), "{refused:?}");
    assert_eq!(claim(&store, "a", 0, 10).await, held(1, false, None));
}

pub(crate) async fn of_eight_claimants_one_holds_the_lease(store: Store) {
    for round in 1_i64..=10 {
        let claimants: JoinSet<_> = (0..8)
            .map(|number| {
                let store = store.clone();
                // A new life has a new name, so nobody claims what is already its own.
                let name = format!("{number} of life {round}");
                async move { (claim(&store, &name, round * 10, round * 10 + 10).await, name) }
            })
            .collect();
        let claims = claimants.join_all().await;
        let (won, lost): (Vec<_>, Vec<_>) =
            claims.into_iter().partition(|(claim, _)| matches!(claim, LeaseClaim::Held { .. }));
        let [(won, holder)] = &won[..] else { panic!("{} hold it in round {round}", won.len()) };
        assert_eq!(*won, held(round as u64, round > 1, (round > 1).then_some(round * 10)));
        for (lost, _) in lost {
            assert_eq!(lost, taken(holder, round * 10 + 10));
        }
    }
}
