//! How queries find their rows, and what an older database becomes.

use protocol::{AgentId, SessionId, Timestamp, WorkspaceId, session::SessionStatus};

use super::*;
use crate::cells::CellValue;
use crate::kind::DocumentKind;
use crate::migrations::Migration;
use crate::nouns::{BatchWrite, DocumentQuery, HeadQuery, ListOrder, StoredDocument};
use crate::{Store, lists, sql, sums};

const SESSION: SessionId = SessionId::from_bits(7);
const WORKSPACE: WorkspaceId = WorkspaceId::from_bits(1);

fn database() -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    assert_eq!(migrate(&mut connection).unwrap(), None);
    connection
}

fn plan(connection: &Connection, query: SqlQuery) -> Vec<String> {
    let explained = SqlQuery { sql: format!("EXPLAIN QUERY PLAN {}", query.sql), ..query };
    let steps = read(connection, &explained).unwrap().rows;
    steps.into_iter().map(|step| format!("{:?}", step.last().unwrap())).collect()
}

#[test]
fn every_query_finds_its_rows_by_an_index() {
    let connection = database();
    let documents = DocumentQuery::new(WORKSPACE, DocumentKind::new("agent"), 10);
    for (query, index) in [
        (sql::head(WORKSPACE, SESSION), "heads_id"),
        (sql::busy(), "heads_status"),
        (sql::sessions(Some(SESSION), 10), "heads_id"),
        (sql::deleted(Timestamp::from_micros(5), 10), "heads_deleted"),
        (sql::log(SESSION, 5, 10), "log_position"),
        (sql::log_back(SESSION, 5, 10), "log_position"),
        (sql::cut(SESSION, 10), "log_position"),
        (sql::document_version(WORKSPACE, DocumentKind::new("agent"), 1, 1), "history"),
        (sql::versions(WORKSPACE, DocumentKind::new("agent"), 1, None, 10), "history"),
        (lists::documents(&documents), "documents_list"),
        (lists::documents(&DocumentQuery { parent: Some(1), ..documents.clone() }), "documents_parent"),
        (sql::find(WORKSPACE, DocumentKind::new("agent"), "key"), "documents_key"),
        (sql::snapshot(&[0; 32]), "snapshots"),
        (sql::lease("scope"), "leases"),
        (sql::pinned(crate::BlobOwner::session(SESSION)), "pins"),
        (sql::in_use(&[[0; 32], [1; 32]]), "pins_blob"),
        (sql::mark("mark"), "marks"),
    ] {
        let text = query.sql.clone();
        let plan = plan(&connection, query).concat();
        assert!(plan.contains(index), "{text}: {plan}");
        assert!(!plan.contains("SCAN"), "{text}: {plan}");
    }
}

/// However many there are beside it.
#[test]
fn what_is_dropped_is_found_by_an_index() {
    let connection = database();
    let drop = BatchWrite::Drop { workspace: WORKSPACE, kind: DocumentKind::new("vault"), id: 1 };
    for statement in sql::statements(vec![drop]) {
        let plan = plan(&connection, SqlQuery::new(statement.sql, statement.params));
        // What is gathered is looked through once, and what is below by its index.
        let scans = plan.iter().filter(|step| step.contains("SCAN") && !step.contains("SCAN below"));
        assert_eq!(scans.count(), 0, "{}: {plan:#?}", statement.sql);
        let is_gathered = statement.sql.contains("below");
        let by_parent = "INDEX documents_parent (workspace=? AND parent=?)";
        let children = plan.iter().any(|step| step.contains(by_parent));
        assert_eq!(children, is_gathered, "{}: {plan:#?}", statement.sql);
    }
}

/// Every list of sessions there is: each arm of it is one search of one index that gives its rows in order,
/// so that it ends where the page does, however many rows other filters would show.
#[test]
fn every_list_of_sessions_reads_no_more_than_its_page() {
    let connection = database();
    let agents = [(None, None), (Some(AgentId::from_bits(2)), None), (Some(AgentId::from_bits(2)), Some(3))];
    let statuses: [&[SessionStatus]; 6] = [
        &[],
        &[SessionStatus::Running],
        &[SessionStatus::Idle],
        &[SessionStatus::Terminated],
        &[SessionStatus::Running, SessionStatus::Rescheduling],
        &[SessionStatus::Idle, SessionStatus::Running, SessionStatus::Terminated],
    ];
    let bound = Some(Timestamp::from_micros(5));
    for (agent, agent_version) in agents {
        for (statuses, include_archived, order) in statuses.iter().flat_map(|statuses| {
            let orders = [ListOrder::Ascending, ListOrder::Descending];
            let of = move |order| [false, true].map(|archived| (*statuses, archived, order));
            orders.into_iter().flat_map(of)
        }) {
            for (after, created_gte, created_lt) in [
                (None, None, None),
                (Some((Timestamp::from_micros(5), SESSION)), None, None),
                (None, bound, bound),
            ] {
                let query = HeadQuery {
                    agent,
                    agent_version,
                    statuses: statuses.to_vec(),
                    include_archived,
                    order,
                    after,
                    created_gte,
                    created_lt,
                    ..HeadQuery::new(WORKSPACE, 10)
                };
                let plan = plan(&connection, lists::heads(&query));
                let arms: Vec<_> = plan.iter().filter(|step| step.contains("heads ")).collect();
                let shelves = if include_archived { 2 } else { 1 };
                assert_eq!(arms.len(), shelves * statuses.len().max(1), "{query:?}: {plan:#?}");
                let all = |index: &str| arms.iter().all(|arm| arm.contains(index));
                let busy = !statuses.is_empty() && statuses.iter().all(|status| status.is_busy());
                match (agent, agent_version) {
                    (None, _) if statuses.is_empty() => assert!(all("heads_shelf "), "{plan:#?}"),
                    (None, _) => assert!(all("heads_status "), "{plan:#?}"),
                    (Some(_), _) if busy => assert!(all("heads_status "), "{plan:#?}"),
                    (Some(_), _) if statuses.contains(&SessionStatus::Running) => {}
                    (Some(_), None) => assert!(all("heads_agent "), "{plan:#?}"),
                    (Some(_), Some(_)) => assert!(all("heads_version "), "{plan:#?}"),
                }
                for arm in &arms {
                    assert!(arm.contains("SEARCH heads USING INDEX heads_"), "{query:?}: {plan:#?}");
                }
                // In order by the index: only the beginnings that come out of the arms may be sorted.
                let sorted =
                    plan.iter().zip(plan.iter().skip(1)).filter(|(_, step)| step.contains("TEMP B-TREE"));
                let merged = sorted.clone().all(|(before, _)| before.contains("SCAN arm"));
                assert!(merged && sorted.count() <= arms.len(), "{query:?}: {plan:#?}");
            }
        }
    }
}

