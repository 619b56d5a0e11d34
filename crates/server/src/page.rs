//! Pages of lists: the tokens that lead from one to the next, and their bodies.
//!
//! A token is base64url of (version, list, parent, order, direction, sort key, id, time, check). It is good
//! for the list it came from, in the same order, and for nothing else (docs/rules.md 7).

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use engine::TimeRange;
use protocol::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};
use store::ListOrder;

use crate::{
    answer::{ApiAnswer, trimmed},
    error::ApiProblem,
    query::RequestQuery,
};

const VERSION: u8 = 2;
const CHECK: usize = 4;

/// Which list a token belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ListName {
    /// An agent's versions; sorted by number.
    Versions = 2,
    /// Sessions; sorted by `created_at`.
    Sessions = 4,
    /// A session's events; sorted by position.
    SessionEvents = 5,
    /// A thread's events; sorted by position.
    ThreadEvents = 6,
    /// A session's threads; sorted by their place.
    Threads = 7,
    /// Documents of one kind; sorted by `created_at`.
    Documents = 8,
}

/// One list in one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listing {
    /// Which list.
    pub(crate) list: ListName,
    /// The agent, session or thread it belongs to, or what stands for the kind of its documents; zero for the
    /// workspace's sessions.
    pub(crate) parent: u128,
    /// Its order.
    pub(crate) order: ListOrder,
}

/// A place between two items of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageToken {
    /// Whether the page lies before the item rather than behind it.
    pub(crate) backwards: bool,
    /// The item's sort key.
    pub(crate) key: u64,
    /// The item's id; zero where the key alone says it.
    pub(crate) id: u128,
    /// When the item was made, where a list can be filtered by that; `None`: it is not done yet.
    pub(crate) at: Option<Timestamp>,
}

impl Listing {
    /// The documents of the kind with this word, newest first.
    pub(crate) fn documents(kind: &str) -> Self {
        let word: [u8; 32] = Sha256::digest(kind).into();
        let parent = word.iter().take(16).fold(0, |bits, byte| bits << 8 | u128::from(*byte));
        Self { list: ListName::Documents, parent, order: ListOrder::Descending }
    }

    /// The token as a client gets it.
    pub(crate) fn seal(self, token: PageToken) -> String {
        let mut bytes = vec![VERSION, self.list as u8];
        bytes.extend(self.parent.to_be_bytes());
        bytes.extend([u8::from(self.order == ListOrder::Descending), u8::from(token.backwards)]);
        bytes.extend(token.key.to_be_bytes());
        bytes.extend(token.id.to_be_bytes());
        bytes.extend(token.at.map_or(i64::MIN, Timestamp::micros).to_be_bytes());
        bytes.extend(check(&bytes));
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The token that the query's `page` holds, if it holds one.
    ///
    /// # Errors
    /// What is no token, or one of another list, parent or order.
    pub(crate) fn asked(self, query: &RequestQuery) -> Result<Option<PageToken>, ApiProblem> {
        match query.scalar("page") {
            None | Some("") => Ok(None),
            Some(text) => self.open(text).map(Some).map_err(|message| ApiProblem::parameter("page", message)),
        }
    }

    fn open(self, text: &str) -> Result<PageToken, &'static str> {
        let broken = "this is not a page token of this server; take `next_page` as it came";
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| broken)?;
        let (mut reader, sum) = bytes.split_last_chunk::<CHECK>().ok_or(broken)?;
        if check(reader) != *sum {
            return Err(broken);
        }
        let [version, list] = take(&mut reader).ok_or(broken)?;
        if version != VERSION {
            return Err("this page token is of another version of the server; list from the beginning");
        }
        let parent = u128::from_be_bytes(take(&mut reader).ok_or(broken)?);
        let [descending, backwards] = take(&mut reader).ok_or(broken)?;
        let key = u64::from_be_bytes(take(&mut reader).ok_or(broken)?);
        let id = u128::from_be_bytes(take(&mut reader).ok_or(broken)?);
        let at = Some(i64::from_be_bytes(take(&mut reader).ok_or(broken)?)).filter(|at| *at != i64::MIN);
        if !reader.is_empty() {
            return Err(broken);
        }
        if list != self.list as u8 || parent != self.parent {
            return Err("this page token belongs to another list; list this one from its beginning");
        }
        if (descending == 1) != (self.order == ListOrder::Descending) {
            return Err("this page token belongs to another `order`; keep the order between pages");
        }
        Ok(PageToken { backwards: backwards == 1, key, id, at: at.map(Timestamp::from_micros) })
    }
}

