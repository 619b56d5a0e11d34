//! Rows that are not what was written: named, never served, and no harm to others.

use std::path::Path;

use rusqlite::Connection;
use store::{
    BatchWrite, DamagedPart, DocumentKind, DocumentQuery, HeadQuery, LogAppend, PostReceipt, Store,
    StoreFault,
};
use tempfile::TempDir;

use crate::{HERE, agent, append, at, create, head, revised, row, session};

const ALL: usize = usize::MAX;

fn place() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open(place: &Path) -> Store {
    Store::sqlite(&place.join("heddle.db")).unwrap()
}

fn beside(place: &Path, sql: &str) {
    Connection::open(place.join("heddle.db")).unwrap().execute_batch(sql).unwrap();
}

/// Sessions 7 and 8 of four rows each, from positions 0, 2, 4 and 6.
async fn two_logs(store: &Store) {
    for number in [7, 8] {
        for first in [0, 2, 4, 6] {
            store.commit(vec![BatchWrite::Append(append(number, first, 2))]).await.unwrap();
        }
    }
}

fn lost(position: u64) -> StoreFault {
    StoreFault::Damaged(DamagedPart::Log { session: session(7), position })
}

#[tokio::test]
async fn a_damaged_row_is_named_and_what_is_in_front_of_it_is_served() {
    let seven = "session = (SELECT number FROM heads ORDER BY number LIMIT 1)";
    let other = "(SELECT number FROM heads ORDER BY number DESC LIMIT 1)";
    for damage in [
        // One bit of the body, of the moment, of the count, of the sum; no bytes at all.
        format!("UPDATE log SET body = x'00' || substr(body, 2) WHERE first = 4 AND {seven}"),
        format!("UPDATE log SET at = at + 1 WHERE first = 4 AND {seven}"),
        format!("UPDATE log SET sum = sum + 1 WHERE first = 4 AND {seven}"),
        format!("UPDATE log SET receipt = x'00' WHERE first = 4 AND {seven}"),
        format!("UPDATE log SET body = 'text' WHERE first = 4 AND {seven}"),
        // It came to lie elsewhere, or is gone.
        format!("UPDATE log SET session = session + 64 WHERE first = 4 AND {seven}"),
        format!("DELETE FROM log WHERE first = 4 AND {seven}"),
        format!(
            "DELETE FROM log WHERE first = 4 AND {seven}; \
             INSERT INTO log SELECT (SELECT MIN(number) FROM heads), first, count, at, body, sum, receipt FROM log \
             WHERE first = 4 AND session = {other}"
        ),
    ] {
        let place = place();
        let store = open(place.path());
        two_logs(&store).await;
        beside(place.path(), &damage);
        let front = [row(0, 2), row(2, 2)];
        assert_eq!(store.read(session(7), 0, ALL).await.unwrap(), front, "{damage}");
        assert_eq!(store.read(session(7), 4, ALL).await, Err(lost(4)), "{damage}");
        assert_eq!(store.read(session(7), 6, ALL).await.unwrap(), [row(6, 2)], "{damage}");
        let back = store.read_back(session(7), 8, ALL).await.unwrap();
        assert_eq!(back, [row(6, 2)], "{damage}");
        let refused = store.read_back(session(7), 6, ALL).await;
        assert!(
            matches!(refused, Err(StoreFault::Damaged(DamagedPart::Log { .. }))),
            "{damage}: {refused:?}"
        );
        assert_eq!(store.read(session(8), 0, ALL).await.unwrap().len(), 4, "{damage}");
    }
}

#[tokio::test]
async fn every_bit_of_a_row_counts() {
    let place = place();
    let store = open(place.path());
    store.commit(vec![BatchWrite::Append(append(7, 0, 1))]).await.unwrap();
    let body = append(7, 0, 1).body;
    for bit in 0..body.len() * 8 {
        let mut flipped = body.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let hex: String = flipped.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        beside(place.path(), &format!("UPDATE log SET body = x'{hex}'"));
        assert_eq!(store.read(session(7), 0, ALL).await, Err(lost(0)), "bit {bit}");
    }
}

