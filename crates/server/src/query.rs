//! Query parameters as all the clients write them (docs/rules.md 12).

use std::str::FromStr;

use axum::{extract::Query as Form, http::Uri};
use engine::TimeRange;
use protocol::{
    Timestamp,
    id::{Id, IdKind, NotAnId},
    page::PageSize,
    parse,
};
use store::ListOrder;

use crate::{error::ApiProblem, openapi::queries::QueryParameter};

/// What the SDKs send with every request; it chooses nothing here.
const BETA: &str = "beta";

/// The query of a request. A bracketed scalar is the scalar and the last one wins; lists come as
/// `types[]=a`, `types=a` or `types[0]=a`.
#[derive(Debug, Clone, Default)]
pub(crate) struct RequestQuery(Vec<(String, String)>);

impl RequestQuery {
    /// Reads the query of `uri`.
    pub(crate) fn of(uri: &Uri) -> Result<Self, ApiProblem> {
        let Form(pairs) = Form::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|wrong| ApiProblem::parameter("query", wrong))?;
        Ok(Self(pairs.into_iter().map(|(name, value)| (plain(&name).to_owned(), value)).collect()))
    }

    /// Refuses a parameter that is none of these, and not `beta`, which every client sends; one that is not
    /// known would be left out of account in silence.
    pub(crate) fn only(&self, known: &[QueryParameter]) -> Result<(), ApiProblem> {
        let takes = |name: &str| name == BETA || known.iter().any(|known| plain(known.name) == name);
        let Some((name, _)) = self.0.iter().find(|(name, _)| !takes(name)) else { return Ok(()) };
        let known: Vec<_> = known.iter().map(|known| known.name).chain([BETA]).collect();
        let message = format!("unknown query parameter; this takes {}", parse::listed(&known));
        Err(ApiProblem::parameter(&parse::shown(name), message))
    }

    /// The last value of `name`.
    pub(crate) fn scalar(&self, name: &str) -> Option<&str> {
        self.list(name).next_back()
    }

    /// Every value of `name`, in order.
    pub(crate) fn list(&self, name: &str) -> impl DoubleEndedIterator<Item = &str> {
        #[cfg(test)]
        crate::testing::asked::note(name);
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A number, an id, a time: whatever can be read from a text.
    pub(crate) fn read<T: FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, ApiProblem> {
        let Some(text) = self.scalar(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            ApiProblem::parameter(name, format!("expected {expected}, got `{}`", parse::shown(text)))
        })
    }

    /// An id.
    pub(crate) fn id<K: IdKind>(&self, name: &str) -> Result<Option<Id<K>>, ApiProblem> {
        let Some(text) = self.scalar(name) else { return Ok(None) };
        let wrong =
            |wrong: NotAnId| ApiProblem::parameter(name, format!("{wrong}; got `{}`", parse::shown(text)));
        text.parse().map(Some).map_err(wrong)
    }

    /// A time with a zone.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Timestamp>, ApiProblem> {
        self.read(name, "a time with its zone, like 2026-11-21T09:43:00Z")
    }

    /// The four bounds of `created_at`.
    pub(crate) fn created(&self) -> Result<TimeRange, ApiProblem> {
        Ok(TimeRange {
            gt: self.time("created_at[gt]")?,
            gte: self.time("created_at[gte]")?,
            lt: self.time("created_at[lt]")?,
            lte: self.time("created_at[lte]")?,
        })
    }

    /// `order`: `asc` or `desc`.
    pub(crate) fn order(&self, default: ListOrder) -> Result<ListOrder, ApiProblem> {
        match self.scalar("order") {
            None => Ok(default),
            Some("asc") => Ok(ListOrder::Ascending),
            Some("desc") => Ok(ListOrder::Descending),
            Some(other) => {
                let message = format!("expected `asc` or `desc`, got `{}`", parse::shown(other));
                Err(ApiProblem::parameter("order", message))
            }
        }
    }

    /// `true` or `false`; not given is false.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, ApiProblem> {
        Ok(self.read(name, "`true` or `false`")?.unwrap_or(false))
    }

    /// The values of a list, each one of `known`.
    pub(crate) fn names(&self, name: &str, known: &[&'static str]) -> Result<Vec<&'static str>, ApiProblem> {
        let find = |value| known.iter().find(|known| **known == value).copied();
        let read = |value| {
            find(value).ok_or_else(|| {
                let message = format!("`{}` is not one of {}", parse::shown(value), parse::listed(known));
                ApiProblem::parameter(name, message)
            })
        };
        self.list(name).map(read).collect()
    }

    /// Like [`RequestQuery::names`], of at most `most` values.
    pub(crate) fn few(
        &self,
        name: &str,
        known: &[&'static str],
        most: usize,
    ) -> Result<Vec<&'static str>, ApiProblem> {
        if self.list(name).count() > most {
            return Err(ApiProblem::parameter(name, format!("must have at most {most} values")));
        }
        self.names(name, known)
    }

    /// `limit`, in the bounds of `size`.
    pub(crate) fn limit(&self, size: PageSize) -> Result<usize, ApiProblem> {
        let message = format!("a whole number from 0 to {} (0 means {})", size.max, size.default);
        let asked = self.read("limit", &message)?;
        size.of(asked).ok_or_else(|| ApiProblem::parameter("limit", format!("must be at most {}", size.max)))
    }
}

/// The name without `[]` or `[0]` behind it; `created_at[gte]` is a name of its own.
fn plain(name: &str) -> &str {
    match name.strip_suffix(']').and_then(|name| name.rsplit_once('[')) {
        Some((name, index)) if index.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::page::RESOURCES;

    fn query(text: &str) -> RequestQuery {
        RequestQuery::of(&format!("/v1/x?{text}").parse().expect("a URI")).expect("a query")
    }

    #[test]
    fn the_last_of_a_bracketed_scalar_wins() {
        let query = query("limit[]=5&limit%5B%5D=7&page[]=A&page[]=B");
        assert_eq!((query.scalar("limit"), query.scalar("page")), (Some("7"), Some("B")));
    }

    #[test]
    fn every_way_to_write_a_list_reads_alike() {
        for text in ["t[]=a&t[]=b", "t=a&t=b", "t[0]=a&t[1]=b", "t%5B%5D=a&t%5b1%5d=b"] {
            assert_eq!(query(text).list("t").collect::<Vec<_>>(), ["a", "b"], "{text}");
        }
    }

    #[test]
    fn times_keep_their_comparison() {
        let query = query("created_at[gte]=1970-01-01T00%3A00%3A01Z&created_at%5Blt%5D=x");
        assert_eq!(query.time("created_at[gte]"), Ok(Some(Timestamp::from_micros(1_000_000))));
        let wrong = query.time("created_at[lt]").expect_err("no time");
        assert!(wrong.message.starts_with("created_at[lt]: expected a time"), "{}", wrong.message);
    }

    #[test]
    fn a_limit_of_zero_is_the_default_and_too_much_is_refused_by_name() {
        let limits = ["", "limit=0", "limit=100"].map(|text| query(text).limit(RESOURCES).ok());
        assert_eq!(limits, [Some(20), Some(20), Some(100)]);
        for text in ["limit=101", "limit=-1", "limit=x", "limit="] {
            let wrong = query(text).limit(RESOURCES).expect_err(text);
            assert_eq!((wrong.status.as_u16(), wrong.message.split(':').next()), (400, Some("limit")));
        }
        let wrong = query("limit=abc").limit(RESOURCES).expect_err("no number");
        assert_eq!(wrong.message, "limit: expected a whole number from 0 to 100 (0 means 20), got `abc`");
    }

    #[test]
    fn an_unknown_name_in_a_list_is_refused() {
        let wrong = query("s[]=idle&s[]=busy").names("s", &["idle", "running"]).expect_err("busy");
        assert_eq!(wrong.message, "s: `busy` is not one of `idle` or `running`");
    }
}