/// Refuses a filter that shuts out the place a token names (docs/rules.md 7).
pub(crate) fn within(token: Option<PageToken>, created: TimeRange) -> Result<(), ApiProblem> {
    let shut_out = |token: PageToken| !token.at.map_or(created.is_open(), |at| created.holds(at));
    if token.is_some_and(shut_out) {
        return Err(ApiProblem::parameter("page", "the created_at filter shuts this token's place out"));
    }
    Ok(())
}

fn take<const N: usize>(reader: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, rest) = reader.split_first_chunk::<N>()?;
    *reader = rest;
    Some(*bytes)
}

/// Tells a mistyped token from a good one. No secret: a token names a place, it grants nothing.
fn check(bytes: &[u8]) -> [u8; CHECK] {
    let [a, b, c, d, ..]: [u8; 32] = Sha256::digest(bytes).into();
    [a, b, c, d]
}

/// The items of one page, written as the beginning of its body.
#[derive(Debug)]
pub(crate) struct PageItems {
    body: Vec<u8>,
    /// Where each of them lies in it.
    places: Vec<std::ops::Range<usize>>,
    /// How many there may be, and how many bytes of them.
    most: (usize, usize),
    bytes: usize,
    /// Whether something was left for the next page.
    pub(crate) more: bool,
}

/// How a page's body begins.
const BEGIN: &[u8] = br#"{"data":["#;

impl PageItems {
    /// None yet, of at most `limit`, and at most so many bytes; but the first one always fits.
    pub(crate) fn new(limit: usize, bytes: usize) -> Self {
        Self { body: BEGIN.to_vec(), places: Vec::new(), most: (limit, bytes), bytes: 0, more: false }
    }

    /// The first of `items` that fit.
    pub(crate) fn fit<T: Serialize>(
        items: impl IntoIterator<Item = T>,
        limit: usize,
        bytes: usize,
    ) -> Result<Self, ApiProblem> {
        let mut page = Self::new(limit, bytes);
        for item in items {
            if !page.push(&item)? {
                break;
            }
        }
        Ok(page)
    }

    /// Adds one; false: it is for the next page.
    pub(crate) fn push<T: Serialize>(&mut self, item: &T) -> Result<bool, ApiProblem> {
        let before = self.body.len();
        let (limit, bytes) = self.most;
        if self.places.len() == limit {
            self.more = true;
            return Ok(false);
        }
        let place = self.next();
        serde_json::to_writer(&mut self.body, item).map_err(ApiProblem::internal)?;
        self.bytes += self.body.len() - place;
        if self.bytes > bytes && !self.places.is_empty() {
            self.body.truncate(before);
            self.more = true;
            return Ok(false);
        }
        self.places.push(place..self.body.len());
        Ok(true)
    }