#[tokio::test]
async fn rows_made_before_there_were_sums_are_read() {
    let place = place();
    let store = open(place.path());
    two_logs(&store).await;
    store.commit(vec![BatchWrite::Create(agent(1, 1))]).await.unwrap();
    beside(
        place.path(),
        "UPDATE log SET sum = NULL; UPDATE heads SET sum = NULL; UPDATE documents SET sum = NULL, revision = NULL",
    );
    assert_eq!(store.read(session(7), 0, ALL).await.unwrap().len(), 4);
    assert_eq!(store.head(HERE, session(7)).await.unwrap(), Some(head(7, 8)));
    assert_eq!(store.document(HERE, DocumentKind::new("agent"), 1, None).await.unwrap(), Some(agent(1, 1)));
    // What is written from now on has one.
    store.commit(vec![BatchWrite::Append(append(7, 8, 2))]).await.unwrap();
    beside(place.path(), "UPDATE log SET at = 0 WHERE first = 8");
    assert_eq!(store.read(session(7), 8, ALL).await, Err(lost(8)));
}

#[tokio::test]
async fn a_damaged_head_or_document_is_named_and_left_out_of_lists() {
    let place = place();
    let store = open(place.path());
    for number in 1..=5 {
        create(&store, head(number, 1)).await;
        store.commit(vec![BatchWrite::Create(agent(number, 1))]).await.unwrap();
    }
    let second = revised(agent(2, 2), 2);
    store.commit(vec![BatchWrite::Revise(second.clone())]).await.unwrap();
    beside(place.path(), "UPDATE heads SET body = x'00' WHERE created_at IN (4, 5)");
    beside(place.path(), "UPDATE documents SET body = x'00' WHERE created_at IN (4, 5)");
    let damaged = StoreFault::Damaged(DamagedPart::Head { session: session(4) });
    assert_eq!(store.head(HERE, session(4)).await, Err(damaged.clone()));
    assert_eq!(
        damaged.to_string(),
        format!(
            "the head row of {} is damaged on the disk: restore the data directory from a backup",
            session(4)
        )
    );
    let damaged = StoreFault::Damaged(DamagedPart::Document { kind: DocumentKind::new("agent"), id: 4 });
    assert_eq!(store.document(HERE, DocumentKind::new("agent"), 4, None).await, Err(damaged));

    let listed = store.heads(HeadQuery::new(HERE, 2)).await.unwrap().items;
    assert_eq!(listed.iter().map(|head| head.session.bits()).collect::<Vec<_>>(), [3, 2]);
    let back = HeadQuery { backwards: true, ..HeadQuery::new(HERE, 3) };
    assert_eq!(store.heads(back).await.unwrap().items.len(), 3);
    let listed =
        store.documents(DocumentQuery::new(HERE, DocumentKind::new("agent"), 2)).await.unwrap().items;
    assert_eq!(listed.iter().map(|document| document.id).collect::<Vec<_>>(), [3, 2]);
    // What history keeps has the sum it had.
    let versions =
        store.versions(HERE, DocumentKind::new("agent"), 2, None, 9, usize::MAX).await.unwrap().items;
    assert_eq!(versions, [second.clone(), agent(2, 1)]);
    // One that is damaged hides no other, in pages of any size.
    let third = revised(agent(2, 3), 3);
    store.commit(vec![BatchWrite::Revise(third.clone())]).await.unwrap();
    beside(place.path(), "UPDATE history SET body = x'00' WHERE version = 2");
    for limit in [2, 9] {
        let versions =
            store.versions(HERE, DocumentKind::new("agent"), 2, None, limit, usize::MAX).await.unwrap().items;
        assert_eq!(versions, [third.clone(), agent(2, 1)], "{limit}");
    }
}

