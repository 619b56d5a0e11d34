//! Lists of sessions and documents: filters, order, and pages that meet.

use protocol::{AgentId, Timestamp, session::SessionStatus};
use store::{
    BatchWrite, DocumentKind, DocumentQuery, HeadQuery, ListOrder, ListedPage, SessionHead, Store,
    StoredDocument,
};

use crate::{ELSEWHERE, HERE, agent, at, create, head, revised, session};

const ORDERS: [ListOrder; 2] = [ListOrder::Ascending, ListOrder::Descending];

async fn listed(store: &Store, query: HeadQuery) -> Vec<u128> {
    store.heads(query).await.unwrap().items.iter().map(|head| head.session.bits()).collect()
}

pub(crate) async fn sessions_are_listed_newest_first_and_never_deleted_ones(store: Store) {
    create(&store, head(1, 1)).await;
    create(&store, SessionHead { status: SessionStatus::Running, due: Some(at(3)), ..head(2, 4) }).await;
    create(&store, SessionHead { deleted_at: Some(at(1)), ..head(3, 1) }).await;
    create(&store, SessionHead { workspace: ELSEWHERE, ..head(4, 1) }).await;
    create(&store, SessionHead { archived_at: Some(at(1)), ..head(5, 1) }).await;
    let page = store.heads(HeadQuery::new(HERE, 10)).await.unwrap().items;
    assert_eq!(
        page,
        [SessionHead { status: SessionStatus::Running, due: Some(at(3)), ..head(2, 4) }, head(1, 1)]
    );
    let everything = HeadQuery { include_archived: true, ..HeadQuery::new(HERE, 10) };
    assert_eq!(listed(&store, everything.clone()).await, [5, 2, 1]);
    assert_eq!(listed(&store, HeadQuery { limit: 0, ..everything }).await, [0; 0]);
}

/// Sessions 1 to 6, made at 10, 20, … 60, of two agents, two versions and all statuses.
async fn six_sessions(store: &Store) {
    let states = [
        (1, 100, 1, SessionStatus::Idle),
        (2, 100, 2, SessionStatus::Running),
        (3, 200, 1, SessionStatus::Rescheduling),
        (4, 200, 2, SessionStatus::Terminated),
        (5, 100, 1, SessionStatus::Running),
        (6, 100, 2, SessionStatus::Idle),
    ];
    for (number, agent, agent_version, status) in states {
        let created_at = at(number as i64 * 10);
        let agent = AgentId::from_bits(agent);
        create(store, SessionHead { created_at, agent, agent_version, status, ..head(number, 1) }).await;
    }
}

pub(crate) async fn a_filter_leaves_out_what_it_should(store: Store) {
    six_sessions(&store).await;
    let all = HeadQuery { order: ListOrder::Ascending, ..HeadQuery::new(HERE, 10) };
    let agent = Some(AgentId::from_bits(200));
    let busy = vec![SessionStatus::Running, SessionStatus::Rescheduling];
    for (query, expected) in [
        (all.clone(), vec![1, 2, 3, 4, 5, 6]),
        (HeadQuery { agent, ..all.clone() }, vec![3, 4]),
        (HeadQuery { agent: Some(AgentId::from_bits(300)), ..all.clone() }, vec![]),
        (HeadQuery { agent_version: Some(2), ..all.clone() }, vec![2, 4, 6]),
        (HeadQuery { statuses: busy, ..all.clone() }, vec![2, 3, 5]),
        (HeadQuery { statuses: vec![SessionStatus::Terminated], ..all.clone() }, vec![4]),
        (HeadQuery { statuses: vec![SessionStatus::Idle], ..all.clone() }, vec![1, 6]),
        (HeadQuery { created_gt: Some(at(40)), ..all.clone() }, vec![5, 6]),
        (HeadQuery { created_gte: Some(at(40)), ..all.clone() }, vec![4, 5, 6]),
        (HeadQuery { created_lt: Some(at(40)), ..all.clone() }, vec![1, 2, 3]),
        (HeadQuery { created_lte: Some(at(40)), ..all.clone() }, vec![1, 2, 3, 4]),
        (HeadQuery { workspace: ELSEWHERE, ..all }, vec![]),
    ] {
        assert_eq!(listed(&store, query.clone()).await, expected, "{query:?}");
    }
}