/// Takes a new database this far.
fn older(connection: &Connection, steps: &[Migration]) {
    connection.execute_batch(TABLE).unwrap();
    for step in steps {
        for statement in step.statements {
            let statement = statement.replace("{bytes}", "BLOB").replace("{serial}", "INTEGER PRIMARY KEY");
            connection.execute_batch(&statement).unwrap();
        }
        connection.execute("INSERT INTO migrations (number) VALUES (?1)", [step.number]).unwrap();
    }
}

#[test]
fn a_database_of_the_first_step_is_brought_here_with_what_it_holds() {
    let mut connection = Connection::open_in_memory().unwrap();
    older(&connection, &MIGRATIONS[..1]);
    let rows = "INSERT INTO heads (number, id, workspace, position, status, created_at, updated_at, agent,
            agent_version, environment, body)
        VALUES (1, zeroblob(16), x'00000000000000000000000000000001', 1, 'idle', 1, 1, zeroblob(16), 1,
            zeroblob(16), x'00');
        INSERT INTO log (session, first, count, at, body) VALUES (1, 0, 1, 0, x'00')";
    connection.execute_batch(rows).unwrap();
    assert_eq!(migrate(&mut connection).unwrap(), None);
    let newest = HeadQuery::new(WORKSPACE, 10);
    assert_eq!(read(&connection, &lists::heads(&newest)).unwrap().rows.len(), 1);
    let row = &read(&connection, &sql::log(SessionId::from_bits(0), 0, 10)).unwrap().rows[0];
    assert_eq!(row[4..], [CellValue::Null, CellValue::Null]);
    assert_eq!(migrate(&mut connection).unwrap(), None);
}

/// A document with the sum that it had before there were revisions.
fn insert_older(connection: &Connection, table: &str, document: &StoredDocument) {
    let row = format!(
        "INSERT INTO {table} (kind, id, version, workspace, created_at, updated_at, body, sum) \
         VALUES (?1, ?2, ?3, ?4, 1, 1, ?5, ?6)"
    );
    let (id, workspace) = (document.id.to_be_bytes(), document.workspace.to_bytes());
    let version = i64::try_from(document.version).unwrap();
    let sum = sums::older_document(document);
    let params = rusqlite::params![document.kind.as_str(), id, version, workspace, document.body, sum];
    connection.execute(&row, params).unwrap();
}

#[tokio::test]
async fn a_document_made_before_there_were_revisions_is_locked_by_its_version() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("heddle.db");
    let (kind, at) = (DocumentKind::new("agent"), Timestamp::from_micros(1));
    let of = |revision, version, body: &str| StoredDocument {
        kind,
        id: 7,
        revision,
        version,
        workspace: WORKSPACE,
        parent: None,
        unique_key: None,
        body: body.into(),
        created_at: at,
        updated_at: at,
        archived_at: None,
    };
    let (first, second) = (of(2, 2, "first"), of(3, 3, "second"));
    let connection = Connection::open(&path).unwrap();
    older(&connection, &MIGRATIONS[..4]);
    insert_older(&connection, "history", &first);
    insert_older(&connection, "documents", &second);
    drop(connection);

    let store = Store::sqlite(&path).unwrap();
    let versions = async || store.versions(WORKSPACE, kind, 7, None, 9, usize::MAX).await.unwrap().items;
    assert_eq!(versions().await, [second.clone(), first.clone()]);
    for stale in [of(3, 4, "third"), of(5, 4, "third")] {
        store.commit(vec![BatchWrite::Revise(stale)]).await.unwrap_err();
    }
    // From now on the two are apart.
    let changed = of(4, 3, "second, changed");
    store.commit(vec![BatchWrite::Revise(changed.clone())]).await.unwrap();
    let third = of(5, 4, "third");
    store.commit(vec![BatchWrite::Revise(third.clone())]).await.unwrap();
    assert_eq!(versions().await, [third, changed, first]);
    let damage = "UPDATE documents SET revision = 4";
    Connection::open(&path).unwrap().execute_batch(damage).unwrap();
    store.document(WORKSPACE, kind, 7, None).await.unwrap_err();
}