#[tokio::test]
async fn what_stands_in_a_row_against_its_age_is_damage_and_takes_nothing_along() {
    let damaged = Err(StoreFault::Damaged(DamagedPart::Document { kind: DocumentKind::new("agent"), id: 2 }));
    for damage in [
        "UPDATE documents SET sum = NULL WHERE created_at = 2",
        "UPDATE documents SET revision = NULL, sum = NULL, parent = x'00000000000000000000000000000001' \
         WHERE created_at = 2",
    ] {
        let place = place();
        let store = open(place.path());
        store.commit(vec![BatchWrite::Create(agent(1, 1)), BatchWrite::Create(agent(2, 1))]).await.unwrap();
        beside(place.path(), damage);
        let found = store.document(HERE, DocumentKind::new("agent"), 2, None).await;
        assert_eq!(found, damaged, "{damage}");
        let drop = BatchWrite::Drop { workspace: HERE, kind: DocumentKind::new("agent"), id: 1 };
        store.commit(vec![drop]).await.unwrap();
        let found = store.document(HERE, DocumentKind::new("agent"), 2, None).await;
        assert_eq!(found, damaged, "{damage}");
    }
}

#[tokio::test]
async fn a_damaged_receipt_finds_nothing() {
    let place = place();
    let store = open(place.path());
    let with = |receipt| LogAppend { receipt: Some(receipt), ..append(7, 0, 1) };
    let receipt = PostReceipt { name: [1; 16], print: [2; 16], until: at(9), made: vec![3] };
    let kept = vec![BatchWrite::Append(with(vec![1])), BatchWrite::PutReceipt { receipt, over: at(0) }];
    store.commit(kept).await.unwrap();
    for damage in ["x'02'", "x''", "x'0100'", "NULL"] {
        beside(place.path(), &format!("UPDATE log SET receipt = {damage}"));
        assert_eq!(store.read(session(7), 0, ALL).await, Err(lost(0)), "{damage}");
    }
    beside(place.path(), "UPDATE receipts SET until = 10");
    assert!(matches!(store.receipt(&[1; 16], at(0)).await, Err(StoreFault::Corrupt(_))));
}

#[tokio::test]
async fn a_lost_end_of_a_log_is_named() {
    let place = place();
    let store = open(place.path());
    two_logs(&store).await;
    assert_eq!(store.read(session(7), 8, ALL).await.unwrap(), [], "it ends here");
    beside(place.path(), "DELETE FROM log WHERE first >= 4 AND session = (SELECT MIN(number) FROM heads)");
    assert_eq!(store.read(session(7), 0, ALL).await.unwrap(), [row(0, 2), row(2, 2)]);
    for from in [4, 5, 6, 7] {
        assert_eq!(store.read(session(7), from, ALL).await, Err(lost(from)));
    }
    assert_eq!(store.read(session(7), 8, ALL).await.unwrap(), []);
    assert_eq!(store.read(session(8), 4, ALL).await.unwrap(), [row(4, 2), row(6, 2)]);
}

#[tokio::test]
async fn a_session_is_deleted_and_purged_whatever_is_damaged() {
    for damage in [
        "UPDATE log SET body = x'00'",
        "DELETE FROM log WHERE first = 6",
        "DELETE FROM log",
        "UPDATE heads SET body = x'00'",
        "UPDATE heads SET status = 'asleep', position = -1",
    ] {
        let place = place();
        let store = open(place.path());
        two_logs(&store).await;
        beside(place.path(), damage);
        let delete = BatchWrite::Delete { workspace: HERE, session: session(7), at: at(9) };
        store.commit(vec![delete]).await.unwrap();
        assert_eq!(store.purge(at(10), 9).await.unwrap(), 1, "{damage}");
        assert_eq!(store.head(HERE, session(7)).await.unwrap(), None, "{damage}");
        assert_eq!(store.sessions(None, 9).await.unwrap(), [session(8)], "{damage}");
    }
}