pub(crate) async fn filters_work_together(store: Store) {
    six_sessions(&store).await;
    let query = HeadQuery {
        agent: Some(AgentId::from_bits(100)),
        agent_version: Some(2),
        statuses: vec![
            SessionStatus::Running,
            SessionStatus::Idle,
            SessionStatus::Terminated,
            SessionStatus::Rescheduling,
        ],
        created_gt: Some(at(5)),
        created_gte: Some(at(10)),
        created_lt: Some(at(61)),
        created_lte: Some(at(60)),
        include_archived: true,
        after: Some((at(60), session(6))),
        ..HeadQuery::new(HERE, 1)
    };
    assert_eq!(listed(&store, query.clone()).await, [2]);
    assert_eq!(listed(&store, HeadQuery { after: None, ..query.clone() }).await, [6]);
    assert_eq!(listed(&store, HeadQuery { after: Some((at(20), session(2))), ..query }).await, [0; 0]);
}

/// Walks a list of `total` forward from its start and back from its end in pages of `size`, and
/// expects `all` both times.
macro_rules! walk {
    ($all:expr, $size:expr, $page:expr) => {{
        let (all, size, page) = ($all, $size, $page);
        let (mut forward, mut after) = (Vec::new(), None);
        loop {
            let next: Vec<_> = page(after, false).await;
            assert!(next.len() <= size);
            let Some(last) = next.last() else { break };
            after = Some(*last);
            forward.extend(next);
        }
        assert_eq!(forward, all, "forward by {size}");
        let (mut backward, mut before) = (Vec::new(), None);
        loop {
            let next: Vec<_> = page(before, true).await;
            assert!(next.len() <= size);
            let Some(first) = next.first() else { break };
            before = Some(*first);
            backward.splice(0..0, next);
        }
        assert_eq!(backward, all, "backward by {size}");
    }};
}

/// Eleven numbers, at four moments: most of them tie.
fn ties() -> Vec<(Timestamp, u128)> {
    [9, 2, 7, 4, 11, 1, 8, 3, 10, 5, 6].map(|number| (at(number % 4), number as u128)).to_vec()
}

fn sorted(order: ListOrder) -> Vec<(Timestamp, u128)> {
    let mut all = ties();
    all.sort_unstable();
    if order == ListOrder::Descending {
        all.reverse();
    }
    all
}

pub(crate) async fn pages_of_sessions_meet_without_gap_or_overlap(store: Store) {
    for (created_at, number) in ties() {
        create(&store, SessionHead { created_at, ..head(number, 1) }).await;
    }
    for order in ORDERS {
        for limit in [1, 2, 3, 5, 11, 12] {
            let page = async |after: Option<(Timestamp, u128)>, backwards| {
                let after = after.map(|(at, number)| (at, session(number)));
                let query = HeadQuery { order, after, backwards, ..HeadQuery::new(HERE, limit) };
                let heads = store.heads(query).await.unwrap().items;
                heads.iter().map(|head| (head.created_at, head.session.bits())).collect()
            };
            walk!(sorted(order), limit, page);
        }
    }
}

pub(crate) async fn pages_of_documents_meet_without_gap_or_overlap(store: Store) {
    for (created_at, number) in ties() {
        let document = StoredDocument { created_at, ..agent(number, 1) };
        store.commit(vec![BatchWrite::Create(document)]).await.unwrap();
    }
    for order in ORDERS {
        for limit in [1, 2, 3, 5, 11, 12] {
            let page = async |after, backwards| {
                let all = DocumentQuery::new(HERE, DocumentKind::new("agent"), limit);
                let query = DocumentQuery { order, after, backwards, ..all };
                let documents = store.documents(query).await.unwrap().items;
                documents.iter().map(|document| (document.created_at, document.id)).collect()
            };
            walk!(sorted(order), limit, page);
        }
    }
}

