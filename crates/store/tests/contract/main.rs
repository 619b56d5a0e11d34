//! The contract: what every driver promises, run against each of them.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod blobs;
mod damage;
mod documents;
mod faults;
mod leases;
mod lists;
mod logs;
mod purge;
mod receipts;
mod same;
mod sqlite;

use protocol::{AgentId, EnvironmentId, SessionId, Timestamp, WorkspaceId, session::SessionStatus};
use store::{BatchWrite, DocumentKind, LogAppend, LogRow, SessionHead, Store, StoredDocument};

/// Runs each promise against a fresh store of each driver.
macro_rules! promises {
    ($($room:ident: $($promise:ident),+;)+) => {
        mod on_sqlite {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    let place = tempfile::tempdir().unwrap();
                    let store = store::Store::sqlite(&place.path().join("heddle.db")).unwrap();
                    super::$room::$promise(store).await;
                }
            )+)+
        }
        mod on_memory {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    super::$room::$promise(store::Store::memory()).await;
                }
            )+)+
        }
    };
}

promises! {
    logs:
        what_is_appended_reads_back,
        a_read_starts_with_the_row_that_holds_its_position,
        a_read_stops_before_too_many_bytes_but_always_moves,
        a_log_reads_back_from_its_end,
        an_append_at_the_wrong_position_leaves_nothing_behind,
        a_commit_is_all_or_nothing,
        later_writes_of_a_commit_see_the_earlier_ones,
        an_append_keeps_what_the_first_one_fixed,
        a_head_is_seen_by_its_workspace_only,
        an_append_that_makes_no_sense_is_refused,
        of_eight_writers_one_wins_each_round,
        appends_are_counted_once_they_are_durable,
        an_empty_commit_is_no_mistake;
    purge:
        busy_names_what_start_up_must_look_at,
        a_deleted_session_is_purged_after_its_time,
        a_purge_takes_the_longest_deleted_first_and_no_more_than_asked,
        a_long_log_is_purged_whole,
        a_purged_session_can_be_created_again,
        a_session_is_marked_deleted_once_and_by_its_owner;
    lists:
        sessions_are_listed_newest_first_and_never_deleted_ones,
        a_filter_leaves_out_what_it_should,
        filters_work_together,
        pages_of_sessions_meet_without_gap_or_overlap,
        pages_of_documents_meet_without_gap_or_overlap,
        a_page_ends_at_its_bytes_but_holds_one,
        a_page_goes_on_where_its_last_entry_was_deleted,
        documents_are_listed_by_kind_workspace_time_and_archive;
    documents:
        a_new_document_reads_back_by_id_version_and_key,
        an_id_can_be_created_once,
        a_key_is_unique_in_its_workspace_and_kind,
        a_version_that_is_replaced_stays_readable,
        a_stale_revision_changes_nothing,
        a_revision_fences_off_what_a_version_does_not,
        a_revision_cannot_take_a_key_but_may_leave_its_own,
        a_revision_of_another_workspace_or_parent_is_a_conflict,
        a_revision_that_makes_no_sense_is_refused,
        versions_come_newest_first_in_pages,
        a_dropped_document_leaves_nothing,
        only_what_is_there_and_of_the_workspace_is_dropped,
        a_dropped_document_takes_all_below_it_and_nothing_beside_it,
        what_is_below_a_document_is_listed,
        an_archived_or_missing_document_is_not_live,
        a_named_version_must_exist,
        an_environment_is_used_by_every_session_that_is_neither_over_nor_deleted,
        an_undone_commit_gives_keys_and_history_back;
    leases:
        a_free_lease_is_held_and_a_held_one_is_taken,
        the_holder_claims_again_under_the_same_epoch,
        a_takeover_raises_the_epoch,
        a_released_lease_is_no_takeover,
        a_stale_renewal_is_refused,
        a_renewed_lease_is_not_taken_over,
        a_stale_release_frees_nothing,
        a_holder_without_a_name_is_refused,
        of_eight_claimants_one_holds_the_lease;
    blobs:
        a_snapshot_is_kept_once,
        a_snapshot_of_an_undone_commit_is_not_kept,
        a_blob_is_found_by_its_hash,
        what_a_session_uses_is_counted_once,
        a_sweep_takes_what_nobody_uses_and_nothing_before_all_pins_are_known,
        a_blob_that_was_put_and_is_not_pinned_yet_is_never_swept,
        what_only_a_purged_session_used_goes,
        every_session_is_found_by_id,
        a_probe_writes;
    receipts:
        a_row_keeps_what_finds_it_again,
        a_receipt_is_found_by_its_name_until_its_time_is_over,
        a_receipt_gives_way_to_the_next_only_when_its_time_is_over,
        a_receipt_of_an_undone_commit_is_not_kept,
        receipts_whose_time_is_over_are_removed_oldest_first;
}

const HERE: WorkspaceId = WorkspaceId::from_bits(1);
const ELSEWHERE: WorkspaceId = WorkspaceId::from_bits(2);

fn session(number: u128) -> SessionId {
    SessionId::from_bits(number)
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// The head of an idle session after `position` facts, created at its own number.
fn head(number: u128, position: u64) -> SessionHead {
    SessionHead {
        session: session(number),
        workspace: HERE,
        position,
        status: SessionStatus::Idle,
        due: None,
        created_at: at(number as i64),
        updated_at: at(position as i64),
        archived_at: None,
        deleted_at: None,
        agent: AgentId::from_bits(10),
        agent_version: 3,
        environment: EnvironmentId::from_bits(20),
        body: format!("head at {position}").into_bytes(),
    }
}

/// An append of `count` facts, with the head that follows from it.
fn append(number: u128, first: u64, count: u32) -> LogAppend {
    LogAppend {
        session: session(number),
        first,
        count,
        at: at(1_000 + first as i64),
        body: format!("facts from {first}").into_bytes(),
        receipt: None,
        head: head(number, first + u64::from(count)),
    }
}

/// The row that `append` of the same numbers leaves.
fn row(first: u64, count: u32) -> LogRow {
    let body = format!("facts from {first}").into_bytes();
    LogRow { first, count, at: at(1_000 + first as i64), body, receipt: None }
}

/// Creates a session whose first append leaves this head.
async fn create(store: &Store, head: SessionHead) {
    let count = head.position as u32;
    let (session, body) = (head.session, b"[]".to_vec());
    let first = LogAppend { session, first: 0, count, at: at(0), body, receipt: None, head };
    store.commit(vec![BatchWrite::Append(first)]).await.unwrap();
}

/// A new agent of a version, created at its own number.
fn agent(number: u128, version: u64) -> StoredDocument {
    StoredDocument {
        kind: DocumentKind::new("agent"),
        id: number,
        revision: 1,
        version,
        workspace: HERE,
        parent: None,
        unique_key: None,
        body: format!("agent {number} at {version}").into_bytes(),
        created_at: at(number as i64),
        updated_at: at(version as i64),
        archived_at: None,
    }
}

fn keyed(number: u128, version: u64, key: &str) -> StoredDocument {
    StoredDocument { unique_key: Some(key.to_owned()), ..agent(number, version) }
}

/// A document after so many changes.
fn revised(document: StoredDocument, revision: u64) -> StoredDocument {
    StoredDocument { revision, ..document }
}

/// A credential below the document of this number.
fn below(parent: u128, number: u128) -> StoredDocument {
    StoredDocument { kind: DocumentKind::new("credential"), parent: Some(parent), ..agent(number, 1) }
}
