//! Whatever is asked of them, in whatever order, all drivers answer the same.

use proptest::prelude::*;
use protocol::session::SessionStatus;
use store::{
    BatchError, BatchWrite, DocumentKind, DocumentQuery, HeadQuery, LeaseClaim, ListOrder, LogAppend, LogRow,
    PostReceipt, SessionHead, Store, StoredDocument,
};

use crate::{ELSEWHERE, HERE, agent, append, at, session};

const SESSIONS: u128 = 3;
const AGENTS: u128 = 3;

/// One thing somebody does.
#[derive(Debug, Clone)]
enum Deed {
    Commit(Vec<BatchWrite>),
    Claim { holder: char, now: i64 },
    Renew { epoch: u64, until: i64 },
    Release { epoch: u64 },
    Purge { before: i64, limit: usize },
    Forget { now: i64, limit: usize },
}

/// What it was answered.
#[derive(Debug, PartialEq)]
enum Answer {
    Commit(Result<(), BatchError>),
    Claim(LeaseClaim),
    Renew(bool),
    Release,
    Purge(usize),
    Forget(usize),
}

/// Everything that can be read.
#[derive(Debug, PartialEq)]
struct Kept {
    heads: Vec<Option<SessionHead>>,
    listed: Vec<SessionHead>,
    logs: Vec<Vec<LogRow>>,
    busy: Vec<protocol::SessionId>,
    versions: Vec<Vec<StoredDocument>>,
    documents: Vec<StoredDocument>,
    keys: Vec<Option<StoredDocument>>,
    snapshots: Vec<Option<Vec<u8>>>,
    receipts: Vec<Option<PostReceipt>>,
    commits: u64,
}

fn write() -> impl Strategy<Value = BatchWrite> {
    let status = prop::sample::select(SessionStatus::ALL.to_vec());
    let receipt = prop::option::weighted(0.5, prop::collection::vec(any::<u8>(), 0..6));
    let appended = (0..SESSIONS, 0_u64..4, 1_u32..3, status, prop::option::weighted(0.2, 0_i64..40), receipt);
    let append = appended.prop_map(|(number, first, count, status, deleted, receipt)| {
        let append = append(number, first, count);
        let head = SessionHead { status, deleted_at: deleted.map(at), ..append.head };
        BatchWrite::Append(LogAppend { head, receipt, ..append })
    });
    let put = (0_u8..3, any::<u8>(), 0_i64..40, 0_i64..40).prop_map(|(name, made, until, over)| {
        let receipt = PostReceipt { name: [name; 16], print: [made; 16], until: at(until), made: vec![made] };
        BatchWrite::PutReceipt { receipt, over: at(over) }
    });
    let key = prop::option::of(prop::sample::select(vec!["a".to_owned(), "b".to_owned()]));
    let parent = prop::option::weighted(0.4, 0..AGENTS);
    let document = (0..AGENTS, 1_u64..4, key, prop::option::weighted(0.2, Just(at(9))), parent);
    let document = document.prop_map(|(number, version, unique_key, archived_at, parent)| StoredDocument {
        unique_key,
        archived_at,
        parent,
        ..agent(number, version)
    });
    let create = document.clone().prop_map(BatchWrite::Create);
    let revise =
        (document, 2_u64..5).prop_map(|(document, revision)| StoredDocument { revision, ..document });
    let revise = revise.prop_map(BatchWrite::Revise);
    let kind = DocumentKind::new("agent");
    let workspace = prop::sample::select(vec![HERE, HERE, HERE, ELSEWHERE]);
    let place = (workspace, 0..AGENTS);
    let live = (place.clone(), prop::option::of(0_u64..4));
    let live = live.prop_map(move |((workspace, id), version)| BatchWrite::ExpectLive {
        workspace,
        kind,
        id,
        version,
    });
    let drop = place.prop_map(move |(workspace, id)| BatchWrite::Drop { workspace, kind, id });
    prop_oneof![
        6 => append,
        3 => create,
        4 => revise,
        1 => live,
        1 => Just(BatchWrite::ExpectUnused { environment: protocol::EnvironmentId::from_bits(20) }),
        2 => drop,
        2 => put,
        1 => (0_u8..3).prop_map(|hash| BatchWrite::PutSnapshot { hash: [hash; 32], body: vec![hash] }),
    ]
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        8 => prop::collection::vec(write(), 1..4).prop_map(Deed::Commit),
        2 => (prop::char::range('a', 'c'), 0_i64..40).prop_map(|(holder, now)| Deed::Claim { holder, now }),
        1 => (1_u64..4, 0_i64..40).prop_map(|(epoch, until)| Deed::Renew { epoch, until }),
        1 => (1_u64..4).prop_map(|epoch| Deed::Release { epoch }),
        1 => (0_i64..40, 0_usize..3).prop_map(|(before, limit)| Deed::Purge { before, limit }),
        1 => (0_i64..40, 0_usize..3).prop_map(|(now, limit)| Deed::Forget { now, limit }),
    ]
}

