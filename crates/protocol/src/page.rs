//! Lists: how many come at once, and the shape of a page (docs/rules.md 13).

/// How many items a page of a list has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSize {
    /// When nothing, or 0, is asked for (docs/rules.md 7).
    pub default: usize,
    /// At most; more is refused by name.
    pub max: usize,
}

/// Agents, their versions, environments and sessions.
pub const RESOURCES: PageSize = PageSize { default: 20, max: 100 };

/// Events and threads of a session.
pub const LOGS: PageSize = PageSize { default: 1_000, max: 1_000 };

impl PageSize {
    /// How many items a page has when `asked` were asked for; `None` when that is too many.
    pub const fn of(self, asked: Option<usize>) -> Option<usize> {
        match asked {
            None | Some(0) => Some(self.default),
            Some(asked) if asked <= self.max => Some(asked),
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_the_default_and_one_too_many_is_refused() {
        let sizes = [None, Some(0), Some(1), Some(100), Some(101)].map(|asked| RESOURCES.of(asked));
        assert_eq!(sizes, [Some(20), Some(20), Some(1), Some(100), None]);
    }
}