/// Both ways, and of versions too.
pub(crate) async fn a_page_ends_at_its_bytes_but_holds_one(store: Store) {
    const KIB: usize = 1_024;
    for number in 1..=4 {
        let body = vec![b'x'; 100 * KIB];
        let document = StoredDocument { body, ..agent(number, 1) };
        store.commit(vec![BatchWrite::Create(document.clone())]).await.unwrap();
        let second = StoredDocument { version: 2, revision: 2, ..document };
        store.commit(vec![BatchWrite::Revise(second)]).await.unwrap();
    }
    let ids = |page: &ListedPage<StoredDocument>| {
        (page.items.iter().map(|one| one.id).collect::<Vec<_>>(), page.cut)
    };
    for (bytes, backwards, expected) in [
        (1, false, (vec![4], true)),
        (250 * KIB, false, (vec![4, 3], true)),
        (250 * KIB, true, (vec![2, 1], true)),
        (500 * KIB, false, (vec![4, 3, 2, 1], false)),
    ] {
        let query =
            DocumentQuery { bytes, backwards, ..DocumentQuery::new(HERE, DocumentKind::new("agent"), 10) };
        assert_eq!(ids(&store.documents(query).await.unwrap()), expected, "{bytes} {backwards}");
    }
    for number in 1..=3 {
        create(&store, SessionHead { body: vec![b'x'; 100 * KIB], ..head(number, 1) }).await;
    }
    let page = store.heads(HeadQuery { bytes: 250 * KIB, ..HeadQuery::new(HERE, 10) }).await.unwrap();
    assert_eq!((page.items.len(), page.cut), (2, true));
    let versions = async |bytes| {
        let page = store.versions(HERE, DocumentKind::new("agent"), 1, None, 10, bytes).await.unwrap();
        (page.items.iter().map(|one| one.version).collect::<Vec<_>>(), page.cut)
    };
    assert_eq!(versions(1).await, (vec![2], true));
    assert_eq!(versions(250 * KIB).await, (vec![2, 1], false));
}

pub(crate) async fn a_page_goes_on_where_its_last_entry_was_deleted(store: Store) {
    for number in 1..=4 {
        store.commit(vec![BatchWrite::Create(agent(number, 1))]).await.unwrap();
    }
    let after = Some((at(3), 3));
    let drop = BatchWrite::Drop { workspace: HERE, kind: DocumentKind::new("agent"), id: 3 };
    store.commit(vec![drop]).await.unwrap();
    let all = DocumentQuery::new(HERE, DocumentKind::new("agent"), 10);
    let next = store.documents(DocumentQuery { after, ..all.clone() }).await.unwrap().items;
    assert_eq!(next, [agent(2, 1), agent(1, 1)]);
    let back = store.documents(DocumentQuery { after, backwards: true, ..all }).await.unwrap().items;
    assert_eq!(back, [agent(4, 1)]);
}

pub(crate) async fn documents_are_listed_by_kind_workspace_time_and_archive(store: Store) {
    let archived = StoredDocument { archived_at: Some(at(1)), ..agent(3, 1) };
    let environment = StoredDocument { kind: DocumentKind::new("environment"), ..agent(4, 1) };
    let elsewhere = StoredDocument { workspace: ELSEWHERE, ..agent(5, 1) };
    for document in [agent(1, 1), agent(2, 1), archived.clone(), environment.clone(), elsewhere.clone()] {
        store.commit(vec![BatchWrite::Create(document)]).await.unwrap();
    }
    let second = revised(agent(1, 2), 2);
    store.commit(vec![BatchWrite::Revise(second.clone())]).await.unwrap();
    let all = DocumentQuery::new(HERE, DocumentKind::new("agent"), 10);
    let kinds = DocumentQuery { kind: DocumentKind::new("environment"), ..all.clone() };
    let every = DocumentQuery { include_archived: true, ..all.clone() };
    for (query, expected) in [
        (all.clone(), vec![agent(2, 1), second.clone()]),
        (every, vec![archived, agent(2, 1), second.clone()]),
        (kinds, vec![environment]),
        (DocumentQuery { workspace: ELSEWHERE, ..all.clone() }, vec![elsewhere]),
        (DocumentQuery { created_gte: Some(at(2)), ..all.clone() }, vec![agent(2, 1)]),
        (DocumentQuery { created_lte: Some(at(1)), ..all.clone() }, vec![second]),
        (DocumentQuery { limit: 0, ..all }, vec![]),
    ] {
        assert_eq!(store.documents(query.clone()).await.unwrap().items, expected, "{query:?}");
    }
}