async fn perform(store: &Store, deed: Deed) -> Answer {
    match deed {
        Deed::Commit(writes) => Answer::Commit(store.commit(writes).await),
        Deed::Claim { holder, now } => {
            let claim = store.claim("scope", &holder.to_string(), at(now), at(now + 10)).await;
            Answer::Claim(claim.unwrap())
        }
        Deed::Renew { epoch, until } => Answer::Renew(store.renew("scope", epoch, at(until)).await.unwrap()),
        Deed::Release { epoch } => {
            store.release("scope", epoch).await.unwrap();
            Answer::Release
        }
        Deed::Purge { before, limit } => Answer::Purge(store.purge(at(before), limit).await.unwrap()),
        Deed::Forget { now, limit } => Answer::Forget(store.forget(at(now), limit).await.unwrap()),
    }
}

async fn kept(store: &Store) -> Kept {
    let (mut heads, mut logs, mut versions) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..SESSIONS {
        heads.push(store.head(HERE, session(number)).await.unwrap());
        logs.push(store.read(session(number), 0, usize::MAX).await.unwrap());
        logs.push(store.read(session(number), 2, 20).await.unwrap());
        logs.push(store.read_back(session(number), 3, 20).await.unwrap());
    }
    for number in 0..AGENTS {
        versions.push(
            store
                .versions(HERE, DocumentKind::new("agent"), number, None, 9, usize::MAX)
                .await
                .unwrap()
                .items,
        );
    }
    let (mut keys, mut snapshots, mut receipts) = (Vec::new(), Vec::new(), Vec::new());
    for key in ["a", "b"] {
        keys.push(store.find(HERE, DocumentKind::new("agent"), key).await.unwrap());
    }
    for hash in 0_u8..3 {
        snapshots.push(store.snapshot(&[hash; 32]).await.unwrap());
        receipts.push(store.receipt(&[hash; 16], at(5)).await.unwrap());
    }
    let documents = DocumentQuery {
        order: ListOrder::Ascending,
        ..DocumentQuery::new(HERE, DocumentKind::new("agent"), 2)
    };
    Kept {
        heads,
        listed: store.heads(HeadQuery::new(HERE, 2)).await.unwrap().items,
        logs,
        busy: store.busy().await.unwrap(),
        versions,
        documents: store.documents(documents).await.unwrap().items,
        keys,
        snapshots,
        receipts,
        commits: store.commits(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_driver_gives_the_same_answers(deeds in prop::collection::vec(deed(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let place = tempfile::tempdir().unwrap();
        let memory = Store::memory();
        let sqlite = Store::sqlite(&place.path().join("heddle.db")).unwrap();
        for deed in deeds {
            let by_memory = runtime.block_on(perform(&memory, deed.clone()));
            let by_sqlite = runtime.block_on(perform(&sqlite, deed.clone()));
            prop_assert_eq!(by_memory, by_sqlite, "{:?}", deed);
        }
        prop_assert_eq!(runtime.block_on(kept(&memory)), runtime.block_on(kept(&sqlite)));
    }
}
