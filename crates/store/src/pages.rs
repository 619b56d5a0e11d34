//! Pages of what is in memory: in a list's order, from a place on, within bytes.

use protocol::Timestamp;

use crate::nouns::{HeadQuery, ListOrder, ListedPage, LogRow, SessionHead};
use crate::sql::ROWS_AT_ONCE;

pub(crate) fn is_listed(head: &SessionHead, query: &HeadQuery) -> bool {
    head.workspace == query.workspace
        && head.deleted_at.is_none()
        && (query.include_archived || head.archived_at.is_none())
        && query.agent.is_none_or(|agent| head.agent == agent)
        && query.agent_version.is_none_or(|version| head.agent_version == version)
        && (query.statuses.is_empty() || query.statuses.contains(&head.status))
        && query.created_gt.is_none_or(|bound| head.created_at > bound)
        && query.created_gte.is_none_or(|bound| head.created_at >= bound)
        && query.created_lt.is_none_or(|bound| head.created_at < bound)
        && query.created_lte.is_none_or(|bound| head.created_at <= bound)
}

/// The page of a list, in the list's order.
pub(crate) fn page<'a, K: Ord + Copy, T: Clone + 'a>(
    listed: impl Iterator<Item = ((Timestamp, K), &'a T)>,
    order: ListOrder,
    backwards: bool,
    after: Option<(Timestamp, K)>,
    (limit, bytes): (usize, usize),
    size: impl Fn(&T) -> usize,
) -> ListedPage<T> {
    let mut listed: Vec<_> = listed.collect();
    listed.sort_unstable_by_key(|(key, _)| *key);
    let read = order.read(backwards);
    if read == ListOrder::Descending {
        listed.reverse();
    }
    listed.retain(|(key, _)| {
        after.is_none_or(|after| match read {
            ListOrder::Ascending => *key > after,
            ListOrder::Descending => *key < after,
        })
    });
    let mut page = up_to(listed.into_iter().map(|(_, noun)| noun).take(limit), bytes, size);
    if backwards {
        page.items.reverse();
    }
    page
}

/// Those up to and without the one with which they exceed `max_bytes`; the first always comes.
pub(crate) fn up_to<'a, T: Clone + 'a>(
    all: impl Iterator<Item = &'a T>,
    max_bytes: usize,
    size: impl Fn(&T) -> usize,
) -> ListedPage<T> {
    let (mut items, mut bytes): (Vec<T>, usize) = (Vec::new(), 0);
    for one in all {
        bytes = bytes.saturating_add(size(one));
        if bytes > max_bytes && !items.is_empty() {
            return ListedPage { items, cut: true };
        }
        items.push(one.clone());
    }
    ListedPage { items, cut: false }
}

pub(crate) fn rows_up_to<'a>(rows: impl Iterator<Item = &'a LogRow>, max_bytes: usize) -> Vec<LogRow> {
    let bytes = |row: &LogRow| row.body.len() + row.receipt.as_ref().map_or(0, Vec::len);
    up_to(rows.take(ROWS_AT_ONCE), max_bytes, bytes).items
}
