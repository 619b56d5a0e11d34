//! The queries behind lists: whatever a list leaves out, an index leads to what it shows.

use std::fmt::Write as _;

use crate::cells::CellValue;
use crate::migrations::shelf;
use crate::nouns::{DocumentQuery, HeadQuery, ListOrder};
use crate::sql::{DOCUMENT_COLUMNS, HEAD_COLUMNS, SqlQuery};
use protocol::{Timestamp, session::SessionStatus};

/// One page of sessions. Each status and shelf asked for is a list of its own, in order by an index; what is
/// left to do is to merge the beginnings of at most eight.
pub(crate) fn heads(query: &HeadQuery) -> SqlQuery {
    let shelves: &[usize] = if query.include_archived { &[0, 1] } else { &[0] };
    let all = SessionStatus::ALL.iter().all(|status| query.statuses.contains(status));
    let mut statuses = query.statuses.clone();
    statuses.sort_unstable();
    statuses.dedup();
    let statuses: Vec<Option<SessionStatus>> =
        if all || statuses.is_empty() { vec![None] } else { statuses.into_iter().map(Some).collect() };
    let arms = statuses.iter().flat_map(|status| shelves.iter().map(move |shelf| (*status, *shelf)));
    let mut list = List::default();
    for (status, shelf) in arms {
        list.begin(&format!("SELECT {HEAD_COLUMNS} FROM heads INDEXED BY {}", index(query, status)));
        list.head_conditions(query, status, shelf);
        list.page(query.order.read(query.backwards), query.after.map(place), query.limit);
    }
    let sql = list.merged(query.order.read(query.backwards), query.limit);
    SqlQuery { max_bytes: query.bytes, ..sql }
}

/// What leads to the sessions of one arm. It is said and not left to be guessed: SQLite keeps no statistics
/// of ours. (PostgreSQL keeps its own and does not know the words.)
fn index(query: &HeadQuery, status: Option<SessionStatus>) -> &'static str {
    match (query.agent, query.agent_version, status) {
        // Few sessions are at work; of an agent's others, most have the status that is asked for.
        (Some(_), _, Some(status)) if status.is_busy() => "heads_status",
        (Some(_), Some(_), _) => "heads_version",
        (Some(_), None, _) => "heads_agent",
        (None, _, Some(_)) => "heads_status",
        (None, _, None) => "heads_shelf",
    }
}

/// One page of documents.
pub(crate) fn documents(query: &DocumentQuery) -> SqlQuery {
    let mut list = List::default();
    let index = if query.parent.is_some() { "documents_parent" } else { "documents_list" };
    list.begin(&format!("SELECT {DOCUMENT_COLUMNS} FROM documents INDEXED BY {index}"));
    list.only("workspace =", query.workspace);
    list.only("kind =", query.kind);
    if let Some(parent) = query.parent {
        list.only("parent =", parent);
    }
    if let Some(bound) = query.created_gte {
        list.only("created_at >=", bound);
    }
    if let Some(bound) = query.created_lte {
        list.only("created_at <=", bound);
    }
    if !query.include_archived {
        list.and("archived_at IS NULL");
    }
    list.page(query.order.read(query.backwards), query.after.map(place), query.limit);
    let sql = list.merged(query.order.read(query.backwards), query.limit);
    SqlQuery { max_bytes: query.bytes, ..sql }
}

fn place(after: (Timestamp, impl Into<CellValue>)) -> (Timestamp, CellValue) {
    (after.0, after.1.into())
}

/// A list query while its conditions are gathered.
#[derive(Default)]
struct List {
    arms: Vec<String>,
    sql: String,
    params: Vec<CellValue>,
    joint: &'static str,
}

impl List {
    fn begin(&mut self, select: &str) {
        select.clone_into(&mut self.sql);
        self.joint = "WHERE";
    }

    /// The text of the parameter that holds `value`.
    fn param(&mut self, value: impl Into<CellValue>) -> String {
        self.params.push(value.into());
        format!("${}", self.params.len())
    }

    fn and(&mut self, condition: &str) {
        self.sql.extend([" ", self.joint, " ", condition]);
        self.joint = "AND";
    }

    fn only(&mut self, test: &str, value: impl Into<CellValue>) {
        let param = self.param(value);
        self.and(&format!("{test} {param}"));
    }

    fn head_conditions(&mut self, query: &HeadQuery, status: Option<SessionStatus>, shelf: usize) {
        self.only("workspace =", query.workspace);
        self.only(concat!(shelf!(), " ="), shelf);
        if let Some(agent) = query.agent {
            self.only("agent =", agent);
        }
        if let Some(version) = query.agent_version {
            self.only("agent_version =", version);
        }
        if let Some(status) = status {
            self.only("status =", status.name());
        }
        let bounds = [
            ("created_at >", query.created_gt),
            ("created_at >=", query.created_gte),
            ("created_at <", query.created_lt),
            ("created_at <=", query.created_lte),
        ];
        for (test, bound) in bounds {
            if let Some(bound) = bound {
                self.only(test, bound);
            }
        }
    }

    fn page(&mut self, read: ListOrder, after: Option<(Timestamp, CellValue)>, limit: usize) {
        let behind = match read {
            ListOrder::Ascending => ">",
            ListOrder::Descending => "<",
        };
        if let Some((at, id)) = after {
            let (at, id) = (self.param(at), self.param(id));
            self.and(&format!("(created_at, id) {behind} ({at}, {id})"));
        }
        self.limited(read, limit);
        self.arms.push(std::mem::take(&mut self.sql));
    }

    fn limited(&mut self, read: ListOrder, limit: usize) {
        let way = match read {
            ListOrder::Ascending => "ASC",
            ListOrder::Descending => "DESC",
        };
        let limit = self.param(limit);
        // Writing to a string cannot fail.
        write!(self.sql, " ORDER BY created_at {way}, id {way} LIMIT {limit}").unwrap_or_default();
    }

    fn merged(mut self, read: ListOrder, limit: usize) -> SqlQuery {
        let arms = std::mem::take(&mut self.arms);
        if arms.len() > 1 {
            let arms = arms.iter().enumerate();
            let arms: Vec<_> =
                arms.map(|(place, arm)| format!("SELECT * FROM ({arm}) AS arm{place}")).collect();
            self.sql = arms.join(" UNION ALL ");
            self.limited(read, limit);
        } else {
            self.sql = arms.concat();
        }
        SqlQuery::new(self.sql, self.params)
    }
}