    /// Where the next item begins.
    fn next(&mut self) -> usize {
        if !self.places.is_empty() {
            self.body.push(b',');
        }
        self.body.len()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// The same in the other order: a page that was read backwards.
    pub(crate) fn reversed(self) -> Self {
        let (limit, bytes) = self.most;
        let mut turned = Self { bytes: self.bytes, more: self.more, ..Self::new(limit, bytes) };
        for item in self.places.iter().rev().filter_map(|place| self.body.get(place.clone())) {
            let place = turned.next();
            turned.body.extend(item);
            turned.places.push(place..turned.body.len());
        }
        turned
    }

    /// `{"data": [...], "next_page": ...}`.
    pub(crate) fn answer(self, next: Option<String>) -> Result<ApiAnswer, ApiProblem> {
        self.write(&[("next_page", next)])
    }

    /// The same with `prev_page`: a list that runs both ways.
    pub(crate) fn answer_both(
        self,
        next: Option<String>,
        prev: Option<String>,
    ) -> Result<ApiAnswer, ApiProblem> {
        self.write(&[("next_page", next), ("prev_page", prev)])
    }

    fn write(self, tokens: &[(&str, Option<String>)]) -> Result<ApiAnswer, ApiProblem> {
        let mut body = self.body;
        body.push(b']');
        for (name, token) in tokens {
            body.extend(format!(",\"{name}\":").into_bytes());
            serde_json::to_writer(&mut body, token).map_err(ApiProblem::internal)?;
        }
        body.push(b'}');
        Ok(ApiAnswer::Json(trimmed(body)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::limits;
    use serde_json::{Value, json};

    const HERE: Listing = Listing { list: ListName::SessionEvents, parent: 7, order: ListOrder::Ascending };
    const PLACE: PageToken =
        PageToken { backwards: true, key: u64::MAX, id: u128::MAX - 1, at: Some(Timestamp::from_micros(-5)) };

    fn json_of(answer: ApiAnswer) -> Value {
        match answer {
            ApiAnswer::Json(body) => serde_json::from_slice(&body).expect("JSON"),
            ApiAnswer::Text { .. } | ApiAnswer::Stream(_) => Value::Null,
        }
    }

    #[test]
    fn a_token_reads_back_where_it_came_from() {
        for place in [PLACE, PageToken { backwards: false, at: None, ..PLACE }] {
            assert_eq!(HERE.open(&HERE.seal(place)), Ok(place));
        }
    }

    #[test]
    fn a_token_of_another_version_says_so() {
        let whole = BASE64_URL_SAFE_NO_PAD.decode(HERE.seal(PLACE)).expect("base64");
        for (version, len) in [(1, 44), (3, 60)] {
            let mut bytes = vec![version];
            bytes.extend(whole[1..].iter().cycle().take(len - 1));
            bytes.extend(check(&bytes));
            let told = HERE.open(&BASE64_URL_SAFE_NO_PAD.encode(bytes)).expect_err("of another version");
            assert!(told.contains("another version"), "{told}");
        }
    }

    #[test]
    fn a_token_with_more_behind_it_is_damaged() {
        let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(HERE.seal(PLACE)).expect("base64");
        bytes.truncate(bytes.len() - CHECK);
        bytes.push(0);
        bytes.extend(check(&bytes));
        assert!(HERE.open(&BASE64_URL_SAFE_NO_PAD.encode(bytes)).is_err());
    }

    #[test]
    fn a_filter_must_hold_the_tokens_place() {
        let at = |micros: i64| Some(Timestamp::from_micros(micros));
        let open = TimeRange::default();
        for (place, range, fine) in [
            (at(5), open, true),
            (None, open, true),
            (None, TimeRange { lte: at(9), ..open }, false),
            (at(5), TimeRange { gt: at(4), gte: at(5), lt: at(6), lte: at(5) }, true),
            (at(5), TimeRange { gt: at(5), ..open }, false),
            (at(5), TimeRange { gte: at(6), ..open }, false),
            (at(5), TimeRange { lt: at(5), ..open }, false),
            (at(5), TimeRange { lte: at(4), ..open }, false),
        ] {
            assert_eq!(
                within(Some(PageToken { at: place, ..PLACE }), range).is_ok(),
                fine,
                "{place:?} {range:?}"
            );
        }
        assert_eq!(within(None, TimeRange { lte: at(4), ..open }), Ok(()));
    }

    #[test]
    fn a_token_is_good_for_no_other_list_parent_or_order() {
        let token = HERE.seal(PLACE);
        for other in [
            Listing { list: ListName::ThreadEvents, ..HERE },
            Listing { parent: 8, ..HERE },
            Listing { order: ListOrder::Descending, ..HERE },
        ] {
            assert!(other.open(&token).is_err_and(|why| why.contains("another")), "{other:?}");
        }
    }

    #[test]
    fn a_damaged_token_is_refused() {
        let token = HERE.seal(PLACE);
        for at in 0..token.len() {
            let mut damaged = token.clone().into_bytes();
            damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
            let damaged = String::from_utf8(damaged).expect("ASCII");
            assert!(HERE.open(&damaged).is_err(), "{damaged}");
        }
        for text in ["x", "page_2", "", &token[1..]] {
            assert!(HERE.open(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_page_ends_at_its_limit_or_its_bytes_and_is_never_empty() {
        let big = "x".repeat(limits::PAGE_BYTES / 2);
        let huge = "x".repeat(limits::PAGE_BYTES + 1);
        let fit = |items: &[&str], limit| {
            let page = PageItems::fit(items, limit, limits::PAGE_BYTES).expect("writes");
            (page.len(), page.more)
        };
        assert_eq!(fit(&["a", "b", "c"], 2), (2, true));
        assert_eq!(fit(&["a", "b"], 2), (2, false));
        assert_eq!(fit(&[&big, &big, "c"], 9), (1, true));
        assert_eq!(fit(&[&huge, "b"], 9), (1, true));
    }

    #[test]
    fn the_body_is_data_and_tokens() {
        let page = || PageItems::fit([1, 2], 5, 100).expect("writes");
        let one = page().answer(None).expect("writes");
        assert_eq!(json_of(one), json!({"data": [1, 2], "next_page": null}));
        let both = page().reversed().answer_both(Some("a".into()), None).expect("writes");
        assert_eq!(json_of(both), json!({"data": [2, 1], "next_page": "a", "prev_page": null}));
    }
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod walks;
